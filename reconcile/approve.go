package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"reconciler/schema"
)

// Approval is somebody's decision that a revision is taken into force, in a fleet that does not do so by itself.
type Approval struct {
	Revision Revision  `json:"revision"` // without its trailers and commits
	Plan     string    `json:"plan"`     // the hash of what was shown, see PlanHash
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at,omitzero"`
}

// ErrNotHeld is that no revision waits for an approval.
var ErrNotHeld = errors.New("no revision waits to be applied")

// StaleError is that the plan to approve is not what would be done now.
type StaleError struct {
	Asked    string   // hash
	Revision Revision // that waits now
	Plan     string   // hash of what would be done now
	Changes  []Change // what would be done now
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("plan %s is not what would be done now: that is plan %s of revision %.12s", e.Asked, e.Plan, e.Revision.Hash)
}

// unapproved says why the revision waits for people; "" if it does not.
func (c *step) unapproved() string {
	if !c.in.Settings.Manual || c.st.Approved != nil && c.st.Approved.Revision.same(c.in.Revision) {
		return ""
	}
	return fmt.Sprintf("revision %.12s is held: it waits for `reconciler apply`", c.in.Revision.Hash)
}

// Preview is the plan that there would be if nobody had to approve the revision, and no trailer were missing. It says all the
// same why the revision is not taken into force. The input is the one that it was computed of.
func Preview(in Input) (Input, Plan) { return preview(in, Compute(in)) }

func preview(in Input, p Plan) (Input, Plan) {
	if p.Stalled == "" && p.Held == "" {
		return in, p
	}
	stalled, held := p.Stalled, p.Held
	in.Revision.Trailers = append(slices.Clone(in.Revision.Trailers), Trailer{Key: TrailerAllowDelete, Value: "all"})
	in.State.Approved = &Approval{Revision: in.Revision}
	p = Compute(in)
	p.Stalled, p.Held = stalled, held
	return in, p
}

// Approve is the state with the decision that the revision is taken into force with the plan of this hash, of which the first
// 12 digits do. It wraps [ErrNotHeld] if nothing waits for that, and is a *[StaleError] if the plan is another one by now.
func Approve(in Input, hash, by string) (State, error) {
	digits := strings.ToLower(strings.TrimPrefix(hash, hashKind))
	if len(digits) < 12 || strings.Trim(digits, "0123456789abcdef") != "" {
		return in.State, fmt.Errorf("approve plan %q: a hash has 12 digits at least, of 0 to 9 and a to f", hash)
	}
	p := Compute(in)
	switch {
	case p.Stalled != "":
		return in.State, errors.New(p.Stalled)
	case p.Held == "":
		return in.State, fmt.Errorf("approve plan %.19s: %w", hash, ErrNotHeld)
	}
	_, p = preview(in, p)
	now := PlanHash(in.Revision, p.Changes)
	if !strings.HasPrefix(now, hashKind+digits) {
		return in.State, &StaleError{Asked: hashKind + digits, Revision: in.Revision, Plan: now, Changes: p.Changes}
	}
	r := in.Revision
	r.Trailers, r.Commits = nil, nil
	in.State.Approved = &Approval{Revision: r, Plan: now, By: by, At: in.Now}
	return in.State, nil
}

// hashKind stands before the digits of a hash.
const hashKind = "sha256:"

// deed is what matters of a change: what is done to which object on which minion, and what differs. Names of instances, words
// for people and what it waits for may be others the next second.
type deed struct {
	Object  schema.Key `json:"object"`
	Verb    Verb       `json:"verb"`
	Minion  string     `json:"minion,omitempty"`
	How     string     `json:"how,omitempty"`
	Blocked bool       `json:"blocked,omitempty"`
	Details []Detail   `json:"details,omitempty"`
}

// deeds are what matters of some changes, sorted. What is done without any revision is left out: what an instance that is there
// already waits for, its restart, and which endpoints are ready.
func deeds(changes []Change) (out []string) {
	for _, c := range changes {
		if c.Drift || c.Verb == Restart || c.Verb == Create && c.Instance != "" && c.Waiting != "" || c.Code == CodeEndpoints {
			continue
		}
		d := deed{c.Object, c.Verb, c.Minion, c.How, c.Blocked, c.Details}
		if c.Verb == Route {
			d.Details = nil // ready endpoints
		}
		b, err := json.Marshal(d)
		if err != nil {
			panic("reconcile: marshal deed: " + err.Error())
		}
		out = append(out, string(b))
	}
	slices.Sort(out)
	return out
}

// PlanHash names a plan: "sha256:" and a hash of its revision and of what matters of its changes: object, verb, minion, how, and
// what differs. It stays the same while nothing of that changes, and is the same wherever it is computed.
func PlanHash(r Revision, changes []Change) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", r.Hash, r.Path, r.Tags)
	for _, d := range deeds(changes) {
		fmt.Fprintln(h, d)
	}
	return hashKind + hex.EncodeToString(h.Sum(nil))
}

// ComparePlans says in lines what of an earlier plan is otherwise in a later one: what is gone, what is new, and what is
// different.
func ComparePlans(before, after []Change) (lines []string) {
	gone, added := subtract(deeds(before), deeds(after)), subtract(deeds(after), deeds(before))
	for _, x := range gone {
		was := undeed(x)
		i := slices.IndexFunc(added, func(y string) bool { d := undeed(y); return d.Object == was.Object && d.Verb == was.Verb })
		if i < 0 {
			lines = append(lines, "gone:      "+was.String())
			continue
		}
		lines = append(lines, fmt.Sprintf("different: %s, now %s", was, strings.TrimPrefix(undeed(added[i]).String(), fmt.Sprintf("%s %s ", was.Verb, was.Object))))
		added = slices.Delete(added, i, i+1)
	}
	for _, x := range added {
		lines = append(lines, "new:       "+undeed(x).String())
	}
	return lines
}

// subtract is what of a sorted list is not in another, each as often.
func subtract(a, b []string) (out []string) {
	n := map[string]int{}
	for _, x := range b {
		n[x]++
	}
	for _, x := range a {
		if n[x]--; n[x] < 0 {
			out = append(out, x)
		}
	}
	return out
}

func undeed(text string) (d deed) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic("reconcile: unmarshal deed: " + err.Error())
	}
	return d
}

// String is a deed in a line.
func (d deed) String() string {
	text := fmt.Sprintf("%s %s", d.Verb, d.Object)
	switch {
	case d.Minion != "":
		text += " on " + d.Minion
	case d.Verb != Route:
		text += " on no minion yet"
	}
	if d.How != "" {
		text += " (" + d.How + ")"
	}
	if d.Blocked {
		text += ", blocked"
	}
	for _, x := range d.Details {
		text += fmt.Sprintf("; %s: %s -> %s", x.Path, orNone(x.From), orNone(x.To))
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
