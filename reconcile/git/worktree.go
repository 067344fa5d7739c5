package git

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"reconciler/reconcile"
)

// Worktree is a working tree on disk and its repository. Its methods may be called concurrently.
type Worktree struct {
	root string
}

// OpenWorktree finds the working tree that dir, a directory or a file, lies in. A bare repository has none: that is an error.
func OpenWorktree(dir string) (*Worktree, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find working tree of %q: %w", dir, err)
	}
	if fi, err := os.Stat(abs); err != nil {
		return nil, fmt.Errorf("find working tree: %w", err)
	} else if !fi.IsDir() {
		abs = filepath.Dir(abs)
	}
	r, err := gogit.PlainOpenWithOptions(abs, &gogit.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return nil, fmt.Errorf("find working tree of %q: %w", dir, err)
	}
	w, err := r.Worktree()
	if err != nil {
		return nil, fmt.Errorf("find working tree of %q: %w", dir, err)
	}
	return &Worktree{root: w.Filesystem.Root()}, nil
}

// Root is the absolute path of the working tree.
func (w *Worktree) Root() string { return w.root }

// Inside is the slash-separated path that a directory on disk has in the working tree; "." is its root.
func (w *Worktree) Inside(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find %q in working tree: %w", dir, err)
	}
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return "", fmt.Errorf("find %q in working tree: %w", dir, err)
	}
	root, err := filepath.EvalSymlinks(w.root)
	if err != nil {
		return "", fmt.Errorf("find working tree: %w", err)
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%q is outside the working tree %q", dir, w.root)
	}
	return filepath.ToSlash(rel), nil
}

// Setting is a value of the repository's own configuration, as ("reconciler", "server"); "" if it is not set.
func (w *Worktree) Setting(section, key string) (string, error) {
	r, err := open(w.root)
	if err != nil {
		return "", fmt.Errorf("open repository %q: %w", w.root, err)
	}
	c, err := r.Config()
	if err != nil {
		return "", fmt.Errorf("read configuration of %q: %w", w.root, err)
	}
	return c.Raw.Section(section).Option(key), nil
}

// Resolve finds the commit that a revision names as people write it (gitrevisions(7): branch, tag, HEAD~1, full or short
// hash) and returns it with its tree. Trailers are those of that commit alone; Ref is the revision as written.
func (w *Worktree) Resolve(revisionName string) (reconcile.Revision, fs.FS, error) {
	if strings.Contains(revisionName, ":") {
		// The library takes "HEAD:file" for "HEAD".
		return reconcile.Revision{}, nil, fmt.Errorf("resolve revision %q of %q: it does not name a commit", revisionName, w.root)
	}
	o := &objects{path: w.root}
	var rev reconcile.Revision
	err := o.do(func(r *gogit.Repository) error {
		h, err := r.ResolveRevision(plumbing.Revision(revisionName))
		if err != nil {
			return err
		}
		c, err := r.CommitObject(*h)
		if err != nil {
			return err
		}
		rev = revision(c, revisionName)
		rev.Trailers = trailers(c.Message)
		return nil
	})
	if err != nil {
		return reconcile.Revision{}, nil, fmt.Errorf("resolve revision %q of %q: %w", revisionName, w.root, err)
	}
	t, err := commitTree(w.root, plumbing.NewHash(rev.Hash))
	if err != nil {
		return reconcile.Revision{}, nil, err
	}
	return rev, t, nil
}

// Files is the working tree as it is on disk: the files that git tracks and those that it neither tracks nor ignores
// (gitignore(5): .gitignore files and info/exclude; the person's own core.excludesFile is not read). Other repositories
// inside and submodules are left out. Which files there are is settled by the call; their contents are read when they are
// opened. Symbolic links are listed and not followed.
func (w *Worktree) Files() (fs.FS, error) {
	r, err := open(w.root)
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w", w.root, err)
	}
	gitDir, err := commonDir(w.root)
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w", w.root, err)
	}
	d := &disk{root: w.root, dirs: map[string][]fs.DirEntry{".": nil}, listed: map[string]bool{".": true}}
	patterns, err := readIgnore(filepath.Join(gitDir, "info", "exclude"), nil)
	if err != nil {
		return nil, err
	}
	if err := d.walk(".", patterns); err != nil {
		return nil, fmt.Errorf("list working tree %q: %w", w.root, err)
	}
	idx, err := r.Storer.Index()
	if err != nil {
		return nil, fmt.Errorf("read index of %q: %w", w.root, err)
	}
	for _, e := range idx.Entries {
		if e.SkipWorktree {
			// Such a file is not on disk and still not deleted.
			return nil, fmt.Errorf("list working tree %q: %q is left out by a sparse checkout, which is not supported", w.root, e.Name)
		}
		if e.Mode == filemode.Submodule || !fs.ValidPath(e.Name) {
			continue
		}
		if err := d.track(e.Name); err != nil {
			return nil, fmt.Errorf("list working tree %q: %w", w.root, err)
		}
	}
	for _, entries := range d.dirs {
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return d, nil
}

// readIgnore reads the patterns of one file, lowest priority first; a file that is missing or no file has none.
func readIgnore(file string, domain []string) ([]gitignore.Pattern, error) {
	fi, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
		return nil, nil // git follows no symbolic link here either
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var patterns []gitignore.Pattern
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
			line = line[:len(line)-1]
		}
		if line == "" || line[0] == '#' {
			continue
		}
		patterns = append(patterns, gitignore.ParsePattern(line, domain))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %q: %w", file, err)
	}
	return patterns, nil
}

// disk is the files of a working tree. It is not changed once built.
type disk struct {
	root   string
	dirs   map[string][]fs.DirEntry // by slash-separated path; sorted by name
	listed map[string]bool          // path of every entry
}

// list adds an entry to a directory.
func (d *disk) list(dir string, e fs.DirEntry) {
	d.dirs[dir] = append(d.dirs[dir], e)
	d.listed[path.Join(dir, e.Name())] = true
}

// walk lists what is not ignored. patterns are those of the directories above, lowest priority first.
func (d *disk) walk(dir string, patterns []gitignore.Pattern) error {
	domain := parts(dir)
	own, err := readIgnore(filepath.Join(d.root, filepath.FromSlash(dir), ".gitignore"), domain)
	if err != nil {
		return err
	}
	patterns = append(slices.Clip(patterns), own...)
	match := gitignore.NewMatcher(patterns)
	entries, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(dir)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		p := path.Join(dir, name)
		if name == ".git" || match.Match(append(slices.Clip(domain), name), e.IsDir()) || !fs.ValidPath(p) {
			continue
		}
		if !e.IsDir() {
			if e.Type().IsRegular() || e.Type() == fs.ModeSymlink {
				d.list(dir, e)
			}
			continue
		}
		if _, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(p), ".git")); err == nil {
			continue // a repository of its own
		}
		if err := d.walk(p, patterns); err != nil {
			return err
		}
		if len(d.dirs[p]) > 0 { // git knows no empty directories
			d.list(dir, e)
		}
	}
	return nil
}

// track adds a tracked file, whatever is ignored, if all of its path is on disk.
func (d *disk) track(name string) error {
	if d.listed[name] {
		return nil
	}
	_, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.add(name)
}

// add lists the file name and the directories that lead to it.
func (d *disk) add(name string) error {
	at := "."
	for _, part := range parts(name) {
		p := path.Join(at, part)
		fi, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		if p != name && !fi.IsDir() || p == name && !fi.Mode().IsRegular() && fi.Mode().Type() != fs.ModeSymlink {
			return nil // something else took its place; as a symbolic link it is listed where it is not ignored
		}
		if !d.listed[p] {
			d.list(at, fs.FileInfoToDirEntry(fi))
		}
		at = p
	}
	return nil
}

// Open opens a listed file or directory.
func (d *disk) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	full := filepath.Join(d.root, filepath.FromSlash(name))
	if entries, ok := d.dirs[name]; ok {
		fi, err := os.Lstat(full)
		if err != nil {
			return nil, err
		}
		return &listedDir{info: fi, name: name, entries: entries}, nil
	}
	if err := d.link(name); err != nil {
		return nil, err
	}
	if !d.listed[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return os.OpenInRoot(d.root, filepath.FromSlash(name))
}

// ReadDir lists a directory, sorted by name.
func (d *disk) ReadDir(name string) ([]fs.DirEntry, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read
	if dir, ok := f.(*listedDir); ok {
		return slices.Clone(dir.entries), nil
	}
	return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
}

// link returns an error if name is or leads through a symbolic link.
func (d *disk) link(name string) error {
	at := "."
	for _, part := range parts(name) {
		p := path.Join(at, part)
		if fi, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(p))); err == nil && fi.Mode().Type() == fs.ModeSymlink {
			return &fs.PathError{Op: "open", Path: p, Err: errSymlink}
		}
		at = p
	}
	return nil
}

// listedDir is an open directory, used by one goroutine at a time.
type listedDir struct {
	info    fs.FileInfo
	name    string
	entries []fs.DirEntry
}

func (l *listedDir) Stat() (fs.FileInfo, error) { return l.info, nil }
func (l *listedDir) Close() error               { return nil }
func (l *listedDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: l.name, Err: errors.New("is a directory")}
}

func (l *listedDir) ReadDir(n int) ([]fs.DirEntry, error) { return take(&l.entries, n) }

// isNotDir tells whether a file stands where a directory was expected.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }

// parts splits a slash-separated path; "." has none.
func parts(p string) []string {
	if p == "." {
		return nil
	}
	return strings.Split(p, "/")
}
