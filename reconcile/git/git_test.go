package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	gogit "github.com/go-git/go-git/v5"

	"reconciler/reconcile"
	"reconciler/reconcile/server"
)

// deadline bounds every wait of the tests.
const deadline = 15 * time.Second

// git runs git in dir and returns what it prints.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := command(dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// tryGit runs git in dir and says whether it could.
func tryGit(dir string, args ...string) error { return command(dir, args...).Run() }

func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ben", "GIT_COMMITTER_EMAIL=ben@example.com")
	return cmd
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// repos makes a bare repository and a clone of it whose branch main has one commit, pushed.
func repos(t testing.TB) (bare, work string) {
	t.Helper()
	dir := t.TempDir()
	bare, work = filepath.Join(dir, "bare.git"), filepath.Join(dir, "work")
	git(t, dir, "init", "-q", "--bare", "-b", "main", bare)
	git(t, dir, "init", "-q", "-b", "main", work)
	git(t, work, "remote", "add", "origin", bare)
	write(t, work, "a/one.yaml", "one\n")
	write(t, work, "two.json", "{}\n")
	push(t, work, "first")
	return bare, work
}

// commit commits all of work and returns the hash.
func commit(t testing.TB, work, message string) string {
	t.Helper()
	git(t, work, "add", "-A")
	git(t, work, "commit", "-q", "--allow-empty", "-m", message)
	return git(t, work, "rev-parse", "HEAD")
}

// push commits and pushes the current branch with force.
func push(t testing.TB, work, message string) string {
	t.Helper()
	h := commit(t, work, message)
	git(t, work, "push", "-q", "-f", "origin", "HEAD")
	return h
}

func source(t testing.TB, c Config) *Source {
	t.Helper()
	if c.Branch == "" {
		c.Branch = "main"
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs s until the test ends.
func run(t testing.TB, s *Source) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// await waits for hints until the head is as wanted: a hash, or "" for no branch.
func await(t testing.TB, s *Source, want string) {
	t.Helper()
	end := time.After(deadline)
	for {
		rev, err := s.Head(t.Context(), reconcile.Revision{})
		if want == "" && errors.Is(err, server.ErrNoRevision) || want != "" && err == nil && rev.Hash == want {
			return
		}
		select {
		case <-s.Changed():
		case <-end:
			t.Fatalf("no hint led to %q: head is %q, %v", want, rev.Hash, err)
		}
	}
}

// files reads a whole tree.
func files(t testing.TB, f fs.FS) map[string]string {
	t.Helper()
	m := map[string]string{}
	if err := fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := fs.ReadFile(f, p)
		m[p] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

func head(t testing.TB, s *Source, since string) reconcile.Revision {
	t.Helper()
	rev, err := s.Head(t.Context(), reconcile.Revision{Hash: since})
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func treeOf(t testing.TB, s *Source, hash string) fs.FS {
	t.Helper()
	f, err := s.Tree(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestNewRefuses(t *testing.T) {
	bare, _ := repos(t)
	for _, c := range []struct {
		name   string
		config Config
		want   string
	}{
		{"https", Config{Repository: "https://example.com/r.git", Branch: "main"}, "ssh and https sources are not supported yet"},
		{"ssh", Config{Repository: "ssh://git@example.com/r.git", Branch: "main"}, "ssh and https sources are not supported yet"},
		{"ssh in short", Config{Repository: "git@example.com:r.git", Branch: "main"}, "ssh and https sources are not supported yet"},
		{"a file URL of another host", Config{Repository: "file://host/r.git", Branch: "main"}, "not supported yet"},
		{"no repository", Config{Branch: "main"}, "no repository is given"},
		{"no branch", Config{Repository: bare}, "not a valid name"},
		{"a bad branch", Config{Repository: bare, Branch: "a..b"}, "not a valid name"},
		{"nothing there", Config{Repository: filepath.Join(bare, "none"), Branch: "main"}, "open repository"},
		{"a directory that is none", Config{Repository: t.TempDir(), Branch: "main"}, "open repository"},
		{"a negative interval", Config{Repository: bare, Branch: "main", Poll: -1}, "is negative"},
	} {
		if _, err := New(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	for _, repository := range []string{bare, "file://" + bare} {
		if _, err := New(Config{Repository: repository, Branch: "main"}); err != nil {
			t.Error(err)
		}
	}
}

func TestHead(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare})
	write(t, work, "a/one.yaml", "changed\n")
	h := push(t, work, "Change one\n\nBecause.\n\nAllow-Delete: 3\nReviewed-by: Eve")
	rev := head(t, s, "")
	rev.Time = rev.Time.UTC()
	want := reconcile.Revision{
		Hash: h, Ref: "main", Author: "Ann <ann@example.com>", Subject: "Change one", Time: rev.Time,
		Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "3"}, {Key: "Reviewed-by", Value: "Eve"}},
	}
	if !reflect.DeepEqual(rev, want) || time.Since(rev.Time) > time.Hour {
		t.Errorf("head is %+v, want %+v", rev, want)
	}
	got := files(t, treeOf(t, s, h))
	if want := map[string]string{"a/one.yaml": "changed\n", "two.json": "{}\n"}; !reflect.DeepEqual(got, want) {
		t.Errorf("tree is %q", got)
	}
	if _, err := s.Tree(t.Context(), strings.Repeat("1", 40)); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("tree of an unknown commit: %v", err)
	}
	for _, bad := range []string{"main", "", h[:8], git(t, work, "rev-parse", "HEAD:two.json")} {
		if _, err := s.Tree(t.Context(), bad); err == nil {
			t.Errorf("tree of %q is no error", bad)
		}
	}
	if err := fstest.TestFS(treeOf(t, s, h), "a/one.yaml", "two.json"); err != nil {
		t.Error(err)
	}
}

func TestMissingBranchIsNotAnUnreadableRepository(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare, Branch: "prod"})
	if _, err := s.Head(t.Context(), reconcile.Revision{}); !errors.Is(err, server.ErrNoRevision) {
		t.Errorf("head of a missing branch: %v", err)
	}
	git(t, work, "push", "-q", "origin", "HEAD:prod")
	head(t, s, "")
	for _, c := range []struct {
		name string
		path string
	}{{"the repository is gone", bare}, {"HEAD is gone", filepath.Join(bare, "HEAD")}, {"refs are gone", filepath.Join(bare, "refs")}} {
		away := filepath.Join(t.TempDir(), "away")
		if err := os.Rename(c.path, away); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Head(t.Context(), reconcile.Revision{}); err == nil || errors.Is(err, server.ErrNoRevision) {
			t.Errorf("%s: head: %v", c.name, err)
		}
		if err := os.Rename(away, c.path); err != nil {
			t.Fatal(err)
		}
		head(t, s, "")
	}
	// The branch points to a commit that is not there.
	write(t, bare, "refs/heads/prod", strings.Repeat("1", 40)+"\n")
	if _, err := s.Head(t.Context(), reconcile.Revision{}); err == nil || errors.Is(err, server.ErrNoRevision) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("head of a damaged repository: %v", err)
	}
}

// What git's own maintenance does between and under calls is not noticed.
func TestMaintenanceUnderAnOpenTree(t *testing.T) {
	for _, c := range []struct {
		name string
		args [][]string
	}{
		{"repack", [][]string{{"repack", "-q", "-a", "-d"}}},
		{"gc", [][]string{{"gc", "-q", "--prune=now"}}},
		{"pack-refs", [][]string{{"pack-refs", "--all"}}},
		{"gc, then repack with other deltas", [][]string{{"gc", "-q"}, {"repack", "-q", "-a", "-d", "-f", "--depth=1"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bare, work := repos(t)
			s := source(t, Config{Repository: bare})
			want := map[string]string{}
			for i := range 20 {
				name := fmt.Sprintf("dir%d/file%d.yaml", i%3, i)
				want[name] = strings.Repeat(fmt.Sprintln("line", i), 50)
				write(t, work, name, want[name])
				push(t, work, "one more")
			}
			want["a/one.yaml"], want["two.json"] = "one\n", "{}\n"
			first := head(t, s, "")
			git(t, bare, "repack", "-q", "-a", "-d")
			f := treeOf(t, s, first.Hash)
			if _, err := fs.ReadFile(f, "two.json"); err != nil { // its indexes are loaded now
				t.Fatal(err)
			}
			write(t, work, "later.yaml", "later\n")
			later := push(t, work, "later")
			for _, args := range c.args {
				git(t, bare, args...)
			}
			if got := files(t, f); !reflect.DeepEqual(got, want) {
				t.Errorf("the open tree has %d files, want %d", len(got), len(want))
			}
			if rev := head(t, s, first.Hash); rev.Hash != later {
				t.Errorf("head is %s, want %s", rev.Hash, later)
			}
			want["later.yaml"] = "later\n"
			if got := files(t, treeOf(t, s, later)); !reflect.DeepEqual(got, want) {
				t.Errorf("the new tree has %d files, want %d", len(got), len(want))
			}
			if err := fstest.TestFS(f, "two.json"); err != nil {
				t.Error(err)
			}
		})
	}
}

// Readers go on while people push and git repacks.
func TestConcurrentReaders(t *testing.T) {
	bare, work := repos(t)
	for i := range 30 {
		write(t, work, fmt.Sprintf("d%d/f%d.yaml", i%4, i), strings.Repeat(fmt.Sprintln(i), 40))
	}
	h := push(t, work, "many")
	s := source(t, Config{Repository: bare})
	f := treeOf(t, s, h)
	want := files(t, f)
	f = treeOf(t, s, h)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for name, content := range want {
					if b, err := fs.ReadFile(f, name); err != nil || string(b) != content {
						t.Errorf("read %s: %v", name, err)
						return
					}
				}
				if _, err := s.Head(context.Background(), reconcile.Revision{Hash: h}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 6 {
		write(t, work, "more.yaml", fmt.Sprint(i))
		push(t, work, "more")
		git(t, bare, "repack", "-q", "-a", "-d", "-f")
		git(t, bare, "pack-refs", "--all")
	}
	close(stop)
	wg.Wait()
}

func TestUnusualTrees(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare})
	write(t, work, "foo/x", "x")
	write(t, work, "foo.bar", "y") // git sorts it before foo/
	write(t, work, "run.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(work, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(work, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("foo", filepath.Join(work, "dirlink")); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", "-A")
	git(t, work, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",sub")
	git(t, work, "commit", "-q", "-m", "unusual")
	git(t, work, "push", "-q", "origin", "HEAD")
	f := treeOf(t, s, head(t, s, "").Hash)
	for name, want := range map[string]string{
		"link": "link: is a symbolic link", "dirlink/x": "dirlink: is a symbolic link", "sub": "sub: is a submodule", "sub/y": "sub: is a submodule",
	} {
		if _, err := f.Open(name); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: %v", name, err)
		}
		if _, err := fs.ReadFile(f, name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("read %s: %v", name, err)
		}
	}
	for name, want := range map[string]error{"nothing": fs.ErrNotExist, "foo.bar/x": fs.ErrNotExist, "/foo": fs.ErrInvalid, "../x": fs.ErrInvalid} {
		if _, err := f.Open(name); !errors.Is(err, want) {
			t.Errorf("open %s: %v", name, err)
		}
	}
	entries, err := fs.ReadDir(f, ".")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Type().String()+" "+e.Name())
	}
	want := "d--------- a,L--------- dirlink,d--------- foo,---------- foo.bar,L--------- link,---------- run.sh,?--------- sub,---------- two.json"
	if got := strings.Join(list, ","); got != want {
		t.Errorf("listed %s\nwant   %s", got, want)
	}
	if fi, err := fs.Stat(f, "run.sh"); err != nil || fi.Mode() != 0o555 || fi.Size() != 10 {
		t.Errorf("stat: %v, %v", fi, err)
	}

	// The empty tree is a tree without files, and nothing like an error.
	git(t, work, "rm", "-q", "-r", "--cached", ".")
	git(t, work, "commit", "-q", "-m", "empty")
	git(t, work, "push", "-q", "origin", "HEAD")
	if got := files(t, treeOf(t, s, head(t, s, "").Hash)); len(got) != 0 {
		t.Errorf("the empty tree has %q", got)
	}
}

// An object that is not there is an error, and no absent file.
func TestDamagedTreeIsAnError(t *testing.T) {
	for _, spec := range []string{"HEAD:a/one.yaml", "HEAD:a", "HEAD^{tree}"} {
		t.Run(spec, func(t *testing.T) {
			bare, work := repos(t)
			s := source(t, Config{Repository: bare})
			rev := head(t, s, "")
			id := git(t, work, "rev-parse", spec)
			if err := os.Remove(filepath.Join(bare, "objects", id[:2], id[2:])); err != nil {
				t.Fatal(err)
			}
			f, err := s.Tree(t.Context(), rev.Hash)
			if err == nil {
				err = fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
					if err == nil && !d.IsDir() {
						_, err = fs.ReadFile(f, p)
					}
					return err
				})
			}
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), id) {
				t.Errorf("a tree without an object: %v", err)
			}
		})
	}
}

// A file of the object database that is missing on disk does not make the file in the tree an absent one.
func TestMissingPackIsUnknown(t *testing.T) {
	bare, _ := repos(t)
	o := &objects{path: bare}
	tries := 0
	err := o.do(func(*gogit.Repository) error {
		tries++
		return &fs.PathError{Op: "open", Path: "pack", Err: fs.ErrNotExist}
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) || tries != 3 {
		t.Errorf("after %d attempts: %v", tries, err)
	}
}

func TestTrailersSince(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare})
	root := git(t, work, "rev-parse", "HEAD")
	keys := func(since string) string {
		var list []string
		for _, tr := range head(t, s, since).Trailers {
			list = append(list, tr.Value)
		}
		return strings.Join(list, " ")
	}
	at := func(day int, message string) string {
		t.Setenv("GIT_COMMITTER_DATE", fmt.Sprintf("2026-01-%02dT00:00:00Z", day))
		return push(t, work, message+"\n\nT: "+message)
	}
	one := at(1, "one")
	two := at(2, "two")
	git(t, work, "checkout", "-q", "-b", "side", one)
	git(t, work, "commit", "-q", "--allow-empty", "-m", "side\n\nT: side")
	git(t, work, "checkout", "-q", "main")
	three := at(3, "three")
	t.Setenv("GIT_COMMITTER_DATE", "2026-01-04T00:00:00Z")
	git(t, work, "merge", "-q", "--no-ff", "-m", "merge\n\nT: merge", "side")
	git(t, work, "push", "-q", "origin", "main")
	merge := git(t, work, "rev-parse", "HEAD")
	early := at(1, "early") // by a clock that is wrong
	last := at(5, "last")
	for _, c := range []struct{ name, since, want string }{
		{"no revision applied yet", "", "last"},
		{"an unknown revision", strings.Repeat("1", 40), "last"},
		{"the head itself", last, ""},
		{"the revision before", early, "last"},
		{"across a wrong clock", merge, "last early"},
		{"across a merge", three, "last merge side early"},
		{"before the branch", one, "last merge three side two early"},
		{"between", two, "last merge three side early"},
		{"the root", root, "last merge three side two one early"},
	} {
		got := keys(c.since)
		if c.name != "the head itself" {
			want := strings.Fields(c.want)
			have := strings.Fields(got)
			if len(want) != len(have) || want[0] != have[0] {
				t.Errorf("%s: trailers %q, want %q", c.name, got, c.want)
			}
			for _, w := range want {
				if !strings.Contains(" "+got+" ", " "+w+" ") {
					t.Errorf("%s: trailers %q, want %q", c.name, got, c.want)
				}
			}
		} else if got != "" {
			t.Errorf("%s: trailers %q, want none", c.name, got)
		}
	}
	// Moved back by force: nothing is new.
	git(t, work, "push", "-q", "-f", "origin", two+":main")
	if got := keys(last); got != "" {
		t.Errorf("moved back: trailers %q", got)
	}
	// Another history: all of it is new but what is common.
	git(t, work, "checkout", "-q", "-B", "main", one)
	at(6, "other")
	if got := keys(last); got != "other" {
		t.Errorf("another history: trailers %q", got)
	}
}

// What git calls a trailer is one.
func TestTrailersAsGit(t *testing.T) {
	dir := t.TempDir()
	for _, message := range []string{
		"Subject", "Key: value", "Subject\n\nBody", "Subject\n\nKey: value", "Subject\n\nBody\n\nKey: value\nOther-Key:  spaces  ",
		"Subject\n\nBody\nKey: value", "Subject\n\nKey: value\n\nBody", "Subject\nKey: value", "Subject\n\nKey: one\n two\n\tthree\nB: c",
		"Subject\n\nNot a key: value\nKey: value", "Subject\n\nSome words\nKey: value\nSigned-off-by: Ann <a@b>",
		"Subject\n\nSome words\nmore\nand more\nand more\nSigned-off-by: Ann <a@b>", "Subject\n\na\nb\nc\nSigned-off-by: Ann <a@b>",
		"Subject\n\nKey: value\n(cherry picked from commit abc)", "Subject\n\nKey : value", "Subject\n\nKey:", "Subject\n\n: value",
		"Subject\n\nKey: value\n\n\n", "Subject\n\n continued: value", "Subject\r\n\r\nKey: value\r\n", "Subject\n\nAllow-Delete: all\nhttps://example.com/x",
	} {
		cmd := exec.Command("git", "interpret-trailers", "--parse", "--no-divider")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(strings.ReplaceAll(message, "\r", "")+"\n")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, tr := range trailers(message) {
			fmt.Fprintln(&got, strings.TrimSpace(tr.Key+": "+tr.Value))
		}
		want := ""
		for line := range strings.Lines(string(out)) {
			want += strings.TrimSpace(line) + "\n"
		}
		if got.String() != want {
			t.Errorf("trailers of %q are %q, git says %q", message, got.String(), want)
		}
	}
}
