package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// maxManifest is the largest manifest that is taken, in bytes; the distribution specification asks for at least 4 MiB.
const maxManifest = 8 << 20

// Registry is an http.Handler. It may be called concurrently; one Registry at a time may use a directory.
type Registry struct {
	dir   string // of manifests
	inner http.Handler

	mu sync.Mutex // serialises changes of manifests, so that disk and memory agree
}

// kept is a manifest on disk.
type kept struct {
	Repository  string `json:"repository"`
	Target      string `json:"target"` // tag or digest
	ContentType string `json:"contentType"`
	Body        []byte `json:"body"`
}

// New opens the registry below dir and reads its manifests.
func New(dir string) (*Registry, error) {
	blobs := filepath.Join(dir, "blobs")
	r := &Registry{dir: filepath.Join(dir, "manifests")}
	for _, d := range []string{blobs, r.dir} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("make registry directory: %w", err)
		}
	}
	r.inner = registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)))
	if err := r.load(); err != nil {
		return nil, err
	}
	return r, nil
}

// load gives the manifests on disk to the inner handler: images first, since an index is refused without its images.
func (r *Registry) load() error {
	files, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("list manifests: %w", err)
	}
	var later []kept
	for _, f := range files {
		name := filepath.Join(r.dir, f.Name())
		if !strings.HasSuffix(name, ".json") {
			if err := os.Remove(name); err != nil { // a write that was interrupted
				return fmt.Errorf("remove interrupted manifest: %w", err)
			}
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		var k kept
		if err := json.Unmarshal(b, &k); err != nil {
			return fmt.Errorf("read manifest %q: %w", name, err)
		}
		if strings.Contains(k.ContentType, "index") || strings.Contains(k.ContentType, "manifest.list") {
			later = append(later, k)
			continue
		}
		if err := r.put(k); err != nil {
			return err
		}
	}
	// An index may hold indexes: each round takes those whose parts are there.
	for len(later) > 0 {
		var again []kept
		for _, k := range later {
			if err := r.put(k); err != nil {
				again = append(again, k)
			}
		}
		if len(again) == len(later) {
			return fmt.Errorf("read manifest of %q: its parts are missing", again[0].Repository)
		}
		later = again
	}
	return nil
}

func (r *Registry) put(k kept) error {
	req, err := http.NewRequest(http.MethodPut, "/v2/"+k.Repository+"/manifests/"+k.Target, bytes.NewReader(k.Body))
	if err != nil {
		return fmt.Errorf("read manifest of %q: %w", k.Repository, err)
	}
	req.Header.Set("Content-Type", k.ContentType)
	w := &answer{header: http.Header{}, status: http.StatusOK}
	r.inner.ServeHTTP(w, req)
	if w.status != http.StatusCreated {
		return fmt.Errorf("read manifest of %q: %s", k.Repository, strings.TrimSpace(w.body.String()))
	}
	return nil
}

// answer keeps a response, so that it can be given or replaced.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	repository, target, ok := manifestPath(req.URL)
	if !ok || req.Method != http.MethodPut && req.Method != http.MethodDelete {
		r.inner.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxManifest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &answer{header: http.Header{}, status: http.StatusOK}
	r.inner.ServeHTTP(a, req)
	switch a.status {
	case http.StatusCreated:
		k := kept{repository, target, req.Header.Get("Content-Type"), body}
		if digest := a.header.Get("Docker-Content-Digest"); digest != target {
			err = r.save(kept{repository, digest, k.ContentType, body})
		}
		err = errors.Join(err, r.save(k))
	case http.StatusAccepted:
		if err = os.Remove(r.file(repository, target)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// manifestPath splits /v2/REPOSITORY/manifests/TARGET.
func manifestPath(u *url.URL) (repository, target string, ok bool) {
	rest, ok := strings.CutPrefix(u.Path, "/v2/")
	if !ok {
		return "", "", false
	}
	i := strings.LastIndex(rest, "/manifests/")
	if i <= 0 {
		return "", "", false
	}
	target = rest[i+len("/manifests/"):]
	return rest[:i], target, target != "" && !strings.Contains(target, "/")
}

func (r *Registry) file(repository, target string) string {
	return filepath.Join(r.dir, url.QueryEscape(repository+"@"+target)+".json")
}

// save writes a manifest beside its place and renames it, so that a crash leaves the old one or the new one.
func (r *Registry) save(k kept) error {
	b, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	tmp, err := os.CreateTemp(r.dir, ".manifest-")
	if err != nil {
		return fmt.Errorf("keep manifest: %w", err)
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), r.file(k.Repository, k.Target))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("keep manifest: %w", err)
	}
	return nil
}

// Serve answers on l until ctx ends, and then gives requests a few seconds to end.
func (r *Registry) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve registry: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	err := s.Shutdown(stop)
	if err != nil {
		_ = s.Close()
	}
	<-done
	return nil
}
