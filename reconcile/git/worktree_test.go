package git

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// The files of a working tree are those that git ls-files names and that are on disk.
func TestWorktreeFiles(t *testing.T) {
	_, work := repos(t)
	write(t, work, ".gitignore", "*.log\n/build/\n!keep.log\n# comment\nsecret\\ \n")
	write(t, work, "a/.gitignore", "local.yaml\n")
	write(t, work, "tracked.log", "tracked although ignored\n")
	write(t, work, "build/tracked.yaml", "tracked in an ignored directory\n")
	write(t, work, "gone.yaml", "deleted on disk\n")
	write(t, work, "gonedir/x.yaml", "deleted on disk\n")
	write(t, work, "swap/x.yaml", "its directory becomes a file\n")
	git(t, work, "add", "-f", "tracked.log", "build/tracked.yaml")
	commit(t, work, "files")
	write(t, work, "new.yaml", "not tracked\n")
	write(t, work, "deep/er/new.yaml", "not tracked\n")
	write(t, work, "x.log", "ignored\n")
	write(t, work, "keep.log", "not ignored after all\n")
	write(t, work, "build/out.yaml", "ignored\n")
	write(t, work, "a/local.yaml", "ignored\n")
	write(t, work, "b/local.yaml", "not ignored here\n")
	write(t, work, ".git/info/exclude", "private.yaml\n")
	write(t, work, "private.yaml", "ignored\n")
	write(t, work, "a/one.yaml", "changed and not staged\n")
	for _, p := range []string{"gone.yaml", "gonedir", "swap"} {
		if err := os.RemoveAll(filepath.Join(work, p)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, work, "swap", "a file now\n")
	if err := os.Mkdir(filepath.Join(work, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, work, "init", "-q", "nested")
	write(t, work, "nested/x.yaml", "of another repository\n")
	if err := os.Symlink("/etc", filepath.Join(work, "link")); err != nil {
		t.Fatal(err)
	}

	w, err := OpenWorktree(filepath.Join(work, "a"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := w.Files()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range strings.Split(git(t, work, "ls-files", "--cached", "--others", "--exclude-per-directory=.gitignore", "--exclude-from=.git/info/exclude"), "\n") {
		if fi, err := os.Lstat(filepath.Join(work, name)); err == nil && fi.Mode().IsRegular() {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	var got []string
	for name, content := range files(t, f) {
		got = append(got, name)
		if b, err := os.ReadFile(filepath.Join(work, name)); err != nil || string(b) != content {
			t.Errorf("%s has other contents: %v", name, err)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("files %q\nwant  %q", got, want)
	}
	if len(want) < 9 {
		t.Errorf("git names only %q", want)
	}
	for _, name := range []string{"link", "link/passwd"} {
		if _, err := f.Open(name); err == nil || !strings.Contains(err.Error(), "link: is a symbolic link") {
			t.Errorf("open %s: %v", name, err)
		}
	}
	for _, name := range []string{"x.log", "private.yaml", "nested", "empty", ".git/config"} {
		if _, err := f.Open(name); err == nil {
			t.Errorf("%s can be opened", name)
		}
	}
	if err := os.Remove(filepath.Join(work, "link")); err != nil {
		t.Fatal(err)
	}
	if f, err = w.Files(); err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(f, want...); err != nil {
		t.Error(err)
	}
}

func TestWorktreeRefusesSparseCheckout(t *testing.T) {
	_, work := repos(t)
	git(t, work, "update-index", "--skip-worktree", "two.json")
	w, err := OpenWorktree(work)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Files(); err == nil || !strings.Contains(err.Error(), `"two.json" is left out by a sparse checkout`) {
		t.Errorf("files of a sparse checkout: %v", err)
	}
}

func TestWorktreeResolve(t *testing.T) {
	bare, work := repos(t)
	first := git(t, work, "rev-parse", "HEAD")
	git(t, work, "tag", "light")
	git(t, work, "tag", "-a", "-m", "annotated", "v1")
	write(t, work, "a/one.yaml", "changed\n")
	second := commit(t, work, "second\n\nAllow-Delete: all")
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, work, "worktree", "add", "-q", linked, "-b", "feature", "HEAD~1")
	git(t, work, "config", "reconciler.server", "https://master:7443")
	for _, dir := range []string{work, linked} {
		w, err := OpenWorktree(dir)
		if err != nil {
			t.Fatal(err)
		}
		if w.Root() != dir {
			t.Errorf("root is %s, want %s", w.Root(), dir)
		}
		if v, err := w.Setting("reconciler", "server"); err != nil || v != "https://master:7443" {
			t.Errorf("%s: setting is %q, %v", dir, v, err)
		}
		for rev, want := range map[string]string{
			"main": second, "main~1": first, "main^": first, second: second, second[:8]: second, "light": first, "v1": first, "feature": first,
			"HEAD": git(t, dir, "rev-parse", "HEAD"),
		} {
			got, f, err := w.Resolve(rev)
			if err != nil || got.Hash != want || got.Ref != rev {
				t.Errorf("%s in %s is %+v, %v, want %s", rev, dir, got, err, want)
				continue
			}
			content := "one\n"
			if want == second {
				content = "changed\n"
			}
			if b, err := fs.ReadFile(f, "a/one.yaml"); err != nil || string(b) != content {
				t.Errorf("%s: read %q, %v", rev, b, err)
			}
		}
		for _, rev := range []string{"", "nothing", "main~9", "HEAD:two.json", "0123456789"} {
			if _, _, err := w.Resolve(rev); err == nil {
				t.Errorf("revision %q is no error", rev)
			}
		}
	}
	for _, dir := range []string{bare, t.TempDir(), filepath.Join(work, "none")} {
		if _, err := OpenWorktree(dir); err == nil {
			t.Errorf("%s is a working tree", dir)
		}
	}
}
