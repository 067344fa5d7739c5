package reconcile

import (
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// specs is what a step works out of the specs of bindings. Mostly all instances of an owner have one, so the last that was seen of
// an owner stands by its number: there are many owners, and a map of the specs lies about in memory.
type specs struct {
	last  []*ofSpec
	all   map[*schema.PodSpec]*ofSpec
	bound []bound // scratch of instances
	found []*ofSpec
}

// ofSpec is what all instances of a spec have in common.
type ofSpec struct {
	held  place.Held // by one of them
	ruled bool       // see ruled
	spec  *schema.PodSpec
	json  []byte // canonical; nil: nobody asked
}

// specs are those of this step.
func (c *step) specs() *specs {
	if c.seenSpecs == nil {
		c.seenSpecs = &specs{all: make(map[*schema.PodSpec]*ofSpec, len(c.busy))}
	}
	return c.seenSpecs
}

// of is what a binding has in common with others.
func (s *specs) of(b *bound) *ofSpec {
	if n := int(b.owner) + 1 - len(s.last); n > 0 {
		s.last = append(s.last, make([]*ofSpec, n)...)
	}
	x := s.last[b.owner]
	if x == nil || x.spec != b.Spec {
		x = s.add(b.Spec)
		s.last[b.owner] = x
	}
	return x
}

// add looks at a spec, unless that was done.
func (s *specs) add(spec *schema.PodSpec) *ofSpec {
	x := s.all[spec]
	if x == nil {
		r := spec.Reserved()
		x = &ofSpec{place.Held{MilliCPU: r.MilliCPU, Memory: r.Memory, Storage: r.Storage, PIDs: r.PIDs, Pods: 1, Ports: hostPorts(spec)}, ruled(spec), spec, nil}
		s.all[spec] = x
	}
	return x
}

// canonical is the spec as JSON.
func (x *ofSpec) canonical() []byte {
	if x.json == nil {
		x.json = x.spec.CanonicalJSON()
	}
	return x.json
}
