package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/inject/embed"
	cueload "cuelang.org/go/cue/load"
)

// ChildArg is the argument by which a program is asked to be the child of [Config.Evaluate]: it calls [Child] with its standard input and output.
const ChildArg = "evaluate-cue"

const (
	childMemory  = 2560 << 20 // bytes of address space, beyond what the child has when it starts
	childSeconds = 300        // of processor time, should the parent be gone
	nobody       = 65534
	// treeRoot is where the child's files seem to be. Nothing is there, and CUE is told not to look above it.
	treeRoot = "/.reconciler-tree"
	// moduleFile stands for a module file where there is none: without it, CUE imports nothing but its own library.
	moduleFile = "module: \"tree.reconciler.local@v0\"\nlanguage: version: \"v0.13.0\"\n"
)

// Child evaluates the CUE packages that a Loader of another process sends: it is the whole of a program that
// [Config.Evaluate] starts. It limits its own memory and processor time and gives up root first, and reads no files.
func Child(stdin io.Reader, stdout io.Writer) error {
	if err := confine(); err != nil {
		return fmt.Errorf("confine evaluation: %w", err)
	}
	var q request
	read := make(chan error, 1)
	go func() { read <- json.NewDecoder(stdin).Decode(&q) }()
	var err error
	select {
	case err = <-read:
	case <-time.After(soon):
		warmUp()
		err = <-read
	}
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	out := json.NewEncoder(stdout)
	together := q.load()
	for i, p := range q.Packages {
		var r *reply
		if together != nil {
			r = q.evaluate(p, together[i:i+1])
		}
		if r == nil || len(r.Errors) > 0 { // errors are told as if there were no other package
			r = q.evaluate(p, nil)
		}
		if err := out.Encode(r); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
	}
	for _, j := range q.Judgments {
		if err := out.Encode(q.judge(j)); err != nil {
			return fmt.Errorf("write reply: %w", err)
		}
	}
	return nil
}

// soon is when a child that was not started ahead has its request.
const soon = 20 * time.Millisecond

// warmUp evaluates a package that says nothing, so that what any evaluation needs is in memory when the request comes.
func warmUp() {
	q := request{Files: [][]byte{[]byte(Definitions()), []byte(warmPackage)}}
	q.evaluate(requestPackage{Files: map[string]int{DefinitionsFile: 0, "warm.cue": 1}}, nil)
}

const warmPackage = `package warm
import "reconciler.local/v1"
let names = ["a", "b"]
pods: [for n in names {v1.#Pod & {metadata: name: n, spec: containers: [{name: n, image: "none"}]}}]
`

// confine takes from this process what evaluation does not need.
func confine() error {
	b, err := os.ReadFile("/proc/self/statm") // in pages; the first is the address space
	if err != nil {
		return err
	}
	var pages uint64
	if _, err := fmt.Sscan(string(b), &pages); err != nil {
		return err
	}
	for resource, most := range map[int]uint64{
		syscall.RLIMIT_AS:   pages*uint64(os.Getpagesize()) + childMemory,
		syscall.RLIMIT_CPU:  childSeconds,
		syscall.RLIMIT_CORE: 0,
	} {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(resource, &now); err != nil {
			return err
		}
		most = min(most, now.Max)
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return nil
	}
	for _, drop := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(nobody) },
		func() error { return syscall.Setuid(nobody) },
	} {
		if err := drop(); err != nil && !errors.Is(err, syscall.EPERM) { // a root that may not change its user has little to lose
			return err
		}
	}
	return nil
}

// load loads all packages at once, so that what they import is read once: nil if that cannot be. A panic of CUE is left to the
// package that it is about.
func (q *request) load() (together []*build.Instance) {
	if q.Alone || len(q.Packages) < 2 || len(q.Tags) > 0 { // which tags a package has is not known yet
		return nil
	}
	root, files, args := q.Packages[0].Root, map[string]int{}, []string{}
	for _, p := range q.Packages {
		rel, err := filepath.Rel(path.Join(treeRoot, root), path.Join(treeRoot, p.Dir))
		if err != nil || p.Root != root {
			return nil
		}
		args = append(args, "./"+rel)
		maps.Copy(files, p.Files)
	}
	defer func() {
		if recover() != nil {
			together = nil
		}
	}()
	if together = cueload.Instances(args, q.config(root, root, files)); len(together) != len(args) {
		return nil
	}
	return together
}

// config is where files are, and nothing else.
func (q *request) config(root, dir string, files map[string]int) *cueload.Config {
	root = path.Join(treeRoot, root)
	overlay := map[string]cueload.Source{}
	for name, i := range files {
		overlay[path.Join(treeRoot, name)] = cueload.FromBytes(q.Files[i])
	}
	if module := path.Join(root, "cue.mod/module.cue"); overlay[module] == nil {
		overlay[module] = cueload.FromString(moduleFile)
	}
	return &cueload.Config{Dir: path.Join(treeRoot, dir), ModuleRoot: root, Overlay: overlay, Env: []string{"CUE_REGISTRY=none"}}
}

// evaluate evaluates one package, which may have been loaded. A panic of CUE is an error of the package.
func (q *request) evaluate(p requestPackage, loaded []*build.Instance) (r *reply) {
	c := &collector{reply: &reply{}, dir: p.Dir, indexes: map[string]int{}}
	defer func() {
		if x := recover(); x != nil {
			r = &reply{Errors: []wireError{{Message: fmt.Sprintf("cannot be evaluated: CUE panicked: %v", x)}}}
		}
	}()
	if loaded == nil {
		config := q.config(p.Root, p.Dir, p.Files)
		if len(q.Tags) > 0 { // a tag that a package does not have would be an error of it
			for _, i := range cueload.Instances([]string{"."}, config) {
				c.reply.Tags = append(c.reply.Tags, tagsOf(i)...)
			}
			config.Tags = among(q.Tags, c.reply.Tags)
		}
		loaded = cueload.Instances([]string{"."}, config)
	}
	for _, i := range loaded {
		var none *cueload.NoFilesError
		if errors.As(i.Err, &none) {
			continue // all files are left out by their @if
		}
		if i.Err != nil {
			c.fail(cue.Value{}, nil, i.Err)
			c.reply.Unread = true
			continue
		}
		v := cuecontext.New(cuecontext.WithInjection(embed.New())).BuildInstance(i)
		c.walk(v, place{})
		if err := v.Validate(); err != nil {
			c.rest(v, err)
		}
		if len(c.reply.Errors) > 0 && comprehends(i, map[*build.Instance]bool{}) {
			c.reply.Unread = true // of a struct with an error CUE does not tell that a comprehension in it was not evaluated
		}
	}
	return c.reply
}

// comprehends tells whether a package, or one that it imports, has fields that only its evaluation brings.
func comprehends(i *build.Instance, seen map[*build.Instance]bool) (found bool) {
	if seen[i] {
		return false
	}
	seen[i] = true
	for _, f := range i.Files {
		ast.Walk(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Comprehension:
				found = true
			case *ast.Field:
				switch n.Label.(type) {
				case *ast.Interpolation, *ast.ParenExpr:
					found = true
				}
			}
			return !found
		}, nil)
	}
	return found || slices.ContainsFunc(i.Imports, func(x *build.Instance) bool { return comprehends(x, seen) })
}

// inTree is the name of a file of the tree.
func inTree(name string) (string, bool) { return strings.CutPrefix(name, treeRoot+"/") }
