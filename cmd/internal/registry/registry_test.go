package registry_test

import (
	"bytes"
	"context"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"reconciler/cmd/internal/registry"
)

// serve runs the registry of dir on loopback and returns HOST:PORT and how to end it.
func serve(t *testing.T, dir string) (host string, stop func()) {
	t.Helper()
	r, err := registry.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), s.Close
}

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func writeLayout(t *testing.T, img v1.Image, ref string) string {
	t.Helper()
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref})); err != nil {
		t.Fatal(err)
	}
	return dir
}

func tarOf(t *testing.T, dir string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "image.tar")
	var b bytes.Buffer
	if err := tarDir(&b, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(out, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

func dockerSave(t *testing.T, img v1.Image, ref string) string {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(out, tag, img); err != nil {
		t.Fatal(err)
	}
	return out
}

// pull reads every layer of ref and returns the image's config digest, which says what is in it whatever the manifest's form.
func pull(t *testing.T, ref string) v1.Hash {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		rc, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(rc); err != nil { // the reader checks the digest
			t.Fatal(err)
		}
		rc.Close()
	}
	h, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPushedImageIsThereAfterARestart(t *testing.T) {
	img := image(t)
	want, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ path, as, repository string }{
		"layout":              {writeLayout(t, img, "pulp/mongodb:1"), "", "pulp/mongodb:1"},
		"layout, other name":  {writeLayout(t, img, "pulp/mongodb:1"), "else/db:2", "else/db:2"},
		"layout as tar":       {tarOf(t, writeLayout(t, img, "a/tar:3")), "", "a/tar:3"},
		"docker-save archive": {dockerSave(t, img, "registry.example/docker/saved:4"), "", "docker/saved:4"},
		"name without tag":    {writeLayout(t, img, "plain"), "", "plain:latest"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			host, stop := serve(t, dir)
			names, err := registry.Pusher{Host: host}.Push(t.Context(), c.path, c.as)
			if err != nil {
				t.Fatal(err)
			}
			if len(names) != 1 || names[0] != host+"/"+c.repository {
				t.Fatalf("pushed %v, want %s", names, host+"/"+c.repository)
			}
			stop()
			again, _ := serve(t, dir)
			if got := pull(t, again+"/"+c.repository); got != want {
				t.Errorf("pulled %s, want %s", got, want)
			}
		})
	}
}

func TestIndexIsThereAfterARestart(t *testing.T) {
	img := image(t)
	idx := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	l := t.TempDir()
	p, err := layout.Write(l, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendIndex(idx, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "an/index:1"})); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	host, stop := serve(t, dir)
	if _, err := (registry.Pusher{Host: host}).Push(t.Context(), l, ""); err != nil {
		t.Fatal(err)
	}
	stop()
	// What an interrupted write left must not keep the registry from starting.
	if err := os.WriteFile(filepath.Join(dir, "manifests", ".manifest-1"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := serve(t, dir)
	ref, err := name.ParseReference(again+"/an/index:1", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Index(ref); err != nil {
		t.Fatal(err)
	}
}

func TestPushRefuses(t *testing.T) {
	host, _ := serve(t, t.TempDir())
	text := filepath.Join(t.TempDir(), "text.tar")
	if err := os.WriteFile(text, []byte("no archive at all"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ path, as, want string }{
		"a missing file":                {filepath.Join(t.TempDir(), "none"), "", "no such file"},
		"a file that is no archive":     {text, "", "read image archive"},
		"a directory that is no layout": {t.TempDir(), "", "read image layout"},
		"an image without a name":       {writeLayout(t, image(t), ""), "", "no name"},
		"a bad name":                    {writeLayout(t, image(t), "ok"), "NOT/valid", "name image"},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := registry.Pusher{Host: host}.Push(t.Context(), c.path, c.as)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	r, err := registry.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	if _, err := (registry.Pusher{Host: l.Addr().String()}).Push(ctx, writeLayout(t, image(t), "x:1"), ""); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
