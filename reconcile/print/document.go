package print

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"reconciler/reconcile"
)

// FormatVersion is that of the JSON document, which docs/plan.md describes. It changes when a field changes its meaning or
// goes; new fields and new words do not change it.
const FormatVersion = "2"

// Document is the plan for programs.
type Document struct {
	FormatVersion string                 `json:"format_version"`
	Hash          string                 `json:"hash"` // see reconcile.PlanHash
	Revision      reconcile.Revision     `json:"revision"`
	Applied       reconcile.Revision     `json:"applied"` // in force before
	Stalled       string                 `json:"stalled,omitempty"`
	Held          string                 `json:"held,omitempty"`
	Summary       Counts                 `json:"summary"`
	Changes       []reconcile.Change     `json:"changes"`
	Disruptions   []reconcile.Disruption `json:"disruptions,omitempty"`
	Pulls         []reconcile.Pull       `json:"pulls,omitempty"` // not part of the hash: they go with what minions have
	Warnings      []string               `json:"warnings,omitempty"`
}

// Counts are the changes by what they do. Those that are blocked or wait are counted by their verb, too.
type Counts struct {
	Create            int `json:"create"`
	ReplaceStartFirst int `json:"replaceStartFirst"`
	ReplaceStopFirst  int `json:"replaceStopFirst"`
	Move              int `json:"move"`
	Restart           int `json:"restart"`
	Update            int `json:"update"`
	Delete            int `json:"delete"`
	Route             int `json:"route"`
	Blocked           int `json:"blocked"`
	Waiting           int `json:"waiting"`   // not blocked, but not now
	Unchanged         int `json:"unchanged"` // objects
	Drift             int `json:"drift,omitempty"`
}

func count(p reconcile.Plan) Counts {
	n := Counts{Unchanged: unchanged(p)}
	for _, c := range p.Changes {
		switch c.Verb {
		case reconcile.Create:
			n.Create++
		case reconcile.Replace:
			if c.How == "stop-first" {
				n.ReplaceStopFirst++
			} else {
				n.ReplaceStartFirst++
			}
		case reconcile.Move:
			n.Move++
		case reconcile.Restart:
			n.Restart++
		case reconcile.Update:
			n.Update++
		case reconcile.Delete:
			n.Delete++
		case reconcile.Route:
			n.Route++
		}
		if c.Drift {
			n.Drift++
		}
		switch {
		case c.Blocked:
			n.Blocked++
		case c.Waiting != "":
			n.Waiting++
		}
	}
	return n
}

// how says for the verbs that have only one way what that is.
var how = map[reconcile.Verb]string{reconcile.Update: "in-place", reconcile.Route: "in-place", reconcile.Restart: "restart"}

// NewDocument is the document of a plan and its forecast.
func NewDocument(in reconcile.Input, p reconcile.Plan, d []reconcile.Disruption) Document {
	in.Revision.Commits = nil // each change has its own
	out := Document{FormatVersion: FormatVersion, Hash: reconcile.PlanHash(in.Revision, p.Changes), Revision: in.Revision, Applied: in.State.Applied,
		Stalled: p.Stalled, Held: p.Held, Summary: count(p), Changes: []reconcile.Change{}, Disruptions: d, Pulls: reconcile.Pulls(in, p), Warnings: p.Warnings}
	for _, c := range p.Changes {
		if c.How == "" {
			c.How = how[c.Verb]
		}
		out.Changes = append(out.Changes, c)
	}
	return out
}

// PlanJSON prints the plan and its forecast as one JSON document of [FormatVersion].
func PlanJSON(w io.Writer, in reconcile.Input, p reconcile.Plan, d []reconcile.Disruption) error {
	return NewDocument(in, p, d).JSON(w)
}

// JSON prints the document.
func (d Document) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

// Text prints the document for people: the forecast, the changes, what can be done about those that are blocked, the hash.
func (d Document) Text(w io.Writer, colour bool) error {
	changes := slices.Clone(d.Changes)
	for i := range changes {
		if c := &changes[i]; c.How == how[c.Verb] {
			c.How = ""
		}
	}
	p := reconcile.Plan{Changes: changes, Stalled: d.Stalled, Held: d.Held, Warnings: d.Warnings}
	if err := errors.Join(Disruptions(w, d.Disruptions, colour), Pulls(w, d.Pulls), text(w, p, d.Summary.Unchanged, colour), Steps(w, p)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "Plan hash:", d.Hash)
	return err
}

// Disruptions prints a forecast: a line for each service, aligned; nothing if there is none.
func Disruptions(w io.Writer, all []reconcile.Disruption, colour bool) error {
	if len(all) == 0 {
		return nil
	}
	var b bytes.Buffer
	rows := [][]string{{"SERVICE", "READY", "LOWEST", "ON THE WAY"}}
	for _, d := range all {
		text := fmt.Sprintf("never fewer than %d", d.Lowest)
		switch {
		case d.Gone:
			text = paint(colour, red, "the service or a port of it goes away")
		case d.None:
			text = paint(colour, red, "perhaps no endpoint for a moment")
		case d.Lowest < d.Now:
			text = paint(colour, yellow, text)
		}
		rows = append(rows, []string{d.Service.String(), fmt.Sprint(d.Now), fmt.Sprint(d.Lowest), text})
	}
	table(&b, rows)
	fmt.Fprintln(&b)
	_, err := w.Write(b.Bytes())
	return err
}

// next is what a person can do about a change that is blocked.
var next = map[reconcile.Code]string{
	reconcile.CodeNoRoom:       "give pods less to reserve, or add a minion: `diff --add-minion` tells whether that helps",
	reconcile.CodeNeedsFeature: "take out what this release cannot do: `validate` says where it is",
	reconcile.CodeImageMissing: "push the image or correct its name: `describe pod` says what the registry answered",
	reconcile.CodeFailing:      "`logs --previous` and `describe pod` say why it ends",
	reconcile.CodeMinionLost:   "bring the minion back, or delete the pod in Git: then it may be declared anew",
	reconcile.CodeRefused:      "take the change back in Git, or delete the object in a commit before",
	reconcile.CodeDependency:   "mend what it waits for, which `status` tells more of; it goes on by itself then",
	reconcile.CodeReportOnly:   "take the annotation out of Git to have it done, or take the change back",
	reconcile.CodeSuspended:    "`resume` it when that has served its time, or take the annotation out of Git",
}

// Steps prints what a person can do about what is blocked: a line for each sort, with the number of changes.
func Steps(w io.Writer, p reconcile.Plan) error {
	n := map[reconcile.Code]int{}
	for _, c := range p.Changes {
		if c.Blocked {
			n[c.WaitingCode]++
		}
	}
	var b bytes.Buffer
	for _, code := range slices.Sorted(maps.Keys(n)) {
		if next[code] != "" {
			fmt.Fprintf(&b, "%d blocked (%s): %s\n", n[code], code, next[code])
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
