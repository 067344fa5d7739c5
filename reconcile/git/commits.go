package git

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"reconciler/reconcile"
)

const (
	maxTold    = 500    // commits of which it is told what they changed; the oldest of them stands for all before it
	maxFiles   = 20_000 // that are told in all; who changed others is not known
	subjectMax = 200    // bytes of a subject that are told
)

// told says of commits, newest first, which manifests each changed since base. An error of the object database is one here, but
// what is not there because the clone is shallow is only not known.
func told(ctx context.Context, st storer.EncodedObjectStorer, commits []*object.Commit, base *object.Commit) ([]reconcile.Touch, error) {
	d := &differ{store: st, trees: map[plumbing.Hash]map[string]entry{}}
	out := make([]reconcile.Touch, 0, min(len(commits), maxTold))
	left := maxFiles
	for i, c := range commits {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		rev := revision(c, "")
		t := reconcile.Touch{Commit: reconcile.Commit{Hash: rev.Hash, Author: rev.Author, Subject: rev.Subject, Time: rev.Time}}
		if len(t.Subject) > subjectMax {
			t.Subject = strings.ToValidUTF8(t.Subject[:subjectMax], "") + "..."
		}
		last := i == maxTold-1 && len(commits) > maxTold
		if left > 0 {
			var err error
			if last {
				t.Files, err = d.files(c.TreeHash, base.TreeHash)
			} else {
				t.Files, err = d.changed(c)
			}
			if err != nil {
				return nil, fmt.Errorf("compare commit %s: %w", c.Hash, err)
			}
			if left -= len(t.Files); left < 0 {
				t.Files = nil
			}
		}
		if out = append(out, t); last {
			break
		}
	}
	return out, nil
}

// differ compares trees by their hashes: what is the same is not read.
type differ struct {
	store storer.EncodedObjectStorer
	trees map[plumbing.Hash]map[string]entry // read already
}

// changed are the manifests that a commit changed: of a merge those that are as in none of its parents, so that each stays its
// author's.
func (d *differ) changed(c *object.Commit) ([]string, error) {
	if len(c.ParentHashes) == 0 {
		return d.files(c.TreeHash, plumbing.ZeroHash)
	}
	var all []string
	for i, h := range c.ParentHashes {
		p, err := object.GetCommit(d.store, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) { // of a shallow clone
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		files, err := d.files(c.TreeHash, p.TreeHash)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			files = slices.DeleteFunc(files, func(f string) bool { _, both := slices.BinarySearch(all, f); return !both })
		}
		all = files
	}
	return all, nil
}

// files are the manifests that are not the same in two trees, sorted.
func (d *differ) files(a, b plumbing.Hash) (out []string, err error) {
	err = d.compare(a, b, "", &out)
	slices.Sort(out)
	return out, err
}

func (d *differ) compare(a, b plumbing.Hash, dir string, out *[]string) error {
	if a == b {
		return nil
	}
	x, err := d.tree(a)
	if err != nil {
		return err
	}
	y, err := d.tree(b)
	if err != nil {
		return err
	}
	names := map[string]entry{}
	maps.Copy(names, x)
	maps.Copy(names, y)
	for name := range names {
		v, w := x[name], y[name]
		if v == w || strings.HasPrefix(name, ".") {
			continue
		}
		file := path.Join(dir, name)
		if v.mode == filemode.Dir || w.mode == filemode.Dir {
			var sub [2]plumbing.Hash
			for i, e := range []entry{v, w} {
				if e.mode == filemode.Dir {
					sub[i] = e.hash
				}
			}
			if err := d.compare(sub[0], sub[1], file, out); err != nil {
				return err
			}
		}
		if isManifest(name) && (v.mode != filemode.Dir && v.name != "" || w.mode != filemode.Dir && w.name != "") {
			*out = append(*out, file)
		}
	}
	return nil
}

// tree is a tree by names; that of the zero hash is empty.
func (d *differ) tree(h plumbing.Hash) (map[string]entry, error) {
	if t, ok := d.trees[h]; ok || h == plumbing.ZeroHash {
		return t, nil
	}
	t, err := object.GetTree(d.store, h)
	if err != nil {
		return nil, err
	}
	m := make(map[string]entry, len(t.Entries))
	for _, e := range t.Entries {
		m[e.Name] = entry{e.Name, e.Mode, e.Hash}
	}
	d.trees[h] = m
	return m, nil
}

// isManifest tells whether schema/load reads files of this name.
func isManifest(name string) bool {
	return slices.Contains([]string{".cue", ".json", ".yaml", ".yml"}, path.Ext(name))
}

// mergeTold puts what is told of several sources in one order, newest first. names are theirs, which files begin with.
func mergeTold(names []string, all [][]reconcile.Touch) (out []reconcile.Touch) {
	for i, name := range names {
		for _, t := range all[i] {
			t.Files = slices.Clone(t.Files)
			for j := range t.Files {
				t.Files[j] = path.Join(name, t.Files[j])
			}
			out = append(out, t)
		}
	}
	slices.SortStableFunc(out, func(a, b reconcile.Touch) int { return cmp.Or(b.Time.Compare(a.Time)) })
	if len(out) > maxTold {
		for _, t := range out[maxTold:] {
			out[maxTold-1].Files = append(out[maxTold-1].Files, t.Files...)
		}
		out = out[:maxTold]
	}
	return out
}

// Commits are those of a revision, which names a commit by its hash, that the one with the hash since does not reach, newest first, as
// [Source.Head] tells them: none if the repository has no such commit.
func (w *Worktree) Commits(ctx context.Context, revisionHash, since string) (out []reconcile.Touch, err error) {
	o := &objects{path: w.root}
	err = o.do(func(r *gogit.Repository) error {
		c, err := r.CommitObject(plumbing.NewHash(revisionHash))
		if err != nil {
			return err
		}
		_, out, err = history(ctx, r.Storer, c, since)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read commits of %s since %q: %w", revisionHash, since, err)
	}
	return out, nil
}
