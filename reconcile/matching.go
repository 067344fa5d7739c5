package reconcile

import (
	"cmp"
	"fmt"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// keys are objects as people read them.
func keys(all []*schema.Pod) string {
	var out []string
	for _, p := range all {
		out = append(out, p.Key().String())
	}
	return strings.Join(out, ", ")
}

// countAs says which pods count as replicas.
func countAs(all []*schema.Pod) string {
	return keys(all) + " " + plural(len(all), "counts as one of its replicas", "count as its replicas")
}

// scaledTo is why one replica of a controller ends.
func (c *step) scaledTo(k schema.Key) string {
	why := fmt.Sprintf("scaled to %d", c.of.replicas(k))
	if all := c.of.counted[k]; len(all) > 0 {
		why += ": " + countAs(all)
	}
	return why
}

// countReplicas lets the status of pods that count as replicas, and of their controllers, say so.
func countReplicas(all []ObjectStatus, set *schema.Set, pods map[schema.Key][]*schema.Pod) {
	if len(pods) == 0 {
		return
	}
	at := map[schema.Key]*ObjectStatus{}
	for i := range all {
		at[all[i].Key] = &all[i]
	}
	for _, r := range set.ReplicationControllers {
		of := pods[r.Key()]
		if len(of) == 0 {
			continue
		}
		o := at[r.Key()]
		for _, p := range of {
			o.Ready += at[p.Key()].Ready
			at[p.Key()].say("counts as a replica of " + r.Key().String())
		}
		o.Desired = r.Spec.Count()
		o.Ready = min(o.Ready, o.Desired)
		o.say(countAs(of))
	}
}

// say adds to the reason.
func (o *ObjectStatus) say(text string) {
	if o.Reason != "" {
		text = o.Reason + "; " + text
	}
	o.Reason = text
}

// warnCounted says of which controllers more pods match than they are to have.
func (c *step) warnCounted() {
	for k, all := range c.of.counted {
		i, _ := find(c.set.ReplicationControllers, k)
		if n := c.set.ReplicationControllers[i].Spec.Count(); len(all) > n {
			c.warn("%s is to have %d replicas, and its selector matches more pods in Git: %s, which all run", k, n, keys(all))
		}
	}
}

// handOver lets an instance that nothing needs any more go on as what a set about to come into force needs, if its spec is
// the same and a selector says that it is of both: a pod that left Git as a replica, a replica of a controller that has left
// Git or gets fewer as a declared pod.
func (c *step) handOver(next *schema.Set) {
	was := c.st.Accepted
	if was == nil || len(was.Pods)+len(was.ReplicationControllers) == 0 {
		return
	}
	after, before := matchers{}, matchers{}
	for _, p := range was.Pods {
		k := p.Key()
		if declares(next.Pods, k) {
			continue
		}
		var free []Binding
		for b := range c.st.Bindings.Of(k) {
			if c.mayHandOver(b) {
				free = append(free, *b)
			}
		}
		for _, b := range free {
			c.takeOver(b, k, after.of(next, b.Namespace, b.Labels))
		}
	}
	for _, p := range next.Pods {
		k := p.Key()
		if declares(was.Pods, k) || c.has(k) || p.Spec.Restart() != schema.RestartAlways {
			continue
		}
		c.letGo(p, before.of(was, p.Namespace, p.Labels), next)
	}
}

// matchers are those of the namespaces that were asked for.
type matchers map[string]schema.Matcher

// of are the controllers of a set whose selectors are about the labels of a pod.
func (m matchers) of(s *schema.Set, namespace string, labels map[string]string) []*schema.ReplicationController {
	if m[namespace] == nil {
		m[namespace] = schema.MatcherOf(within(s.ReplicationControllers, namespace))
	}
	return m[namespace].Of(namespace, labels)
}

// declares tells whether sorted objects have one with a key.
func declares[T schema.Object](sorted []T, k schema.Key) bool {
	_, ok := find(sorted, k)
	return ok
}

// has tells whether anything is bound of an object.
func (c *step) has(k schema.Key) bool {
	for range c.st.Bindings.Of(k) {
		return true
	}
	return false
}

// mayHandOver tells whether an instance can go on as one of another object: what is on a lost minion is nobody else's.
func (c *step) mayHandOver(b *Binding) bool {
	return b.Phase == assignment.Run && c.st.Minions[b.Minion].Lost.IsZero()
}

// takeOver makes an instance a replica of the first of some controllers that lacks one.
func (c *step) takeOver(b Binding, was schema.Key, by []*schema.ReplicationController) {
	for _, r := range by {
		k := r.Key()
		_, hash, _ := c.effective(c.ahead.by.get(k))
		if _, suspended := c.suspensionOf(k, &r.Meta); suspended || hash != b.Hash {
			continue
		}
		have, taken := map[int]bool{}, map[int]bool{}
		for o := range c.st.Bindings.Of(k) {
			n := number(r.Name, o.Pod)
			taken[n] = true
			if o.Phase == assignment.Run || o.Phase == assignment.Prepare {
				have[n] = true
			}
		}
		if len(have) >= c.ahead.replicas(k) {
			continue
		}
		n := 0
		for taken[n] {
			n++
		}
		c.goOnAs(b, was, k, Names{podName(r.Name, n), r.Name})
		return
	}
}

// letGo makes a pod of a replica that one of some controllers has too many. by are as they were before.
func (c *step) letGo(p *schema.Pod, by []*schema.ReplicationController, next *schema.Set) {
	_, hash, _ := c.effective(c.ahead.by.get(p.Key()))
	if _, suspended := c.suspensionOf(p.Key(), &p.Meta); suspended {
		return
	}
	for _, r := range by {
		k := r.Key()
		stays := declares(next.ReplicationControllers, k)
		if stays {
			i, _ := find(next.ReplicationControllers, k)
			if _, suspended := c.suspensionOf(k, &next.ReplicationControllers[i].Meta); suspended {
				continue
			}
		}
		have := map[string]bool{}
		var best *Binding
		for b := range c.st.Bindings.Of(k) {
			if b.Phase == assignment.Run || b.Phase == assignment.Prepare {
				have[b.Pod] = true
			}
			if c.mayHandOver(b) && b.Hash == hash && (best == nil || c.betterToGive(b, best, stays)) {
				best = b
			}
		}
		if best == nil || stays && len(have) <= c.ahead.replicas(k) {
			continue
		}
		c.goOnAs(*best, k, p.Key(), Names{Pod: p.Name})
		return
	}
}

// betterToGive tells whether of two replicas a goes on as a pod rather than b: one that serves; of a controller that stays,
// which keeps its lowest numbers, the highest.
func (c *step) betterToGive(a, b *Binding, stays bool) bool {
	if a.Serving != b.Serving {
		return a.Serving
	}
	n := cmp.Compare(number(a.Controller, a.Pod), number(b.Controller, b.Pod))
	if stays {
		n = -n
	}
	return cmp.Or(n, a.compareAge(b)) < 0
}

func (c *step) goOnAs(b Binding, was, now schema.Key, n Names) {
	c.put(*b.as(n))
	c.change(Change{Verb: Update, Object: now, Instance: b.ID, Minion: b.Minion, Code: CodeMoved,
		Reason: fmt.Sprintf("it was of %s, and matches: it goes on without a restart", was)})
}
