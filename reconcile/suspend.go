package reconcile

import (
	"fmt"
	"time"

	"reconciler/schema"
)

// suspension says that nothing is to be done for an object, until a time if that is not zero.
type suspension struct {
	reason     string
	until      time.Time
	reportOnly bool // what differs is said, and nothing is done
}

// code says it for programs.
func (s suspension) code() Code {
	if s.reportOnly {
		return CodeReportOnly
	}
	return CodeSuspended
}

// String is what people read.
func (s suspension) String() string {
	if s.reportOnly {
		return "report-only: " + s.reason
	}
	if s.until.IsZero() {
		return "suspended: " + s.reason
	}
	return fmt.Sprintf("suspended until %s: %s", s.until.UTC().Format(time.RFC3339), s.reason)
}

// noteSuspensions finds the objects for which nothing is to be done now, and when the first of them is taken up again.
func (c *step) noteSuspensions() {
	c.suspended = map[schema.Key]suspension{}
	if c.set == nil {
		return
	}
	note := func(k schema.Key, m *schema.Meta) {
		if s, ok := c.suspensionOf(k, m); ok {
			c.suspended[k] = s
		}
	}
	for _, p := range c.set.Pods {
		note(p.Key(), &p.Meta)
	}
	for _, r := range c.set.ReplicationControllers {
		note(r.Key(), &r.Meta)
	}
}

// suspensionOf tells whether nothing is to be done for an object now, and why.
func (c *step) suspensionOf(k schema.Key, m *schema.Meta) (suspension, bool) {
	if s, ok := c.suspendedNow(k, m); ok {
		return s, true
	}
	reason, ok := m.Annotations[schema.AnnotationReportOnly]
	return suspension{reason: reason, reportOnly: true}, ok
}

// suspendedNow tells whether an object is suspended, until a time that has not come.
func (c *step) suspendedNow(k schema.Key, m *schema.Meta) (s suspension, ok bool) {
	s.reason, ok = m.Annotations[schema.AnnotationSuspend]
	if !ok {
		return s, false
	}
	text := m.Annotations[schema.AnnotationSuspendUntil]
	if text == "" {
		return s, true
	}
	until, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil: // a time that nobody can read must not end a suspension
		c.warn("%s: annotation %s is %q, which is no time: it stays suspended", k, schema.AnnotationSuspendUntil, text)
	case !until.After(c.now):
		return s, false
	default:
		s.until = until
		c.wakeAt(until)
	}
	return s, true
}

// active is those of wants that are not suspended. Of the others, what would be done is said, and blocked.
func (c *step) active(wants []want, slots map[string][]string) []want {
	if len(c.suspended) == 0 {
		return wants
	}
	var out []want
	for _, w := range wants {
		s, ok := c.suspended[w.key]
		if !ok {
			out = append(out, w)
			continue
		}
		ids := slots[slot(w.key.Namespace, w.pod, w.controller)]
		if len(ids) == 0 {
			c.change(Change{Verb: Create, Object: w.key, Reason: "declared in Git", Waiting: s.String(), WaitingCode: s.code(), Blocked: true})
			continue
		}
		c.sayHeld(w, ids[len(ids)-1], s)
	}
	return out
}
