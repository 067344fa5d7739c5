package load

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"reconciler/schema"
)

// Source is one of several that a tree is made of.
type Source struct {
	Name string // a DNS label: the directory of the tree that it is in, so that positions begin with it
	Path string // of its manifests, in its own tree; as Config.Path
}

// root is a directory of the tree that manifests are below.
type root struct {
	top  string // of its source; "." if the tree is one source
	path string // with top in it
}

// sourceName is a DNS label (RFC 1123 section 2.1): no name of CUE or Git's own, and a word in positions.
var sourceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// newRoots checks what of the tree holds manifests.
func newRoots(c Config) ([]root, error) {
	if len(c.Sources) == 0 {
		p, err := below(".", c.Path)
		return []root{{".", p}}, err
	}
	if c.Path != "" {
		return nil, fmt.Errorf("path %q: of several sources, each has its own", c.Path)
	}
	var roots []root
	seen := map[string]bool{}
	for _, s := range c.Sources {
		if !sourceName.MatchString(s.Name) {
			return nil, fmt.Errorf("source %q: a name is lower case letters, digits and hyphens", s.Name)
		}
		if seen[s.Name] {
			return nil, fmt.Errorf("source %q is named twice", s.Name)
		}
		seen[s.Name] = true
		p, err := below(s.Name, s.Path)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", s.Name, err)
		}
		roots = append(roots, root{s.Name, p})
	}
	slices.SortFunc(roots, func(a, b root) int { return strings.Compare(a.top, b.top) })
	return roots, nil
}

// below is the path p of a source whose tree is at top.
func below(top, p string) (string, error) {
	clean := path.Clean(strings.Trim(p, "/"))
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("path %q leads out of the tree", p)
	}
	return path.Join(top, clean), nil
}

// of is what of a tree the source may see.
func (r root) of(fsys fs.FS) fs.FS {
	if r.top == "." {
		return fsys
	}
	return within{fsys, r.top}
}

// others are the objects of c.Others that were not written in one of c.Sources.
func others(c Config) []*object {
	if c.Others == nil {
		return nil
	}
	own := map[string]bool{}
	for _, s := range c.Sources {
		own[s.Name] = true
	}
	var all []*object
	for v := range c.Others.Objects() {
		o := &object{Object: v, position: c.Others.Positions[v.Key().String()]}
		if !own[sourceOf(o.position)] {
			all = append(all, o)
		}
	}
	return all
}

// sourceOf is the source that a place is of, where there are several.
func sourceOf(p schema.Position) string {
	name, _, _ := strings.Cut(p.File, "/")
	return name
}

// twice is what to do about an object that is declared at two places.
func (l *Loader) twice(a, b *object) string {
	if x, y := sourceOf(a.position), sourceOf(b.position); l.roots[0].top != "." && x != y {
		return fmt.Sprintf("the sources %q and %q both have it; an object is of one source: remove it from the other", x, y)
	}
	return "remove one of the two"
}

// within shows one directory of a tree, under the name that it has there, and nothing else.
type within struct {
	fs.FS
	top string
}

func (w within) hides(op, name string) error {
	if name == w.top || strings.HasPrefix(name, w.top+"/") {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

func (w within) Open(name string) (fs.File, error) {
	if err := w.hides("open", name); err != nil {
		return nil, err
	}
	return w.FS.Open(name)
}

func (w within) ReadFile(name string) ([]byte, error) {
	if err := w.hides("read", name); err != nil {
		return nil, err
	}
	return fs.ReadFile(w.FS, name)
}

func (w within) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := w.hides("readdir", name); err != nil {
		return nil, err
	}
	return fs.ReadDir(w.FS, name)
}

func (w within) Stat(name string) (fs.FileInfo, error) {
	if err := w.hides("stat", name); err != nil {
		return nil, err
	}
	return fs.Stat(w.FS, name)
}
