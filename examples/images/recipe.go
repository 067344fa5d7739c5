package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A recipe is how one image is made. Its fields are the inputs that its cache key holds.
type recipe struct {
	name     string   // directory of the layout
	ref      string   // name in the registry, without host
	packages []string // Debian packages of the root file system; none: an image without one
	program  string   // Go package below the examples, as MODULE/PACKAGE, built to /NAME
	dirs     []dir    // empty directories of the image
	files    map[string]string
	remove   []string // of the root file system, relative
	config   v1.Config
}

// dir is a directory of an image.
type dir struct {
	path string
	mode int64
	uid  int
}

const nobody = 65534

func recipes() []recipe {
	return []recipe{
		{
			name: "testpod", ref: "test/testpod:1", program: "images/testpod",
			config: v1.Config{Entrypoint: []string{"/testpod"}},
		},
		{
			name: "mongodb", ref: "pulp/mongodb:1", program: "mongodb/server",
			dirs: []dir{{"data", 0o700, nobody}, {"tmp", 0o1777, 0}},
			config: v1.Config{
				Entrypoint: []string{"/server", "--data", "/data", "--listen", ":27017"}, User: fmt.Sprint(nobody), WorkingDir: "/data",
				ExposedPorts: map[string]struct{}{"27017/tcp": {}},
			},
		},
		{
			name: "rabbitmq", ref: "pulp/rabbitmq:1", packages: []string{"rabbitmq-server"},
			// A cookie in the image would be the same secret in every broker; a missing one is made at the first start.
			remove: []string{"var/lib/rabbitmq/.erlang.cookie"},
			config: v1.Config{
				Entrypoint: []string{"/usr/lib/rabbitmq/bin/rabbitmq-server"}, User: "rabbitmq", WorkingDir: "/var/lib/rabbitmq",
				// The script in /usr/sbin would send the log to a file.
				Env:          []string{path, "HOME=/var/lib/rabbitmq", "RABBITMQ_LOGS=-", "LANG=C.UTF-8"},
				ExposedPorts: map[string]struct{}{"5672/tcp": {}},
			},
		},
		{
			name: "celery", ref: "pulp/celery:1", packages: []string{"python3-celery", "python3-pymongo"},
			files: map[string]string{"srv/tasks.py": "images/celery/tasks.py"},
			config: v1.Config{
				// Debian's python3-celery has no celery command.
				Entrypoint: []string{"python3", "-m", "celery", "-A", "tasks"}, User: fmt.Sprint(nobody), WorkingDir: "/srv",
				Env: []string{path, "LANG=C.UTF-8", "PYTHONUNBUFFERED=1"},
			},
		},
	}
}

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func names() []string {
	var out []string
	for _, r := range recipes() {
		out = append(out, r.name)
	}
	return out
}

// format is part of every key: raise it when the same inputs are built into something else.
const format = 1

// key is the hash of everything that decides what the image will hold.
func (r recipe) key(examples string, src sources) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %s\n%+v\n", format, runtime.Version(), runtime.GOARCH, r)
	if len(r.packages) > 0 {
		fmt.Fprintf(h, "%+v\n", src)
	}
	add := func(root string) error {
		return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(examples, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%s %x\n", rel, sha256.Sum256(b))
			return nil
		})
	}
	if r.program != "" {
		module := filepath.Join(examples, filepath.Dir(r.program))
		for _, p := range []string{filepath.Join(examples, r.program), filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")} {
			if err := add(p); err != nil {
				return "", fmt.Errorf("hash program: %w", err)
			}
		}
	}
	for _, from := range r.files {
		if err := add(filepath.Join(examples, from)); err != nil {
			return "", fmt.Errorf("hash file: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ensure builds the image unless the one in out has the same key, and tells whether it did.
func (r recipe) ensure(ctx context.Context, examples, out string, force bool) (bool, error) {
	var src sources
	var err error
	if len(r.packages) > 0 {
		if src, err = machineSources(); err != nil {
			return false, err
		}
	}
	key, err := r.key(examples, src)
	if err != nil {
		return false, err
	}
	place := filepath.Join(out, r.name)
	if old, err := os.ReadFile(filepath.Join(place, "inputs")); err == nil && string(old) == key && !force {
		return false, nil
	}
	tmp, err := os.MkdirTemp(out, ".build-")
	if err != nil {
		return false, fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(tmp)
	layers, err := r.layers(ctx, examples, tmp, src)
	if err != nil {
		return false, err
	}
	made := filepath.Join(tmp, "layout")
	if err := writeLayout(made, r, layers); err != nil {
		return false, err
	}
	if err := os.WriteFile(filepath.Join(made, "inputs"), []byte(key), 0o644); err != nil {
		return false, fmt.Errorf("write key: %w", err)
	}
	if err := os.RemoveAll(place); err != nil {
		return false, fmt.Errorf("remove old image: %w", err)
	}
	if err := os.Rename(made, place); err != nil {
		return false, fmt.Errorf("put image: %w", err)
	}
	return true, nil
}
