package reconcile

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"reconciler/schema"
)

// Suspension says that nothing is to be done for an object: somebody said so by the command line, or Git does.
type Suspension struct {
	Reason string    `json:"reason"`
	Owner  string    `json:"owner,omitempty"` // who said so by the command line, as far as known; "": Git
	Since  time.Time `json:"since,omitzero"`  // zero: Git
	Until  time.Time `json:"until,omitzero"`  // zero: without an end

	ReportOnly bool `json:"reportOnly,omitempty"` // what differs is said, and nothing is done: only Git says so
}

// code says it for programs.
func (s Suspension) code() Code {
	if s.ReportOnly {
		return CodeReportOnly
	}
	return CodeSuspended
}

// String is what people read.
func (s Suspension) String() string {
	text := "suspended"
	if s.ReportOnly {
		text = "report-only"
	}
	if s.Owner != "" {
		text += " by " + s.Owner
	}
	if !s.Until.IsZero() {
		text += " until " + s.Until.UTC().Format(time.RFC3339)
	}
	return text + ": " + s.Reason
}

// Suspend is the state with the decision that nothing is done for an object. It replaces an earlier one that was taken in the
// same way. Only a pod or a controller in force can be suspended.
func Suspend(st State, k schema.Key, s Suspension) (State, error) {
	s.Reason = strings.Join(strings.Fields(s.Reason), " ")
	switch {
	case k.Kind != schema.KindPod && k.Kind != schema.KindReplicationController:
		return st, fmt.Errorf("suspend %s: only pods and replication controllers can be suspended", k)
	case declaredMeta(st.Accepted, k) == nil:
		return st, fmt.Errorf("suspend %s: the revision in force does not declare it", k)
	case s.Reason == "":
		return st, fmt.Errorf("suspend %s: it takes a reason", k)
	case !s.Until.IsZero() && !s.Until.After(s.Since):
		return st, fmt.Errorf("suspend %s: %s is over already", k, s.Until.UTC().Format(time.RFC3339))
	}
	st.Suspensions = maps.Clone(st.Suspensions)
	if st.Suspensions == nil {
		st.Suspensions = map[string]Suspension{}
	}
	st.Suspensions[k.String()] = s
	return st, nil
}

// Resume is the state without the decision that [Suspend] took.
func Resume(st State, k schema.Key) (State, error) {
	if _, ok := st.Suspensions[k.String()]; !ok {
		if m := declaredMeta(st.Accepted, k); m != nil && m.Annotations[schema.AnnotationSuspend] != "" {
			return st, fmt.Errorf("resume %s: it is suspended in Git: take the annotation %s out there", k, schema.AnnotationSuspend)
		}
		return st, fmt.Errorf("resume %s: it is not suspended", k)
	}
	st.Suspensions = maps.Clone(st.Suspensions)
	delete(st.Suspensions, k.String())
	return st, nil
}

// declaredMeta is of the pod or the controller in a set that has this key; nil if there is none.
func declaredMeta(set *schema.Set, k schema.Key) *schema.Meta {
	if set == nil {
		return nil
	}
	for _, p := range set.Pods {
		if p.Key() == k {
			return &p.Meta
		}
	}
	for _, r := range set.ReplicationControllers {
		if r.Key() == k {
			return &r.Meta
		}
	}
	return nil
}

// noteSuspensions finds the objects for which nothing is to be done now, and when the first of them is taken up again. What
// Git says of an object wins over what was said by the command line, of which what is over, or of an object that left Git, is
// forgotten.
func (c *step) noteSuspensions() {
	c.suspended = map[schema.Key]Suspension{}
	if c.set == nil {
		return
	}
	of := c.of
	if of == nil {
		of = derive(c.set, c.in.State.derived)
	}
	said := map[string]Suspension{}
	note := func(w *workload) {
		k := w.key
		s, ok := c.suspensionOf(k, w.object.Metadata())
		if x, is := c.saidOf(k); is {
			said[k.String()] = x
		}
		if !ok {
			return
		}
		c.suspended[k] = s
		if !s.Until.IsZero() {
			c.wakeAt(s.Until)
		}
	}
	for _, w := range of.held {
		note(w)
	}
	for name := range c.st.Suspensions {
		if w := of.named.get(name); w != nil && !w.held {
			note(w)
		}
	}
	if len(said) == 0 {
		said = nil
	}
	c.st.Suspensions = said
}

// saidOf is what was said of an object by the command line, and has not ended.
func (c *step) saidOf(k schema.Key) (Suspension, bool) {
	if len(c.st.Suspensions) == 0 {
		return Suspension{}, false
	}
	s, ok := c.st.Suspensions[k.String()]
	return s, ok && (s.Until.IsZero() || s.Until.After(c.now))
}

// suspensionOf tells whether nothing is to be done for an object now, and why.
func (c *step) suspensionOf(k schema.Key, m *schema.Meta) (Suspension, bool) {
	git, ok := c.inGit(k, m)
	if ok && !git.ReportOnly {
		return git, true
	}
	if s, said := c.saidOf(k); said {
		return s, true
	}
	return git, ok
}

// inGit is what the annotations of an object say, and have not ended.
func (c *step) inGit(k schema.Key, m *schema.Meta) (s Suspension, ok bool) {
	report, reportOnly := m.Annotations[schema.AnnotationReportOnly]
	if s.Reason, ok = m.Annotations[schema.AnnotationSuspend]; !ok {
		return Suspension{Reason: report, ReportOnly: reportOnly}, reportOnly
	}
	if text := m.Annotations[schema.AnnotationSuspendUntil]; text != "" {
		until, err := time.Parse(time.RFC3339, text)
		if err != nil { // a time that nobody can read must not end a suspension
			c.warn("%s: annotation %s is %q, which is no time: it stays suspended", k, schema.AnnotationSuspendUntil, text)
		} else if s.Until = until; !until.After(c.now) {
			return Suspension{Reason: report, ReportOnly: reportOnly}, reportOnly
		}
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
