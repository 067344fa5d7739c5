package load

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"reconciler/schema"
)

// Config says what of a tree holds manifests.
type Config struct {
	// Path is the directory of the tree that holds the manifests, with slashes, as "fleets/prod". "" is the root. A tree
	// without it is an error and never an empty set.
	Path string
}

// Loader loads trees. It may be used concurrently.
type Loader struct {
	path       string
	evaluators chan *evaluator // those not in use

	mu    sync.Mutex
	cache map[cacheKey]*cached // guarded by mu
	trees int                  // loaded so far, guarded by mu
}

type cacheKey [sha256.Size]byte

// cached is what one file said. Its result is never changed.
type cached struct {
	result *fileResult
	tree   int // number of the last tree that had it
}

// keepTrees is how many trees ago a file may last have been seen to stay in the cache: a server looks at one branch, diff
// at two revisions by turns.
const keepTrees = 8

// Result is what a tree declares.
type Result struct {
	Set      *schema.Set
	Warnings []string // sorted by file; for people
}

// New makes a loader.
func New(c Config) (*Loader, error) {
	p := path.Clean(strings.Trim(c.Path, "/"))
	if !fs.ValidPath(p) {
		return nil, fmt.Errorf("path %q leads out of the tree", c.Path)
	}
	n := min(max(runtime.GOMAXPROCS(0), 1), 4)
	l := &Loader{path: p, evaluators: make(chan *evaluator, n), cache: map[cacheKey]*cached{}}
	for range n {
		e, err := newEvaluator()
		if err != nil {
			return nil, err
		}
		l.evaluators <- e
	}
	return l, nil
}

// Tree loads all manifests of a tree. If anything is wrong with them, the error is [Errors] with all that could be found;
// any other error means that the tree could not be read (a path that is missing: wraps fs.ErrNotExist). A tree without
// manifests is an empty set: what that means is the caller's to decide.
func (l *Loader) Tree(fsys fs.FS) (*Result, error) {
	files, err := manifests(fsys, l.path)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.trees++
	tree := l.trees
	l.mu.Unlock()

	results := make([]*fileResult, len(files))
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(cap(l.evaluators))
	for i, f := range files {
		group.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			r, err := l.file(fsys, f, tree)
			results[i] = r
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	l.forget(tree)
	return assemble(results)
}

// file loads one file, from the cache if it was seen with the same content.
func (l *Loader) file(fsys fs.FS, f manifestFile, tree int) (*fileResult, error) {
	if f.size > maxFile {
		return failed(f.name, fmt.Sprintf("the file has %d bytes, more than %d", f.size, maxFile), "split it"), nil
	}
	if path.Ext(f.name) == ".cue" {
		return failed(f.name, "CUE packages are "+schema.NotYet, "write the objects as JSON or YAML, or name the file in "+ignoreFile), nil
	}
	b, err := fs.ReadFile(fsys, f.name)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if len(b) > maxFile {
		return failed(f.name, fmt.Sprintf("the file has %d bytes, more than %d", len(b), maxFile), "split it"), nil
	}
	h := sha256.New()
	h.Write([]byte(f.name))
	h.Write([]byte{0})
	h.Write(b)
	key := cacheKey(h.Sum(nil))

	l.mu.Lock()
	c := l.cache[key]
	if c != nil {
		c.tree = max(c.tree, tree)
	}
	l.mu.Unlock()
	if c != nil {
		return c.result, nil
	}
	e := <-l.evaluators
	r := e.file(f.name, b)
	l.evaluators <- e
	l.mu.Lock()
	l.cache[key] = &cached{r, tree}
	l.mu.Unlock()
	return r, nil
}

// forget drops what recent trees did not have.
func (l *Loader) forget(tree int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, c := range l.cache {
		if c.tree <= tree-keepTrees {
			delete(l.cache, k)
		}
	}
}

func failed(file, message, hint string) *fileResult {
	return &fileResult{errors: Errors{{Position: schema.Position{File: file}, Message: message, Hint: hint}}}
}

// assemble makes a set of what the files hold, or all errors.
func assemble(results []*fileResult) (*Result, error) {
	var errs Errors
	out := &Result{Set: &schema.Set{Positions: map[string]schema.Position{}}}
	var all []*object
	for _, r := range results {
		errs = append(errs, r.errors...)
		out.Warnings = append(out.Warnings, r.warnings...)
		all = append(all, r.objects...)
	}
	first := map[schema.Key]*object{}
	for _, o := range all {
		k := o.key()
		if f := first[k]; f != nil {
			errs = append(errs, &Error{Position: o.position, Object: k.String(), Message: "is declared twice; first at " + f.position.String(), Hint: "remove one of the two"})
			continue
		}
		first[k] = o
		out.Set.Positions[k.String()] = o.position
		switch {
		case o.pod != nil:
			out.Set.Pods = append(out.Set.Pods, o.pod)
		case o.service != nil:
			out.Set.Services = append(out.Set.Services, o.service)
		default:
			out.Set.ReplicationControllers = append(out.Set.ReplicationControllers, o.controller)
		}
	}
	slices.SortFunc(out.Set.Pods, func(a, b *schema.Pod) int { return a.Key().Compare(b.Key()) })
	slices.SortFunc(out.Set.Services, func(a, b *schema.Service) int { return a.Key().Compare(b.Key()) })
	slices.SortFunc(out.Set.ReplicationControllers, func(a, b *schema.ReplicationController) int { return a.Key().Compare(b.Key()) })
	for _, c := range out.Set.Check() {
		pos := first[c.Key].place(c.Path)
		errs = append(errs, &Error{Position: pos, Object: c.Key.String(), Field: dotted(first[c.Key].written(c.Path)),
			Message: c.Message + " of " + c.Other.String() + " at " + out.Set.Positions[c.Other.String()].String(), Hint: c.Hint})
	}
	if len(errs) > 0 {
		errs.sort()
		return nil, errs
	}
	return out, nil
}
