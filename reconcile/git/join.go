package git

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Join is a tree whose root has a directory for each of trees, by its name, which holds no slash. It may be used
// concurrently if they may.
func Join(trees map[string]fs.FS) fs.FS { return joined(trees) }

type joined map[string]fs.FS

// under finds the tree that name is in and its name there, for what f does with them. Errors have the name as it is here.
func under[T any](j joined, op, name string, f func(fs.FS, string) (T, error)) (T, error) {
	var none T
	top, rest, ok := strings.Cut(name, "/")
	if !ok {
		rest = "."
	}
	t := j[top]
	if t == nil || !fs.ValidPath(name) {
		err := fs.ErrNotExist
		if !fs.ValidPath(name) {
			err = fs.ErrInvalid
		}
		return none, &fs.PathError{Op: op, Path: name, Err: err}
	}
	out, err := f(t, rest)
	var at *fs.PathError
	if errors.As(err, &at) {
		return none, &fs.PathError{Op: at.Op, Path: path.Join(top, at.Path), Err: at.Err}
	}
	return out, err
}

func (j joined) Open(name string) (fs.File, error) {
	if name == "." {
		entries, err := j.ReadDir(name)
		return &listedDir{info: joinedRoot("."), name: name, entries: entries}, err
	}
	f, err := under(j, "open", name, func(t fs.FS, name string) (fs.File, error) { return t.Open(name) })
	if err != nil || strings.Contains(name, "/") {
		return f, err
	}
	return namedDir{f.(fs.ReadDirFile), name}, nil
}

func (j joined) ReadFile(name string) ([]byte, error) {
	if name == "." {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	return under(j, "read", name, fs.ReadFile)
}

func (j joined) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return under(j, "readdir", name, fs.ReadDir)
	}
	var entries []fs.DirEntry
	for _, n := range slices.Sorted(maps.Keys(j)) {
		entries = append(entries, fs.FileInfoToDirEntry(joinedRoot(n)))
	}
	return entries, nil
}

func (j joined) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return joinedRoot(name), nil
	}
	if !strings.Contains(name, "/") {
		_, err := under(j, "stat", name, fs.Stat)
		return joinedRoot(name), err
	}
	return under(j, "stat", name, fs.Stat)
}

// joinedRoot is the root or the directory of one tree in it.
type joinedRoot string

func (r joinedRoot) Name() string     { return string(r) }
func (joinedRoot) Size() int64        { return 0 }
func (joinedRoot) Mode() fs.FileMode  { return fs.ModeDir | 0o555 }
func (joinedRoot) ModTime() time.Time { return time.Time{} }
func (joinedRoot) IsDir() bool        { return true }
func (joinedRoot) Sys() any           { return nil }

// namedDir is the root of a tree under another name.
type namedDir struct {
	fs.ReadDirFile
	name string
}

func (d namedDir) Stat() (fs.FileInfo, error) { return joinedRoot(d.name), nil }
