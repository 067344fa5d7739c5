package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func TestSources(t *testing.T) {
	cases := map[string]struct {
		read func(text, codename string) []string
		text string
		want []string
	}{
		"one-line entries": {oneLine, `
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # the mirror
deb-src http://mirror.example/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian-security bookworm-security main
deb http://other.example/apt cloud-sdk-bookworm main
deb http://other.example/apt nodistro main
deb http://mirror.example/debian bookworm contrib
deb http://mirror.example/debian sid main
`, []string{
			"deb http://mirror.example/debian bookworm main",
			"deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian-security bookworm-security main",
		}},
		"stanzas": {deb822, `Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /k.gpg

Types: deb
URIs: http://other.example/apt
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/inline
Suites:
 bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----`, []string{
			"deb [signed-by=/k.gpg] http://mirror.example/debian bookworm main",
			"deb [signed-by=/k.gpg] http://mirror.example/debian bookworm-updates main",
			"deb http://mirror.example/inline bookworm main",
		}},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			if got := c.read(c.text, "bookworm"); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// example is a module with one program and one file.
func example(t *testing.T) (dir string, r recipe) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"mod/go.mod": "module x\n\ngo 1.26\n", "mod/prog/main.go": "package main\n\nfunc main() {}\n", "file": "text",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mod/go.sum"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, recipe{name: "x", ref: "an/x:1", program: "mod/prog", files: map[string]string{"etc/file": "file"}}
}

func digest(t *testing.T, dir string) string {
	t.Helper()
	p, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := p.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(idx); err != nil {
		t.Fatal(err)
	}
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; got != "an/x:1" {
		t.Errorf("image is called %q", got)
	}
	return m.Manifests[0].Digest.String()
}

func TestAnImageIsBuiltWhenItsInputsChange(t *testing.T) {
	examples, r := example(t)
	out := t.TempDir()
	ensure := func(force, want bool) string {
		t.Helper()
		built, err := r.ensure(t.Context(), examples, out, force)
		if err != nil || built != want {
			t.Fatalf("built %v, %v, want %v", built, err, want)
		}
		return digest(t, filepath.Join(out, "x"))
	}
	first := ensure(false, true)
	ensure(false, false)
	if again := ensure(true, true); again != first {
		t.Errorf("the same inputs gave %s and %s", first, again)
	}
	if err := os.WriteFile(filepath.Join(examples, "file"), []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := ensure(false, true); changed == first {
		t.Error("another file gave the same image")
	}
}

func TestAFailedBuildLeavesTheOldImage(t *testing.T) {
	examples, r := example(t)
	out := t.TempDir()
	if _, err := r.ensure(t.Context(), examples, out, false); err != nil {
		t.Fatal(err)
	}
	before := digest(t, filepath.Join(out, "x"))
	if err := os.WriteFile(filepath.Join(examples, "mod/prog/main.go"), []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ensure(t.Context(), examples, out, false); err == nil {
		t.Fatal("a program that does not compile was built")
	}
	if digest(t, filepath.Join(out, "x")) != before {
		t.Error("the old image is gone")
	}
	// What a killed build leaves is removed by the next.
	if err := os.Mkdir(filepath.Join(out, ".build-killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	release, err := lock(out)
	if err != nil {
		t.Fatal(err)
	}
	release()
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != 2 { // x and the lock
		t.Errorf("left: %v, %v", entries, err)
	}
}
