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
}

// assemble makes a set of what the files hold, or all errors.
func (l *Loader) assemble(results []*fileResult) (*Result, error) {
	var errs Errors
	out := &Result{}
	for _, r := range results {
		errs = append(errs, r.errors...)
		out.Warnings = append(out.Warnings, r.warnings...)
	}
	if len(errs) == 0 {
		errs = l.unknownTags(results)
	}
	slices.SortStableFunc(out.Warnings, func(a, b string) int { return strings.Compare(fileOf(a), fileOf(b)) })
	a := l.next(results)
	if a == nil {
		var twice Errors
		a, twice = l.join(results)
		errs = append(errs, twice...)
	}
	out.Set, out.objects = a.set, a.sorted
	for _, c := range a.set.Check() {
		if a.unsure(&c, unreadOf(results)) {
			continue
		}
		o, message := find(a.sorted, c.Key), c.Message
		if other := find(a.sorted, c.Other); other != nil {
			message += " of " + other.label() + " at " + other.position.String()
		}
		if l.part && c.Other == (schema.Key{}) {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%s: %s: %s: %s; it may be declared elsewhere", o.place(c.Path), o.label(), dotted(o.written(c.Path)), message))
			continue
		}
		errs = append(errs, &Error{Position: o.place(c.Path), Object: o.label(), Field: dotted(o.written(c.Path)), Message: message, Hint: c.Hint})
	}
	against, err := l.judge(a.sorted)
	if err != nil {
		return nil, err
	}
	if errs = append(errs, against...); len(errs) > 0 {
		errs.sort()
		errs = slices.CompactFunc(errs, func(a, b *Error) bool { return *a == *b }) // of what a comprehension made several times
		return nil, errs.few(treeErrors)
	}
	return out, nil
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
	again := false
	for _, o := range a.sorted {
		if len(unique) == 0 || unique[len(unique)-1].Key() != o.Key() {
			unique = append(unique, o)
			continue
		}
		again = true
		if f := unique[len(unique)-1]; !o.inherited(f) {
			twice = append(twice, &Error{Position: o.position, Object: o.label(), Message: "is declared twice; first at " + f.position.String(), Hint: l.twice(f, o)})
		}
	}
	a.sorted = unique
	positions := make(map[string]schema.Position, len(unique))
	for _, o := range unique {
		positions[o.Key().String()] = o.position
	}
	a.set = setOf(unique, positions)
	l.mu.Lock()
	l.last = nil
	if !again && len(l.others) == 0 {
		l.last = a
	}
	l.mu.Unlock()
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
	slices.SortStableFunc(come, byKey)
	a := &assembly{results: results, sorted: make([]*object, 0, len(last.sorted)+len(come))}
	positions := maps.Clone(last.set.Positions)
	for o := range gone {
		delete(positions, o.Key().String())
	}
	left := come
	for _, o := range last.sorted {
		if gone[o] {
			continue
		}
		for len(left) > 0 && byKey(left[0], o) < 0 {
			a.sorted, left = append(a.sorted, left[0]), left[1:]
		}
		a.sorted = append(a.sorted, o)
	}
	a.sorted = append(a.sorted, left...)
	for i := 1; i < len(a.sorted); i++ {
		if byKey(a.sorted[i-1], a.sorted[i]) == 0 {
			return nil // join says what is twice
		}
	}
	for _, o := range come {
		positions[o.Key().String()] = o.position
	}
	a.set = setOf(a.sorted, positions)
	l.mu.Lock()
	l.last = a
	l.mu.Unlock()
	return a
}

// difference is the objects that only was has, and those that only is has, in its order.
func difference(was, is []*fileResult) (gone map[*object]bool, come []*object) {
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
	gone = map[*object]bool{}
	for r := range had {
		for _, o := range r.objects {
			gone[o] = true
		}
	}
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

func setOf(sorted []*object, positions map[string]schema.Position) *schema.Set {
	objects := make([]schema.Object, len(sorted))
	for i, o := range sorted {
		objects[i] = o.Object
	}
	return schema.NewSet(objects, positions)
}
