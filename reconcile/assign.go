package reconcile

import (
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// assign gives every minion what it is to run. What a minion had already is not made again.
func (c *step) assign() {
	c.plan.Assignments = make(map[string]assignment.Assignment, len(c.st.Minions))
	specs := map[*schema.PodSpec][]byte{}
	t := c.st.Bindings.t
	for name, n := range c.st.Minions {
		a := assignment.Assignment{Fleet: c.st.Fleet, Minion: name, Network: n.Network}
		if n.Lease > 0 {
			a.Lease, a.Contact = n.Lease, c.in.Minions[name].Contact
		}
		if t != nil {
			if m, ok := t.minions.number.get(name); ok {
				if t.assigned[m] == nil {
					t = c.edit()
					t.assigned[m], t.holds[m] = instances(t, m, specs), c.sumUp(t, m)
				}
				a.Instances = t.assigned[m]
			}
		}
		c.plan.Assignments[name] = a
	}
}

// instances are those of a minion, by id.
func instances(t *bindingTable, m int32, specs map[*schema.PodSpec][]byte) []assignment.Instance {
	out := make([]assignment.Instance, 0, len(t.minions.lists[m]))
	for _, n := range t.minions.lists[m] {
		b := t.all[n]
		spec := specs[b.Spec]
		if spec == nil {
			spec = b.Spec.CanonicalJSON()
			specs[b.Spec] = spec
		}
		known := b.Known()
		out = append(out, assignment.Instance{
			ID: b.ID, UID: b.UID, Namespace: b.Namespace, Pod: known.Pod, Controller: known.Controller, Created: b.Created, Hash: b.Hash,
			Spec: spec, Address: b.Address, Env: b.Env, Phase: b.Phase, Fence: b.Fence,
		})
	}
	return out
}
