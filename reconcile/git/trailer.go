package git

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage"

	"reconciler/reconcile"
)

const (
	maxCommits = 10_000 // whose trailers are read; older ones are left out, which keeps the deletion fuse closed
	maxWalk    = 50_000 // commits looked at in all
	slop       = 64     // commits of since's side looked at after head's side is done, against clocks that went wrong
)

// history is the trailers of the commits that head reaches and since does not, newest first, and what the commits changed. Where
// since is not known, the trailers are head's alone and nothing is told of commits.
func history(ctx context.Context, st storage.Storer, head *object.Commit, since string) ([]reconcile.Trailer, []reconcile.Touch, error) {
	base, err := sinceCommit(st, since)
	if err != nil {
		return nil, nil, err
	}
	if base == nil {
		return trailers(head.Message), nil, nil
	}
	commits, err := commitsSince(ctx, st, head, base)
	if err != nil {
		return nil, nil, err
	}
	var all []reconcile.Trailer
	for _, c := range commits {
		all = append(all, trailers(c.Message)...)
	}
	if len(commits) == 0 {
		return all, nil, nil
	}
	touched, err := told(ctx, st, commits, base)
	return all, touched, err
}

// sinceCommit is nil if since names no commit that the repository has.
func sinceCommit(st storer.EncodedObjectStorer, since string) (*object.Commit, error) {
	if !plumbing.IsHash(since) {
		return nil, nil
	}
	h := plumbing.NewHash(since)
	// Asked for before it is read: an object that is there and cannot be read is an error, not an unknown commit.
	if err := st.HasEncodedObject(h); errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return object.GetCommit(st, h)
}

// commitsSince walks both histories together, newest first, painting what base reaches, until nothing unpainted is left.
func commitsSince(ctx context.Context, st storage.Storer, head, base *object.Commit) ([]*object.Commit, error) {
	cut := map[plumbing.Hash]bool{} // the oldest commits of a shallow clone: their parents are not there
	shallow, err := st.Shallow()
	if err != nil {
		return nil, err
	}
	for _, h := range shallow {
		cut[h] = true
	}

	seen := map[plumbing.Hash]*walked{}
	var q queue
	open := 0 // unpainted commits in the queue
	push := func(c *object.Commit, painted bool) {
		w := &walked{commit: c, painted: painted, order: len(seen), queued: true}
		seen[c.Hash] = w
		heap.Push(&q, w)
		if !painted {
			open++
		}
	}
	push(base, true)
	if head.Hash != base.Hash {
		push(head, false)
	}

	var out []*walked
	for after, looked := 0, 0; q.Len() > 0 && looked < maxWalk && len(out) < maxCommits; looked++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if open == 0 {
			if after++; after > slop {
				break
			}
		}
		w := heap.Pop(&q).(*walked)
		w.queued = false
		if !w.painted {
			open--
			out = append(out, w)
		}
		if cut[w.commit.Hash] {
			continue
		}
		for _, h := range w.commit.ParentHashes {
			p := seen[h]
			if p == nil {
				c, err := object.GetCommit(st, h)
				if err != nil {
					return nil, err
				}
				push(c, w.painted)
				continue
			}
			if w.painted && !p.painted {
				open -= paint(p, seen)
			}
		}
	}
	out = slices.DeleteFunc(out, func(w *walked) bool { return w.painted })
	commits := make([]*object.Commit, len(out))
	for i, w := range out {
		commits[i] = w.commit
	}
	return commits, nil
}

// paint paints w and all its ancestors seen so far, and returns how many of those that were queued it painted.
func paint(w *walked, seen map[plumbing.Hash]*walked) (queued int) {
	for todo := []*walked{w}; len(todo) > 0; {
		w := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if w == nil || w.painted {
			continue
		}
		w.painted = true
		if w.queued {
			queued++
		}
		for _, h := range w.commit.ParentHashes {
			todo = append(todo, seen[h])
		}
	}
	return queued
}

// walked is a commit on the way through history.
type walked struct {
	commit  *object.Commit
	painted bool // reached from since
	queued  bool
	order   int // in which it was seen
}

// queue holds commits, the newest first.
type queue []*walked

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	a, b := q[i].commit.Committer.When, q[j].commit.Committer.When
	if !a.Equal(b) {
		return a.After(b)
	}
	return q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*walked)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// trailers parses the end of a commit message as git-interpret-trailers(1) does: the last paragraph, not the first, whose
// lines all are trailers, or of which a quarter is and at least one was written by git itself.
func trailers(message string) []reconcile.Trailer {
	message = strings.TrimRight(strings.ReplaceAll(message, "\r\n", "\n"), " \t\n")
	lines := strings.Split(strings.TrimLeft(message, "\n"), "\n")
	start := -1
	for i := len(lines) - 1; i > 0; i-- {
		if strings.TrimSpace(lines[i]) == "" {
			start = i + 1
			break
		}
	}
	if start < 0 {
		return nil
	}
	var out []reconcile.Trailer
	good, bad, byGit, within := 0, 0, false, false
	for _, line := range lines[start:] {
		if line[0] == ' ' || line[0] == '\t' {
			switch {
			case !within:
				bad++
			case len(out) > 0:
				out[len(out)-1].Value = strings.TrimSpace(out[len(out)-1].Value + " " + strings.TrimSpace(line))
			}
			continue
		}
		if strings.HasPrefix(line, "(cherry picked from commit ") {
			good, byGit, within = good+1, true, false
			continue
		}
		key, value, ok := trailerLine(line)
		if within = ok; !ok {
			bad++
			continue
		}
		good++
		byGit = byGit || strings.HasPrefix(line, "Signed-off-by: ")
		out = append(out, reconcile.Trailer{Key: key, Value: value})
	}
	if bad > 0 && (!byGit || good*3 < bad) {
		return nil
	}
	return out
}

// trailerLine splits "Key: value". A key is letters, digits and hyphens.
func trailerLine(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, ":")
	key = strings.TrimRight(key, " \t")
	if !ok || key == "" {
		return "", "", false
	}
	for _, c := range []byte(key) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return "", "", false
		}
	}
	return key, strings.TrimSpace(value), true
}
