package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// oneAtATime is what the further replicas of a rollout wait for.
const oneAtATime = "another replica to be replaced: one at a time"

// decidePods goes through every declared pod and does what may be done for it now.
func (c *step) decidePods() {
	c.slotIDs, c.queue = c.slots(), map[int32][]want{}
	wants := c.hold(c.active(c.wants(), c.slotIDs), c.slotIDs)
	// One for each, and one for each service, which there are not if there are no pods.
	c.plan.Changes = slices.Grow(c.plan.Changes, len(wants)+min(len(wants), len(c.set.Services)))
	c.rollouts = map[schema.Key]*rollout{}
	c.lookAtRollouts(wants, c.slotIDs)
	of := map[int32]int{}
	for i := range wants {
		of[wants[i].priority]++
	}
	for p, n := range of {
		c.queue[p] = make([]want, 0, n)
	}
	for _, w := range wants {
		c.queue[w.priority] = append(c.queue[w.priority], w)
	}
	for len(c.queue) > 0 { // the highest first: the lower must not take the room that was made for the higher
		p := slices.Max(slices.Collect(maps.Keys(c.queue)))
		alike := c.queue[p]
		delete(c.queue, p)
		slices.SortStableFunc(alike, func(a, b want) int { return a.key.Compare(b.key) })
		c.decideInTurn(alike, c.slotIDs)
	}
	c.nameDependencies()
}

// decideInTurn decides for pods of one priority: those of which no instance is ready before the others.
func (c *step) decideInTurn(wants []want, slots map[string][]string) {
	var later []want
	for _, w := range wants {
		if v, ok := w.annotations[AnnotationMinReady]; ok && !validMinReady(v) {
			c.warn("%s: annotation %s is %q, which is no number of seconds: %s is used", w.key, AnnotationMinReady, v, c.in.Settings.MinReady)
		}
		if w.asks.none {
			c.decidePod(w, nil)
			continue
		}
		if ids := slots[slot(w.key.Namespace, w.pod, w.controller)]; c.broken(ids) {
			c.decidePod(w, ids)
		} else {
			later = append(later, w)
		}
	}
	for _, w := range later {
		c.decidePod(w, slots[slot(w.key.Namespace, w.pod, w.controller)])
	}
}

// decidePod does what may be done now for one declared pod whose bindings are ids, from old to new.
func (c *step) decidePod(w want, ids []string) {
	r := w.roll
	var match, old []string // in Run or Prepare
	var barred *Binding     // it leaves, and its lost minion may run it still
	leaving := false
	for _, id := range ids {
		b := c.binding(id)
		gone := !c.st.Minions[b.Minion].Lost.IsZero()
		stuck := c.barred(&b)
		lost := gone && !stuck
		switch {
		case b.Phase == assignment.Drain || b.Phase == assignment.Stop:
			leaving = leaving || !gone || stuck
			if stuck {
				barred = &b
			}
		case b.Hash == w.hash && !lost && c.expelled(id) == "":
			match = append(match, id)
		default:
			old = append(old, id)
		}
	}
	if len(match) > 1 { // the one that serves is kept, of several the oldest
		slices.SortStableFunc(match, func(x, y string) int { return cmp.Compare(c.rank(y), c.rank(x)) })
		for _, id := range match[1:] {
			c.goAway(id, "another instance of the pod is there")
		}
		match = match[:1]
	}
	// Of what is to be replaced, only the one that serves is worth keeping until then.
	if len(old) > 1 || len(match) > 0 && len(old) > 0 && c.rank(old[0]) == 0 && c.rank(match[0]) > 0 {
		slices.SortStableFunc(old, func(x, y string) int { return cmp.Compare(c.rank(y), c.rank(x)) })
		for _, id := range old[1:] {
			c.goAway(id, "superseded")
		}
		old = old[:1]
	}
	match, old = c.trim(w, match, old)
	switch {
	case len(match) > 0:
		c.relabel(match[0], w)
		c.follow(w, match[0], old, leaving)
	case len(old) > 0:
		c.replace(w, old[0], leaving, barred)
	case barred != nil:
		ch := Change{Verb: Create, Object: w.key, Reason: "declared in Git"}
		c.waitForLost(&ch, barred)
		c.change(ch)
	case leaving && w.controller == "" || r.full():
		c.change(Change{Verb: Create, Object: w.key, Reason: "declared in Git", Waiting: "the instance before it to be gone"})
	default:
		c.create(w, len(ids) > 0)
	}
}

// rank is higher for an instance that is more worth keeping: ready, running, to be run.
func (c *step) rank(id string) int {
	b := c.binding(id)
	o := c.observedOf(id)
	switch {
	case c.ready(&b):
		return 3
	case b.Phase == assignment.Run && o != nil && o.State == assignment.Running && !o.Up.IsZero():
		return 2
	case b.Phase == assignment.Run:
		return 1
	}
	return 0
}

// relabel takes over labels and annotations, which need no restart.
func (c *step) relabel(id string, w want) {
	b := c.binding(id)
	if maps.Equal(b.Labels, w.labels) && maps.Equal(b.Annotations, w.annotations) {
		return
	}
	c.change(Change{Verb: Update, Object: w.key, Instance: id, Minion: b.Minion, Reason: "labels or annotations change, without a restart",
		Details: append(diffMap("labels", b.Labels, w.labels), diffMap("annotations", b.Annotations, w.annotations)...)})
	b.Labels, b.Annotations, b.Version = w.labels, w.annotations, c.next()
	c.put(b)
}

// follow goes on with a pod that has an instance as declared, and perhaps an old one that it replaces.
func (c *step) follow(w want, id string, old []string, leaving bool) {
	b := c.binding(id)
	r := w.roll
	problem := c.problem(id)
	if b.Phase == assignment.Prepare {
		prepared := c.observedOf(id) != nil && c.observedOf(id).State == assignment.Prepared
		ch := Change{Verb: Replace, Object: w.key, Instance: id, Minion: b.Minion, How: stopFirst}
		if len(old) > 0 {
			c.explain(&ch, w, old[0])
		} else {
			ch.Reason = "the spec changed"
		}
		switch {
		case len(old) > 0 && c.lost(old[0]):
			if b := c.binding(old[0]); c.barred(&b) {
				c.waitForLost(&ch, &b)
			} else {
				c.goAway(old[0], fmt.Sprintf("minion %s was lost; replaced by %s", b.Minion, id))
				ch.Waiting = "the next step"
			}
		case len(old) > 0 && (prepared || c.rank(old[0]) < 2 && c.reported(old[0])):
			c.stopFirst(w, id, old[0], &ch)
		case len(old) > 0:
			ch.Waiting, ch.Blocked = "its image on "+b.Minion, problem != ""
			if problem != "" {
				ch.Waiting = problem
			}
		case leaving || r.full():
			ch.Waiting = "the old instance to be gone"
		default:
			r.run()
			b.Phase, b.Since, b.Version = assignment.Run, c.now, c.next()
			c.put(b)
		}
		c.change(ch)
		return
	}
	ready := c.ready(&b)
	if len(old) > 0 && (c.rank(old[0]) == 0 || ready && b.Created.Before(c.binding(old[0]).Created)) { // what was to replace it is not wanted any more
		c.goAway(old[0], "not wanted any more, "+id+" stays")
		old = nil
	}
	if len(old) > 0 {
		ch := Change{Verb: Replace, Object: w.key, Instance: id, Minion: b.Minion, How: startFirst}
		if b.Minion != c.binding(old[0]).Minion && c.binding(old[0]).Hash == w.hash {
			ch.Verb = Move
		}
		c.explain(&ch, w, old[0])
		if ready || w.controller == "" || c.rank(old[0]) < 2 && c.reported(old[0]) && ready {
			c.goAway(old[0], "replaced by "+id)
			ch.Waiting = "the old instance to be drained and stopped"
		} else {
			ch.Waiting, ch.Blocked = cmp.Or(problem, "the new instance to be ready"), problem != ""
		}
		c.change(ch)
		return
	}
	o := c.observedOf(id)
	switch {
	case c.lost(id):
		c.staysThere(w, &b)
	case ready || o != nil && o.State == assignment.Ended && w.spec.Restart() != schema.RestartAlways:
	case !c.reported(id):
		c.change(Change{Verb: Create, Object: w.key, Instance: id, Minion: b.Minion, Reason: "not reported by its minion yet", Waiting: "a report of " + b.Minion})
	case c.ran(&b):
		c.change(c.drifted(w, &b, o))
	case o == nil:
		c.change(Change{Verb: Create, Object: w.key, Instance: id, Minion: b.Minion, Reason: "declared in Git", Waiting: "its minion to take it over"})
	default:
		c.change(Change{Verb: Create, Object: w.key, Instance: id, Minion: b.Minion, Reason: "declared in Git",
			Waiting: cmp.Or(problem, "it to be ready"), Blocked: problem != ""})
	}
}

// lost tells whether the minion of an instance is lost.
func (c *step) lost(id string) bool { return !c.st.Minions[c.binding(id).Minion].Lost.IsZero() }

// reported tells whether the minion of an instance has reported since the server started.
func (c *step) reported(id string) bool {
	b := c.binding(id)
	m := c.in.Minions[b.Minion]
	return m.Report != nil
}

// hopeless are the reasons for which waiting alone does not help.
var hopeless = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "CrashLoopBackOff", "SpecRefused", "StartError", "SandboxError", "NetworkError"}

// problem is what an instance's minion says is wrong with it, "" if nothing is.
func (c *step) problem(id string) string {
	o := c.observedOf(id)
	if o == nil || !slices.Contains(hopeless, o.Reason) {
		return ""
	}
	return strings.TrimSuffix(o.Reason+": "+o.Message, ": ")
}
