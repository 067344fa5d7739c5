package load

import "slices"

// listing is what a directory has, each sorted by name.
type listing struct {
	own      []manifestFile // of data, not in a directory of parts
	parts    []part
	cues     []manifestFile // those of parts too, as all below
	files    int            // of data
	bytes    int64          // of all files, as far as they are known
	warnings []string       // of what looks like a manifest and is none
	patterns int            // in ignore files
	tree     int            // number of the last tree that had it
	said     *said          // nil: not known yet
}

// part is a directory whose listing is remembered. Its files come after so many of own.
type part struct {
	after int
	*listing
}

// said is what the data files of a directory said. Nothing in it is ever changed.
type said struct {
	results []*fileResult
	loud    []*fileResult // of these, those that say more than objects
	objects int
	bytes   int64 // of the files whose size was not known
	kept    bool  // some of it came out of a Cache
}

// add adds what is in a directory below.
func (d *listing) add(below *listing) {
	d.parts = append(d.parts, part{len(d.own), below})
	d.files += below.files
	d.cues = append(d.cues, below.cues...)
	d.warnings = append(d.warnings, below.warnings...)
	d.patterns += below.patterns
}

// walk goes through the files of a listing and its directories, in order.
func (d *listing) walk(file func(at int, f *manifestFile), below func(at int, d *listing)) {
	at, own := 0, 0
	files := func(to int) {
		for ; own < to; own++ {
			file(at, &d.own[own])
			at++
		}
	}
	for _, p := range d.parts {
		files(p.after)
		below(at, p.listing)
		at += p.files
	}
	files(len(d.own))
}

// visit visits the directories of a listing whose files begin at a place among all, and the files of those that whole does not take.
func (d *listing) visit(at int, whole func(at int, d *listing) bool, file func(at int, f *manifestFile)) {
	d.walk(func(i int, f *manifestFile) { file(at+i, f) }, func(i int, below *listing) {
		if !whole(at+i, below) {
			below.visit(at+i, whole, file)
		}
	})
}

// absent is a file of which nothing is known, and its place among all.
type absent struct {
	at   int
	file *manifestFile
}

// known is what is known of the files of a listing without reading them, which of them are missing, and the sums of the
// others' objects and of their sizes that were not known.
func (l *Loader) known(all *listing, tree pass) (results []*fileResult, missing []absent, n said) {
	results = make([]*fileResult, all.files)
	l.mu.Lock()
	defer l.mu.Unlock()
	all.visit(0, func(at int, d *listing) bool {
		s := d.said
		if s == nil || s.kept && !tree.kept {
			return false
		}
		copy(results[at:], s.results)
		n.objects, n.bytes = n.objects+s.objects, n.bytes+s.bytes
		return true
	}, func(at int, f *manifestFile) {
		c := l.of(f)
		if c == nil || c.result.kept && !tree.kept {
			missing = append(missing, absent{at, f})
			return
		}
		c.tree = max(c.tree, tree.number)
		results[at] = c.result
		n.objects += len(c.result.objects)
		if f.size == unknownSize {
			n.bytes += min(c.size, maxFile)
		}
	})
	return results, missing, n
}

// of is what is known of a file, nil if it is not. The caller holds mu.
func (l *Loader) of(f *manifestFile) *cached {
	if f.known == nil && f.key != (cacheKey{}) {
		return l.cache[f.key]
	}
	return f.known
}

// say is what the files of a listing said, which are in results. It is remembered for each directory.
func (l *Loader) say(all *listing, results []*fileResult) *said {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sayOf(all, results)
}

func (l *Loader) sayOf(d *listing, results []*fileResult) *said {
	if d.said != nil && slices.Equal(d.said.results, results) {
		return d.said
	}
	s := &said{results: slices.Clone(results)} // and not a part of the whole tree's
	d.walk(func(at int, f *manifestFile) {
		r := results[at]
		s.objects += len(r.objects)
		s.kept = s.kept || r.kept
		if r.loud() {
			s.loud = append(s.loud, r)
		}
		if f.size == unknownSize {
			if c := l.of(f); c != nil {
				s.bytes += min(c.size, maxFile)
			}
		}
	}, func(at int, below *listing) {
		x := l.sayOf(below, results[at:at+below.files])
		s.objects, s.bytes, s.kept = s.objects+x.objects, s.bytes+x.bytes, s.kept || x.kept
		s.loud = append(s.loud, x.loud...)
	})
	d.said = s
	return s
}

// mark notes that a tree had all that is in a directory, which was not looked at. What is in seen has been marked.
func (l *Loader) mark(d *listing, tree int, seen map[*listing]bool) {
	if seen[d] {
		return
	}
	seen[d] = true
	d.visit(0, func(_ int, below *listing) bool {
		done := seen[below] && below.tree >= tree
		below.tree, seen[below] = max(below.tree, tree), true
		return done
	}, func(_ int, f *manifestFile) {
		if c := l.of(f); c != nil {
			c.tree = max(c.tree, tree)
		}
	})
}
