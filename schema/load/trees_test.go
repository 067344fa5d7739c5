package load_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"reconciler/schema/load"
)

// TestTreesOneAfterAnother: a loader that has seen other trees gives of each what a new one gives, whether the tree
// tells the hashes of files and directories, as Git's do, or not. Mutants: a directory is remembered without what is ignored above it; an object that went stays in the
// set; one that is twice is found in the first tree only; a position stays where it was; what was remembered of a directory is not dropped when it changes.
func TestTreesOneAfterAnother(t *testing.T) {
	names := []string{"a.yaml", "b.yaml", "x/a.yaml", "x/b.json", "x/y/a.yaml", "z/c.yaml", "z/d.yml", "z/notes.txt"}
	ignores := []string{"", "a.yaml\n", "x/\n", "*.json\n", "y/\n", "/b.yaml\n"}
	rapid.Check(t, func(t *rapid.T) {
		l, err := load.New(load.Config{})
		if err != nil {
			t.Fatal(err)
		}
		in := fstest.MapFS{"keep.yaml": {Data: []byte("# nothing\n")}}
		for range rapid.IntRange(2, 30).Draw(t, "trees") {
			in = maps.Clone(in)
			for range rapid.IntRange(0, 3).Draw(t, "changes") {
				name := rapid.SampledFrom(names).Draw(t, "name")
				switch rapid.IntRange(0, 5).Draw(t, "what") {
				case 0:
					delete(in, name)
				case 1:
					dir := path.Dir(name)
					in[path.Join(dir, ".reconcilerignore")] = &fstest.MapFile{Data: []byte(rapid.SampledFrom(ignores).Draw(t, "ignore"))}
				case 2: // elsewhere, with the same content
					if f := in[name]; f != nil {
						delete(in, name)
						in[rapid.SampledFrom(names).Draw(t, "to")] = f
					}
				default:
					in[name] = &fstest.MapFile{Data: drawObjects(t)}
				}
			}
			var tree fs.FS = in
			if rapid.Bool().Draw(t, "hashed") {
				tree = gitLikeFS{in}
			}
			fresh, err := load.New(load.Config{})
			if err != nil {
				t.Fatal(err)
			}
			want, wrong := fresh.Tree(in)
			got, err := l.Tree(tree)
			if fmt.Sprint(err) != fmt.Sprint(wrong) {
				t.Fatalf("got %v\nwant %v", err, wrong)
			}
			if wrong == nil && (!reflect.DeepEqual(got.Set, want.Set) || !slices.Equal(got.Warnings, want.Warnings)) {
				t.Fatalf("got  %s%v\nwant %s%v", hashes(got.Set), got.Set.Positions, hashes(want.Set), want.Set.Positions)
			}
		}
	})
}

// drawObjects is a file of few names, so that some are twice, refer to each other, or clash.
func drawObjects(t *rapid.T) []byte {
	var docs []string
	for range rapid.IntRange(0, 2).Draw(t, "objects") {
		name := rapid.SampledFrom([]string{"a", "b", "c", "d", "E", "e", "f_g", "f-g"}).Draw(t, "object")
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 5:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {selector: {app: x}, ports: [{port: 80, targetPort: %s}]}}", plain, rapid.SampledFrom([]string{"http", "80"}).Draw(t, "target")))
		case 6:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: q%s, labels: {app: %s}}, spec: {containers: [{name: c, image: i, ports: [{name: %s, containerPort: 80}]}]}}", plain,
				rapid.SampledFrom([]string{"x", "y"}).Draw(t, "label"), rapid.SampledFrom([]string{"http", "db"}).Draw(t, "port")))
		case 0:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {%s: x}}", plain, rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key")))
		case 1:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: p%s}, spec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {configMapKeyRef: {name: a, key: k}}}]}]}}", plain))
		default:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1beta1, kind: Pod, id: %s, desiredState: {manifest: {containers: [{name: c, image: \"i:%d\"}]}}}", name, rapid.IntRange(1, 3).Draw(t, "image")))
		}
	}
	return []byte(strings.Join(docs, "\n---\n"))
}

// gitLikeFS tells the hashes of its files and directories.
type gitLikeFS struct{ fstest.MapFS }

func (h gitLikeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := h.MapFS.ReadDir(name)
	for i, e := range entries {
		entries[i] = gitLikeEntry{e, h.hash(path.Join(name, e.Name()))}
	}
	return entries, err
}

func (h gitLikeFS) hash(name string) string {
	s := sha256.New()
	if f := h.MapFS[name]; f != nil && !f.Mode.IsDir() {
		s.Write(f.Data)
		return hex.EncodeToString(s.Sum(nil))
	}
	entries, _ := h.MapFS.ReadDir(name)
	for _, e := range entries {
		fmt.Fprintln(s, e.Name(), h.hash(path.Join(name, e.Name())))
	}
	return hex.EncodeToString(s.Sum(nil))
}

type gitLikeEntry struct {
	fs.DirEntry
	hash string
}

func (e gitLikeEntry) ContentHash() string { return e.hash }

// readsFS counts what is read of a tree.
type readsFS struct {
	gitLikeFS
	mu    sync.Mutex
	reads map[string]int
}

func (r *readsFS) note(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads[name]++
}

func (r *readsFS) ReadFile(name string) ([]byte, error) {
	r.note(name)
	return r.gitLikeFS.ReadFile(name)
}

func (r *readsFS) ReadDir(name string) ([]fs.DirEntry, error) {
	r.note(name)
	return r.gitLikeFS.ReadDir(name)
}

// TestWhatIsUnchangedIsNotReadAgain: however many trees had other changes, a change in a directory reads the file that changed and
// the directories above it. Mutant: what is in a directory that no tree has looked into is forgotten.
func TestWhatIsUnchangedIsNotReadAgain(t *testing.T) {
	l := newLoader(t, "")
	in := &readsFS{gitLikeFS: gitLikeFS{fstest.MapFS{}}, reads: map[string]int{}}
	file := func(name string, push int) {
		in.MapFS[name+".yaml"] = &fstest.MapFile{Data: []byte(strings.NewReplacer("name: a", "name: "+strings.ReplaceAll(name, "/", "-"), "i:1", fmt.Sprintf("i:%d", push)).Replace(pod))}
	}
	for _, name := range []string{"a/b/x", "a/b/y", "a/c/x", "a/c/y", "d/x"} {
		file(name, 0)
	}
	load := func() {
		t.Helper()
		if _, err := l.Tree(in); err != nil {
			t.Fatal(err)
		}
	}
	load()
	for push := range 30 {
		file("d/x", push+1)
		load()
	}
	clear(in.reads)
	file("a/b/x", 1)
	load()
	maps.DeleteFunc(in.reads, func(name string, _ int) bool { return path.Base(name) == ".reconcilerignore" })
	if want := map[string]int{".": 1, "a": 1, "a/b": 1, "a/b/x.yaml": 1}; !maps.Equal(in.reads, want) {
		t.Errorf("read %v, want %v", in.reads, want)
	}
}
