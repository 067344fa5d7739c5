package reconcile

import "slices"

// paged is a list that can be copied in small parts: edit is a copy of which a page is copied once something in it changes.
type paged[T any] struct {
	pages []*[perPage]T
	own   []bool // by page
	n     int
}

const perPage = 512

func (p *paged[T]) at(i int32) *T { return &p.pages[i/perPage][i%perPage] }

func (p *paged[T]) edit() paged[T] {
	return paged[T]{slices.Clone(p.pages), make([]bool, len(p.pages)), p.n}
}

// change is a value, to be changed.
func (p *paged[T]) change(i int32) *T {
	page := int(i / perPage)
	if !p.own[page] {
		mine := *p.pages[page]
		p.pages[page], p.own[page] = &mine, true
	}
	return p.at(i)
}

// push adds a zero value, to be changed, and tells its place.
func (p *paged[T]) push() (*T, int32) {
	i := int32(p.n)
	if p.n++; int(i/perPage) == len(p.pages) {
		p.pages, p.own = append(p.pages, new([perPage]T)), append(p.own, true)
	}
	return p.change(i), i
}
