package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	cueerrors "cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"

	"reconciler/schema"
)

// DefinitionsPath is the import path of the definitions of v1 for CUE packages: `import "reconciler.local/v1"`. CUE takes a path
// without a dot in its first element for its own library, and no registry can ever hold a name under .local.
const DefinitionsPath = "reconciler.local/v1"

// DefinitionsFile is where a package finds the definitions without a registry, from the root of its module.
const DefinitionsFile = "cue.mod/pkg/" + DefinitionsPath + "/v1.cue"

// Definitions is the definitions of v1 and reconciler/v1 as one CUE package: #Pod, #Cluster and so on, which give apiVersion
// and kind themselves.
func Definitions() string {
	s := definitionsHead
	for _, source := range []string{schema.V1CUE, schema.ReconcilerCUE} {
		_, definitions, _ := strings.Cut(source, "\npackage schema\n")
		s += typeField.ReplaceAllString(definitions, "$1:")
	}
	return s
}

// typeField is apiVersion or kind of an object, which a person must write in a data file.
var typeField = regexp.MustCompile(`(?m)^(\t(?:apiVersion|kind))!:`)

const definitionsHead = `// Package v1 is what Pods, Services and other objects of v1 and of reconciler/v1 may hold. It was written by "reconciler schema".
//
// @yet(values) is a field of which only these values are supported yet, @ignored() one that is accepted and dropped, @want() a
// rule in words, @nonull() a field that may be left out and not be empty.
package v1
`

// maxModuleFile is how many bytes cue.mod/module.cue may have.
const maxModuleFile = 64 << 10

// maxPackage is how many bytes the files may have that a CUE package is made of.
const maxPackage = 64 << 20

// cuePackage is one CUE package of a tree and all that its evaluation can see.
type cuePackage struct {
	dir    string // of the tree
	name   string
	root   string // of its module: the nearest directory around it with a cue.mod, or that of the tree
	module string // path of the module, "" if there is none
	files  map[string][]byte
	first  string   // the first of its own files, for errors without a place
	own    []string // all in its directory
	key    cacheKey
}

// packages finds what the CUE files of a tree are made of. It remembers the directories that it read.
type packages struct {
	fsys fs.FS
	top  string // above which nothing is looked for
	tags []string
	dirs map[string][]*cueFile
}

// cueFile is one .cue file, parsed as far as its imports.
type cueFile struct {
	name    string
	data    []byte
	pkg     string // "" without a package clause
	at      place  // of the package clause
	imports []imported
	embeds  bool
}

type imported struct {
	path string
	at   place
}

// wrong is an error of the files, as opposed to one of reading them.
type wrong struct{ what *Error }

func (w wrong) Error() string { return w.what.Error() }

func wrongf(file string, at place, hint, format string, args ...any) error {
	return wrong{&Error{Position: at.in(file), Message: fmt.Sprintf(format, args...), Hint: hint}}
}

// isRoot tells whether CUE looks at a file when it loads a directory.
func isRoot(name string) bool {
	base := path.Base(name)
	return !strings.HasPrefix(base, "_") && !strings.HasPrefix(base, ".") && !strings.HasSuffix(base, "_test.cue") && !strings.HasSuffix(base, "_tool.cue")
}

// find is the package of a directory with all that it is made of. roots are its files that were not ignored.
func (p *packages) find(dir string, roots []string) (*cuePackage, error) {
	files, err := p.dir(dir)
	if err != nil {
		return nil, err
	}
	c := &cuePackage{dir: dir, root: p.top, files: map[string][]byte{}}
	var first *cueFile
	for _, f := range files {
		switch {
		case !slices.Contains(roots, f.name):
		case f.pkg == "" || f.pkg == "_":
			return nil, wrongf(f.name, place{line: 1, column: 1}, "begin it with `package` and a name", "a CUE file needs a package clause")
		case first == nil:
			first = f
		case f.pkg != first.pkg:
			return nil, wrongf(f.name, f.at, "move one of them to a directory of its own", "package %s is in the directory of package %s (%s)", f.pkg, first.pkg, first.name)
		}
	}
	if first == nil {
		return nil, fmt.Errorf("read CUE package %q: its files are gone", dir)
	}
	c.first, c.name = first.name, first.pkg
	for _, f := range files {
		if f.pkg == c.name {
			c.own = append(c.own, f.name)
		}
	}
	for d := dir; ; d = path.Dir(d) {
		if i, err := fs.Stat(p.fsys, path.Join(d, "cue.mod")); err == nil && i.IsDir() {
			c.root = d
			break
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read CUE package %q: %w", dir, err)
		}
		if d == p.top || d == "." {
			break
		}
	}
	if err := p.readModule(c); err != nil {
		return nil, err
	}
	if err := p.add(c, c.root, dir, c.name, map[string]bool{}); err != nil {
		return nil, err
	}
	c.key = c.hash(p.tags)
	return c, nil
}

// readModule reads cue.mod/module.cue, if there is one.
func (p *packages) readModule(c *cuePackage) error {
	name := path.Join(c.root, "cue.mod/module.cue")
	b, err := p.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c.files[name] = b
	if len(b) > maxModuleFile { // the only file that this process parses whole: its nesting is bounded by its size
		return wrongf(name, place{}, "", "the file has %d bytes, more than %d", len(b), maxModuleFile)
	}
	f, err := parser.ParseFile(name, b)
	if err != nil {
		return syntax(name, err)
	}
	for _, d := range f.Decls {
		if x, ok := d.(*ast.Field); ok {
			if label, _, err := ast.LabelName(x.Label); err != nil || label != "module" {
				continue
			}
			if l, ok := x.Value.(*ast.BasicLit); ok {
				if s, err := literal.Unquote(l.Value); err == nil {
					c.module, _, _ = strings.Cut(s, "@")
				}
			}
		}
	}
	return nil
}

// add adds the files of the package name in dir, those of the same package in the directories up to top, what they embed, and what they
// import.
func (p *packages) add(c *cuePackage, top, dir, name string, seen map[string]bool) error {
	if seen[dir+":"+name] {
		return nil
	}
	seen[dir+":"+name] = true
	for d := dir; ; d = path.Dir(d) {
		files, err := p.dir(d)
		if err != nil {
			return err
		}
		for _, f := range files {
			if f.pkg != name || !isRoot(f.name) {
				continue
			}
			c.files[f.name] = f.data
			if f.embeds && !seen["embedded in "+d] {
				seen["embedded in "+d] = true
				if err := p.embedded(c, d); err != nil {
					return err
				}
			}
			for _, i := range f.imports {
				if err := p.imported(c, f, i, seen); err != nil {
					return err
				}
			}
		}
		if d == top || d == "." {
			break
		}
	}
	n := 0
	for _, b := range c.files {
		n += len(b)
	}
	if n > maxPackage {
		return wrongf(c.first, place{}, "", "the files that the package is made of have more than %d bytes", maxPackage)
	}
	return nil
}

// imported adds what an import names. It is where CUE would look; what CUE's own library has needs no files.
func (p *packages) imported(c *cuePackage, f *cueFile, i imported, seen map[string]bool) error {
	ip := ast.ParseImportPath(i.path)
	if c.module != "" && (ip.Path == c.module || strings.HasPrefix(ip.Path, c.module+"/")) {
		dir := path.Join(c.root, strings.TrimPrefix(strings.TrimPrefix(ip.Path, c.module), "/"))
		return p.add(c, c.root, dir, ip.Qualifier, seen)
	}
	if first, _, _ := strings.Cut(ip.Path, "/"); !strings.Contains(first, ".") {
		return nil
	}
	vendored := false
	for _, kind := range []string{"gen", "usr", "pkg"} {
		top := path.Join(c.root, "cue.mod", kind)
		dir := path.Join(top, ip.Path)
		if files, err := p.dir(dir); err != nil {
			return err
		} else if len(files) == 0 {
			continue
		}
		vendored = true
		if err := p.add(c, top, dir, ip.Qualifier, seen); err != nil {
			return err
		}
	}
	switch {
	case vendored:
	case ip.Path == DefinitionsPath:
		c.files[path.Join(c.root, DefinitionsFile)] = []byte(Definitions())
	case strings.HasPrefix(ip.Path, path.Dir(DefinitionsPath)+"/"):
		return wrongf(f.name, i.at, "the definitions are "+strconv.Quote(DefinitionsPath), "import %q is not known", i.path)
	default:
		return wrongf(f.name, i.at, "put the package under "+path.Join(c.root, "cue.mod/pkg", ip.Path), "import %q is not in this repository; nothing is fetched from a registry", i.path)
	}
	return nil
}

// embedded adds all files below a directory, but those that are too large: CUE lets nothing else be embedded by a file in it.
func (p *packages) embedded(c *cuePackage, dir string) error {
	n := 0
	return fs.WalkDir(p.fsys, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fmt.Errorf("read tree: %w", err)
		case d.IsDir() && (path.Base(name) == ".git" || path.Base(name) == "cue.mod"):
			return fs.SkipDir
		case !d.Type().IsRegular() || path.Ext(name) == ".cue":
			return nil
		}
		b, err := p.read(name)
		if bad := (wrong{}); errors.As(err, &bad) {
			return nil
		}
		if err != nil {
			return err
		}
		if n += len(b); n > maxPackage {
			return wrongf(c.first, place{}, "keep what is embedded in a directory of its own", "the files below %q, which @embed may name, have more than %d bytes", dir, maxPackage)
		}
		c.files[name] = b
		return nil
	})
}

// dir is the .cue files of a directory, sorted by name; of one that does not exist, none.
func (p *packages) dir(dir string) ([]*cueFile, error) {
	if files, ok := p.dirs[dir]; ok {
		return files, nil
	}
	if !fs.ValidPath(dir) {
		return nil, nil
	}
	entries, err := fs.ReadDir(p.fsys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	var files []*cueFile
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if path.Ext(name) != ".cue" || !e.Type().IsRegular() || !isRoot(name) {
			continue
		}
		b, err := p.read(name)
		if err != nil {
			return nil, err
		}
		f, err := parseCUE(name, b)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	p.dirs[dir] = files
	return files, nil
}

func (p *packages) read(name string) ([]byte, error) {
	i, err := fs.Stat(p.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	if i.Size() > maxFile {
		return nil, wrongf(name, place{}, "split it", "the file has %d bytes, more than %d", i.Size(), maxFile)
	}
	b, err := fs.ReadFile(p.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read tree: %w", err)
	}
	return b, nil
}

// parseCUE reads the head of a file. The rest is for the child to read: what is here must be safe for the server.
func parseCUE(name string, b []byte) (*cueFile, error) {
	if why, hint := noText(b); why != "" {
		return nil, wrongf(name, place{}, hint, "%s", why)
	}
	if at, ok := firstInvalid(b); !ok {
		return nil, wrongf(name, at, "", "the file is not UTF-8 text")
	}
	if tooDeep(b) || unclosed(b) > maxUnclosed {
		return nil, wrongf(name, place{}, "", "brackets are nested too deep")
	}
	x, err := parser.ParseFile(name, b, parser.ImportsOnly)
	if err != nil {
		return nil, syntax(name, err)
	}
	f := &cueFile{name: name, data: b, pkg: x.PackageName(), embeds: bytes.Contains(b, []byte("@extern"))}
	for _, d := range x.Decls {
		switch d := d.(type) {
		case *ast.Package:
			f.at = placeOf(d.Pos())
		case *ast.ImportDecl:
			for _, s := range d.Specs {
				if i, err := strconv.Unquote(s.Path.Value); err == nil {
					f.imports = append(f.imports, imported{i, placeOf(s.Path.Pos())})
				}
			}
		}
	}
	return f, nil
}

// maxUnclosed is how many parentheses may be open at once, those in text and comments included: for an attribute that is not
// closed, CUE reads the whole file, and then again for the next.
const maxUnclosed = 200

func unclosed(b []byte) (most int) {
	open := 0
	for _, c := range b {
		switch c {
		case '(':
			open++
			most = max(most, open)
		case ')':
			open = max(open-1, 0)
		}
	}
	return most
}

func syntax(name string, err error) error {
	e := cueerrors.Errors(err)[0]
	format, args := e.Msg()
	return wrongf(name, placeOf(e.Position()), "", "not CUE: "+format, args...)
}

// hash is what the outcome depends on.
func (c *cuePackage) hash(tags []string) cacheKey {
	h := sha256.New()
	add := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	add([]byte("CUE package"))
	add([]byte(c.dir))
	add([]byte(c.root))
	add([]byte(strings.Join(tags, "\x00")))
	for _, name := range slices.Sorted(maps.Keys(c.files)) {
		add([]byte(name))
		add(c.files[name])
	}
	return cacheKey(h.Sum(nil))
}
