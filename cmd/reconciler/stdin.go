package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"reconciler/schema"
	"reconciler/schema/load"
)

// stdinMost is how many bytes of the standard input are read: more than any file may have, so that it is refused as one.
const stdinMost = 16 << 20

// checkStdin loads the standard input as one file. Without an ending, name is JSON or YAML as the first character says.
func checkStdin(r io.Reader, name string, c load.Config) (*schema.Set, []string, error) {
	result, file, err := checkStdinResult(r, name, c)
	if err != nil {
		return nil, nil, err
	}
	for i := range result.Warnings {
		result.Warnings[i] = strings.ReplaceAll(result.Warnings[i], file, name)
	}
	for k, p := range result.Set.Positions {
		if p.File == file {
			p.File = name
			result.Set.Positions[k] = p
		}
	}
	return result.Set, result.Warnings, nil
}

// checkStdinResult is as checkStdin; file is what the standard input is called in the result, instead of name.
func checkStdinResult(r io.Reader, name string, c load.Config) (result *load.Result, file string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, stdinMost))
	if err != nil {
		return nil, "", fmt.Errorf("read standard input: %w", err)
	}
	file = path.Base(name)
	if !slices.Contains(manifests, path.Ext(name)) {
		if path.Ext(name) != "" {
			return nil, "", fmt.Errorf("%q is no manifest: its name ends in none of %s", name, strings.Join(manifests, " "))
		}
		file += ".yaml"
		if text := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			file = path.Base(name) + ".json"
		}
	}
	c.Part = true
	result, err = loadTree(memory{file, b}, c)
	var all load.Errors
	if errors.As(err, &all) {
		for _, e := range all {
			if e.Position.File == file {
				e.Position.File = name
			}
			e.Message = strings.ReplaceAll(e.Message, file, name)
		}
	}
	return result, file, err
}

// memory is a tree of one file.
type memory struct {
	name string
	data []byte
}

func (m memory) Open(name string) (fs.File, error) {
	i, err := m.Stat(name)
	return &memoryFile{bytes.NewReader(m.data), i}, err
}

func (m memory) Stat(name string) (fs.FileInfo, error) {
	switch name {
	case ".":
		return memoryInfo{m, true}, nil
	case m.name:
		return memoryInfo{m, false}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

func (m memory) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(memoryInfo{m, false})}, nil
}

type memoryFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *memoryFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (*memoryFile) Close() error                 { return nil }

type memoryInfo struct {
	memory
	dir bool
}

func (i memoryInfo) IsDir() bool { return i.dir }
func (i memoryInfo) Name() string {
	if i.dir {
		return "."
	}
	return i.name
}
func (i memoryInfo) Size() int64 { return int64(len(i.data)) }
func (i memoryInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
func (memoryInfo) ModTime() time.Time { return time.Time{} }
func (memoryInfo) Sys() any           { return nil }
