package reconcile

import (
	"maps"

	"reconciler/reconcile/assignment"
)

// told is what minions were told to run by a step.
type told struct {
	fleet     string
	decided   map[string]Node
	names     []string
	instances [][]assignment.Instance // of each of names
	all       map[string]assignment.Assignment
}

// assign gives every minion what it is to run. What a minion had already is not made again, and where all have what they had,
// nothing is.
func (c *step) assign() {
	c.makeInstances()
	t, r := c.st.Bindings.t, c.roster
	r.renumber(t)
	is := &told{fleet: c.st.Fleet, decided: c.st.Minions, names: r.names, instances: make([][]assignment.Instance, len(r.names))}
	for i, n := range r.numbers {
		if n >= 0 {
			is.instances[i] = t.work[n].instances
		}
	}
	was := c.toldBefore(is)
	own := was == nil
	if own {
		is.all = make(map[string]assignment.Assignment, len(c.st.Minions))
	} else {
		is.all = was.all
	}
	for i, name := range r.names {
		if !r.known(i) || was != nil && r.nodes[i].Lease == 0 && oneList(is.instances[i], was.instances[i]) {
			continue
		}
		if !own {
			is.all, own = maps.Clone(is.all), true
		}
		is.all[name] = c.assignment(name, &r.nodes[i], is.instances[i])
	}
	c.plan.Assignments = is.all
	if r.complete() {
		c.sight.told = is
		return
	}
	for name, n := range c.st.Minions {
		if r.find(name) >= 0 {
			continue
		}
		a := c.assignment(name, &n, nil) // nobody told of it in this step
		if t != nil {
			if m := t.minions.numberOf(name, -1); m >= 0 {
				a.Instances = t.work[m].instances
			}
		}
		is.all[name] = a
	}
}

// toldBefore is what the step before told the same minions, nil if more may have changed than what they run.
func (c *step) toldBefore(is *told) *told {
	if c.in.State.sight == nil || c.in.State.sight.told == nil {
		return nil
	}
	was := c.in.State.sight.told
	if was.fleet != is.fleet || !oneMap(was.decided, is.decided) || !oneList(was.names, is.names) {
		return nil
	}
	return was
}

func (c *step) assignment(minion string, n *Node, instances []assignment.Instance) assignment.Assignment {
	a := assignment.Assignment{Fleet: c.st.Fleet, Minion: minion, Network: n.Network, Instances: instances}
	if n.Lease > 0 {
		a.Lease, a.Contact = n.Lease, c.in.Minions[minion].Contact
	}
	return a
}

// makeInstances works out what minions are to run of which that is not known.
func (c *step) makeInstances() {
	t := c.st.Bindings.t
	if t == nil {
		return
	}
	s := c.specs()
	for _, w := range c.busy {
		s.add(w.spec).json = w.json
	}
	for _, m := range t.minions.sorted {
		if t.work[m].instances == nil {
			t = c.edit()
			t.work[m].instances, t.work[m].holds = t.instances(m, s)
		}
	}
}

// instances are those of a minion, by id, and what they hold. Its bindings lie about in memory, so they are gone through once to find
// them, once to find their specs, and then to copy: short loops let a processor wait for several of them at the same time.
func (t *bindingTable) instances(m int32, s *specs) ([]assignment.Instance, *hold) {
	list := t.minions.buckets[m].list
	out, h := make([]assignment.Instance, 0, len(list)), &hold{}
	s.bound, s.found = s.bound[:0], s.found[:0]
	for _, n := range list {
		s.bound = append(s.bound, *t.bound.at(n))
	}
	for i := range s.bound {
		s.found = append(s.found, s.of(&s.bound[i]))
	}
	for i, of := range s.found {
		b := s.bound[i].Binding
		known := b.Known()
		h.add(of)
		out = append(out, assignment.Instance{
			ID: b.ID, UID: b.UID, Namespace: b.Namespace, Pod: known.Pod, Controller: known.Controller, Created: b.Created, Hash: b.Hash,
			Spec: of.canonical(), Address: b.Address, Env: b.Env, Phase: b.Phase, Fence: b.Fence,
		})
	}
	return out, h
}
