package print

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"reconciler/reconcile"
)

// reasonWidth is how long a reason may be in bytes for the commit to stand behind it.
const reasonWidth = 100

// symbols stand before each change.
var symbols = map[reconcile.Verb]string{
	reconcile.Create: "+", reconcile.Replace: "-/+", reconcile.Move: "=>", reconcile.Delete: "-", reconcile.Route: "~", reconcile.Update: "~", reconcile.Restart: "!",
}

// ANSI colours.
const (
	red, green, yellow, cyan, bold, plain = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[1m", "\x1b[0m"
)

func paint(on bool, colour, s string) string {
	if !on || s == "" {
		return s
	}
	return colour + s + plain
}

func verbColour(c reconcile.Change) string {
	switch {
	case c.Blocked, c.Verb == reconcile.Delete:
		return red
	case c.Verb == reconcile.Create:
		return green
	case c.Verb == reconcile.Replace, c.Verb == reconcile.Move, c.Verb == reconcile.Restart:
		return yellow
	}
	return cyan
}

// Plan prints what is to be done: a line for each change, what differs below it, and a summary.
func Plan(w io.Writer, _ reconcile.Input, p reconcile.Plan, colour bool) error {
	return text(w, p, unchanged(p), colour)
}

func text(w io.Writer, p reconcile.Plan, unchanged int, colour bool) error {
	var b bytes.Buffer
	if p.Stalled != "" {
		fmt.Fprintf(&b, "%s\n", paint(colour, red, p.Stalled))
	}
	if p.Held != "" {
		fmt.Fprintf(&b, "%s\n", paint(colour, yellow, p.Held))
	}
	for i, c := range p.Changes {
		switch {
		case c.Drift && i == 0:
			fmt.Fprintln(&b, "Drift, which no commit asked for:")
		case !c.Drift && i > 0 && p.Changes[i-1].Drift:
			fmt.Fprintln(&b, "What is declared:")
		}
		head := fmt.Sprintf("%3s %s %s", symbols[c.Verb], c.Verb, c.Object)
		if name := subject(c); name != "" {
			head += " " + name
		}
		fmt.Fprintln(&b, paint(colour, verbColour(c), head))
		fmt.Fprintf(&b, "      %s", c.Reason)
		if c.How != "" {
			fmt.Fprintf(&b, " (%s)", c.How)
		}
		if by := c.Commit.String(); by != "" && len(c.Reason)+len(by) <= reasonWidth {
			fmt.Fprintf(&b, ", %s", by)
		}
		fmt.Fprintln(&b)
		for _, d := range c.Details {
			if len(c.Details) == 1 && strings.HasSuffix(c.Reason, fmt.Sprintf(": %s -> %s", orNone(d.From), orNone(d.To))) {
				break // the reason says it all
			}
			fmt.Fprintf(&b, "      %s: %s -> %s\n", d.Path, orNone(d.From), orNone(d.To))
		}
		if c.Waiting != "" {
			word := "waits for: "
			if c.Blocked {
				word = "blocked: "
			}
			fmt.Fprintf(&b, "      %s\n", paint(colour, verbColour(c), word+c.Waiting))
		}
	}
	for _, warning := range p.Warnings {
		fmt.Fprintln(&b, paint(colour, yellow, "warning: "+warning))
	}
	if b.Len() > 0 {
		fmt.Fprintln(&b)
	}
	fmt.Fprintln(&b, paint(colour, bold, summary(p, unchanged)))
	_, err := w.Write(b.Bytes())
	return err
}

// unchanged counts the objects in force that no change is of.
func unchanged(p reconcile.Plan) int {
	if p.State.Accepted == nil {
		return 0
	}
	touched := map[string]bool{}
	for _, c := range p.Changes {
		touched[c.Object.String()] = true
	}
	n := 0
	for k := range p.State.Objects {
		if !touched[k] {
			n++
		}
	}
	return n
}

// subject names instances and minion of a change.
func subject(c reconcile.Change) string {
	var parts []string
	switch {
	case c.Old != "" && c.Instance != "":
		parts = append(parts, c.Old+" by "+c.Instance)
	case c.Old != "" || c.Instance != "":
		parts = append(parts, c.Old+c.Instance)
	}
	if c.Minion != "" {
		parts = append(parts, "on "+c.Minion)
	}
	return strings.Join(parts, " ")
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// summary counts the changes by what they do.
func summary(p reconcile.Plan, unchanged int) string {
	n, blocked := map[string]int{}, 0
	order := []string{"create", "replace start-first", "replace stop-first", "move", "restart", "update in place", "delete", "route"}
	for _, c := range p.Changes {
		word := string(c.Verb)
		switch {
		case c.Verb == reconcile.Replace:
			word += " " + c.How
		case c.Verb == reconcile.Update:
			word += " in place"
		}
		n[word]++
		if c.Blocked {
			blocked++
		}
	}
	var parts []string
	for _, word := range order {
		if n[word] > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n[word], word))
		}
	}
	text := "Plan: nothing to do"
	if p.Stalled != "" {
		text = "Plan: stalled"
	}
	if len(parts) > 0 {
		text = "Plan: " + strings.Join(parts, ", ")
	}
	if blocked > 0 {
		text += fmt.Sprintf("; %d blocked", blocked)
	}
	return text + fmt.Sprintf(". %d %s unchanged.", unchanged, plural(unchanged, "object"))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// table prints rows aligned, nothing behind the last cell.
func table(b *bytes.Buffer, rows [][]string) {
	tw := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	_ = tw.Flush() // a buffer takes everything
}
