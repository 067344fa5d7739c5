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
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {%s: x}}", strings.ToLower(strings.ReplaceAll(name, "_", "-")), rapid.SampledFrom([]string{"k", "l"}).Draw(t, "key")))
		case 1:
			docs = append(docs, fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: p%s}, spec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {configMapKeyRef: {name: a, key: k}}}]}]}}", strings.ToLower(strings.ReplaceAll(name, "_", "-"))))
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
