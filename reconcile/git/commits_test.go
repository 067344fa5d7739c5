package git

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reconciler/reconcile"
)

// TestCommitsAsGit writes histories with moved, deleted and merged files, and expects of each commit the files that git says it
// changed.
//
// Mutants: of a merge all that is not as in its first parent; directories that came, or went, are not looked into; a file that
// became a directory is not told.
func TestCommitsAsGit(t *testing.T) {
	names := []string{"a.yaml", "d/b.json", "d/e/c.cue", "d/e", "d/read.me", ".hidden/x.yaml", "d/.git.yaml", "f.yml", "f.yml/g.yaml"}
	merges := 0
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		one := func(n int) bool { return r.IntN(n) == 0 }
		bare, work := repos(t)
		s := source(t, Config{Repository: bare})
		root := git(t, work, "rev-parse", "HEAD")
		change := func(message string) {
			for range r.IntN(4) {
				name := filepath.Join(work, names[r.IntN(len(names))])
				_ = os.RemoveAll(name) // written anew, or deleted
				if one(4) {
					continue
				}
				for dir := filepath.Dir(name); dir != work; dir = filepath.Dir(dir) { // a file may stand where a directory is to be
					if fi, err := os.Lstat(dir); err == nil && !fi.IsDir() {
						_ = os.Remove(dir)
					}
				}
				write(t, work, strings.TrimPrefix(name, work), []string{"one", "two", "three"}[r.IntN(3)])
			}
			commit(t, work, message)
		}
		for i := range 8 {
			change(fmt.Sprint("commit ", i))
			if !one(2) {
				continue
			}
			git(t, work, "checkout", "-q", "-B", "side", "HEAD~1")
			change("side")
			git(t, work, "checkout", "-q", "main")
			if tryGit(work, "merge", "-q", "--no-ff", "-X", []string{"ours", "theirs"}[r.IntN(2)], "-m", "merge", "side") != nil {
				git(t, work, "reset", "-q", "--hard") // what cannot be merged is not
			}
		}
		git(t, work, "push", "-q", "-f", "origin", "main")
		got := head(t, s, root).Commits
		var hashes []string
		for _, c := range got {
			hashes = append(hashes, c.Hash)
			if c.Subject == "merge" {
				merges++
			}
			var want []string
			for _, f := range strings.Fields(git(t, work, "diff-tree", "-r", "-c", "--root", "--no-commit-id", "--no-renames", "--name-only", c.Hash)) {
				if slices.Contains([]string{".yaml", ".yml", ".json", ".cue"}, path.Ext(f)) && !strings.HasPrefix(f, ".") && !strings.Contains(f, "/.") {
					want = append(want, f)
				}
			}
			slices.Sort(want)
			if !slices.Equal(c.Files, want) {
				t.Fatalf("seed %d: %s (%s) changed %q, git says %q", seed, c.Hash, c.Subject, c.Files, want)
			}
			if c.Author != "Ann <ann@example.com>" || c.Time.IsZero() || c.Subject == "" {
				t.Fatalf("got %+v", c)
			}
		}
		want := strings.Fields(git(t, work, "rev-list", root+"..main"))
		slices.Sort(hashes)
		slices.Sort(want)
		if !slices.Equal(hashes, want) {
			t.Fatalf("commits are %q, git says %q", hashes, want)
		}
		w, err := OpenWorktree(work)
		if err != nil {
			t.Fatal(err)
		}
		if also, err := w.Commits(t.Context(), git(t, work, "rev-parse", "main"), root); err != nil || !reflect.DeepEqual(also, got) {
			t.Fatalf("the working tree tells %+v, %v, the source %+v", also, err, got)
		}
	}
	if merges < 3 {
		t.Errorf("only %d merges were looked at", merges)
	}
}

// TestOldestCommitStandsForTheRest: of very many commits the oldest that is told has all that changed before it.
// Mutants: it has its own files alone; all commits are told.
func TestOldestCommitStandsForTheRest(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare})
	root := git(t, work, "rev-parse", "HEAD")
	var b strings.Builder
	n := maxTold + 10
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter Ann <ann@example.com> %d +0000\ndata <<E\nc%d\nE\n", 1800000000+i, i)
		if i == 0 {
			fmt.Fprintf(&b, "from %s\n", root)
		}
		fmt.Fprintf(&b, "M 100644 inline f%03d.yaml\ndata <<E\n%d\nE\n\n", i, i)
	}
	cmd := exec.Command("git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Stdin = bare, strings.NewReader(b.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := head(t, s, root).Commits
	if len(got) != maxTold || got[0].Subject != fmt.Sprint("c", n-1) || !slices.Equal(got[0].Files, []string{fmt.Sprintf("f%03d.yaml", n-1)}) {
		t.Fatalf("%d commits are told, the newest %+v", len(got), got[0])
	}
	last := got[maxTold-1]
	if last.Subject != "c10" || len(last.Files) != 11 || last.Files[0] != "f000.yaml" || last.Files[10] != "f010.yaml" {
		t.Errorf("the oldest is %+v", last)
	}
	if rev := head(t, s, ""); rev.Commits != nil {
		t.Errorf("commits are told though nothing is known of before: %d", len(rev.Commits))
	}
}

// TestCommitsOfSeveralSources: newest first, with the names of the sources before their files.
func TestCommitsOfSeveralSources(t *testing.T) {
	one, oneWork := repos(t)
	two, twoWork := repos(t)
	m, err := NewMerged([]Named{{Name: "one", Config: Config{Repository: one, Branch: "main"}}, {Name: "two", Config: Config{Repository: two, Branch: "main"}}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.Head(t.Context(), reconcile.Revision{})
	if err != nil {
		t.Fatal(err)
	}
	for i, work := range []string{oneWork, twoWork, oneWork} {
		t.Setenv("GIT_COMMITTER_DATE", fmt.Sprintf("2027-01-%02dT00:00:00Z", i+1))
		write(t, work, "a.yaml", fmt.Sprint(i))
		push(t, work, fmt.Sprint("change ", i))
	}
	rev, err := m.Head(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range rev.Commits {
		got = append(got, c.Subject+": "+strings.Join(c.Files, " "))
	}
	if want := []string{"change 2: one/a.yaml", "change 1: two/a.yaml", "change 0: one/a.yaml"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
