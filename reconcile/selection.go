package reconcile

import (
	"reconciler/schema"
)

// selection finds what has labels without looking at all: numbers are listed by namespace and each label, once in a row.
type selection struct {
	labelled   map[[3]string][]int32
	namespaces map[string]bool
}

func newSelection() selection { return selection{map[[3]string][]int32{}, map[string]bool{}} }

func (s selection) add(namespace string, labels map[string]string, n int32) {
	s.namespaces[namespace] = true
	for k, v := range labels {
		at := [3]string{namespace, k, v}
		if l := s.labelled[at]; len(l) == 0 || l[len(l)-1] != n {
			s.labelled[at] = append(l, n)
		}
	}
}

// of lists those that have one of a selector's labels, in the order in which they were added: all that it selects are among
// them.
func (s selection) of(namespace string, selector map[string]string) []int32 {
	if !s.namespaces[namespace] {
		return nil
	}
	return fewest(namespace, selector, func(label [3]string) []int32 { return s.labelled[label] })
}

// fewest is the shortest of the lists of what has each of a selector's labels, by namespace and label: all that it selects are in it.
func fewest(namespace string, selector map[string]string, list func(label [3]string) []int32) (out []int32) {
	first := true
	for k, v := range selector {
		if l := list([3]string{namespace, k, v}); first || len(l) < len(out) {
			out, first = l, false
		}
	}
	return out
}

// pool is bindings that services select from.
type pool struct {
	bindings []*Binding
	labelled selection
}

func (p *pool) add(b *Binding) {
	if p.labelled.labelled == nil {
		p.labelled = newSelection()
	}
	p.labelled.add(b.Namespace, b.Labels, int32(len(p.bindings)))
	p.bindings = append(p.bindings, b)
}

// of are those that a service selects, in the order in which they were added.
func (p *pool) of(s *schema.Service) (out []*Binding) {
	for _, i := range p.labelled.of(s.Namespace, s.Spec.Selector) {
		if schema.Selects(s.Spec.Selector, p.bindings[i].Labels) {
			out = append(out, p.bindings[i])
		}
	}
	return out
}
