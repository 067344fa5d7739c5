package git

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

var (
	errSymlink   = errors.New("is a symbolic link, which is not followed")
	errSubmodule = errors.New("is a submodule, which is not entered")
)

// tree is the file tree of one commit. It may be used concurrently. It implements [fs.FS], [fs.ReadDirFS],
// [fs.ReadFileFS] and [fs.StatFS].
type tree struct {
	objects *objects
	root    plumbing.Hash
	time    time.Time // of the commit; the ModTime of everything

	mu   sync.Mutex                // protects dirs, is not held while reading
	dirs map[plumbing.Hash][]*node // entries of the trees read so far, sorted by name
}

func newTree(path string, root plumbing.Hash, t time.Time) *tree {
	return &tree{objects: &objects{path: path}, root: root, time: t, dirs: map[plumbing.Hash][]*node{}}
}

// node is a file or directory of a tree, its own [fs.FileInfo] and [fs.DirEntry]. Its size is read when it is asked for.
type node struct {
	tree *tree
	path string // of the first place where it was found; only for messages
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

func (n *node) Name() string      { return n.name }
func (n *node) IsDir() bool       { return n.mode == filemode.Dir }
func (n *node) Type() fs.FileMode { return n.fileMode().Type() }
func (n *node) String() string    { return fs.FormatDirEntry(n) }

// ContentHash is the hash of a file's content, which schema/load asks for. The size need not be read.
func (n *node) ContentHash() string { return n.hash.String() }

// Info reads the size of a file.
func (n *node) Info() (fs.FileInfo, error) {
	i := info{n, 0}
	if n.fileMode().IsRegular() {
		var err error
		if i.size, err = n.tree.objects.size(n.hash); err != nil {
			return nil, &fs.PathError{Op: "stat", Path: n.path, Err: err}
		}
	}
	return i, nil
}

func (n *node) fileMode() fs.FileMode {
	switch n.mode {
	case filemode.Dir:
		return fs.ModeDir | 0o555
	case filemode.Executable:
		return 0o555
	case filemode.Symlink:
		return fs.ModeSymlink | 0o444
	case filemode.Submodule:
		return fs.ModeIrregular | 0o444
	}
	return 0o444
}

type info struct {
	n    *node
	size int64
}

func (i info) Name() string       { return i.n.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.n.fileMode() }
func (i info) ModTime() time.Time { return i.n.tree.time }
func (i info) IsDir() bool        { return i.n.IsDir() }
func (i info) Sys() any           { return nil }
func (i info) String() string     { return fs.FormatFileInfo(i) }

// Open opens a file or directory. The contents of a file are read at the first Read.
func (t *tree) Open(name string) (fs.File, error) {
	n, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	i, err := n.Info()
	if err != nil {
		return nil, err
	}
	if n.IsDir() {
		entries, err := t.list(n.hash, name)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{info: i, name: name, entries: entries}, nil
	}
	return &openFile{n: n, info: i, name: name}, nil
}

// ReadFile reads a whole file.
func (t *tree) ReadFile(name string) ([]byte, error) {
	n, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if n.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	b, err := t.objects.blob(n.hash)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return b, nil
}

// ReadDir lists a directory, sorted by name. Symbolic links and submodules are listed as what they are.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	nodes, err := t.list(n.hash, name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	entries := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		entries[i] = n
	}
	return entries, nil
}

// Stat tells the size of a file without reading all of it.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	n, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return n.Info()
}

// find walks to name; every step must be a directory, and the last a directory or a regular file.
func (t *tree) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	at := &node{tree: t, path: ".", name: ".", mode: filemode.Dir, hash: t.root}
	if name == "." {
		return at, nil
	}
	for end := 0; end < len(name); {
		start := end
		if start > 0 {
			start++
		}
		if i := strings.IndexByte(name[start:], '/'); i < 0 {
			end = len(name)
		} else {
			end = start + i
		}
		if !at.IsDir() {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		nodes, err := t.list(at.hash, at.path)
		if err != nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: err}
		}
		i, ok := slices.BinarySearchFunc(nodes, name[start:end], func(n *node, s string) int { return strings.Compare(n.name, s) })
		if !ok {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		at = nodes[i]
		switch at.mode {
		case filemode.Symlink:
			return nil, &fs.PathError{Op: op, Path: name[:end], Err: errSymlink}
		case filemode.Submodule:
			return nil, &fs.PathError{Op: op, Path: name[:end], Err: errSubmodule}
		}
	}
	return at, nil
}

// list reads a tree object once. A tree that no file system could hold is an error.
func (t *tree) list(h plumbing.Hash, dir string) ([]*node, error) {
	t.mu.Lock()
	nodes, ok := t.dirs[h]
	t.mu.Unlock()
	if ok {
		return nodes, nil
	}
	entries, err := t.objects.tree(h)
	if err != nil {
		return nil, err
	}
	nodes = make([]*node, 0, len(entries))
	for _, e := range entries {
		if !fs.ValidPath(e.name) || e.name == "." || strings.Contains(e.name, "/") {
			return nil, fmt.Errorf("name %q in tree %s is not allowed", e.name, h)
		}
		switch e.mode {
		case filemode.Dir, filemode.Regular, filemode.Deprecated, filemode.Executable, filemode.Symlink, filemode.Submodule:
		default:
			return nil, fmt.Errorf("mode %s of %q in tree %s is not known", e.mode, e.name, h)
		}
		path := e.name
		if dir != "." {
			path = dir + "/" + e.name
		}
		nodes = append(nodes, &node{tree: t, path: path, name: e.name, mode: e.mode, hash: e.hash})
	}
	// Git sorts a directory as if its name ended in a slash.
	slices.SortFunc(nodes, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	for i := 1; i < len(nodes); i++ {
		if nodes[i].name == nodes[i-1].name {
			return nil, fmt.Errorf("name %q stands twice in tree %s", nodes[i].name, h)
		}
	}
	t.mu.Lock()
	t.dirs[h] = nodes
	t.mu.Unlock()
	return nodes, nil
}

// openFile is an open file, used by one goroutine at a time.
type openFile struct {
	n      *node
	info   fs.FileInfo
	name   string
	reader *bytes.Reader // nil until the first read
	closed bool
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

func (f *openFile) Read(p []byte) (int, error) {
	if f.closed {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: fs.ErrClosed}
	}
	if f.reader == nil {
		b, err := f.n.tree.objects.blob(f.n.hash)
		if err != nil {
			return 0, &fs.PathError{Op: "read", Path: f.name, Err: err}
		}
		f.reader = bytes.NewReader(b)
	}
	return f.reader.Read(p)
}

func (f *openFile) Close() error {
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed, f.reader = true, nil
	return nil
}

// openDir is an open directory, used by one goroutine at a time.
type openDir struct {
	info    fs.FileInfo
	name    string
	entries []*node
	closed  bool
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }

func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

func (d *openDir) Close() error {
	if d.closed {
		return &fs.PathError{Op: "close", Path: d.name, Err: fs.ErrClosed}
	}
	d.closed = true
	return nil
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if d.closed {
		return nil, &fs.PathError{Op: "readdir", Path: d.name, Err: fs.ErrClosed}
	}
	return take(&d.entries, n)
}

// take is [fs.ReadDirFile.ReadDir] on what is left of a listing.
func take[E fs.DirEntry](left *[]E, n int) ([]fs.DirEntry, error) {
	count := len(*left)
	if n > 0 {
		if count == 0 {
			return nil, io.EOF
		}
		count = min(count, n)
	}
	entries := make([]fs.DirEntry, count)
	for i, e := range (*left)[:count] {
		entries[i] = e
	}
	*left = (*left)[count:]
	return entries, nil
}
