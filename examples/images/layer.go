package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of every file: the same inputs give the same image.
var epoch = time.Unix(1420070400, 0).UTC() // 2015-01-01

// layers makes the image's layers in tmp, the lowest first, and returns their tar files.
func (r recipe) layers(ctx context.Context, examples, tmp string, src sources) ([]string, error) {
	var out []string
	if len(r.packages) > 0 {
		base := filepath.Join(tmp, "base.tar")
		if err := debootstrap(ctx, tmp, base, src, r.packages, r.remove); err != nil {
			return nil, err
		}
		out = append(out, base)
	}
	top := filepath.Join(tmp, "top.tar")
	f, err := os.Create(top)
	if err != nil {
		return nil, fmt.Errorf("create layer: %w", err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	n := 0
	if r.program != "" {
		bin := filepath.Join(tmp, filepath.Base(r.program))
		if err := build(ctx, filepath.Join(examples, filepath.Dir(r.program)), filepath.Base(r.program), bin); err != nil {
			return nil, err
		}
		if err := addFile(w, filepath.Base(bin), bin, 0o755); err != nil {
			return nil, err
		}
		n++
	}
	for _, d := range r.dirs {
		h := &tar.Header{Typeflag: tar.TypeDir, Name: d.path + "/", Mode: d.mode, Uid: d.uid, Gid: d.uid, ModTime: epoch}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write layer: %w", err)
		}
		n++
	}
	var files []string
	for name := range r.files {
		files = append(files, name)
	}
	sort.Strings(files)
	for _, name := range files {
		if err := addFile(w, name, filepath.Join(examples, r.files[name]), 0o644); err != nil {
			return nil, err
		}
		n++
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write layer: %w", err)
	}
	if n > 0 {
		out = append(out, top)
	}
	return out, nil
}

func addFile(w *tar.Writer, name, from string, mode int64) error {
	f, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("open file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("stat file: %w", err)
	}
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: st.Size(), ModTime: epoch}); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	if _, err := io.Copy(w, f); err != nil {
		return fmt.Errorf("write layer: %w", err)
	}
	return nil
}

// build compiles a Go program without cgo, so that it needs nothing else in its image.
func build(ctx context.Context, module, pkg, bin string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", bin, "./"+pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return runCommand(cmd)
}

// debootstrap writes a Debian root file system with packages to tarFile. It works in tmp and in a mount namespace of its own:
// whatever ends it, no mount outlives it, and tmp can be removed.
func debootstrap(ctx context.Context, tmp, tarFile string, src sources, packages, remove []string) error {
	args := []string{
		"--variant=minbase", "--mode=root", "--format=tar", "--quiet",
		"--include=" + strings.Join(packages, ","),
		"--aptopt=APT::Install-Recommends \"false\"",
	}
	for _, o := range src.Options {
		args = append(args, "--aptopt="+o)
	}
	for _, p := range []string{"doc", "man", "info", "locale", "lintian", "bug"} {
		args = append(args, "--dpkgopt=path-exclude=/usr/share/"+p+"/*")
	}
	args = append(args, "--dpkgopt=path-include=/usr/share/doc/*/copyright")
	remove = append(slices.Clone(remove), "etc/resolv.conf", "etc/hostname", "var/log/dpkg.log", "var/log/alternatives.log")
	hook := "cd \"$1\" && rm -f " + strings.Join(remove, " ")
	args = append(args, "--customize-hook="+hook, src.Codename, tarFile)
	args = append(args, src.Lines...)
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch.Unix()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return runCommand(cmd)
}

// runCommand runs cmd and puts the end of what it said into the error.
func runCommand(cmd *exec.Cmd) error {
	// The parent-death signal is bound to the thread that starts the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("run %s: %w (apt-get install %[1]s)", cmd.Args[0], err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) > 20 {
		lines = lines[len(lines)-20:]
	}
	return fmt.Errorf("run %s: %w\n%s", cmd.Args[0], err, strings.Join(lines, "\n"))
}

// writeLayout writes an OCI layout with one image, tagged with the recipe's name in a registry.
func writeLayout(dir string, r recipe, layers []string) error {
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	for _, tarFile := range layers {
		l, err := tarball.LayerFromFile(tarFile, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(1))
		if err != nil {
			return fmt.Errorf("compress layer: %w", err)
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return fmt.Errorf("append layer: %w", err)
		}
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Created, cf.Config = "linux", runtime.GOARCH, v1.Time{Time: epoch}, r.config
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		return fmt.Errorf("write config: %w", err)
	}
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	err = p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.ref}))
	if err != nil {
		return fmt.Errorf("write image: %w", err)
	}
	return nil
}
