package load_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"reconciler/schema"
	"reconciler/schema/load"
)

var update = flag.Bool("update", false, "rewrite golden files")

func newLoader(t testing.TB, path string) *load.Loader {
	t.Helper()
	l, err := load.New(load.Config{Path: path, Evaluate: evaluate})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func tree(files ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return m
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: \"i:1\"}]}\n"

// resultFile is what a person would read of the other files of an archive.
const resultFile = "result"

// treeOf is the tree of an archive, and its result.
func treeOf(a *txtar.Archive) (in fstest.MapFS, result string) {
	in = fstest.MapFS{}
	for _, f := range a.Files {
		if f.Name == resultFile {
			result = string(f.Data)
			continue
		}
		in[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	return in, result
}

// TestGolden loads each archive of testdata/errors and compares what a person would read with its last file.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			in, want := treeOf(a)
			got := ""
			r, err := newLoader(t, "").Tree(in)
			if err != nil {
				got = err.Error() + "\n"
			} else {
				for _, w := range r.Warnings {
					got += "warning: " + w + "\n"
				}
				for o := range r.Set.Objects() {
					got += "loaded " + o.Key().String() + "\n"
				}
			}
			if *update {
				kept := slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == resultFile })
				a.Files = append(kept, txtar.File{Name: resultFile, Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestTwins: objects that say the same in v1 and in v1beta1, in whatever order and with whatever defaults written out, are
// one canonical object.
func TestTwins(t *testing.T) {
	archives, err := filepath.Glob("testdata/twins/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var first *schema.Set
		for _, f := range a.Files {
			r, err := newLoader(t, "").Tree(fstest.MapFS{f.Name: {Data: f.Data}})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			r.Set.Positions = nil
			if first == nil {
				first = r.Set
			}
			if !reflect.DeepEqual(first, r.Set) {
				t.Errorf("%s: %s differs:\n%s\n%s", name, f.Name, hashes(first), hashes(r.Set))
			}
		}
	}
}

func hashes(s *schema.Set) string {
	var b strings.Builder
	for o := range s.Objects() {
		j, err := json.Marshal(o)
		b.WriteString(o.Key().String() + " " + o.Hash() + " " + string(j) + fmt.Sprintln(err))
	}
	return b.String()
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		in   fstest.MapFS
		want int    // objects
		err  string // is in the error
	}{
		"a package that imports from outside the path": {path: "fleets/prod", in: tree("cue.mod/module.cue", "module: \"test.local/x\"\nlanguage: version: \"v0.13.0\"\n",
			"lib/lib.cue", "package lib\n#A: {"+cuePod("a")+"}\nbad: {apiVersion: string, kind: \"Pod\"}\n", "fleets/prod/a.cue", "package prod\nimport \"test.local/x/lib\"\nlib.#A\n"), want: 1},
		"a package that is ignored and imported": {in: tree(".reconcilerignore", "lib/\nparent.cue\n", "cue.mod/module.cue", "module: \"test.local/x\"\nlanguage: version: \"v0.13.0\"\n",
			"parent.cue", "package app\nenv: string\npod: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: env}\n",
			"lib/lib.cue", "package lib\n#A: {"+cuePod("a")+"}\nbad: {apiVersion: string, kind: \"Pod\"}\n", "app/a.cue", "package app\nimport \"test.local/x/lib\"\nlib.#A\nenv: \"prod\"\npod: spec: lib.#A.a.spec\n"), want: 2},
		"an empty tree is an empty set":           {in: tree("README.md", "hello"), want: 0},
		"other extensions are no manifests":       {in: tree("a.txt", pod, "a.yaml.bak", pod), want: 0},
		"each extension of data":                  {in: tree("a.yaml", pod, "b.yml", strings.Replace(pod, "name: a", "name: b", 1)), want: 2},
		"dot directories are not looked at":       {in: tree(".github/a.yaml", "x: 1", "a.yaml", pod), want: 1},
		"cue.mod is not looked at":                {in: tree("cue.mod/module.cue", "module: 1", "a.yaml", pod), want: 1},
		"ignored files are not looked at":         {in: tree(".reconcilerignore", "# comment\nvalues.yaml\n/charts/\n", "x/values.yaml", "x: 1", "charts/a.yaml", "x: 1", "a.yaml", pod), want: 1},
		"an ignore file of a directory":           {in: tree("d/.reconcilerignore", "*.yaml\n!keep.yaml\n", "d/x.yaml", "x: 1", "d/keep.yaml", pod, "values.yaml", strings.Replace(pod, "name: a", "name: b", 1)), want: 2},
		"only what is under the path":             {path: "fleets/prod", in: tree("fleets/prod/a.yaml", pod, "fleets/test/b.yaml", "x: 1"), want: 1},
		"a path that is missing is an error":      {path: "fleets/prod", in: tree("a.yaml", pod), err: `find path "fleets/prod"`},
		"a path that is a file is an error":       {path: "a.yaml", in: tree("a.yaml", pod), err: "a file and not a directory"},
		"a byte order mark":                       {in: tree("a.yaml", "\ufeff"+pod), want: 1},
		"lines that end with carriage return":     {in: tree("a.yaml", strings.ReplaceAll(pod, "\n", "\r\n")), want: 1},
		"a file of comments":                      {in: tree("a.yaml", "# nothing\n---\n# here\n"), want: 0},
		"an empty file":                           {in: tree("a.yaml", "", "b.json", ""), want: 0},
		"a file that is too large":                {in: tree("a.yaml", strings.Repeat("#", 4<<20+1)), err: "a.yaml: the file has 4194305 bytes"},
		"a file that is no text":                  {in: tree("a.yaml", "a: b\nc: \xff\n"), err: "a.yaml:2:4: the file is not UTF-8 text"},
		"aliases that expand without measure":     {in: tree("a.yaml", bomb()), err: "a.yaml"},
		"brackets that nest without measure":      {in: tree("a.json", strings.Repeat("[", 3<<20)), err: "a.json: brackets are nested too deep"},
		"brackets that nest without measure, too": {in: tree("a.json", strings.Repeat(`{"a":`, 4000)+"1"+strings.Repeat("}", 4000)), err: "is nested more than 100 levels deep"},
		"dashes that nest without measure":        {in: tree("a.yaml", strings.Repeat("- ", 1<<20)), err: "a.yaml"},
		"a carriage return alone is no line":      {in: tree("a.yaml", pod+"\r"), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newLoader(t, c.path).Tree(c.in)
			switch {
			case c.err != "":
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case r.Set.Len() != c.want:
				t.Errorf("got %d objects, want %d", r.Set.Len(), c.want)
			}
		})
	}
}

func bomb() string {
	s := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		a, b := string(rune('0'+i)), string(rune('1'+i))
		s += "a" + b + ": &a" + b + " [" + strings.Repeat("*a"+a+", ", 9) + "*a" + a + "]\n"
	}
	return s
}

func TestMissingPathIsNotExist(t *testing.T) {
	_, err := newLoader(t, "gone").Tree(tree("a.yaml", pod))
	var bad load.Errors
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
	if _, err := load.New(load.Config{Path: "../up"}); err == nil {
		t.Error("a path out of the tree was taken")
	}
}

// TestUnreadableFileIsNotAManifestError: what could not be read must never look like a commit that does not validate, and
// less still like an empty one.
func TestUnreadableFileIsNotAManifestError(t *testing.T) {
	broken := brokenFS{tree("a.yaml", pod, "b.yaml", pod)}
	r, err := newLoader(t, "").Tree(broken)
	var bad load.Errors
	if err == nil || errors.As(err, &bad) {
		t.Errorf("got %v, %v", r, err)
	}
}

type brokenFS struct{ fstest.MapFS }

func (b brokenFS) Open(name string) (fs.File, error) {
	if name == "b.yaml" {
		return nil, errors.New("object database is damaged")
	}
	return b.MapFS.Open(name)
}

func (b brokenFS) ReadFile(name string) ([]byte, error) {
	if name == "b.yaml" {
		return nil, errors.New("object database is damaged")
	}
	return b.MapFS.ReadFile(name)
}

// TestCacheKeepsNamesApart: one content in two files gives errors with each file's own name, also from the cache.
func TestCacheKeepsNamesApart(t *testing.T) {
	l := newLoader(t, "")
	in := tree("a.yaml", "x: 1", "b.yaml", "x: 1")
	for range 3 {
		_, err := l.Tree(in)
		if err == nil || strings.Count(err.Error(), "a.yaml:1") != 1 || strings.Count(err.Error(), "b.yaml:1") != 1 {
			t.Fatalf("got %v", err)
		}
	}
}

func TestCacheSharesObjectsOfUnchangedFiles(t *testing.T) {
	l := newLoader(t, "")
	in := tree("a.yaml", pod, "b.yaml", strings.Replace(pod, "name: a", "name: b", 1))
	one, err := l.Tree(in)
	if err != nil {
		t.Fatal(err)
	}
	in["b.yaml"].Data = bytes.Replace(in["b.yaml"].Data, []byte("i:1"), []byte("i:2"), 1)
	two, err := l.Tree(in)
	if err != nil {
		t.Fatal(err)
	}
	if one.Set.Pods[0] != two.Set.Pods[0] {
		t.Error("an unchanged file was read anew")
	}
	if one.Set.Pods[1].Spec.Containers[0].Image != "i:1" || two.Set.Pods[1].Spec.Containers[0].Image != "i:2" {
		t.Error("a changed file was not read anew, or an old set was changed")
	}
}

func TestConcurrentTrees(t *testing.T) {
	l := newLoader(t, "")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10 {
				image := "i:" + string(rune('a'+(i+j)%5))
				r, err := l.Tree(tree("a.yaml", strings.Replace(pod, "i:1", image, 1), "b.json", `{"x"`))
				if err == nil || r != nil {
					t.Errorf("got %v, %v", r, err)
				}
				r, err = l.Tree(tree("a.yaml", strings.Replace(pod, "i:1", image, 1)))
				if err != nil || r.Set.Pods[0].Spec.Containers[0].Image != image {
					t.Errorf("got %v, %v", r, err)
				}
			}
		})
	}
	wg.Wait()
}

// hashedFS is a tree whose entries know the hash of their content, as those of Git. It counts what is read.
type hashedFS struct {
	fstest.MapFS
	mu    *sync.Mutex // protects reads
	reads map[string]int
}

type hashedEntry struct {
	fs.DirEntry
	hash string
}

func (e hashedEntry) ContentHash() string { return e.hash }

func (h hashedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := h.MapFS.ReadDir(name)
	for i, e := range entries {
		entries[i] = hashedEntry{e, string(h.MapFS[e.Name()].Data)}
	}
	return entries, err
}

func (h hashedFS) ReadFile(name string) ([]byte, error) {
	h.mu.Lock()
	h.reads[name]++
	h.mu.Unlock()
	return h.MapFS.ReadFile(name)
}

// TestKnownContentIsNotRead: a file is read again if its hash is another or it has another name, and for nothing else.
func TestKnownContentIsNotRead(t *testing.T) {
	l := newLoader(t, "")
	in := hashedFS{tree("a.yaml", pod, "b.yaml", "x: 1"), &sync.Mutex{}, map[string]int{}}
	for range 3 {
		if _, err := l.Tree(in); err == nil || strings.Count(err.Error(), "b.yaml:1") != 1 {
			t.Fatalf("got %v", err)
		}
	}
	in.MapFS["b.yaml"].Data = []byte(strings.Replace(pod, "name: a", "name: b", 1))
	in.MapFS["c.yaml"] = &fstest.MapFile{Data: []byte("x: 1")}
	if _, err := l.Tree(in); err == nil || strings.Contains(err.Error(), "b.yaml") || !strings.Contains(err.Error(), "c.yaml:1") {
		t.Fatalf("got %v", err)
	}
	delete(in.MapFS, "c.yaml")
	if r, err := l.Tree(in); err != nil || r.Set.Len() != 2 {
		t.Fatalf("got %v", err)
	}
	delete(in.reads, ".reconcilerignore")
	if want := map[string]int{"a.yaml": 1, "b.yaml": 2, "c.yaml": 1}; !reflect.DeepEqual(in.reads, want) {
		t.Errorf("read %v, want %v", in.reads, want)
	}
}
