package git

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"reconciler/reconcile"
	"reconciler/reconcile/server"
)

// Named is one of several sources.
type Named struct {
	Name   string // a DNS label, given to no other
	Path   string // folder of its manifests; only part of what a revision says and of its hash
	Config Config
}

// Merged is several sources as one; it implements [server.Source]. Its revision is the head of each, its tree has a
// directory of each by its name. If one of them cannot be read, there is no revision: what is unknown is never absent. Its
// methods may be called concurrently.
type Merged struct {
	parts   []part // sorted by name
	changed chan struct{}

	mu     sync.Mutex           // protects recent
	recent []reconcile.Revision // that Head returned last, the newest behind
}

type part struct {
	name, path string
	source     *Source
}

// keepHeads is of how many of the last heads Tree knows the parts.
const keepHeads = 8

var partName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

var _ server.Source = (*Merged)(nil)

// NewMerged checks each source as [New] does.
func NewMerged(sources []Named) (*Merged, error) {
	m := &Merged{changed: make(chan struct{}, 1)}
	var errs []error
	for i, n := range sources {
		if !partName.MatchString(n.Name) {
			errs = append(errs, fmt.Errorf("source %q: a name is lower case letters, digits and hyphens", n.Name))
			continue
		}
		if slices.ContainsFunc(sources[:i], func(x Named) bool { return x.Name == n.Name }) {
			errs = append(errs, fmt.Errorf("source %q is named twice", n.Name))
			continue
		}
		s, err := New(n.Config)
		if err != nil {
			errs = append(errs, fmt.Errorf("source %q: %w", n.Name, err))
			continue
		}
		s.changed = m.changed
		m.parts = append(m.parts, part{n.Name, n.Path, s})
	}
	if len(sources) == 0 {
		errs = append(errs, errors.New("no source is given"))
	}
	slices.SortFunc(m.parts, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	return m, errors.Join(errs...)
}

// Head is the head of every source, or the error of all that have none. Author, subject and time are of the newest commit.
// Trailers and commits are those of every source, since its own commit in since: of a source that since did not have, of its head alone.
func (m *Merged) Head(ctx context.Context, since reconcile.Revision) (reconcile.Revision, error) {
	heads := make([]reconcile.Revision, len(m.parts))
	errs := make([]error, len(m.parts))
	var wait sync.WaitGroup
	for i, p := range m.parts {
		wait.Go(func() {
			var err error
			if heads[i], err = p.source.Head(ctx, sinceOf(p.name, since)); err != nil {
				errs[i] = fmt.Errorf("source %q: %w", p.name, err)
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		return reconcile.Revision{}, err
	}
	var rev reconcile.Revision
	var names []string
	var touched [][]reconcile.Touch
	h := sha256.New()
	for i, p := range m.parts {
		head := heads[i]
		if !head.Time.Before(rev.Time) {
			rev.Author, rev.Subject, rev.Time = head.Author, head.Subject, head.Time
		}
		rev.Trailers = append(rev.Trailers, head.Trailers...)
		names, touched = append(names, p.name), append(touched, head.Commits)
		rev.Sources = append(rev.Sources, reconcile.Part{Name: p.name, Hash: head.Hash, Ref: head.Ref, Path: p.path, Author: head.Author, Time: head.Time})
		fmt.Fprintf(h, "%q %q %q\n", p.name, head.Hash, p.path)
	}
	rev.Commits = mergeTold(names, touched)
	rev.Hash = hex.EncodeToString(h.Sum(nil))
	m.keep(rev)
	return rev, nil
}

// sinceOf is what a source is compared with. A fleet that had one source without a name may have it still, now with one.
func sinceOf(name string, since reconcile.Revision) reconcile.Revision {
	for _, p := range since.Sources {
		if p.Name == name {
			return reconcile.Revision{Hash: p.Hash}
		}
	}
	if len(since.Sources) > 0 {
		return reconcile.Revision{}
	}
	return since
}

func (m *Merged) keep(rev reconcile.Revision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.recent = append(slices.DeleteFunc(m.recent, func(r reconcile.Revision) bool { return r.Hash == rev.Hash }), rev)
	m.recent = m.recent[max(len(m.recent)-keepHeads, 0):]
}

// Tree is the trees of all sources. hash is one that Head returned lately.
func (m *Merged) Tree(ctx context.Context, hash string) (fs.FS, error) {
	m.mu.Lock()
	i := slices.IndexFunc(m.recent, func(r reconcile.Revision) bool { return r.Hash == hash })
	var rev reconcile.Revision
	if i >= 0 {
		rev = m.recent[i]
	}
	m.mu.Unlock()
	if i < 0 {
		return nil, fmt.Errorf("read tree: %q is no recent revision of the sources", hash)
	}
	trees := map[string]fs.FS{}
	for i, p := range m.parts {
		t, err := p.source.Tree(ctx, rev.Sources[i].Hash)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", p.name, err)
		}
		trees[p.name] = t
	}
	return Join(trees), nil
}

// Changed receives when a branch of any source may have moved; it has room for one. It needs Run.
func (m *Merged) Changed() <-chan struct{} { return m.changed }

// Run watches every source until ctx ends, then returns nil. One Run at a time.
func (m *Merged) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range m.parts {
		g.Go(func() error { return p.source.Run(ctx) })
	}
	return g.Wait()
}
