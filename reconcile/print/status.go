package print

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// Status prints what is true, the worst first.
func Status(w io.Writer, s reconcile.Status, colour bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Fleet:      %s, %s\n", word(colour, string(s.Sync)), word(colour, string(s.Health)))
	fmt.Fprintf(&b, "Applied:    %s", revision(s.Applied))
	if s.Except > 0 {
		fmt.Fprintf(&b, ", except %d", s.Except)
	}
	if o := s.Outcome; o != nil && o.Ending != reconcile.Applied && o.Ending != reconcile.AppliedExcept {
		fmt.Fprintf(&b, ", %s", ending(colour, *o))
	}
	if s.Approved != nil {
		fmt.Fprintf(&b, ", approved by %s", orNone(s.Approved.By))
	}
	fmt.Fprintln(&b)
	if s.Held != nil {
		fmt.Fprintf(&b, "Held:       %s\n  %s\n", revision(s.Attempted), paint(colour, yellow, fmt.Sprintf("%d %s to do; waits for `reconciler apply --plan %s`",
			s.Held.Count, plural(s.Held.Count, "change"), Short(s.Held.Plan))))
	}
	if len(s.Errors) > 0 {
		if s.Attempted.Hash != "" && s.Attempted.Hash != s.Applied.Hash {
			fmt.Fprintf(&b, "Attempted:  %s\n", revision(s.Attempted))
		}
		for _, e := range s.Errors {
			fmt.Fprintf(&b, "  %s\n", paint(colour, red, e))
		}
		if s.Applied.Hash != "" {
			fmt.Fprintln(&b, "  The applied revision stays in force until a commit is accepted.")
		}
	}
	for _, warning := range s.Warnings {
		fmt.Fprintf(&b, "  %s\n", paint(colour, yellow, "warning: "+warning))
	}
	if len(s.Objects) > 0 {
		fmt.Fprintln(&b)
		rows := [][]string{{"OBJECT", "SYNC", "HEALTH", "READY", "REASON"}}
		for _, o := range s.Objects {
			ready := fmt.Sprintf("%d/%d", o.Ready, o.Desired)
			rows = append(rows, []string{o.Key.String(), string(o.Sync), string(o.Health), ready, o.Reason})
		}
		table(&b, rows)
	}
	var leaving [][]string
	for _, i := range s.Instances {
		if i.Binding.Phase == assignment.Drain || i.Binding.Phase == assignment.Stop {
			leaving = append(leaving, []string{i.Binding.ID, i.Minion, strings.ToLower(string(i.Binding.Phase)), i.Reason})
		}
	}
	if len(leaving) > 0 {
		fmt.Fprintln(&b)
		table(&b, append([][]string{{"LEAVING", "MINION", "PHASE", "REASON"}}, leaving...))
	}
	fmt.Fprintln(&b)
	if len(s.Minions) == 0 {
		fmt.Fprintln(&b, "No minion has joined. `reconciler token create` prints a token for one.")
	} else {
		rows := [][]string{{"MINION", "HEALTH", "PODS", "CPU", "MEMORY", "REASON"}}
		for _, m := range s.Minions {
			if m.Capacity == (assignment.Capacity{}) { // not reported
				rows = append(rows, []string{m.Name, string(m.Health), fmt.Sprintf("%d/-", m.Reserved.Pods), "-", "-", m.Reason})
				continue
			}
			rows = append(rows, []string{m.Name, string(m.Health), fmt.Sprintf("%d/%d", m.Reserved.Pods, m.Capacity.Pods),
				fmt.Sprintf("%dm/%dm", m.Reserved.MilliCPU, m.Capacity.MilliCPU), fmt.Sprintf("%dMi/%dMi", m.Reserved.Memory>>20, m.Capacity.Memory>>20), m.Reason})
		}
		table(&b, rows)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// word is a word of status in its colour.
func word(colour bool, s string) string {
	switch s {
	case string(reconcile.Synced), string(reconcile.Healthy):
		return paint(colour, green, s)
	case string(reconcile.Degraded), string(reconcile.Missing):
		return paint(colour, red, s)
	}
	return paint(colour, yellow, s)
}

// revision is a commit in a line: ref@hash, subject, author.
func revision(r reconcile.Revision) string {
	if r.Hash == "" {
		return "none"
	}
	if len(r.Sources) > 0 {
		return parts(r)
	}
	text := r.Hash
	if len(text) > 12 && !strings.ContainsAny(text, " /") {
		text = text[:12]
	}
	if r.Ref != "" {
		text = r.Ref + "@" + text
	}
	if r.Subject != "" {
		text += fmt.Sprintf(" %q", r.Subject)
	}
	if r.Author != "" {
		text += " by " + r.Author
	}
	return text
}

// parts is the commit of each source, as "web@abc1234 db@0123456", and who made the newest of them.
func parts(r reconcile.Revision) string {
	var words []string
	for _, p := range r.Sources {
		hash := p.Hash
		if len(hash) > 7 && !strings.ContainsAny(hash, " /") {
			hash = hash[:7]
		}
		words = append(words, p.Name+"@"+hash)
	}
	text := strings.Join(words, " ")
	if r.Subject != "" {
		text += fmt.Sprintf(" %q", r.Subject)
	}
	if r.Author != "" {
		text += " by " + r.Author
	}
	return text
}

// Short is so much of a hash as people need to name a plan.
func Short(hash string) string { return hash[:min(len(hash), len("sha256:")+16)] }

// ending is what became of a revision, in its colour.
func ending(colour bool, o reconcile.Outcome) string {
	switch o.Ending {
	case reconcile.Applied:
		return paint(colour, green, o.Words())
	case reconcile.Applying, reconcile.IsHeld, reconcile.Superseded:
		return paint(colour, yellow, o.Words())
	}
	return paint(colour, red, o.Words())
}

// Outcomes prints what became of revisions, in the order given: a line for each.
func Outcomes(w io.Writer, all []reconcile.Outcome, colour bool) error {
	var b bytes.Buffer
	rows := [][]string{{"PLAN", "REVISION", "AUTHOR", "WHEN", "APPROVED BY", "OUTCOME"}}
	for _, o := range all {
		at := o.Seen
		if !o.Taken.IsZero() {
			at = o.Taken
		}
		plan := strings.TrimPrefix(Short(o.Plan), "sha256:")
		rows = append(rows, []string{dash(plan), commit(o.Revision), dash(o.Revision.Author), at.UTC().Format(time.RFC3339), dash(o.By), ending(colour, o)})
	}
	table(&b, rows)
	_, err := w.Write(b.Bytes())
	return err
}

// Outcome prints all that is known of what became of a revision.
func Outcome(w io.Writer, o reconcile.Outcome, colour bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Revision:   %s\n", revision(o.Revision))
	if !o.Taken.IsZero() {
		fmt.Fprintf(&b, "Taken:      %s", o.Taken.UTC().Format(time.RFC3339))
		if o.By != "" {
			fmt.Fprintf(&b, ", approved by %s", o.By)
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprintf(&b, "Outcome:    %s", ending(colour, o))
	if !o.Ended.IsZero() {
		fmt.Fprintf(&b, " since %s", o.Ended.UTC().Format(time.RFC3339))
	}
	if o.Reason != "" && o.Ending != reconcile.Superseded {
		fmt.Fprintf(&b, "\n  %s", o.Reason)
	}
	fmt.Fprint(&b, "\n\n")
	_, err := w.Write(b.Bytes())
	return err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// commit is ref@hash, or the commit of each source.
func commit(r reconcile.Revision) string {
	r.Subject, r.Author = "", ""
	return revision(r)
}
