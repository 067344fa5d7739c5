package reconcile

import (
	"cmp"
	"slices"
	"strings"
)

// sortChanges orders changes for people, in place: by object, each object's by verb and instance. Those of one object mostly stand
// together already, and most objects in their order: there are many changes, and they are large.
func sortChanges(list []Change) {
	var s sorter
	spans := s.spans(list)
	sorted := 0 // so many at the beginning
	for sorted < len(spans) && (sorted == 0 || spans[sorted-1].compare(spans[sorted]) < 0) {
		sorted++
	}
	if sorted < len(spans) && mergeSpans(list, spans[:sorted], spans[sorted:]) {
		s.spans(list)
	}
}

// span is changes of one object.
type span []Change

func (s span) compare(o span) int { return s[0].compareObject(&o[0]) }

// mergeSpans sorts a list by object that consists of two lists of spans, of which the first is sorted. It tells whether several are of one
// object.
func mergeSpans(list []Change, first, rest []span) (several bool) {
	n := 0
	for _, s := range first {
		n += len(s)
	}
	aside := slices.Clone(list[n:])
	for i, s := range rest {
		rest[i], aside = aside[:len(s)], aside[len(s):]
	}
	slices.SortStableFunc(rest, span.compare)
	for i := range len(rest) - 1 {
		several = several || rest[i].compare(rest[i+1]) == 0
	}
	for end := len(list); len(rest) > 0; { // from the end, where there is room now
		from := &rest
		if len(first) > 0 {
			order := first[len(first)-1].compare(rest[len(rest)-1])
			several = several || order == 0
			if order > 0 {
				from = &first
			}
		}
		last := (*from)[len(*from)-1]
		*from = (*from)[:len(*from)-1]
		end -= len(last)
		copy(list[end:], last)
	}
	return several
}

// sorter has room to sort in.
type sorter struct {
	order []int
	list  []Change
}

// spans are the changes of each object, as they stand together, sorted.
func (s *sorter) spans(list []Change) (out []span) {
	for from, to := 0, 0; from < len(list); from = to {
		for to = from + 1; to < len(list) && list[to].Drift == list[from].Drift && list[to].Object == list[from].Object; to++ {
		}
		s.sort(list[from:to])
		out = append(out, list[from:to])
	}
	return out
}

// sort orders changes of one object. The order of equals stays.
func (s *sorter) sort(list []Change) {
	compare := func(i, j int) int { return list[i].compareWithin(&list[j]) }
	s.order = s.order[:0]
	for i := range list {
		s.order = append(s.order, i)
	}
	if slices.IsSortedFunc(s.order, compare) {
		return
	}
	slices.SortStableFunc(s.order, compare) // and not the changes
	s.list = append(s.list[:0], list...)
	for i, j := range s.order {
		list[i] = s.list[j]
	}
}

// compareObject is the order of the objects that changes are of; drift goes first.
func (c *Change) compareObject(o *Change) int {
	if n := driftFirst(c, o); n != 0 {
		return n
	}
	return c.Object.Compare(o.Object)
}

// compareWithin is the order of the changes of one object.
func (c *Change) compareWithin(o *Change) int {
	if n := strings.Compare(string(c.Verb), string(o.Verb)); n != 0 {
		return n
	}
	if n := strings.Compare(cmp.Or(c.Old, c.Instance), cmp.Or(o.Old, o.Instance)); n != 0 {
		return n
	}
	return strings.Compare(c.Reason, o.Reason)
}

// sortRuns sorts what consists of few sorted runs, by merging them. The order of equals stays.
func sortRuns[T any](list []T, compare func(a, b *T) int) []T {
	ends := []int{0}
	for i := 1; i < len(list); i++ {
		if compare(&list[i-1], &list[i]) > 0 {
			ends = append(ends, i)
		}
	}
	ends = append(ends, len(list))
	if len(ends) <= 2 {
		return list
	}
	from, to := list, make([]T, 0, len(list))
	for ; len(ends) > 2; from, to = to, from[:0] {
		merged := []int{0}
		for i := 0; i+1 < len(ends); i += 2 {
			x, y := from[ends[i]:ends[i+1]], from[:0]
			if i+2 < len(ends) {
				y = from[ends[i+1]:ends[i+2]]
			}
			for len(x) > 0 && len(y) > 0 {
				if compare(&x[0], &y[0]) <= 0 {
					to, x = append(to, x[0]), x[1:]
				} else {
					to, y = append(to, y[0]), y[1:]
				}
			}
			to = append(append(to, x...), y...)
			merged = append(merged, len(to))
		}
		ends = merged
	}
	return from
}
