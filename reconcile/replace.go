package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
)

// how a replacement is made.
const (
	startFirst = "start-first"
	stopFirst  = "stop-first"
)

// replacement is the change that replaces an instance, with what differs and how it is made where there is room.
func (c *step) replacement(w want, old string) Change {
	ch := Change{Verb: Replace, Object: w.key, Old: old, How: startFirst}
	if w.controller == "" || limitsOf(w.rolls, c.in.Settings, c.of.replicas(w.key)).surge == 0 {
		ch.How = stopFirst
	}
	c.explain(&ch, w, old)
	return ch
}

// replace begins to replace an instance whose spec changed, or whose minion is lost. other, if not nil, leaves, and its lost
// minion may run it still.
func (c *step) replace(w want, old string, leaving bool, other *Binding) {
	b := c.binding(old)
	ch := c.replacement(w, old)
	if b.Hash == w.hash {
		ch.Verb = Move
	}
	if b.Phase == assignment.Prepare { // it never ran
		c.goAway(old, "superseded")
		leaving = true
	}
	lost := !c.st.Minions[b.Minion].Lost.IsZero()
	barred := lost && c.barred(&b)
	if lost && !barred {
		c.moveOff(&ch, w, &b)
	}
	r := w.roll // nil for a bare pod
	ready := c.rank(old) == 3
	double := r != nil && r.mayDouble(w.pod)
	switch {
	case barred:
		c.waitForLost(&ch, &b)
	case lost && other != nil:
		c.waitForLost(&ch, other)
	case !lost && !c.reported(old):
		ch.Waiting = "a report of " + b.Minion
	case leaving && w.controller == "" || lost && r.full():
		ch.Waiting = "an earlier instance to be gone"
	case !lost && r != nil && (!r.mayBegin(w.pod, ready) || !double && !r.mayStop(w.pod, true, true)):
		ch.Waiting = r.inTurn()
	}
	if ch.Waiting != "" {
		c.change(ch)
		return
	}
	phase := assignment.Run
	if !lost && (r == nil || !double) {
		phase, ch.How = assignment.Prepare, stopFirst
	}
	d := *w.demand()
	d.Replaces = &place.Spot{Minion: b.Minion, Demand: held(&b)}
	if !lost {
		d.Prefer = b.Minion
	}
	at, why := c.room().ChooseAt(&d)
	// What the old instance holds is free when the new one starts, if it is stopped first.
	if !lost && !leaving && (at < 0 || phase == assignment.Prepare && c.room().Name(at) != b.Minion) && c.fitsInstead(b, &d) {
		if at < 0 && phase == assignment.Run && !r.mayStop(w.pod, false, true) {
			ch.Waiting, ch.Blocked = r.noRoomBeside(why), r.asked
			c.change(ch)
			return
		}
		at, phase, ch.How = c.room().Index(b.Minion), assignment.Prepare, stopFirst
	}
	if at < 0 {
		ch.Waiting = c.displace(w, &d)
		if ch.Blocked = ch.Waiting == ""; ch.Blocked {
			ch.Waiting = why
		}
		c.change(ch)
		return
	}
	ch.Instance, ch.Minion = c.bind(w, at, phase, &ch), c.room().Name(at)
	if ch.Instance != "" && lost {
		c.goAway(old, fmt.Sprintf("minion %s was lost; replaced by %s", b.Minion, ch.Instance))
	}
	if ch.Instance != "" {
		r.begin(w.pod, phase, lost, ready)
	}
	if ch.Instance != "" && ch.Waiting == "" && phase == assignment.Prepare {
		ch.Waiting = "its image on " + ch.Minion
	}
	c.change(ch)
}

// begin notes that a replica has a new instance. A bare pod has no rollout.
func (r *rollout) begin(pod string, phase assignment.Phase, lost, ready bool) {
	switch {
	case r == nil:
		return
	case phase == assignment.Run:
		r.present++
		if !lost {
			r.doubled.add(pod)
		}
	case ready:
		r.promised.add(pod)
	}
	if !lost {
		r.begun.add(pod)
		delete(r.ending, pod)
	}
}

// run notes that an instance begins to run.
func (r *rollout) run() {
	if r != nil {
		r.present++
	}
}

// stopFirst ends the old instance of a pod of which the new one is to run when it is gone, if no more replicas are without a
// ready instance then than may be.
func (c *step) stopFirst(w want, id, old string, ch *Change) {
	if r := w.roll; r != nil {
		if !r.mayStop(w.pod, false, false) {
			ch.Waiting = "enough other replicas to be ready"
			return
		}
		r.unready.add(w.pod)
		delete(r.promised, w.pod)
	}
	c.goAway(old, "replaced by "+id)
	ch.Waiting = "the old instance to be drained and stopped"
}

// goAway begins an instance's end: it drains, or stops at once if it never ran.
func (c *step) goAway(id, why string) {
	b := c.binding(id)
	b.Phase, b.Since, b.Reason, b.Version = assignment.Drain, c.now, why, c.next()
	if c.before(id).Phase == assignment.Prepare {
		b.Phase = assignment.Stop
	}
	c.put(b)
}

// prune ends every instance that nothing declares any more.
func (c *step) prune() {
	var ids []string
	c.unrested(func(n int32, b *Binding) {
		if leaving(b) || c.began(n, b) && !c.isWanted(b) { // what was bound in this step is wanted
			ids = append(ids, b.ID)
		}
	})
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	said := map[string]bool{}
	for i := range c.plan.Changes {
		ch := &c.plan.Changes[i]
		said[ch.Old], said[ch.Instance] = true, true
	}
	for _, id := range ids {
		b := c.binding(id)
		if c.isWanted(&b) {
			if (b.Phase == assignment.Drain || b.Phase == assignment.Stop) && !said[id] && !c.lost(id) {
				ch := Change{Verb: Delete, Object: owner(b.Namespace, b.Pod, b.Controller), Instance: id, Minion: b.Minion, Reason: cmp.Or(b.Reason, "it is to end")}
				c.strayed(&ch, &b)
				c.change(ch)
			}
			continue
		}
		k := owner(b.Namespace, b.Pod, b.Controller)
		if s, ok := c.suspended[k]; ok && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			c.change(Change{Verb: Delete, Object: k, Instance: id, Minion: b.Minion, Reason: c.scaledTo(k),
				Waiting: s.String(), WaitingCode: s.code(), Blocked: true})
			continue
		}
		why := "not in Git any more"
		if w := c.of.by.get(k); w != nil && w.controller != "" {
			why = c.scaledTo(k)
		}
		if b.Phase == assignment.Run || b.Phase == assignment.Prepare {
			c.goAway(id, why)
			c.endedBy(id, k)
		} else {
			why = cmp.Or(b.Reason, why)
		}
		ch := Change{Verb: Delete, Object: k, Instance: id, Minion: b.Minion, Reason: why}
		c.strayed(&ch, &b)
		c.change(ch)
	}
}

// unrested goes through the instances of workloads that are not at rest, and those that nothing declares. The order is that of
// nothing. Bindings may be put in the place of those that are there meanwhile.
func (c *step) unrested(do func(n int32, b *Binding)) {
	t := c.st.Bindings.t
	if t == nil {
		return
	}
	for o := range t.owners.buckets {
		if o < len(c.restingOwner) && c.restingOwner[o] {
			continue
		}
		for _, n := range t.owners.buckets[o].list {
			do(n, t.at(n))
		}
	}
}

// began tells whether a binding was there before this step.
func (c *step) began(n int32, b *Binding) bool {
	t := c.in.State.Bindings.t
	return t != nil && int(n) < t.bound.n && t.at(n) != nil && t.at(n).ID == b.ID
}

// explain says how the declared spec differs from an instance's.
func (c *step) explain(ch *Change, w want, old string) {
	b := c.binding(old)
	ch.Old = old
	if b.Hash != w.hash {
		ch.Details = diffSpec(b.Spec, w.spec)
	}
	switch {
	case len(ch.Details) == 0:
		ch.Reason = "it moves"
		if l := c.st.Minions[b.Minion].Lost; !l.IsZero() {
			ch.Reason = c.lostSince(b.Minion)
		} else if why := c.expelled(old); why != "" {
			ch.Reason = why
		}
	case len(ch.Details) == 1:
		d := ch.Details[0]
		field := strings.TrimPrefix(d.Path, "spec.")
		if _, rest, ok := strings.Cut(field, "]."); ok && len(w.spec.Containers) == 1 && strings.HasPrefix(field, "containers[") {
			field = rest
		}
		ch.Reason = fmt.Sprintf("%s: %s -> %s", field, cmp.Or(d.From, "(none)"), cmp.Or(d.To, "(none)"))
	default:
		ch.Reason = fmt.Sprintf("%d fields of the spec change", len(ch.Details))
	}
	switch q := c.st.Objects[w.key.String()].Quarantine; {
	case len(ch.Details) == 0 || q == nil:
	case q.With != "":
		ch.Reason = q.Reason + ", " + ch.Reason
	default:
		ch.Reason = "back to the last healthy spec, " + ch.Reason
	}
}
