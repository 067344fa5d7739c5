package reconcile

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// accept takes the revision into force, unless the deletion fuse stalls it, a network cannot change, or it waits to be
// approved. It is judged by the settings that were in force before it; from here on, its own are.
func (c *step) accept() {
	c.set = c.st.Accepted
	known := c.st.Recovered.IsZero()
	if !known {
		c.set = nil // Accepted was in force, and perhaps is not any more
	}
	if c.in.Set == nil || known && c.in.Revision.same(c.st.Applied) && c.st.Accepted != nil {
		return
	}
	next := c.base.With(c.in.Set.Cluster())
	before, own := c.st, c.ownObjects
	ahead, diff := deriveFrom(c.in.Set, c.was)
	c.ahead = ahead
	c.becomeDeclared(c.in.Set, diff)
	if c.plan.Stalled = cmp.Or(c.nets(next), c.protected(c.in.Set), c.immutable(c.in.Set), c.fuse(c.in.Set, diff)); c.plan.Stalled == "" {
		c.plan.Held = c.unapproved()
	}
	if c.plan.Stalled != "" || c.plan.Held != "" { // what it renames keeps its name
		c.st, c.ownObjects, c.renamed, c.plan.Changes = before, own, nil, nil
		clear(c.touched)
		return
	}
	c.changeSettings(next)
	c.set, c.of, c.diff = c.in.Set, ahead, diff
	c.st.Accepted, c.st.Applied = c.in.Set, c.in.Revision
	c.keepServices()
	c.st.Applied.Trailers, c.st.Applied.Commits = nil, nil
	c.blame = newBlame(c.in.Revision)
	c.st.Recovered = time.Time{}
}

// protected says why a set must not lack objects that the one in force protects; "" if it has them all, or trailers name
// those that go.
func (c *step) protected(next *schema.Set) string {
	var has map[schema.Key]bool // once it is asked for
	var whats, trailers []string
	for o := range c.st.Accepted.Objects() {
		why, ok := o.Metadata().Annotations[schema.AnnotationProtect]
		if !ok {
			continue
		}
		if has == nil {
			has = map[schema.Key]bool{}
			for o := range next.Objects() {
				has[o.Key()] = true
			}
		}
		if _, moved := c.renamed[o.Key()]; moved || has[o.Key()] || slices.ContainsFunc(c.in.Revision.Trailers, func(t Trailer) bool {
			return strings.EqualFold(t.Key, TrailerAllowDelete) && strings.TrimSpace(t.Value) == o.Key().String()
		}) {
			continue
		}
		whats = append(whats, fmt.Sprintf("%s, which is protected (%s)", o.Key(), why))
		trailers = append(trailers, fmt.Sprintf("%q", TrailerAllowDelete+": "+o.Key().String()))
	}
	if len(whats) == 0 {
		return ""
	}
	word := "trailer"
	if len(trailers) > 1 {
		word = "trailers"
	}
	return fmt.Sprintf("revision %.12s is stalled: it deletes %s. If that is meant, commit with the %s %s",
		c.in.Revision.Hash, strings.Join(whats, ", and "), word, strings.Join(trailers, " and "))
}

// immutable says what a set changes of what the one in force declares immutable; "" if nothing.
func (c *step) immutable(next *schema.Set) string {
	if !c.st.Recovered.IsZero() {
		return "" // nobody knows what is in force
	}
	var whats []string
	hint := ""
	for _, k := range next.CheckImmutable(c.st.Accepted) {
		at := ""
		if p, ok := next.Positions[k.Key.String()]; ok {
			at = fmt.Sprintf(" (%s)", p)
		}
		whats = append(whats, fmt.Sprintf("%s%s %s", k.Key, at, k.Message))
		hint = k.Hint
	}
	if len(whats) == 0 {
		return ""
	}
	return fmt.Sprintf("revision %.12s is stalled: %s. To go on, %s", c.in.Revision.Hash, strings.Join(whats, "; "), hint)
}

// fuse says why a set would delete too much, judged by the settings in force; "" if it would not. Pods are counted that run
// or are to run and that the set no longer has: by its pod, its controller or its number of replicas.
func (c *step) fuse(next *schema.Set, diff *difference) string {
	var namespaces map[string]bool // that stay, once it is asked for
	gone, whole := map[string]bool{}, map[string]int{}
	for k := range c.unsettledOwners(diff) {
		w := c.ahead.by.get(k)
		surplus := 0
		if w != nil {
			if surplus = c.surplus(w); surplus == 0 {
				continue
			}
		}
		for b := range c.st.Bindings.Of(k) {
			pod := b.Namespace + "/" + b.Pod
			if b.Phase != assignment.Run && b.Phase != assignment.Prepare || gone[pod] || w != nil && surplus == 0 {
				continue
			}
			gone[pod] = true
			surplus--
			if namespaces == nil {
				namespaces = c.ahead.namespaces()
			}
			if !namespaces[b.Namespace] {
				whole[b.Namespace]++
			}
		}
	}
	all := c.runningPods(gone)
	var why string
	switch {
	case len(gone) == 0 && (next.Len() > 0 || c.st.Accepted.Len() == 0):
		return ""
	case next.Len() == 0 && c.st.Accepted.Len() > 0:
		why = "it declares nothing at all"
	case len(whole) > 0:
		why = fmt.Sprintf("with them the whole of namespace %q", slices.Sorted(maps.Keys(whole))[0])
	case len(gone) > c.in.Settings.FuseCount && float64(len(gone)) > c.in.Settings.FuseShare*float64(all):
		why = fmt.Sprintf("that is more than %d and more than %.0f %%", c.in.Settings.FuseCount, c.in.Settings.FuseShare*100)
	default:
		return ""
	}
	for _, t := range c.in.Revision.Trailers {
		if !strings.EqualFold(t.Key, TrailerAllowDelete) {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(t.Value))
		if strings.EqualFold(strings.TrimSpace(t.Value), "all") || err == nil && n > 0 && n >= len(gone) {
			return ""
		}
	}
	allow := strconv.Itoa(len(gone))
	if next.Len() == 0 {
		allow = "all"
	}
	return fmt.Sprintf("revision %.12s is stalled: it deletes %d of %d pods, and %s. If that is meant, commit with the trailer \"%s: %s\"",
		c.in.Revision.Hash, len(gone), all, why, TrailerAllowDelete, allow)
}

// unsettledOwners are the keys of objects that have bindings, but for those that were at rest after the step before and are declared as
// they were: they have just what is declared.
func (c *step) unsettledOwners(diff *difference) iter.Seq[schema.Key] {
	t, was := c.st.Bindings.t, c.in.State.sight
	if t == nil || !c.recorded() {
		return c.st.Bindings.Owners()
	}
	changed := map[int32]bool{}
	for _, list := range [][]*workload{diff.came, diff.gone} {
		for _, w := range list {
			changed[t.owners.numberOf(w.key, -1)] = true
		}
	}
	return func(yield func(schema.Key) bool) {
		for o := range t.owners.buckets {
			list := t.owners.buckets[o].list
			rested := o < len(was.resting) && len(was.resting[o]) > 0 && oneList(was.resting[o], list)
			if len(list) > 0 && (!rested || changed[int32(o)]) && !yield(t.owners.buckets[o].key) {
				return
			}
		}
	}
}

// namespaces are those of its pods, controllers and services.
func (d *derived) namespaces() map[string]bool {
	out := map[string]bool{}
	for _, w := range d.workloads {
		out[w.key.Namespace] = true
	}
	for _, o := range d.offers {
		out[o.key.Namespace] = true
	}
	return out
}

// runningPods is how many pods run or are to run; if none of them goes, nobody wants to know.
func (c *step) runningPods(gone map[string]bool) int {
	if len(gone) == 0 {
		return 0
	}
	all := make(map[string]bool, c.st.Bindings.Len())
	for b := range c.st.Bindings.All() {
		if b.Phase == assignment.Run || b.Phase == assignment.Prepare {
			all[b.Namespace+"/"+b.Pod] = true
		}
	}
	return len(all)
}

// owner is the declared object that an instance is of.
func owner(namespace, pod, controller string) schema.Key {
	if controller != "" {
		return schema.Key{Kind: schema.KindReplicationController, Namespace: namespace, Name: controller}
	}
	return schema.Key{Kind: schema.KindPod, Namespace: namespace, Name: pod}
}
