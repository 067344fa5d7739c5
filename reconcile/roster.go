package reconcile

import (
	"maps"
	"slices"
)

// roster is the minions of a step in the order of their names, each at the same place in every list. The next step takes over
// what of it is still so, as looking 5,000 minions up by their names is most of what a step with nothing to do does.
type roster struct {
	names   []string
	minions []Minion
	nodes   []Node          // as decided; without a UID: it is not known yet
	calm    []bool          // it is known, not lost, and expels nothing
	leased  int             // how many have a lease
	decided map[string]Node // that nodes are of
	numbers []int32         // in the table of bindings, -1: it has none there
	of      *bindingTable   // that numbers are of
	before  []Minion        // as they were in the step before; nil if these are others. Only until the step ends
}

// newRoster looks up the minions of an input. was is that of the step before, nil if there was none.
func newRoster(in *Input, was *roster) *roster {
	r := &roster{minions: make([]Minion, len(in.Minions))}
	if was != nil && len(was.names) == len(in.Minions) {
		r.names = was.names
		for i, name := range r.names {
			m, ok := in.Minions[name]
			if !ok {
				r.names = nil
				break
			}
			r.minions[i] = m
		}
	}
	if r.names == nil {
		r.names = slices.Sorted(maps.Keys(in.Minions))
		for i, name := range r.names {
			r.minions[i] = in.Minions[name]
		}
		was = nil
	}
	if was != nil && oneMap(was.decided, in.State.Minions) {
		r.nodes, r.calm, r.leased, r.before = was.nodes, was.calm, was.leased, was.minions
	} else {
		r.nodes, r.calm = make([]Node, len(r.names)), make([]bool, len(r.names))
		for i, name := range r.names {
			r.put(i, in.State.Minions[name])
		}
	}
	r.decided = in.State.Minions
	if r.of = in.State.Bindings.t; was != nil && was.of == r.of {
		r.numbers = was.numbers
		return r
	}
	r.numbers = make([]int32, len(r.names))
	for i := range r.numbers {
		r.numbers[i] = -1
		if was != nil {
			r.numbers[i] = was.numbers[i]
		}
	}
	if r.of != nil {
		r.number(r.of)
	}
	return r
}

// renumber makes its numbers those of a table.
func (r *roster) renumber(t *bindingTable) {
	if t == nil || t == r.of && t.edition == nil {
		return
	}
	r.numbers = slices.Clone(r.numbers) // the step before has them, too
	r.number(t)
	r.of = t
}

func (r *roster) number(t *bindingTable) {
	for i, name := range r.names {
		r.numbers[i] = t.minions.numberOf(name, r.numbers[i])
	}
}

// find is the place of a minion, -1 if it has none.
func (r *roster) find(name string) int {
	if i, ok := slices.BinarySearch(r.names, name); ok {
		return i
	}
	return -1
}

// put notes what is decided about the minion at a place. The lists must be its own.
func (r *roster) put(i int, n Node) {
	if r.nodes[i].Lease != 0 {
		r.leased--
	}
	if n.Lease != 0 {
		r.leased++
	}
	r.nodes[i], r.calm[i] = n, n.UID != "" && n.Lost.IsZero() && len(n.Tainted) == 0
}

// known tells whether anything was decided about the minion at a place.
func (r *roster) known(i int) bool { return r.calm[i] || r.nodes[i].UID != "" }

// complete tells whether it has every minion that anything was decided about.
func (r *roster) complete() bool {
	n := 0
	for i := range r.nodes {
		if r.known(i) {
			n++
		}
	}
	return n == len(r.decided)
}
