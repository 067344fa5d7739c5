package reconcile

import (
	"cmp"
	"fmt"

	"reconciler/reconcile/assignment"
)

// foundUnwanted is why an instance ends that nobody decided to run.
const foundUnwanted = "found on the minion and not wanted"

// ran tells whether an instance was ready once: that it does not run is drift then, and no change on its way.
func (c *step) ran(b *Binding) bool { return b.Ran || c.before(b.ID).Serving }

// drifted makes the change of an instance that does not run as declared and once did. o is what its minion reports of it, if
// anything.
func (c *step) drifted(w want, b *Binding, o *assignment.InstanceStatus) Change {
	ch := Change{Verb: Restart, Object: w.key, Instance: b.ID, Minion: b.Minion, Code: CodeDrift, Drift: true, Reason: "it does not run as declared"}
	problem := c.problem(b.ID)
	ch.Waiting, ch.Blocked = cmp.Or(problem, "it to be ready"), problem != ""
	if o == nil {
		ch.Reason, ch.Waiting, ch.Blocked = "its minion does not have it", "its minion to take it over", false
		ch.Details = []Detail{{Path: "instance", From: "not there", To: "running"}}
		return ch
	}
	ch.Details = driftOf(o)
	return ch
}

// driftOf is what is observed of an instance that is to run, where that differs.
func driftOf(o *assignment.InstanceStatus) (out []Detail) {
	for _, k := range o.Containers {
		if k.State == "running" {
			continue
		}
		text := k.State
		switch {
		case k.State == "terminated":
			text = fmt.Sprintf("%s with exit code %d", cmp.Or(k.Reason, "ended"), k.ExitCode)
		case k.Last != nil:
			text = fmt.Sprintf("%s, after %s with exit code %d", cmp.Or(k.Reason, k.State), cmp.Or(k.Last.Reason, "it ended"), k.Last.ExitCode)
		case k.Reason != "":
			text = k.Reason
		}
		if k.Restarts > 0 {
			text += fmt.Sprintf(", restarted %d %s", k.Restarts, plural(k.Restarts, "time", "times"))
		}
		out = append(out, Detail{Path: "containers[" + k.Name + "]", From: text, To: "running"})
	}
	if len(out) == 0 && o.State != assignment.Running {
		out = append(out, Detail{Path: "instance", From: cmp.Or(o.Reason, string(o.State)), To: "running"})
	}
	return out
}

// reason is why a change is to be made, with what is observed if that is drift.
func (ch *Change) reason() string {
	if ch.Drift && len(ch.Details) == 1 && ch.Verb == Restart {
		return fmt.Sprintf("%s: %s", ch.Details[0].Path, ch.Details[0].From)
	}
	return ch.Reason
}

// driftFirst orders what nobody declared before the rest.
func driftFirst(a, b *Change) int {
	switch {
	case a.Drift == b.Drift:
		return 0
	case a.Drift:
		return -1
	}
	return 1
}

// strayed makes the end of an instance that nobody decided to run drift.
func (c *step) strayed(ch *Change, b *Binding) {
	if b.Reason != foundUnwanted {
		return
	}
	ch.Code, ch.Drift = CodeFound, true
	if o := c.observedOf(b.ID); o != nil {
		ch.Details = []Detail{{Path: "instance", From: string(o.State), To: "not there"}}
	}
}
