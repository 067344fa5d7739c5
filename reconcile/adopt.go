package reconcile

import (
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// adopt gives every stray a binding: as the instance that is wanted, or as one that is to be drained. A minion can have no
// more found on it than it has room for, so that a broken one does not fill the state.
func (c *step) adopt() {
	if len(c.strays) == 0 {
		return
	}
	wanted := map[string]want{}
	for _, w := range c.wants() {
		wanted[slot(w.key.Namespace, w.pod, w.controller)] = w
	}
	slots := c.slots()
	found := map[string]int{}
	for _, s := range c.strays {
		i := s.status
		if c.st.Bindings.Get(i.ID) != nil || i.ID == "" {
			continue
		}
		if (i.State == assignment.Waiting || i.State == assignment.Prepared) && c.isTaken(s.minion, i.Address) {
			// Nothing of it is there but its image. Its agent has it from an assignment that came late, and forgets it with the next; its
			// address is another's meanwhile.
			continue
		}
		if found[s.minion]++; found[s.minion] > c.in.Minions[s.minion].Report.Capacity.Pods {
			c.warn("minion %s reports more instances that nobody assigned than it has room for; the others wait", s.minion)
			continue
		}
		b := Binding{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller, Minion: s.minion, Address: i.Address,
			Hash: i.Hash, Created: c.now, Version: c.next(), Revision: c.st.Applied.Hash, Phase: assignment.Run, Since: c.now,
			Spec: &schema.PodSpec{}, Routed: true, Started: s.started} // for all that is known
		at := slot(i.Namespace, i.Pod, i.Controller)
		w, ok := wanted[at]
		if ok && w.hash == i.Hash && len(slots[at]) == 0 && c.st.Minions[s.minion].Network.Contains(i.Address) && !c.isTaken(s.minion, i.Address) {
			b.Spec, b.Labels, b.Annotations = w.spec, w.labels, w.annotations
			b.Env = c.variables(i.Namespace).list
			slots[at] = append(slots[at], b.ID)
		} else {
			b.Phase, b.Reason = assignment.Drain, foundUnwanted
		}
		c.put(b)
		c.takeAddress(s.minion, b.Address)
		if c.fleet != nil {
			c.fleet.Take(b.Minion, demand(b.Spec, b.Namespace, b.Pod, b.Controller))
		}
		if m := c.in.Minions[s.minion]; m.Report != nil {
			c.nowObserved(b.ID, &s.status)
		}
	}
}
