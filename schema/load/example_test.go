package load_test

import (
	"os"
	"path/filepath"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	cueload "cuelang.org/go/cue/load"

	"reconciler/schema/load"
)

// TestPulpTwins: the example in CUE and the one of 2014 are the same objects.
func TestPulpTwins(t *testing.T) {
	var want, got string
	for dir, text := range map[string]*string{"pulp": &want, "pulp-cue": &got} {
		r, err := newLoader(t, "").Tree(os.DirFS("../../examples/" + dir))
		if err != nil {
			t.Fatal(err)
		}
		if r.Set.Len() != 6 {
			t.Fatalf("%s has %d objects", dir, r.Set.Len())
		}
		*text = hashes(r.Set)
	}
	if got != want {
		t.Errorf("in CUE:\n%s\nin JSON:\n%s", got, want)
	}
}

// TestPlainCUE: `cue vet -c ./...`, which is what is below, takes the example with the definitions vendored and no network.
func TestPlainCUE(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/pulp-cue")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, filepath.FromSlash(load.DefinitionsFile))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(load.Definitions()), 0o644); err != nil {
		t.Fatal(err)
	}
	instances := cueload.Instances([]string{"./..."}, &cueload.Config{Dir: dir, Env: []string{"CUE_REGISTRY=none"}})
	for _, i := range instances {
		if i.Err != nil {
			t.Fatal(errors.Details(i.Err, nil))
		}
		if err := cuecontext.New().BuildInstance(i).Validate(cue.Concrete(true)); err != nil {
			t.Error(errors.Details(err, nil))
		}
	}
	if len(instances) != 1 {
		t.Errorf("%d packages", len(instances))
	}
	// The vendored definitions are in force for the loader too.
	if _, err := newLoader(t, "").Tree(os.DirFS(dir)); err != nil {
		t.Error(err)
	}
}
