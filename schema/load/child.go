package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

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
	if err := json.NewDecoder(stdin).Decode(&q); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	out := json.NewEncoder(stdout)
	for _, p := range q.Packages {
		if err := out.Encode(q.evaluate(p)); err != nil {
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

// evaluate evaluates one package. A panic of CUE is an error of the package.
func (q *request) evaluate(p requestPackage) (r *reply) {
	c := &collector{reply: &reply{}, dir: p.Dir, indexes: map[string]int{}}
	defer func() {
		if x := recover(); x != nil {
			r = &reply{Errors: []wireError{{Message: fmt.Sprintf("cannot be evaluated: CUE panicked: %v", x)}}}
		}
	}()
	files := map[string]cueload.Source{}
	for name, i := range p.Files {
		files[path.Join(treeRoot, name)] = cueload.FromBytes(q.Files[i])
	}
	root := path.Join(treeRoot, p.Root)
	if module := path.Join(root, "cue.mod/module.cue"); files[module] == nil {
		files[module] = cueload.FromString(moduleFile)
	}
	config := &cueload.Config{Dir: path.Join(treeRoot, p.Dir), ModuleRoot: root, Overlay: files, Env: []string{"CUE_REGISTRY=none"}}
	if len(q.Tags) > 0 { // a tag that a package does not have would be an error of it
		for _, i := range cueload.Instances([]string{"."}, config) {
			c.reply.Tags = append(c.reply.Tags, tagsOf(i)...)
		}
		config.Tags = among(q.Tags, c.reply.Tags)
	}
	for _, i := range cueload.Instances([]string{"."}, config) {
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
