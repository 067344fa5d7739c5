package load

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/schema"
)

// assembly is what a tree was put together of. The next tree is nearly the same, and is made of it.
type assembly struct {
	results []*fileResult
	sorted  []*object // by key, no key twice
	set     *schema.Set
	twice   bool     // some keys were
	clean   bool     // nothing in it clashes
	judged  cacheKey // of the policies that it does not violate; zero: not known

	// How it differs from the last assembly; nil if it was made from the start. Both are sorted by key.
	was        *assembly
	gone, come []*object
}

// assemble makes a set of what the files hold, or all errors. Loud are those of the results that say more than objects.
func (l *Loader) assemble(results, loud []*fileResult) (*Result, error) {
	var errs Errors
	out := &Result{}
	for _, r := range loud {
		errs = append(errs, r.errors...)
		out.Warnings = append(out.Warnings, r.warnings...)
	}
	if len(errs) == 0 {
		errs = l.unknownTags(loud)
	}
	slices.SortStableFunc(out.Warnings, func(a, b string) int { return strings.Compare(fileOf(a), fileOf(b)) })
	a := l.next(results)
	if a == nil {
		var twice Errors
		a, twice = l.join(results)
		errs = append(errs, twice...)
	}
	out.Set, out.objects = a.set, a.sorted
	clashes := a.check()
	a.clean = len(clashes) == 0
	inside := len(clashes)
	clashes = append(clashes, a.set.CheckImmutable(l.before)...)
	for i, c := range clashes {
		if a.unsure(&c, unreadOf(loud)) {
			continue
		}
		o, message := find(a.sorted, c.Key), c.Message
		if other := find(a.sorted, c.Other); other != nil {
			message += " of " + other.label() + " at " + other.position.String()
		}
		if l.part && i < inside && c.Other == (schema.Key{}) {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s: %s: %s: %s; it may be declared elsewhere", o.place(c.Path), o.label(), dotted(o.written(c.Path)), message))
			continue
		}
		errs = append(errs, &Error{Position: o.place(c.Path), Object: o.label(), Field: dotted(o.written(c.Path)), Message: message, Hint: c.Hint})
	}
	against, err := l.judge(a)
	if err != nil {
		return nil, err
	}
	keep := a
	if a.was == nil && (a.twice || len(l.others) > 0) {
		keep = nil
	}
	a.was, a.gone, a.come = nil, nil, nil
	l.mu.Lock()
	l.last = keep
	l.mu.Unlock()
	if errs = append(errs, against...); len(errs) > 0 {
		errs.sort()
		errs = slices.CompactFunc(errs, func(a, b *Error) bool { return *a == *b }) // of what a comprehension made several times
		return nil, errs.few(treeErrors)
	}
	return out, nil
}

// check is what clashes in it.
func (a *assembly) check() []schema.Clash {
	if a.was == nil || !a.was.clean {
		return a.set.Check()
	}
	return a.set.CheckChange(a.change())
}

func (a *assembly) change() schema.Change {
	return schema.Change{Gone: values(a.gone), Come: values(a.come)}
}

func values(objects []*object) []schema.Object {
	out := make([]schema.Object, len(objects))
	for i, o := range objects {
		out[i] = o.Object
	}
	return out
}

// unreadOf is what files may declare besides their objects.
func unreadOf(results []*fileResult) (all []unread) {
	for _, r := range results {
		all = append(all, r.unread...)
	}
	return all
}

// unsure tells whether a clash may be no more than a consequence of what is wrong with objects, or of what may be
// declared where nothing could be read.
func (a *assembly) unsure(c *schema.Clash, elsewhere []unread) bool {
	if find(a.sorted, c.Key).unsure(&c.Problem) {
		return true
	}
	for _, p := range c.Premises {
		o := find(a.sorted, p.Of)
		if o != nil {
			if len(p.Because) > 0 && o.touch(p.Because, nil) {
				return true
			}
			continue
		}
		if slices.ContainsFunc(elsewhere, func(u unread) bool { return u.mayBe(p.Of) }) {
			return true
		}
		if p.Of.Name == "" && slices.ContainsFunc(a.sorted, func(o *object) bool {
			k := o.Key()
			return o.doubts != nil && k.Kind == p.Of.Kind && k.Namespace == p.Of.Namespace && o.touch(p.Because, nil)
		}) {
			return true
		}
	}
	return false
}

// join puts a tree together from the start.
func (l *Loader) join(results []*fileResult) (*assembly, Errors) {
	a := &assembly{results: results, sorted: slices.Clone(l.others)}
	for _, r := range results {
		a.sorted = append(a.sorted, r.objects...)
	}
	slices.SortStableFunc(a.sorted, byKey)
	var twice Errors
	unique := a.sorted[:0]
	for _, o := range a.sorted {
		if len(unique) == 0 || unique[len(unique)-1].Key() != o.Key() {
			unique = append(unique, o)
			continue
		}
		a.twice = true
		if f := unique[len(unique)-1]; !o.inherited(f) {
			twice = append(twice, &Error{Position: o.position, Object: o.label(), Message: "is declared twice; first at " + f.position.String(), Hint: l.twice(f, o)})
		}
	}
	a.sorted = unique
	positions := make(map[string]schema.Position, len(unique))
	for _, o := range unique {
		positions[o.Key().String()] = o.position
	}
	a.set = schema.NewSet(values(unique), positions)
	return a, twice
}

// next puts a tree together of the last one, nil if it cannot. What comes out is what join gives.
func (l *Loader) next(results []*fileResult) *assembly {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if last == nil {
		return nil
	}
	gone, come := difference(last.results, results)
	if len(come)+len(gone) > len(results)/4 {
		return nil
	}
	a := &assembly{results: results, was: last, gone: gone, come: come}
	a.sorted = schema.Replace(last.sorted, gone, come, byKey)
	for _, o := range come {
		i, _ := slices.BinarySearchFunc(a.sorted, o, byKey)
		if a.sorted[i] != o || i+1 < len(a.sorted) && byKey(o, a.sorted[i+1]) == 0 {
			return nil // join says what is twice
		}
	}
	positions := maps.Clone(last.set.Positions)
	for _, o := range gone {
		delete(positions, o.Key().String())
	}
	for _, o := range come {
		positions[o.Key().String()] = o.position
	}
	a.set = last.set.Changed(a.change(), positions)
	return a
}

// difference is the objects that only was has, and those that only is has, sorted by key.
func difference(was, is []*fileResult) (gone, come []*object) {
	for len(was) > 0 && len(is) > 0 && was[0] == is[0] {
		was, is = was[1:], is[1:]
	}
	for len(was) > 0 && len(is) > 0 && was[len(was)-1] == is[len(is)-1] {
		was, is = was[:len(was)-1], is[:len(is)-1]
	}
	had := make(map[*fileResult]bool, len(was))
	for _, r := range was {
		had[r] = true
	}
	for _, r := range is {
		if !had[r] {
			come = append(come, r.objects...)
		}
		delete(had, r)
	}
	for r := range had {
		gone = append(gone, r.objects...)
	}
	slices.SortFunc(gone, byKey)
	slices.SortStableFunc(come, byKey)
	return gone, come
}

func byKey(a, b *object) int { return a.Key().Compare(b.Key()) }

// find is the object of a key.
func find(sorted []*object, k schema.Key) *object {
	i, ok := slices.BinarySearchFunc(sorted, k, func(o *object, k schema.Key) int { return o.Key().Compare(k) })
	if !ok {
		return nil
	}
	return sorted[i]
}
