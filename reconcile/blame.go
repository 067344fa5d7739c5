package reconcile

import (
	"path"
	"strings"

	"reconciler/schema"
)

// blame finds the commit that changed an object, by the file in which it stands.
type blame struct {
	rev    Revision
	files  map[string]*Commit // the newest commit that touched a file
	folder map[string]*Commit // and a file of a CUE package, by its folder
	heads  map[string]*Commit // by hash
}

func newBlame(rev Revision) *blame {
	b := &blame{rev: rev, files: map[string]*Commit{}, folder: map[string]*Commit{}, heads: map[string]*Commit{}}
	for i := range rev.Commits { // newest first
		c := &Commit{Hash: rev.Commits[i].Hash, Author: rev.Commits[i].Author, Subject: rev.Commits[i].Subject, Time: rev.Commits[i].Time}
		b.heads[c.Hash] = c
		for _, f := range rev.Commits[i].Files {
			if b.files[f] == nil {
				b.files[f] = c
			}
			if dir := path.Dir(f); path.Ext(f) == ".cue" && b.folder[dir] == nil {
				b.folder[dir] = c
			}
		}
	}
	return b
}

// of is the commit that last changed what stands in a file. An object of a CUE package may stand in any file of its folder, and what it
// imports is not known: there, and wherever no commit is known to have touched the file, it is the head that changed it.
func (b *blame) of(file string) *Commit {
	if c := b.files[file]; c != nil && path.Ext(file) != ".cue" {
		return c
	}
	if c := b.folder[path.Dir(file)]; c != nil && path.Ext(file) == ".cue" {
		return c
	}
	hash := b.rev.Hash
	head := Commit{Hash: hash, Author: b.rev.Author, Subject: b.rev.Subject, Time: b.rev.Time}
	for _, p := range b.rev.Sources {
		if strings.HasPrefix(file, p.Name+"/") {
			hash, head = p.Hash, Commit{Hash: p.Hash, Author: p.Author, Time: p.Time}
		}
	}
	if b.heads[hash] == nil {
		b.heads[hash] = &head
	}
	return b.heads[hash]
}

// cause is the commit that changed an object between the set before this step and the one in force now; nil if no revision came into
// force in this step.
func (c *step) cause(k schema.Key) *Commit {
	if c.blame == nil {
		return nil
	}
	p, ok := c.set.Positions[k.String()]
	if was := c.in.State.Accepted; !ok && was != nil {
		p = was.Positions[k.String()]
	}
	return c.blame.of(p.File)
}

// blameRecord notes which commit changed an object, whose record changes.
func (c *step) blameRecord(r *Record, o schema.Object) {
	if c.blame == nil {
		return
	}
	k := o.Key()
	r.Commit = c.cause(k)
	if now, was := c.of.by.get(k), c.was.by.get(c.earlier(k)); now != nil && (was == nil || was.hash != now.hash) {
		r.SpecCommit = r.Commit
	}
}

// endedBy notes which commit ends an instance that is not declared any more.
func (c *step) endedBy(id string, k schema.Key) {
	b := c.binding(id)
	if r, ok := c.st.Objects[k.String()]; ok {
		b.EndedBy = r.Commit
	} else {
		b.EndedBy = c.cause(k)
	}
	if b.EndedBy != nil {
		c.put(b)
	}
}

// nameCommits says of each change which commit causes it. What a lost or drained minion, drift, a quarantine or more important pods
// cause has none.
func (c *step) nameCommits() {
	var k string
	var r Record
	for i := range c.plan.Changes {
		ch := &c.plan.Changes[i]
		if i == 0 || ch.Object != c.plan.Changes[i-1].Object {
			k = ch.Object.String()
			r = c.st.Objects[k]
		}
		switch ch.Code {
		case CodeNew, CodeDeclared, CodeScaled:
			ch.Commit = c.creates(ch, r)
		case CodeSpecChanged:
			if r.Quarantine == nil {
				ch.Commit = r.SpecCommit
			}
		case CodeNotInGit:
			ch.Commit = c.binding(ch.Instance).EndedBy
		case CodeMeta, CodePortal, CodeNotRouted:
			ch.Commit = r.Commit
		case CodeSettings:
			ch.Commit = c.cause(ch.Object)
		case CodeRouted:
			if _, declared := c.st.Objects[k]; !declared {
				ch.Commit = c.cause(ch.Object)
			} else if c.in.State.Objects[k].Hash != r.Hash {
				ch.Commit = r.Commit
			}
		}
	}
}

// creates is the commit for which a pod is made, or goes because there are to be fewer. What was well with as many pods comes back
// because of no commit.
func (c *step) creates(ch *Change, r Record) *Commit {
	w := c.of.by.get(ch.Object)
	switch {
	case ch.Verb == Delete:
		if by := c.binding(ch.Instance).EndedBy; by != nil {
			return by
		}
		return r.Commit
	case w == nil:
		return nil
	case r.Quarantine == nil && (r.Healthy == nil || r.Healthy.Hash != w.hash):
		return r.SpecCommit
	case r.Healthy.Replicas < w.replicas:
		return r.Commit
	}
	return nil
}
