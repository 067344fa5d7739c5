package load

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"reconciler/schema"
)

// Config says what of a tree holds manifests.
type Config struct {
	// Path is the directory of the tree that holds the manifests, with slashes, as "fleets/prod". "" is the root. A tree
	// without it is an error and never an empty set.
	Path string

	// Sources, if there are any, stand in place of Path: the tree's root holds nothing but a directory for each of them, by
	// its name. Nothing of one is seen by another: .reconcilerignore files, CUE modules and packages are its own.
	Sources []Source

	// Others is a set of several sources. Those of its objects that were not written in one of Sources count as declared
	// beside the tree's. nil: none.
	Others *schema.Set

	// Before is a set that was in force before: what it has of ConfigMaps and Secrets that are immutable must not change. nil: none.
	Before *schema.Set

	// Part says that the tree is a part of what is declared: a reference to a ConfigMap or Secret that is not in it is a
	// warning, because it may be elsewhere.
	Part bool

	// Spare keeps a child ready once there were CUE packages, so that the next change of one does not wait for its start. It
	// takes memory until Close.
	Spare bool

	// Cache keeps what good files said across restarts. nil: nothing is kept.
	Cache Cache

	// Tags are the values of fields that CUE packages mark with @tag(name), as "name=value". One that no package of a tree
	// has is an error of the tree, unless there are Others, which may have it.
	Tags []string

	// Policies are the server's own: they hold for every object besides those that the tree declares, and nothing in a tree
	// can change them.
	Policies []*schema.Policy

	// Unjudged leaves out what policies say: for what reads objects and never brings them into force.
	Unjudged bool

	// Evaluate makes the command that evaluates CUE packages: a program that calls [Child], usually this one again. It is
	// run without environment, with a time limit and one at a time. nil makes CUE packages an error.
	Evaluate func(context.Context) *exec.Cmd
}

// Loader loads trees. It may be used concurrently.
type Loader struct {
	roots      []root
	others     []*object
	before     *schema.Set
	own        []*schema.Policy // the server's
	unjudging  bool             // policies are not obeyed
	part       bool
	tags       []string // sorted
	anyTag     bool     // tags that no package has are no error
	most       limits
	evaluate   func(context.Context) *exec.Cmd
	evaluators chan *evaluator // those not in use

	oneChild sync.Mutex    // held while a child runs: two would need twice the memory; protects ready
	ready    *childProcess // nil: none
	spare    bool

	kept Cache // may be nil

	mu    sync.Mutex            // protects the fields below
	cache map[cacheKey]*cached  // what recent trees had
	trees int                   // loaded so far
	dirs  map[cacheKey]*listing // of recent trees
	last  *assembly             // of the last tree that was put together
	fresh map[cacheKey]*cached  // what is not in kept yet
	swept bool                  // kept has nothing any more of what only earlier processes knew

	verdicts map[*object]*verdict // of policies
	compiled cacheKey             // the policies whose rules are known to be right
}

type cacheKey [sha256.Size]byte

// cached is what one file said. Its result is never changed.
type cached struct {
	result *fileResult
	size   int64 // of the file, in bytes
	tree   int   // number of the last tree that had it
}

// keyOf is the key of a file by its content, or by what stands for it.
func keyOf(kind, name string, content []byte) cacheKey {
	b := make([]byte, 0, 256)
	b = append(append(append(append(b, kind...), 0), name...), 0)
	return sha256.Sum256(append(b, content...))
}

// keepTrees is how many trees ago a file may last have been seen to stay in the cache: a server looks at one branch, diff
// at two revisions by turns.
const keepTrees = 8

// Result is what a tree declares.
type Result struct {
	Set      *schema.Set
	Warnings []string // sorted by file; for people

	objects []*object // sorted by key, for [Result.Place]
}

// New makes a loader.
func New(c Config) (*Loader, error) {
	roots, err := newRoots(c)
	if err != nil {
		return nil, err
	}
	tags, err := checkTags(c.Tags)
	if err != nil {
		return nil, err
	}
	n := min(max(runtime.GOMAXPROCS(0), 1), 4)
	l := &Loader{
		roots: roots, others: others(c), before: c.Before, own: c.Policies, unjudging: c.Unjudged, verdicts: map[*object]*verdict{}, part: c.Part, tags: tags, anyTag: c.Others != nil, most: treeLimits,
		evaluate: c.Evaluate, evaluators: make(chan *evaluator, n), cache: map[cacheKey]*cached{}, dirs: map[cacheKey]*listing{}, kept: c.Cache, spare: c.Spare,
	}
	e, err := newEvaluator()
	if err != nil {
		return nil, err
	}
	for range n {
		l.evaluators <- e.another()
	}
	return l, nil
}

// Tree loads all manifests of a tree. If anything is wrong with them, the error is [Errors] with all that could be found;
// any other error means that the tree could not be read (a path that is missing: wraps fs.ErrNotExist). A tree without
// manifests is an empty set: what that means is the caller's to decide.
func (l *Loader) Tree(fsys fs.FS) (*Result, error) {
	r, err := l.tree(fsys)
	var bad wrong
	if errors.As(err, &bad) {
		return nil, Errors{bad.what}
	}
	return r, err
}

// tree loads a tree. What was kept across a restart does not tell places, so a tree that turns out to be wrong is loaded
// again without it.
func (l *Loader) tree(fsys fs.FS) (*Result, error) {
	r, results, err := l.once(fsys, true)
	l.toCache(err == nil)
	if err == nil || !slices.ContainsFunc(results, func(r *fileResult) bool { return r.kept }) {
		return r, err
	}
	l.dropKept()
	r, _, err = l.once(fsys, false)
	return r, err
}

// once loads a tree, with or without what was kept, and returns also what the files said.
func (l *Loader) once(fsys fs.FS, kept bool) (*Result, []*fileResult, error) {
	l.mu.Lock()
	l.trees++
	tree := pass{l.trees, kept && l.kept != nil}
	l.mu.Unlock()

	left := l.most
	var all listing // of every root
	var others []*fileResult
	for _, r := range l.roots {
		of := r.of(fsys)
		m, err := l.manifests(of, r.path, &left)
		if err != nil {
			return nil, nil, err
		}
		packages, err := l.packages(of, r.top, m.cues, tree)
		if err != nil {
			return nil, nil, err
		}
		all.add(m)
		others = append(append(others, packages...), &fileResult{warnings: m.warnings})
	}
	results, missing, n := l.known(&all, tree)
	var objects, bytes atomic.Int64
	objects.Store(int64(n.objects))
	bytes.Store(left.bytes - n.bytes)
	if bytes.Load() < 0 {
		return nil, nil, tooLarge(l.roots[0].path)
	}
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(cap(l.evaluators))
	for _, m := range missing {
		i, f := m.at, m.file
		group.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			r, size, err := l.file(fsys, *f, tree)
			if err != nil {
				return err
			}
			results[i] = r
			if f.size == unknownSize && bytes.Add(-min(size, maxFile)) < 0 {
				return tooLarge(l.roots[0].path)
			}
			if objects.Add(int64(len(r.objects))) > int64(l.most.objects) {
				return l.tooMany()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	l.forget(tree.number)
	of := l.say(&all, results)
	sum := of.objects
	for _, r := range others {
		sum += len(r.objects)
	}
	if sum > l.most.objects {
		return nil, nil, l.tooMany()
	}
	results = append(results, others...)
	r, err := l.assemble(results, append(of.loud[:len(of.loud):len(of.loud)], others...))
	return r, results, err
}

func (l *Loader) tooMany() error {
	return wrongf(l.roots[0].path, place{}, "", "the tree declares more than %d objects", l.most.objects)
}

// pass is one look at a tree.
type pass struct {
	number int
	kept   bool // what was kept across a restart counts
}

// file loads one file, from the cache if it was seen with the same content, and tells its size.
func (l *Loader) file(fsys fs.FS, f manifestFile, tree pass) (r *fileResult, size int64, err error) {
	if f.key != (cacheKey{}) {
		if c := l.cached(f.key, tree); c != nil {
			return c.result, c.size, nil
		}
	}
	size = f.size
	if size == unknownSize {
		i, err := fs.Stat(fsys, f.name)
		if err != nil {
			return nil, 0, fmt.Errorf("read tree: %w", err)
		}
		size = i.Size()
	}
	if size > maxFile {
		return failed(f.name, fmt.Sprintf("the file has %d bytes, more than %d", size, maxFile), "split it"), size, nil
	}
	b, err := fs.ReadFile(fsys, f.name)
	if err != nil {
		return nil, 0, fmt.Errorf("read manifest: %w", err)
	}
	size = int64(len(b))
	if size > maxFile {
		return failed(f.name, fmt.Sprintf("the file has %d bytes, more than %d", size, maxFile), "split it"), size, nil
	}
	if why, hint := noText(b); why != "" {
		return failed(f.name, why, hint), size, nil
	}
	key := f.key
	if key == (cacheKey{}) {
		key = keyOf("content", f.name, b)
	}
	if c := l.cached(key, tree); c != nil {
		return c.result, size, nil
	}
	e := <-l.evaluators
	r = e.file(f.name, b)
	r.errors = r.errors.few(fileErrors)
	l.evaluators <- e
	l.keep(key, &cached{r, size, tree.number})
	return r, size, nil
}

// cached is the result that is known by key, nil if there is none.
func (l *Loader) cached(key cacheKey, tree pass) *cached {
	l.mu.Lock()
	c := l.cache[key]
	if c != nil {
		c.tree = max(c.tree, tree.number)
	}
	l.mu.Unlock()
	if c != nil {
		return c
	}
	return l.fromCache(key, tree)
}

func (l *Loader) keep(key cacheKey, c *cached) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cache[key] = c
	if l.kept != nil && !c.result.kept && len(c.result.errors) == 0 {
		if l.fresh == nil {
			l.fresh = map[cacheKey]*cached{}
		}
		l.fresh[key] = c
	}
}

// forget drops what recent trees did not have.
func (l *Loader) forget(tree int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if tree%keepTrees != 0 {
		return // now and then is enough
	}
	seen := map[*listing]bool{}
	for _, d := range l.dirs {
		if d.tree > tree-keepTrees {
			l.mark(d, d.tree, seen)
		}
	}
	for k, c := range l.cache {
		if c.tree <= tree-keepTrees {
			delete(l.cache, k)
		}
	}
	for k, d := range l.dirs {
		if d.tree <= tree-keepTrees {
			delete(l.dirs, k)
		}
	}
}

// unreadable is what a file or package says of which nothing is known but an error.
func unreadable(e *Error) *fileResult { return &fileResult{errors: Errors{e}, unread: []unread{{}}} }

func failed(file, message, hint string) *fileResult {
	return unreadable(&Error{Position: schema.Position{File: file}, Message: message, Hint: hint})
}
