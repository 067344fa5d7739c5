package load

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

const (
	ignoreFile = ".reconcilerignore"
	maxFile    = 4 << 20 // bytes; a hundred times the largest manifest that was seen
)

type manifestFile struct {
	name string
	size int64
}

// manifests lists the manifests below root, sorted by name.
func manifests(fsys fs.FS, root string) ([]manifestFile, error) {
	info, err := fs.Stat(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("find path %q: %w", root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("find path %q: it is a file and not a directory", root)
	}
	var files []manifestFile
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
				patterns = append(patterns, more...)
				matcher = gitignore.NewMatcher(patterns)
			}
			return nil
		}
		switch path.Ext(name) {
		case ".json", ".yaml", ".yml", ".cue":
		default:
			return nil
		}
		if !d.Type().IsRegular() || matcher.Match(parts, false) {
			return nil
		}
		i, err := d.Info()
		if err != nil {
			return fmt.Errorf("read tree: %w", err)
		}
		files = append(files, manifestFile{name, i.Size()})
		return nil
	})
	return files, err
}

// split is the parts of a name; those of the root are none.
func split(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func readIgnore(fsys fs.FS, dir string) ([]gitignore.Pattern, error) {
	b, err := fs.ReadFile(fsys, path.Join(dir, ignoreFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ignoreFile, err)
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
