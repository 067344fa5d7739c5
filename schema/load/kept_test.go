package load_test

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"reconciler/schema/load"
	"reconciler/schema/load/kept"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t *testing.T, file, engine string) *kept.Cache {
	t.Helper()
	c, err := kept.Open(file, engine, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// watched counts what a loader asks of a cache.
type watched struct {
	load.Cache
	mu                        sync.Mutex // protects the counts
	hits, misses, puts, swept int
}

func (c *watched) Get(key []byte) []byte {
	b := c.Cache.Get(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if b == nil {
		c.misses++
	} else {
		c.hits++
	}
	return b
}

func (c *watched) Put(m map[string][]byte) {
	c.puts += len(m)
	c.Cache.Put(m)
}

func (c *watched) Sweep(keep func([]byte) bool) {
	gone := map[string]bool{}
	c.Cache.Sweep(func(k []byte) bool {
		if !keep(k) {
			gone[string(k)] = true
		}
		return keep(k)
	})
	c.swept += len(gone)
}

// TestRestartWithCache: what an earlier process kept gives the same set, by its content and not by its name alone, and a tree
// that is wrong gives the same errors, with all their places. Mutants: an entry of other content is taken; a kind that is not
// decoded; kept results are trusted for places; nothing is swept.
func TestRestartWithCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache")
	every, err := txtar.ParseFile("testdata/twins/everything.txtar")
	if err != nil {
		t.Fatal(err)
	}
	old, err := txtar.ParseFile("testdata/twins/old.txtar")
	if err != nil {
		t.Fatal(err)
	}
	in := tree("cue.mod/module.cue", "module: \"test.local/x\"\nlanguage: version: \"v0.13.0\"\n", "app/app.cue", "package app\n"+cuePod("fromcue"))
	in["every.yaml"] = &fstest.MapFile{Data: every.Files[0].Data}
	in["old.json"] = &fstest.MapFile{Data: []byte(strings.NewReplacer(`"m1"`, `"m2"`, `"n"}`, `"n2"}`).Replace(string(old.Files[1].Data)))}
	for i := range 10 {
		in[fmt.Sprintf("%d.yaml", i)] = &fstest.MapFile{Data: []byte(strings.Replace(pod, "name: a", fmt.Sprintf("name: a%d", i), 1))}
	}
	run := func(engine string) (*load.Result, *watched, error) {
		c := open(t, file, engine)
		n := &watched{Cache: c}
		l, err := load.New(load.Config{Evaluate: evaluate, Cache: n})
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Tree(in)
		return r, n, err
	}
	first, n, err := run("one")
	if err != nil {
		t.Fatal(err)
	}
	if n.puts != len(in)-1 || n.hits != 0 { // the module file is no manifest
		t.Errorf("the first process put %d and had %d hits", n.puts, n.hits)
	}
	again, n, err := run("one")
	if err != nil || !reflect.DeepEqual(first.Set, again.Set) || !reflect.DeepEqual(first.Warnings, again.Warnings) {
		t.Errorf("the second process differs: %v\n%s\n%s", err, hashes(first.Set), hashes(again.Set))
	}
	if n.puts != 0 || n.hits != len(in)-1 || n.misses != 0 || n.swept != 0 {
		t.Errorf("the second process: %d hits, %d misses, %d put, %d swept", n.hits, n.misses, n.puts, n.swept)
	}

	in["3.yaml"] = &fstest.MapFile{Data: []byte(strings.Replace(pod, "name: a", "name: changed", 1))}
	r, n, err := run("one")
	if err != nil || r.Set.Positions["Pod/changed"].File != "3.yaml" || r.Set.Positions["Pod/a3"].File != "" {
		t.Errorf("a changed file: %v", err)
	}
	if n.puts != 1 || n.swept != 1 {
		t.Errorf("a changed file: %d hits, %d misses, %d put, %d swept", n.hits, n.misses, n.puts, n.swept)
	}
	_, n, err = run("two")
	if err != nil || n.hits != 0 || n.puts != len(in)-1 {
		t.Errorf("another release: %v, %d hits, %d put", err, n.hits, n.puts)
	}

	// Errors that only a whole tree has, about objects of which all is kept.
	in["conf2.yaml"] = &fstest.MapFile{Data: []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: conf2}}")}
	in["sub/uses.yaml"] = &fstest.MapFile{Data: []byte("{apiVersion: v1, kind: Pod, metadata: {name: uses}, spec: {containers: [{name: c, image: i, envFrom: [{configMapRef: {name: conf2}}]}]}}")}
	right := maps.Clone(in)
	missing := maps.Clone(right)
	delete(missing, "conf2.yaml")
	missing["sub/more.yaml"] = &fstest.MapFile{Data: []byte("{apiVersion: v1, kind: Namespace, metadata: {name: more}}")}
	in["twice.yaml"] = &fstest.MapFile{Data: []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: changed}\nspec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {secretKeyRef: {name: none, key: k}}}]}]}\n")}
	in["old-2.json"] = &fstest.MapFile{Data: []byte(`{"kind": "Endpoints", "apiVersion": "v1beta1", "id": "web", "endpoints": ["10.1.1.1:80"]}`)}
	l, err := load.New(load.Config{Evaluate: evaluate})
	if err != nil {
		t.Fatal(err)
	}
	_, want := l.Tree(in)
	for range 2 {
		_, _, got := run("two")
		if got == nil || got.Error() != want.Error() {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	}
	// The same in a process that had the right tree first, and knows the files by their hashes.
	if l, err = load.New(load.Config{Evaluate: evaluate, Cache: open(t, file, "two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(gitLikeFS{right}); err != nil {
		t.Fatal(err)
	}
	if l, err = load.New(load.Config{Evaluate: evaluate, Cache: open(t, file, "two")}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(gitLikeFS{right}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(gitLikeFS{missing}); err == nil || !strings.Contains(err.Error(), "sub/uses.yaml:1:125: Pod/uses: spec.containers[0].envFrom[0].configMapRef.name: ConfigMap") {
		t.Errorf("got %v", err)
	}
}

// TestCacheThatIsBroken: whatever is in the file, the set is the same. Mutant: an entry that cannot be decoded is an error.
func TestCacheThatIsBroken(t *testing.T) {
	in := fstest.MapFS{"a.yaml": {Data: []byte(pod)}, "b.yaml": {Data: []byte(strings.Replace(pod, "name: a", "name: b", 1))}}
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		hits   int // of two
	}{
		"no change":          {func(b []byte) []byte { return b }, 2},
		"empty":              {func([]byte) []byte { return nil }, 0},
		"garbage":            {func([]byte) []byte { return []byte(strings.Repeat("garbage ", 1000)) }, 0},
		"garbage behind":     {func(b []byte) []byte { return append(b, strings.Repeat("garbage ", 1000)...) }, 2},
		"cut off":            {func(b []byte) []byte { return b[:len(b)-1] }, 1},
		"one bit at the end": {func(b []byte) []byte { b[len(b)-2] ^= 1; return b }, 1},
		"one bit in front":   {func(b []byte) []byte { b[60] ^= 1; return b }, 0},
	} {
		file := filepath.Join(t.TempDir(), "cache")
		for round := range 2 {
			disk, err := kept.Open(file, "e", quiet())
			if err != nil {
				t.Fatal(err)
			}
			n := &watched{Cache: disk}
			l, err := load.New(load.Config{Cache: n})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := l.Tree(in); err != nil || r.Set.Len() != 2 || r.Set.Pods[0].Spec.Containers[0].Image != "i:1" {
				t.Errorf("%s: %v", name, err)
			}
			if round == 1 && n.hits != c.hits {
				t.Errorf("%s: %d hits", name, n.hits)
			}
			if err := disk.Close(); err != nil {
				t.Error(err)
			}
			if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
				t.Errorf("others can read it: %v, %v", i, err)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, c.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := load.New(load.Config{Cache: nonsense{}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, err := l.Tree(in); err != nil || r.Set.Len() != 2 {
			t.Errorf("nonsense: %v", err)
		}
	}
	if _, err := kept.Open(t.TempDir(), "e", quiet()); err == nil {
		t.Errorf("a directory in its place: no error")
	}
}

// nonsense has something for every key, and nothing that can be read.
type nonsense struct{}

func (nonsense) Get([]byte) []byte {
	return []byte("{\"objects\": [{\"kind\": \"Pod\", \"length\": 1}]}\n5")
}
func (nonsense) Put(map[string][]byte)   {}
func (nonsense) Sweep(func([]byte) bool) {}
