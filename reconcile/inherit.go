package reconcile

import (
	"cmp"
	"slices"

	"reconciler/schema"
)

// inherited is the priority that an object has because another waits for it.
type inherited struct {
	priority int32
	from     schema.Key // who has it
}

// inherit tells the priorities of those that are waited for: of whom waits for them, directly or not, the highest. Else who waits could
// displace what it waits for, or be let to by others that it displaced, and would wait and displace for ever.
func (d *derived) inherit() map[schema.Key]inherited {
	byPriority := slices.SortedStableFunc(slices.Values(d.workloads), func(a, b *workload) int { return cmp.Compare(b.spec.Priority, a.spec.Priority) })
	out := map[schema.Key]inherited{}
	seen := map[schema.Key]bool{}
	waves := map[string]int{} // of namespaces, how many of the lower ones are seen
	for _, w := range byPriority {
		if w.spec.Priority == byPriority[len(byPriority)-1].spec.Priority {
			break // there is no lower one
		}
		for open := []schema.Key{w.key}; len(open) > 0; {
			x := open[len(open)-1]
			open = open[:len(open)-1]
			if seen[x] {
				continue
			}
			seen[x] = true
			if x != w.key {
				out[x] = inherited{w.spec.Priority, w.key}
			}
			open = append(open, d.before(x, waves)...)
		}
	}
	return out
}

// before are those that an object waits for itself, but for those of waves that were told already; and what a service waits for.
func (d *derived) before(x schema.Key, waves map[string]int) (out []schema.Key) {
	if s := d.service(x); s != nil {
		for _, i := range d.selectedBy(s) {
			out = append(out, d.numbered[i].key)
		}
		return out
	}
	out = slices.Clone(d.order.named[x])
	if w := d.by.get(x); w != nil {
		all := d.order.waves[x.Namespace]
		for n := waves[x.Namespace]; n < len(all) && all[n].number < w.object.Metadata().Wave(); n++ {
			out = append(out, all[n].keys...)
			waves[x.Namespace] = n + 1
		}
	}
	return out
}

// needs are all that an object waits for, directly or not; nil if nothing waits.
func (d *derived) needs(k schema.Key) map[schema.Key]bool {
	if d.order == nil {
		return nil
	}
	out, waves := map[schema.Key]bool{}, map[string]int{}
	for open := d.before(k, waves); len(open) > 0; {
		x := open[len(open)-1]
		open = open[:len(open)-1]
		if !out[x] {
			out[x] = true
			open = append(open, d.before(x, waves)...)
		}
	}
	return out
}

// priority of an object with a spec, its own or one that it inherits; from is who has that, zero for its own.
func (c *step) priority(k schema.Key, s *schema.PodSpec) (p int32, from schema.Key) {
	if o := c.of.order; o != nil {
		if i, ok := o.inherited[k]; ok && i.priority > s.Priority {
			return i.priority, i.from
		}
	}
	return s.Priority, schema.Key{}
}

// priorityOf an instance.
func (c *step) priorityOf(b *Binding) int32 {
	p, _ := c.priority(owner(b.Namespace, b.Pod, b.Controller), b.Spec)
	return p
}
