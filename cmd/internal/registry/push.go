package registry

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// refName is where an OCI layout keeps an image's name (image-spec, annotations); containerd and docker put the full name
// into the other.
const (
	refName       = "org.opencontainers.image.ref.name"
	containerName = "io.containerd.image.name"
)

// Pusher pushes images to one registry over plain HTTP.
type Pusher struct {
	Host      string            // HOST:PORT
	Transport http.RoundTripper // nil: http.DefaultTransport
}

// Push sends the images of path, an OCI layout (directory or tar, also gzipped) or a docker-save archive, and returns their
// full names. as replaces the name of the only image; "" keeps the names that the images carry, without their registry.
func (p Pusher) Push(ctx context.Context, path, as string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	if st.IsDir() {
		return p.pushLayout(ctx, path, as)
	}
	names, oci, err := lookInto(path)
	if err != nil {
		return nil, fmt.Errorf("read image archive %q: %w", path, err)
	}
	if oci && len(names) == 0 {
		dir, err := os.MkdirTemp("", "reconciler-push-")
		if err != nil {
			return nil, fmt.Errorf("unpack image archive: %w", err)
		}
		defer os.RemoveAll(dir)
		if err := unpack(path, dir); err != nil {
			return nil, fmt.Errorf("unpack image archive %q: %w", path, err)
		}
		return p.pushLayout(ctx, dir, as)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("read image archive %q: it is neither a docker-save archive with a named image nor an OCI layout", path)
	}
	if as != "" && len(names) > 1 {
		return nil, fmt.Errorf("name image %q: the archive holds several images: %s", as, strings.Join(names, ", "))
	}
	var out []string
	for _, n := range names {
		tag, err := name.NewTag(n, name.WeakValidation)
		if err != nil {
			return out, fmt.Errorf("read image name %q: %w", n, err)
		}
		img, err := tarball.Image(func() (io.ReadCloser, error) { return open(path) }, &tag)
		if err != nil {
			return out, fmt.Errorf("read image %q: %w", n, err)
		}
		full, err := p.target(n, as)
		if err != nil {
			return out, err
		}
		if err := remote.Write(full, img, p.options(ctx)...); err != nil {
			return out, fmt.Errorf("push image %q: %w", full, err)
		}
		out = append(out, full.Name())
	}
	return out, nil
}

func (p Pusher) options(ctx context.Context) []remote.Option {
	o := []remote.Option{remote.WithContext(ctx)}
	if p.Transport != nil {
		o = append(o, remote.WithTransport(p.Transport))
	}
	return o
}

func (p Pusher) pushLayout(ctx context.Context, dir, as string) ([]string, error) {
	l, err := layout.FromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("read image layout %q: %w", dir, err)
	}
	idx, err := l.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("read image layout %q: %w", dir, err)
	}
	m, err := idx.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read image layout %q: %w", dir, err)
	}
	if as != "" && len(m.Manifests) > 1 {
		return nil, fmt.Errorf("name image %q: the layout %q holds %d images", as, dir, len(m.Manifests))
	}
	var out []string
	for _, d := range m.Manifests {
		n := d.Annotations[containerName]
		if n == "" {
			n = d.Annotations[refName]
		}
		if n == "" && as == "" {
			return out, fmt.Errorf("read image layout %q: an image has no name; give it one", dir)
		}
		full, err := p.target(n, as)
		if err != nil {
			return out, err
		}
		if err := p.write(ctx, idx, d, full); err != nil {
			return out, fmt.Errorf("push image %q: %w", full, err)
		}
		out = append(out, full.Name())
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read image layout %q: it holds no image", dir)
	}
	return out, nil
}

func (p Pusher) write(ctx context.Context, idx v1.ImageIndex, d v1.Descriptor, to name.Reference) error {
	if d.MediaType.IsIndex() {
		sub, err := idx.ImageIndex(d.Digest)
		if err != nil {
			return err
		}
		return remote.WriteIndex(to, sub, p.options(ctx)...)
	}
	img, err := idx.Image(d.Digest)
	if err != nil {
		return err
	}
	return remote.Write(to, img, p.options(ctx)...)
}

// target is where an image called from goes: the same repository and tag in this registry, or as.
func (p Pusher) target(from, as string) (name.Reference, error) {
	n := from
	if as != "" {
		n = as
	}
	host, rest, ok := strings.Cut(n, "/")
	if ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		n = rest
	}
	ref, err := name.NewTag(p.Host+"/"+n, name.Insecure, name.WithDefaultTag("latest"))
	if err != nil {
		return nil, fmt.Errorf("name image %q: %w", n, err)
	}
	return ref, nil
}

// open opens an archive and takes a gzip wrapper off.
func open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var magic [2]byte
	_, err = io.ReadFull(f, magic[:])
	if _, seek := f.Seek(0, io.SeekStart); err != nil || seek != nil {
		return nil, errors.Join(err, seek, f.Close())
	}
	if magic != [2]byte{0x1f, 0x8b} {
		return f, nil
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// lookInto reads the names that a docker-save archive holds, and tells whether there is an OCI layout.
func lookInto(path string) (names []string, oci bool, err error) {
	f, err := open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names, oci, nil
		}
		if err != nil {
			return nil, false, err
		}
		switch filepath.Clean(h.Name) {
		case "oci-layout":
			oci = true
		case "manifest.json":
			var entries []struct{ RepoTags []string }
			if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&entries); err != nil {
				return nil, false, err
			}
			for _, e := range entries {
				names = append(names, e.RepoTags...)
			}
		}
	}
}

// unpack writes the directories and plain files of an archive below dir and nothing outside it.
func unpack(path, dir string) error {
	f, err := open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		n := filepath.Clean(h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(n, 0o755)
		case tar.TypeReg:
			err = root.MkdirAll(filepath.Dir(n), 0o755)
			if err == nil {
				err = copyTo(root, n, r)
			}
		}
		if err != nil {
			return err
		}
	}
}

func copyTo(root *os.Root, n string, r io.Reader) error {
	w, err := root.Create(n)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
