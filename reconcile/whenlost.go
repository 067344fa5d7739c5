package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// whenLost is what becomes of an object's instances on a lost minion.
type whenLost string

// Only keep and fence exclude that two instances of one pod run at once.
const (
	keep  whenLost = "keep"  // they stay there: nothing takes their place until the minion is back
	move  whenLost = "move"  // others take their place at once, and if they run there still, there are two
	fence whenLost = "fence" // their agent ends them when its lease is over, and after it others take their place
)

// whenLostOf is what an object's setting says: without it, a bare pod is kept and a controller's pods move.
func whenLostOf(o schema.Object) whenLost {
	switch v := whenLost(o.Metadata().Annotations[schema.AnnotationWhenLost]); {
	case v == keep || v == move || v == fence:
		return v
	case o.Key().Kind == schema.KindPod:
		return keep
	}
	return move
}

// whenLost is that of the object that an instance is of; of one that left Git that without a setting.
func (c *step) whenLost(b *Binding) whenLost {
	if w := c.of.by.get(owner(b.Namespace, b.Pod, b.Controller)); w != nil {
		return w.onLoss
	}
	if b.Controller == "" {
		return keep
	}
	return move
}

// mayHaveRun tells whether an instance ever left Prepare.
func mayHaveRun(b *Binding) bool {
	return b.Phase != assignment.Prepare && (b.Phase != assignment.Stop || !b.Withdrawn.IsZero())
}

// barred tells whether an instance on a lost minion keeps its pod from running elsewhere: it may run there still, and there
// must not be two.
func (c *step) barred(b *Binding) bool {
	if c.st.Minions[b.Minion].Lost.IsZero() || !mayHaveRun(b) {
		return false
	}
	switch c.whenLost(b) {
	case move:
		return false
	case fence:
		end := c.fenceEnd(b)
		c.wakeAt(end)
		return end.IsZero() || end.After(c.now)
	}
	return true // kept
}

// fenceEnd is from when on a fenced instance on a lost minion certainly has ended: the lease counts from the last message
// that this server received, or from its start. The zero time is never, as its agent has not said that it obeys.
func (c *step) fenceEnd(b *Binding) time.Time {
	last := c.in.Minions[b.Minion].LastSeen
	if !b.Fenced || last.IsZero() {
		return time.Time{}
	}
	grace := b.Spec.Grace()
	for o := range c.st.Bindings.On(b.Minion) {
		if o.Fence {
			grace = max(grace, o.Spec.Grace())
		}
	}
	return last.Add(c.st.Minions[b.Minion].Lease + grace + assignment.FenceMargin)
}

// waitForLost makes a change wait for what a lost minion may still run.
func (c *step) waitForLost(ch *Change, b *Binding) {
	ch.WaitingCode = CodeMinionLost
	ch.Waiting, ch.Blocked = c.stays(b)
}

// stays says why an instance on a lost minion keeps its pod there, and whether only the minion's return changes that.
func (c *step) stays(b *Binding) (why string, blocked bool) {
	if c.whenLost(b) == fence {
		if end := c.fenceEnd(b); !end.IsZero() {
			return fmt.Sprintf("the lease of minion %s, which is lost, to be over at %s", b.Minion, end.UTC().Format(time.TimeOnly)), false
		}
		return fmt.Sprintf("minion %s, which is lost: its agent never said that it fences %s, so that it is kept there", b.Minion, b.ID), true
	}
	if b.Controller == "" {
		return fmt.Sprintf("minion %s, which is lost: a bare pod is not moved, so that it never runs twice", b.Minion), true
	}
	return fmt.Sprintf("minion %s, which is lost: its pods are kept there, so that none runs twice", b.Minion), true
}

// staysThere says of an instance as declared on a lost minion that nothing takes its place, or not yet.
func (c *step) staysThere(w want, b *Binding) {
	why, blocked := c.stays(b)
	if !blocked {
		c.change(Change{Verb: Move, Object: w.key, Old: b.ID, Reason: c.lostSince(b.Minion), How: stopFirst, Waiting: why, WaitingCode: CodeMinionLost})
		return
	}
	what := w.key.String()
	if w.controller != "" {
		what += ": " + b.ID
	}
	c.warn("%s stays on %s", what, why)
}

// lostSince is why an instance is to leave a lost minion.
func (c *step) lostSince(minion string) string {
	return fmt.Sprintf("minion %s is lost since %s", minion, c.st.Minions[minion].Lost.UTC().Format(time.RFC3339))
}

// moveOff says how an instance on a lost minion gives way to another: only what was fenced has certainly ended.
func (c *step) moveOff(ch *Change, w want, b *Binding) {
	ch.Verb, ch.How, ch.Reason = Move, startFirst, c.lostSince(b.Minion)
	switch {
	case !mayHaveRun(b):
	case w.fence:
		ch.How = stopFirst
		ch.Reason += ", and its lease is over"
	case w.controller == "":
		ch.Reason += "; two run if it still runs there"
	}
}

// decideFences decides which instances are fenced, and how long each minion's lease is.
func (c *step) decideFences() {
	var ids []string
	for _, k := range c.of.fenced {
		for b := range c.st.Bindings.Of(k) {
			ids = append(ids, b.ID)
		}
	}
	leased := map[string]bool{}
	if c.roster.leased > 0 || !c.roster.complete() {
		for name, n := range c.st.Minions {
			if n.Lease != 0 {
				leased[name] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(leased)) {
		for b := range c.st.Bindings.On(name) {
			if b.Fence && c.whenLost(b) != fence {
				ids = append(ids, b.ID)
			}
		}
	}
	for _, id := range ids {
		c.decideFence(id)
		leased[c.binding(id).Minion] = true
	}
	for name := range leased {
		c.decideLease(name)
	}
}

// decideFence changes whether an instance is fenced only once its agent keeps what was decided before: so nothing older can
// be on its way to it, and what it reports next is about this decision. What never ran needs no such care.
func (c *step) decideFence(id string) {
	b := c.binding(id)
	want := c.whenLost(&b) == fence
	m := c.in.Minions[b.Minion]
	o := c.observedOf(id)
	if !c.st.Minions[b.Minion].Lost.IsZero() {
		o = nil // who knows what became of it since
	}
	can := m.Report == nil || slices.Contains(m.Report.Features, schema.FeatureFence)
	was := b
	switch {
	case b.Fence != want && c.before(id).Phase == assignment.Prepare:
		b.Fence, b.Fenced = want, want && can
	case b.Fence != want && o != nil && o.Fence == b.Fence:
		b.Fence, b.Fenced = want, false
	case b.Fence && want && (b.Phase == assignment.Run || b.Phase == assignment.Drain):
		b.Fenced = (b.Fenced || o != nil && o.Fence) && can
	}
	if b.Fence && !can {
		c.warn("%s is not fenced: the agent of minion %s cannot do that, so it is kept there if the minion is lost", id, b.Minion)
	}
	if b.Fence != was.Fence || b.Fenced != was.Fenced {
		b.Version = c.next()
		c.put(b)
	}
}

// decideLease decides how long the fenced instances of a minion run without contact: as long as it takes to be declared lost.
// It is never shortened while there are any, as the agent may not have heard of it when it is cut off.
func (c *step) decideLease(minion string) {
	n, known := c.st.Minions[minion]
	if !known {
		return
	}
	lease := time.Duration(0)
	for b := range c.st.Bindings.On(minion) {
		if b.Fence {
			lease = max(n.Lease, c.in.Settings.LostAfter, assignment.MinLease)
			break
		}
	}
	if lease != n.Lease {
		n.Lease = lease
		c.putNode(minion, n)
	}
}
