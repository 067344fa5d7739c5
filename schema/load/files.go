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
	name  string
	size  int64    // unknownSize if nothing needed it yet
	key   cacheKey // if content is known without reading; zero otherwise
	known *cached  // what it said in an earlier tree, nil if that is not known
}

// unknownSize is the size of a file that need not be asked for if its content is known by its hash.
const unknownSize = -1

// addressed is a directory entry that knows the hash of its content, as those of Git do: files and directories of equal hashes are
// equal, so that what was seen need not be read. "" says nothing.
type addressed interface{ ContentHash() string }

// lister lists the manifests of one root.
type lister struct {
	*Loader
	fsys  fs.FS
	root  string
	tree  int
	total listing
	left  *limits
}

// ignored is what the ignore files from the root down to a directory say.
type ignored struct {
	patterns []gitignore.Pattern
	matcher  gitignore.Matcher // nil: nothing
	key      cacheKey          // of all their text
}

func (i *ignored) match(name string, dir bool) bool {
	return i.matcher != nil && i.matcher.Match(split(name), dir)
}

// manifests lists the manifests below root. What it finds is taken from left. Directories that an earlier tree had are not
// read again.
func (l *Loader) manifests(fsys fs.FS, root string, left *limits) (*listing, error) {
	info, err := fs.Stat(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("find path %q: %w", root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("find path %q: it is a file and not a directory", root)
	}
	l.mu.Lock()
	w := &lister{Loader: l, fsys: fsys, root: root, tree: l.trees, left: left}
	l.mu.Unlock()
	if err := w.dir(root, &ignored{}); err != nil {
		return nil, err
	}
	return &w.total, nil
}

// dir adds what is below a directory.
func (w *lister) dir(name string, above *ignored) error {
	here, err := w.ignored(name, above)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(w.fsys, name)
	if err != nil {
		return fmt.Errorf("read tree: %w", err)
	}
	for _, d := range entries {
		n := path.Join(name, d.Name())
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") || d.Name() == "cue.mod" || here.match(n, true) {
				continue
			}
			if err := w.sub(n, d, here); err != nil {
				return err
			}
			continue
		}
		if err := w.file(n, d, here); err != nil {
			return err
		}
	}
	return nil
}

// sub adds what is below a directory of another, as it is remembered if that is known.
func (w *lister) sub(name string, d fs.DirEntry, above *ignored) error {
	a, ok := d.(addressed)
	if !ok || a.ContentHash() == "" {
		return w.dir(name, above)
	}
	key := keyOf("dir", name, append(above.key[:], a.ContentHash()...))
	w.mu.Lock()
	l := w.dirs[key]
	if l != nil {
		l.tree = max(l.tree, w.tree)
	}
	w.mu.Unlock()
	if l == nil {
		inside := &lister{Loader: w.Loader, fsys: w.fsys, root: w.root, tree: w.tree, left: &limits{w.left.files, w.left.bytes, w.left.objects}}
		if err := inside.dir(name, above); err != nil {
			return err
		}
		inside.total.tree = w.tree
		l = &inside.total
		w.mu.Lock()
		w.dirs[key] = l
		w.mu.Unlock()
	}
	w.total.add(l)
	if err := w.take(l.files+len(l.cues), l.bytes); err != nil {
		return err
	}
	return w.fewPatterns(name)
}

// take takes files of a directory from what is left.
func (w *lister) take(files int, bytes int64) error {
	w.total.bytes += bytes
	w.left.files -= files
	w.left.bytes -= bytes
	switch {
	case w.left.files < 0:
		return wrongf(w.root, place{}, tooMuch, "the tree has more than %d manifests", treeLimits.files)
	case w.left.bytes < 0:
		return tooLarge(w.root)
	}
	return nil
}

func tooLarge(root string) error {
	return wrongf(root, place{}, tooMuch, "the manifests of the tree have more than %d bytes in all", treeLimits.bytes)
}

func (w *lister) fewPatterns(dir string) error {
	if w.total.patterns > maxPatterns {
		return wrongf(path.Join(dir, ignoreFile), place{}, "name directories and not files", "all %s files together have more than %d patterns", ignoreFile, maxPatterns)
	}
	return nil
}

// ignored is what is ignored in a directory.
func (w *lister) ignored(dir string, above *ignored) (*ignored, error) {
	more, text, err := readIgnore(w.fsys, dir)
	if err != nil || len(more) == 0 {
		return above, err
	}
	if w.total.patterns += len(more); w.fewPatterns(dir) != nil {
		return nil, w.fewPatterns(dir)
	}
	all := append(above.patterns[:len(above.patterns):len(above.patterns)], more...)
	return &ignored{all, gitignore.NewMatcher(all), keyOf("ignore", dir, append(above.key[:], text...))}, nil
}

func (w *lister) file(name string, d fs.DirEntry, here *ignored) error {
	ext := path.Ext(name)
	switch ext {
	case ".json", ".yaml", ".yml", ".cue":
	default:
		return nil
	}
	switch {
	case here.match(name, false):
		return nil
	case d.Type()&fs.ModeSymlink != 0:
		w.total.warnings = append(w.total.warnings, name+": is a symbolic link, which is not followed: what it names is not declared")
		return nil
	case !d.Type().IsRegular():
		w.total.warnings = append(w.total.warnings, name+": is no regular file and not read: nothing in it is declared")
		return nil
	}
	f := manifestFile{name: name}
	if a, ok := d.(addressed); ok && ext != ".cue" && a.ContentHash() != "" {
		f.key = keyOf("hash", name, []byte(a.ContentHash()))
		w.mu.Lock()
		f.known = w.cache[f.key]
		w.mu.Unlock()
	}
	switch {
	case f.known != nil:
		f.size = f.known.size
	case f.key != (cacheKey{}):
		f.size = unknownSize
	default:
		i, err := d.Info()
		if err != nil {
			return fmt.Errorf("read tree: %w", err)
		}
		f.size = i.Size()
	}
	if ext == ".cue" {
		w.total.cues = append(w.total.cues, f)
	} else {
		w.total.own = append(w.total.own, f)
		w.total.files++
	}
	return w.take(1, min(max(f.size, 0), maxFile))
}

const tooMuch = "name the folder that holds the manifests with --path, or leave others out with " + ignoreFile

// split is the parts of a name; those of the root are none.
func split(name string) []string {
	if name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func readIgnore(fsys fs.FS, dir string) (patterns []gitignore.Pattern, text []byte, err error) {
	name := path.Join(dir, ignoreFile)
	if i, err := fs.Stat(fsys, name); err == nil && !i.Mode().IsRegular() {
		return nil, nil, wrongf(name, place{}, "", "is no regular file")
	} else if err == nil && i.Size() > maxIgnoreFile {
		return nil, nil, wrongf(name, place{}, "name directories and not files", "the file has %d bytes, more than %d", i.Size(), maxIgnoreFile)
	}
	b, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", ignoreFile, err)
	}
	if why, hint := noText(b); why != "" {
		return nil, nil, wrongf(name, place{}, hint, "%s", why)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		patterns = append(patterns, gitignore.ParsePattern(line, split(dir)))
	}
	return patterns, b, nil
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
