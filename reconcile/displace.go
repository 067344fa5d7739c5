package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// lowPriority is a priority that no pod on the fleet is below, worked out once a step.
func (c *step) lowPriority() int32 {
	if c.lowest == nil {
		low := int32(1<<31 - 1)
		for b := range c.st.Bindings.All() {
			low = min(low, b.Spec.Priority)
		}
		c.lowest = &low
	}
	return *c.lowest
}

// displace makes room for a pod that fits nowhere: it waits for a minion where enough is about to end, or else lets the
// pods of lower priority on one minion drain whose room it needs. Either way the room is its own from now on, so that
// nothing of lower priority takes it first. It returns what the pod waits for, "" if no room can be made.
func (c *step) displace(w want, d *place.Demand) string {
	if w.priority <= c.lowPriority() {
		return ""
	}
	on := c.instancesByMinion()
	spared := c.of.needs(w.key) // if it keeps a spec that is more important than the declared one, they need not be
	names := slices.Sorted(maps.Keys(on))
	for _, minion := range names {
		ends := c.ending(on[minion])
		if len(ends) > 0 && c.room().FitsWithout(minion, *d, c.held(ends)...) {
			c.room().Take(minion, *d)
			return fmt.Sprintf("%s on %s to be gone", strings.Join(ends, ", "), minion)
		}
	}
	minion, victims := c.cheapest(names, on, d, w.priority, spared)
	if minion == "" {
		return ""
	}
	why := fmt.Sprintf(displacedBy+"%s of priority %d", owner(w.key.Namespace, w.pod, w.controller), w.priority)
	if _, from := c.priority(w.key, w.spec); from != (schema.Key{}) {
		why += fmt.Sprintf(", that of %s, which waits for it", from)
	}
	for _, id := range victims {
		b := c.binding(id)
		c.rouse(owner(b.Namespace, b.Pod, b.Controller))
		c.goAway(id, why)
	}
	c.room().Take(minion, *d)
	return fmt.Sprintf("%s on %s to be gone, displaced by it", strings.Join(victims, ", "), minion)
}

// displacedBy begins the reason of an instance that makes room.
const displacedBy = "displaced by "

// minionsCompared is how many minions that room can be made on are compared.
const minionsCompared = 128

// cheapest is the minion on which the least has to go for a pod to fit, and what: the fewest instances, then those of the
// lowest priority, then the fewest bare pods.
func (c *step) cheapest(names []string, on map[string][]string, d *place.Demand, priority int32, spared map[schema.Key]bool) (minion string, victims []string) {
	found := 0
	for _, name := range names {
		v := c.victims(name, on[name], d, priority, spared)
		if len(v) == 0 {
			continue
		}
		if minion == "" || c.compareVictims(v, victims) < 0 {
			minion, victims = name, v
		}
		if found++; found == minionsCompared {
			break
		}
	}
	return minion, victims
}

// victims are the instances on a minion, without those of objects that are spared, that have to go for a pod of a priority to fit; none if
// that does not help.
func (c *step) victims(minion string, ids []string, d *place.Demand, priority int32, spared map[schema.Key]bool) []string {
	var lower []string
	going := c.ending(ids)
	for _, id := range ids {
		b := c.binding(id)
		k := owner(b.Namespace, b.Pod, b.Controller)
		if c.priorityOf(&b) < priority && !c.ended(id) && !c.halted(k) && !spared[k] && !slices.Contains(going, id) {
			lower = append(lower, id)
		}
	}
	ends := c.held(going)
	if len(lower) == 0 || !c.room().FitsWithout(minion, *d, append(ends, c.held(lower)...)...) {
		return nil
	}
	// The most important may stay first; of equals those that hold less, so that few have to go.
	slices.SortFunc(lower, func(x, y string) int { return c.compareImportance(y, x) })
	for i := 0; i < len(lower); {
		rest := slices.Delete(slices.Clone(lower), i, i+1)
		if len(rest) > 0 && c.room().FitsWithout(minion, *d, append(slices.Clip(ends), c.held(rest)...)...) {
			lower = rest
			continue
		}
		i++
	}
	slices.Sort(lower)
	return lower
}

// compareImportance orders instances by what is to go first.
func (c *step) compareImportance(x, y string) int {
	a, b := c.binding(x), c.binding(y)
	bare := func(b Binding) int {
		if b.Controller == "" {
			return 1
		}
		return 0
	}
	p, q := a.Spec.Reserved(), b.Spec.Reserved()
	return cmp.Or(cmp.Compare(c.priorityOf(&a), c.priorityOf(&b)), cmp.Compare(bare(a), bare(b)),
		cmp.Compare(q.Memory, p.Memory), cmp.Compare(q.MilliCPU, p.MilliCPU), strings.Compare(x, y))
}

func (c *step) compareVictims(x, y []string) int {
	cost := func(ids []string) (highest int32, bare int) {
		highest = -1 << 31
		for _, id := range ids {
			b := c.binding(id)
			highest = max(highest, c.priorityOf(&b))
			if b.Controller == "" {
				bare++
			}
		}
		return highest, bare
	}
	p, n := cost(x)
	q, m := cost(y)
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(p, q), cmp.Compare(n, m))
}

// instancesByMinion are the instances on each minion that pods may be put on, sorted.
func (c *step) instancesByMinion() map[string][]string {
	on := map[string][]string{}
	for b := range c.st.Bindings.All() {
		if c.room().Has(b.Minion) {
			on[b.Minion] = append(on[b.Minion], b.ID)
		}
	}
	return on
}

// ending are those of some instances that are about to be gone: they drain, or nothing declares them any more.
func (c *step) ending(ids []string) (out []string) {
	for _, id := range ids {
		b := c.binding(id)
		if leaving(&b) || !c.isWanted(&b) {
			out = append(out, id)
		}
	}
	return out
}

// declared are the slots of the declared pods of workloads that are not at rest, worked out once.
func (c *step) declared() map[string]bool {
	if c.slotsWanted == nil {
		c.slotsWanted = map[string]bool{}
		for _, w := range c.wants() {
			c.slotsWanted[slot(w.key.Namespace, w.pod, w.controller)] = true
		}
	}
	return c.slotsWanted
}

// held is what instances hold on their minions.
func (c *step) held(ids []string) (out []place.Demand) {
	for _, id := range ids {
		b := c.binding(id)
		out = append(out, held(&b))
	}
	return out
}

// ended tells whether an instance has ended and is not to run again.
func (c *step) ended(id string) bool {
	o := c.observedOf(id)
	b := c.binding(id)
	return o != nil && o.State == assignment.Ended && b.Spec.Restart() != schema.RestartAlways
}
