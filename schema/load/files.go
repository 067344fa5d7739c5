package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

const (
	ignoreFile    = ".reconcilerignore"
	maxFile       = 4 << 20  // bytes; a hundred times the largest manifest that was seen
	maxIgnoreFile = 64 << 10 // bytes
	maxPatterns   = 1000     // of all ignore files of a tree; each is tried on each name
)

// limits is how much a tree may have in all, of every source together.
type limits struct {
	files   int   // manifests
	bytes   int64 // in them; of a file that is too large, what it may have
	objects int
}

// treeLimits are three times a fleet of 150,000 pods with a file for each.
var treeLimits = limits{files: 500_000, bytes: 1 << 30, objects: 500_000}

type manifestFile struct {
	name string
	size int64
	key  cacheKey // if content is known without reading; zero otherwise
}

// addressed is a directory entry that knows the hash of its file's content, as those of Git do: files of equal hashes are
// equal, so that a file that was seen need not be read. "" says nothing.
type addressed interface{ ContentHash() string }

// manifestFiles is what a root has, each sorted by name.
type manifestFiles struct {
	data, cues []manifestFile
	warnings   []string // of what looks like a manifest and is none
}

// manifests lists the manifests below root. What it finds is taken from left. Of data that sized knows by its key, it does not
// ask for the size.
func manifests(fsys fs.FS, root string, left *limits, sized func(cacheKey) (int64, bool)) (*manifestFiles, error) {
	info, err := fs.Stat(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("find path %q: %w", root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("find path %q: it is a file and not a directory", root)
	}
	files := &manifestFiles{}
	var patterns []gitignore.Pattern
	matcher := gitignore.NewMatcher(nil)
	err = fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read tree: %w", err)
		}
		parts := split(name)
		if d.IsDir() {
			base := path.Base(name)
			if name != root && (strings.HasPrefix(base, ".") || base == "cue.mod" || matcher.Match(parts, true)) {
				return fs.SkipDir
			}
			more, err := readIgnore(fsys, name)
			if err != nil {
				return err
			}
			if len(more) > 0 {
				if patterns = append(patterns, more...); len(patterns) > maxPatterns {
					return wrongf(path.Join(name, ignoreFile), place{}, "name directories and not files", "all %s files together have more than %d patterns", ignoreFile, maxPatterns)
				}
				matcher = gitignore.NewMatcher(patterns)
			}
			return nil
		}
		switch path.Ext(name) {
		case ".json", ".yaml", ".yml", ".cue":
		default:
			return nil
		}
		switch {
		case matcher.Match(parts, false):
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			files.warnings = append(files.warnings, name+": is a symbolic link, which is not followed: what it names is not declared")
			return nil
		case !d.Type().IsRegular():
			files.warnings = append(files.warnings, name+": is no regular file and not read: nothing in it is declared")
			return nil
		}
		f := manifestFile{name: name}
		known := false
		if a, ok := d.(addressed); ok && path.Ext(name) != ".cue" && a.ContentHash() != "" {
			f.key = keyOf("hash", name, []byte(a.ContentHash()))
			f.size, known = sized(f.key)
		}
		if !known {
			i, err := d.Info()
			if err != nil {
				return fmt.Errorf("read tree: %w", err)
			}
			f.size = i.Size()
		}
		left.files--
		left.bytes -= min(f.size, maxFile)
		switch {
		case left.files < 0:
			return wrongf(root, place{}, tooMuch, "the tree has more than %d manifests", treeLimits.files)
		case left.bytes < 0:
			return wrongf(root, place{}, tooMuch, "the manifests of the tree have more than %d bytes in all", treeLimits.bytes)
		case path.Ext(name) == ".cue":
			files.cues = append(files.cues, f)
		default:
			files.data = append(files.data, f)
		}
		return nil
	})
	return files, err
}

const tooMuch = "name the folder that holds the manifests with --path, or leave others out with " + ignoreFile

// split is the parts of a name; those of the root are none.
func split(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func readIgnore(fsys fs.FS, dir string) ([]gitignore.Pattern, error) {
	name := path.Join(dir, ignoreFile)
	if i, err := fs.Stat(fsys, name); err == nil && !i.Mode().IsRegular() {
		return nil, wrongf(name, place{}, "", "is no regular file")
	} else if err == nil && i.Size() > maxIgnoreFile {
		return nil, wrongf(name, place{}, "name directories and not files", "the file has %d bytes, more than %d", i.Size(), maxIgnoreFile)
	}
	b, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ignoreFile, err)
	}
	if why, hint := noText(b); why != "" {
		return nil, wrongf(name, place{}, hint, "%s", why)
	}
	var out []gitignore.Pattern
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		out = append(out, gitignore.ParsePattern(line, split(dir)))
	}
	return out, nil
}

// noText says what bytes are instead of text in UTF-8; "" if they may be that.
func noText(b []byte) (why, hint string) {
	const again = "save it as UTF-8"
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "the file is UTF-16 text", again
	case bytes.IndexByte(b, 0) >= 0:
		return "the file holds zero bytes, so it is no text in UTF-8", again
	}
	return "", ""
}

// fileOf is the name that a warning begins with.
func fileOf(warning string) string {
	name, _, _ := strings.Cut(warning, ":")
	return name
}
