package git

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/server"
)

// merged is two repositories as one source: "two" has a branch of another name and a path.
func merged(t testing.TB) (m *Merged, one, two string) {
	t.Helper()
	bare1, one := repos(t)
	bare2, two := repos(t)
	git(t, two, "checkout", "-q", "-b", "prod")
	push(t, two, "Begin prod")
	m, err := NewMerged([]Named{
		{Name: "two", Path: "a", Config: Config{Repository: bare2, Branch: "prod", Poll: 10 * time.Millisecond, NoWatch: true}},
		{Name: "one", Config: Config{Repository: bare1, Branch: "main", Poll: time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, one, two
}

func mergedHead(t testing.TB, m *Merged, since reconcile.Revision) reconcile.Revision {
	t.Helper()
	rev, err := m.Head(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func trailerValues(rev reconcile.Revision) string {
	var out []string
	for _, t := range rev.Trailers {
		out = append(out, t.Value)
	}
	return strings.Join(out, " ")
}

func TestMergedRevision(t *testing.T) {
	m, one, two := merged(t)
	first := mergedHead(t, m, reconcile.Revision{})
	if again := mergedHead(t, m, reconcile.Revision{}); !reflect.DeepEqual(first, again) {
		t.Errorf("%+v, then %+v", first, again)
	}
	var names []string
	for _, p := range first.Sources {
		names = append(names, p.Name+" "+p.Ref+" "+p.Path)
	}
	if got := strings.Join(names, ", "); got != "one main , two prod a" || len(first.Hash) != 64 || first.Author != "Ann <ann@example.com>" {
		t.Errorf("got %s, %+v", got, first)
	}
	a := push(t, one, "One\n\nNumber: 1")
	push(t, two, "Two\n\nNumber: 2")
	b := push(t, two, "Three\n\nNumber: 3")
	second := mergedHead(t, m, first)
	if second.Hash == first.Hash || second.Sources[0].Hash != a || second.Sources[1].Hash != b || trailerValues(second) != "1 3 2" {
		t.Errorf("got %+v with %s", second, trailerValues(second))
	}
	push(t, one, "Four\n\nNumber: 4")
	// Mutant: the merged hash as since for each source, by which the trailers of old heads come again.
	third := mergedHead(t, m, second)
	if trailerValues(third) != "4" {
		t.Errorf("trailers %s", trailerValues(third))
	}
	// Who goes over from one source to several has said the trailers of the old one before.
	if rev := mergedHead(t, m, reconcile.Revision{Hash: third.Sources[0].Hash}); trailerValues(rev) != "3" {
		t.Errorf("trailers %s", trailerValues(rev))
	}
}

func TestMergedTree(t *testing.T) {
	m, one, two := merged(t)
	first := mergedHead(t, m, reconcile.Revision{})
	write(t, one, "new.yaml", "new\n")
	write(t, two, "b/one.yaml", "other\n")
	push(t, one, "New")
	push(t, two, "New")
	second := mergedHead(t, m, first)
	for hash, want := range map[string]map[string]string{
		first.Hash:  {"one/a/one.yaml": "one\n", "one/two.json": "{}\n", "two/a/one.yaml": "one\n", "two/two.json": "{}\n"},
		second.Hash: {"one/a/one.yaml": "one\n", "one/two.json": "{}\n", "one/new.yaml": "new\n", "two/a/one.yaml": "one\n", "two/b/one.yaml": "other\n", "two/two.json": "{}\n"},
	} {
		tree, err := m.Tree(t.Context(), hash)
		if err != nil {
			t.Fatal(err)
		}
		if got := files(t, tree); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if err := fstest.TestFS(tree, "one/a/one.yaml", "two/two.json"); err != nil {
			t.Error(err)
		}
	}
	if _, err := m.Tree(t.Context(), strings.Repeat("0", 64)); err == nil {
		t.Error("there is a tree of an unknown revision")
	}
}

// TestMergedWithoutOneSource: there is no revision at all, and the error names the source.
func TestMergedWithoutOneSource(t *testing.T) {
	m, one, two := merged(t)
	first := mergedHead(t, m, reconcile.Revision{})
	bare := strings.TrimSuffix(two, "work") + "bare.git"
	if err := os.Rename(bare, bare+".away"); err != nil {
		t.Fatal(err)
	}
	if rev, err := m.Head(t.Context(), first); err == nil || !strings.Contains(err.Error(), `source "two": `) || errors.Is(err, server.ErrNoRevision) {
		t.Errorf("got %+v, %v", rev, err)
	}
	if err := os.Rename(bare+".away", bare); err != nil {
		t.Fatal(err)
	}
	git(t, two, "push", "-q", "origin", ":prod")
	git(t, filepath.Dir(one), "--git-dir", filepath.Join(filepath.Dir(one), "bare.git"), "branch", "-D", "main")
	_, err := m.Head(t.Context(), first)
	if err == nil || !errors.Is(err, server.ErrNoRevision) || !strings.Contains(err.Error(), `source "one": `) || !strings.Contains(err.Error(), `source "two": `) {
		t.Errorf("got %v", err)
	}
}

func TestMergedChanged(t *testing.T) {
	m, one, two := merged(t)
	done := make(chan error, 1)
	go func() { done <- m.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for i, work := range []string{one, two} { // by a notification and by the poll
		want := push(t, work, "Change")
		for end := time.After(deadline); mergedHead(t, m, reconcile.Revision{}).Sources[i].Hash != want; {
			select {
			case <-m.Changed():
			case <-end:
				t.Fatal("no hint came")
			}
		}
	}
}

func TestNewMergedRefuses(t *testing.T) {
	bare, _ := repos(t)
	ok := Config{Repository: bare, Branch: "main"}
	for want, sources := range map[string][]Named{
		"no source is given":           nil,
		"a name is lower case letters": {{Name: "cue.mod", Config: ok}},
		"is named twice":               {{Name: "a", Config: ok}, {Name: "a", Config: ok}},
		`source "b": open repository`:  {{Name: "a", Config: ok}, {Name: "b", Config: Config{Repository: t.TempDir(), Branch: "main"}}},
	} {
		if _, err := NewMerged(sources); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
