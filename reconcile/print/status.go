package print

import (
	"bytes"
	"fmt"
	"io"
	"strings"

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
