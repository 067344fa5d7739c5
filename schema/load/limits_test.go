package load

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTreeLimits: a tree is bounded as a whole, over all of its sources, and the error is the commit's.
func TestTreeLimits(t *testing.T) {
	pods := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a%d}\nspec: {containers: [{name: c, image: \"i:1\"}]}\n", i)
		}
		return b.String()
	}
	in := fstest.MapFS{"one/a.yaml": {Data: []byte(pods(5))}, "two/b.yaml": {Data: []byte("# nothing\n")}, "two/c.cue": {Data: []byte("package c\n")}}
	size := int64(len(in["one/a.yaml"].Data)) + 20
	for _, c := range []struct {
		most limits
		want string
	}{
		{limits{3, size, 5}, "CUE packages are not evaluated here"}, // so much is allowed
		{limits{2, size, 5}, "the tree has more than"},
		{limits{3, size - 1, 5}, "bytes in all"},
		{limits{3, size, 4}, "declares more than 4 objects"},
	} {
		l, err := New(Config{Sources: []Source{{Name: "one"}, {Name: "two"}}})
		if err != nil {
			t.Fatal(err)
		}
		l.most = c.most
		_, err = l.Tree(in)
		var bad Errors
		if !errors.As(err, &bad) || !strings.Contains(bad[0].Error(), c.want) {
			t.Errorf("%+v: %v", c.most, err)
		}
	}
}

// TestTreeLimitsOfKnownFiles: what is known without reading counts too. Mutant: only what is read anew is counted.
func TestTreeLimitsOfKnownFiles(t *testing.T) {
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	in := fstest.MapFS{}
	for _, name := range []string{"a", "b", "c"} {
		in["d/"+name+".yaml"] = &fstest.MapFile{Data: []byte("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}")}
	}
	for _, c := range []struct {
		most limits
		want string
	}{
		{limits{3, 1 << 10, 3}, ""}, {limits{3, 1 << 10, 2}, "declares more than 2 objects"}, {limits{3, 100, 3}, "bytes in all"}, {limits{3, 1 << 10, 3}, ""},
	} {
		l.most = c.most
		for _, tree := range []fs.FS{in, addressedFS{in}, addressedFS{in}} {
			if _, err := l.Tree(tree); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c.most, err)
			}
		}
	}
}

// addressedFS is a tree whose files and directories tell the hash of their content.
type addressedFS struct{ fstest.MapFS }

type addressedEntry struct {
	fs.DirEntry
	hash string
}

func (e addressedEntry) ContentHash() string { return e.hash }

func (a addressedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := a.MapFS.ReadDir(name)
	for i, e := range entries {
		hash := "directory" // there is one, which never changes
		if f := a.MapFS[path.Join(name, e.Name())]; f != nil {
			hash = string(f.Data)
		}
		entries[i] = addressedEntry{e, hash}
	}
	return entries, err
}

// TestFewErrors: what is told of a file and of a tree is bounded, and a bad file hides no other.
func TestFewErrors(t *testing.T) {
	in := fstest.MapFS{"z.yaml": {Data: []byte("a: b\n")}}
	for i := range 5 {
		in[fmt.Sprintf("a%d.json", i)] = &fstest.MapFile{Data: []byte("[" + strings.Repeat("1,", 500) + "1]")}
	}
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Tree(in)
	var bad Errors
	if !errors.As(err, &bad) || len(bad) < 5*fileErrors || len(bad) > 5*fileErrors+3 || bad[fileErrors-1].Error() != "a0.json:1:200: and 402 more errors" || bad[len(bad)-1].Position.File != "z.yaml" {
		t.Errorf("%d errors: %v", len(bad), bad[min(len(bad), fileErrors)-1])
	}
	for i := range 20 {
		in[fmt.Sprintf("b%d.json", i)] = in["a0.json"]
	}
	if _, err = l.Tree(in); !errors.As(err, &bad) || len(bad) != treeErrors || !strings.HasSuffix(bad[treeErrors-1].Message, " more errors") {
		t.Errorf("%d errors: %v", len(bad), bad[len(bad)-1])
	}
}
