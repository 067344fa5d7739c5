package reconcile

import (
	"time"

	"reconciler/reconcile/assignment"
)

// observedOf is an instance as its own minion reports it, nil if it does not.
func (c *step) observedOf(id string) *assignment.InstanceStatus {
	if n, ok := c.st.Bindings.number(id); ok {
		return c.observed(n)
	}
	return nil
}

// observed is observedOf by the number of the binding.
func (c *step) observed(n int32) *assignment.InstanceStatus {
	if len(c.found) > 0 && c.found[n] != nil {
		return c.found[n]
	}
	if int(n) >= len(c.seenAt.list) || c.seenAt.list[n] == 0 {
		return nil
	}
	return &c.looks.list[c.st.Bindings.t.bound.at(n).minion].report.Instances[c.seenAt.list[n]-1]
}

// nowObserved notes what a minion reports of an instance that has a binding since this step.
func (c *step) nowObserved(id string, s *assignment.InstanceStatus) {
	n, _ := c.st.Bindings.number(id)
	if c.found == nil {
		c.found = map[int32]*assignment.InstanceStatus{}
	}
	c.found[n] = s
}

// minReady is how long an instance must run to be ready.
func (c *step) minReady(annotations map[string]string) time.Duration {
	return MinReady(annotations, c.in.Settings)
}

// ready tells whether an instance may get traffic. One on a minion that has not reported since the server started is what it
// was: an endpoint stays one unless it drains, and what was not ready does not become so unseen.
func (c *step) ready(b *Binding) bool {
	n, ok := c.st.Bindings.number(b.ID)
	if !ok {
		n = -1
	}
	return c.readyAt(n, b)
}

// readyAt is ready for the binding with the number n, -1 if it has none.
func (c *step) readyAt(n int32, b *Binding) bool {
	if b.Phase != assignment.Run {
		return false
	}
	var o *assignment.InstanceStatus
	if n >= 0 {
		if int(n) < len(c.readiness.list) {
			if r := c.readiness.list[n]; r != unsure {
				return r == isReady
			}
		}
		o = c.observed(n)
	}
	if o == nil && !b.Serving {
		return false
	}
	m, ok := c.in.Minions[b.Minion]
	switch {
	case !c.st.Minions[b.Minion].Lost.IsZero():
		return false
	case !ok || m.Report == nil:
		return b.Serving
	}
	return o != nil && c.upLongEnough(b, o, m.Reported)
}

// upLongEnough tells whether an instance runs for as long as it has to, by what was reported of it then.
func (c *step) upLongEnough(b *Binding, o *assignment.InstanceStatus, then time.Time) bool {
	if o.State != assignment.Running || o.Up.IsZero() {
		return false
	}
	up := o.UpFor + max(c.now.Sub(then), 0)
	if wait := c.minReady(b.Annotations) - up; wait > 0 {
		c.wakeAt(c.now.Add(wait))
		return false
	}
	return true
}
