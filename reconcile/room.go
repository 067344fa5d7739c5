package reconcile

import (
	"iter"
	"slices"

	"reconciler/reconcile/place"
)

// room is what each minion that pods may be put on has left.
func (c *step) room() *place.Fleet {
	if c.fleet != nil {
		return c.fleet
	}
	free := make([]place.Minion, 0, len(c.roster.names))
	numbers := make([]int32, 0, cap(free)) // in the table of bindings, mostly
	for i, name := range c.roster.names {
		m := &c.roster.minions[i]
		if !c.roster.known(i) || m.Report == nil || !c.roster.nodes[i].Lost.IsZero() || !c.seen(m) {
			continue
		}
		p := place.Minion{
			Name: name, Labels: m.Report.Labels, MilliCPU: m.Report.Capacity.MilliCPU, Memory: m.Report.Capacity.Memory,
			Storage: m.Report.Capacity.Storage, PIDs: m.Report.Capacity.PIDs, Pods: m.Report.Capacity.Pods, Features: m.Report.Features,
		}
		if n := c.nodes[name]; n != nil {
			p.Labels, p.Closed, p.Taints = withLabels(p.Labels, n.Labels), n.Spec.Unschedulable, n.Spec.Taints
		}
		free, numbers = append(free, p), append(numbers, c.roster.numbers[i])
	}
	t := c.in.State.Bindings.t // what was decided in this step leaves no room yet
	rules := c.rules()
	if t != nil && !rules {
		for i := range free {
			if m := t.minions.numberOf(free[i].Name, numbers[i]); m >= 0 {
				free[i].Held = c.sum(m).Held
			}
		}
	}
	c.fleet = place.New(free)
	if !rules {
		c.fleet.Seed = c.crowd
	} else if c.fleet.Track(); t != nil {
		for _, m := range t.minions.sorted {
			if i := c.fleet.Index(t.minions.buckets[m].key); i >= 0 {
				for _, n := range t.minions.buckets[m].list {
					d := held(t.at(n))
					c.fleet.TakeAt(i, &d)
				}
			}
		}
	}
	for b := range c.adopted() {
		c.fleet.Take(b.Minion, held(b))
	}
	return c.fleet
}

// adopted are the bindings of what was found in this step.
func (c *step) adopted() iter.Seq[*Binding] {
	return func(yield func(*Binding) bool) {
		for _, s := range c.strays {
			if b := c.st.Bindings.Get(s.status.ID); b != nil && c.in.State.Bindings.Get(b.ID) == nil && !yield(b) {
				return
			}
		}
	}
}

// hold is what the bindings of a minion hold together.
type hold struct {
	place.Held
	ruled bool // one of them asks for something by labels
}

// sum sums up what the bindings of a minion held before this step, unless that is known.
func (c *step) sum(m int32) *hold {
	t := c.in.State.Bindings.t
	if h := t.work[m].holds; h != nil {
		return h
	}
	h := t.sumUp(m, c.specs())
	// It is kept for later steps, in the copy of this one: others may sum up the same from t at the same time.
	if own := c.edit(); slices.Equal(own.minions.buckets[m].list, t.minions.buckets[m].list) {
		own.work[m].holds = h
	}
	return h
}

// sumUp sums up what the bindings of a minion hold.
func (t *bindingTable) sumUp(m int32, s *specs) *hold {
	h := &hold{}
	for _, n := range t.minions.buckets[m].list {
		h.add(s.of(t.bound.at(n)))
	}
	return h
}

func (h *hold) add(x *ofSpec) {
	h.Add(&x.held)
	h.ruled = h.ruled || x.ruled
}

// crowd are the minions that pods of a workload were on before this step.
func (c *step) crowd(group string, on func(minion string)) {
	w := c.of.named.get(group)
	if w == nil {
		return
	}
	for b := range c.in.State.Bindings.Of(w.key) {
		on(b.Minion)
	}
}
