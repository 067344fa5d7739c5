package reconcile

import (
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// findBusy finds the workloads for which there may be something to do. The others are at rest: they have just the instances that
// are declared, ready and in the routes, and nothing is noted of them that is to change. Most of a large fleet is, in most
// steps, and nothing more is asked of it.
func (c *step) findBusy() {
	t := c.st.Bindings.t
	c.moving = map[schema.Key]bool{}
	c.busy, c.owners = nil, make([]int32, len(c.of.numbered))
	if t != nil {
		var was [][]int32
		if c.in.State.sight != nil {
			was = c.in.State.sight.resting
		}
		c.restingOwner, c.atRest = make([]bool, len(t.owners.buckets)), carry(was, len(t.owners.buckets))
	}
	odd := map[schema.Key]bool{} // of which something was found that nobody knows
	for _, s := range c.strays {
		odd[owner(s.status.Namespace, s.status.Pod, s.status.Controller)] = true
	}
	known := t != nil && c.recorded()
	for _, w := range c.of.workloads {
		quiet := !c.halted(w.key) && (len(odd) == 0 || !odd[w.key])
		if known && quiet {
			if o, ok := c.restedBefore(w); ok && t.owners.is(w.key, o) && c.restedSo(o, t.owners.buckets[o].list) {
				c.owners[w.id], c.restingOwner[o] = o, true
				continue // nothing that counts is another than it was
			}
		}
		o := int32(-1)
		if t != nil {
			o = t.owners.numberOf(w.key, -1)
		}
		c.owners[w.id] = o
		if quiet && !w.odd && c.restsInRecord(w) && c.restsInFleet(w, o) {
			if o >= 0 {
				c.restingOwner[o] = true
				c.atRest.edit()[o] = t.owners.buckets[o].list
			}
			continue
		}
		if o >= 0 && c.atRest.list[o] != nil {
			c.atRest.edit()[o] = nil
		}
		c.busy, c.moving[w.key] = append(c.busy, w), true
	}
}

// restedBefore is the number as an owner of bindings that a workload had in the step before, if it is declared and recorded as it
// was then.
func (c *step) restedBefore(w *workload) (owner int32, ok bool) {
	was := c.in.State.sight
	if int(w.id) >= len(was.owners) || was.of.numbered[w.id] != w || len(c.touched) > 0 && c.touched[w.name] {
		return 0, false
	}
	return was.owners[w.id], true
}

// halted tells whether nothing is to be done for an object.
func (c *step) halted(k schema.Key) bool {
	if len(c.suspended) == 0 {
		return false
	}
	_, ok := c.suspended[k]
	return ok
}

// rests tells whether a declared pod or controller is at rest.
func (c *step) rests(k schema.Key) bool {
	return c.moving != nil && !c.moving[k] && c.of.by.get(k) != nil
}

// restsInRecord tells whether nothing is to be noted of a workload whose pods are all there and ready.
func (c *step) restsInRecord(w *workload) bool {
	r := c.st.Objects[w.name]
	if r.UID == "" || r.Update != nil || r.Quarantine != nil {
		return false
	}
	if w.replicas == 0 {
		return r.Healthy == nil || r.Healthy.Replicas == 0
	}
	return r.Healthy != nil && r.Healthy.Hash == w.hash && r.Healthy.Replicas == w.replicas && sameMap(r.Healthy.Annotations, w.annotations)
}

// restedSo tells whether a workload was at rest in the step before with these bindings, and nobody reported anything of them since. o
// is its number as an owner. A list whose bindings change in more than what routes say of them is another.
func (c *step) restedSo(o int32, list []int32) bool {
	was := c.in.State.sight
	return was != nil && len(list) > 0 && !c.changed[o] && int(o) < len(was.resting) && oneList(was.resting[o], list)
}

// restsInFleet tells whether a workload has all its instances, and each as it is to be. o is its number as an owner, -1 if it
// has none.
func (c *step) restsInFleet(w *workload, o int32) bool {
	if o < 0 {
		return w.replicas == 0
	}
	t := c.st.Bindings.t
	list := t.owners.buckets[o].list
	if len(list) != w.replicas {
		return false
	}
	if c.was.by.get(w.key) == w && c.restedSo(o, list) {
		return true
	}
	width := 2*w.replicas + 64
	if w.controller != "" {
		words := (width + 63) / 64
		if cap(c.numbersSeen) < words {
			c.numbersSeen = make([]uint64, words)
		}
		c.numbersSeen = c.numbersSeen[:words]
		clear(c.numbersSeen)
	}
	for _, n := range list {
		b := t.at(n)
		if b.Phase != assignment.Run || !b.Serving || b.Hash != w.hash || !c.looks.list[t.bound.at(n).minion].calm || !sameMap(b.Labels, w.labels) || !sameMap(b.Annotations, w.annotations) || !c.readyAt(n, b) {
			return false
		}
		if w.controller == "" {
			continue
		}
		i := number(w.controller, b.Pod)
		if i < 0 || i >= width || c.numbersSeen[i/64]&(1<<(i%64)) != 0 {
			return false
		}
		c.numbersSeen[i/64] |= 1 << (i % 64)
	}
	return true
}

// rouse makes a workload that is at rest busy, before something of it is changed: what follows from that is decided when its
// turn comes.
func (c *step) rouse(k schema.Key) {
	if !c.rests(k) {
		return
	}
	w := c.of.by.get(k)
	c.moving[k] = true
	if n := c.st.Bindings.t.owners.numberOf(k, -1); n >= 0 {
		c.restingOwner[n], c.atRest.edit()[n] = false, nil
	}
	c.busy = append(c.busy, w)
	slices.SortFunc(c.busy, func(a, b *workload) int { return a.key.Compare(b.key) })
	wants := c.wantsOf(w)
	c.wanted = append(c.wanted, wants...)
	slices.SortStableFunc(c.wanted, func(a, b want) int { return a.key.Compare(b.key) })
	for b := range c.st.Bindings.Of(k) {
		s := slot(b.Namespace, b.Pod, b.Controller)
		c.slotIDs[s] = append(c.slotIDs[s], b.ID)
	}
	c.slotsWanted = nil
	c.lookAtRollouts(wants, c.slotIDs)
	p := wants[0].priority
	c.queue[p] = append(c.queue[p], wants...)
}

// isWanted tells whether the pod that an instance is of is declared.
func (c *step) isWanted(b *Binding) bool {
	k := owner(b.Namespace, b.Pod, b.Controller)
	if c.rests(k) {
		return true
	}
	if c.of.by.get(k) == nil {
		return false
	}
	return c.declared()[slot(b.Namespace, b.Pod, b.Controller)]
}

// leavingIDs are the instances that drain or stop, sorted.
func (c *step) leavingIDs() []string {
	t := c.st.Bindings.t
	if t == nil || len(t.leaving) == 0 {
		return nil
	}
	ids := make([]string, 0, len(t.leaving))
	for n := range t.leaving {
		ids = append(ids, t.at(n).ID)
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}
