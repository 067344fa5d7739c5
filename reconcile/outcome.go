package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"reconciler/schema"
)

// Ending is what became of a revision, in a word.
type Ending string

// The endings. Only Applied is a success, and only Applying, Failing, Held and Stalled may become another one.
const (
	Applying      Ending = "applying"       // it is in force, and something is still to be done or to become well
	Failing       Ending = "failing"        // it is in force, and something does not become well by itself
	IsHeld        Ending = "held"           // it waits for people to apply it
	IsStalled     Ending = "stalled"        // the deletion fuse, or a setting that cannot change, keeps it out
	Applied       Ending = "applied"        // everything became as it declares, and well
	AppliedExcept Ending = "applied except" // everything but what failed, which is at its last healthy spec, and what is report-only
	RolledBack    Ending = "rolled back"    // all that it changed failed, and is at its last healthy spec
	Failed        Ending = "failed"         // it was failing when another revision took its place
	Superseded    Ending = "superseded"     // another revision took its place before that was known, or before it was in force
	IsRefused     Ending = "refused"        // it does not load
)

// Outcome is a revision that the server has seen, with what became of it.
type Outcome struct {
	Number   uint64    `json:"number"` // rises
	Revision Revision  `json:"revision"`
	Ending   Ending    `json:"ending"`
	Except   int       `json:"except,omitempty"` // objects that are not as it declares, of AppliedExcept and RolledBack
	Reason   string    `json:"reason,omitempty"` // why it is no success, or which revision superseded it; for people
	Plan     string    `json:"plan,omitempty"`   // hash of the plan that took it into force
	By       string    `json:"by,omitempty"`     // who approved it; "": nobody had to
	Seen     time.Time `json:"seen"`
	Taken    time.Time `json:"taken,omitzero"`    // into force; zero: never
	Ended    time.Time `json:"ended,omitzero"`    // since when Ending does not change any more; zero: it may
	Objects  int       `json:"objects,omitempty"` // that its plan changed
	Size     int       `json:"size,omitempty"`    // bytes that its plan is kept in; 0: it is not
}

// Words are the ending for people.
func (o Outcome) Words() string {
	switch o.Ending {
	case AppliedExcept:
		return fmt.Sprintf("%s %d", o.Ending, o.Except)
	case Superseded:
		return string(o.Ending) + " by " + o.Reason
	}
	return string(o.Ending)
}

// Follow is what became of the revisions, oldest first, after a step: in is its input, p what it decided, and status what is
// true, which is asked only while the revision in force has not ended. The second value are the numbers of those of which more
// than the reason changed.
func Follow(was []Outcome, in Input, p Plan, status func() Status) (now []Outcome, changed []uint64) {
	f := follower{list: slices.Clone(was), now: in.Now}
	if p.State.Superseded != 0 || !p.State.Recovered.IsZero() { // nobody knows what is in force
		return f.list, nil
	}
	inForce := p.State.Applied
	if inForce.Hash != "" {
		f.take(inForce, in, p)
		f.judge(p, status)
	}
	seen, ending, why := in.Revision, Ending(""), ""
	switch {
	case len(in.Attempt.Errors) > 0 && in.Attempt.Revision.Hash != "":
		seen, ending, why = in.Attempt.Revision, IsRefused, strings.Join(in.Attempt.Errors, "; ")
	case seen.Hash == "" || seen.same(inForce):
		seen = inForce
	case p.Stalled != "":
		ending, why = IsStalled, p.Stalled
	case p.Held != "":
		ending, why = IsHeld, p.Held
	}
	if len(in.Attempt.Errors) > 0 && in.Attempt.Revision.Hash == "" {
		return f.list, f.changed // nobody knows what the newest revision is
	}
	if ending != "" {
		f.wait(seen, ending, why)
	}
	for i := range f.list {
		if o := &f.list[i]; o.Taken.IsZero() && o.Ended.IsZero() && !o.Revision.same(seen) {
			f.end(o, Superseded, short(seen.Hash))
		}
	}
	return f.list, f.changed
}

// follower is one Follow under way.
type follower struct {
	list    []Outcome
	changed []uint64
	now     time.Time
}

func (f *follower) mark(o *Outcome) {
	if !slices.Contains(f.changed, o.Number) {
		f.changed = append(f.changed, o.Number)
	}
}

func (f *follower) set(o *Outcome, e Ending, why string) {
	if o.Ending != e {
		f.mark(o)
	}
	o.Ending, o.Reason = e, cut(why)
}

func (f *follower) end(o *Outcome, e Ending, why string) {
	f.set(o, e, why)
	o.Ended = f.now
	f.mark(o)
}

// add appends a revision that was not seen before, or comes again.
func (f *follower) add(r Revision) *Outcome {
	o := Outcome{Number: 1, Revision: r, Seen: f.now}
	if n := len(f.list); n > 0 {
		o.Number = f.list[n-1].Number + 1
	}
	o.Revision.Trailers, o.Revision.Commits = nil, nil
	f.list = append(f.list, o)
	f.mark(&o)
	return &f.list[len(f.list)-1]
}

// inForce is the last revision that was taken into force.
func (f *follower) inForce() *Outcome {
	for i := len(f.list) - 1; i >= 0; i-- {
		if !f.list[i].Taken.IsZero() {
			return &f.list[i]
		}
	}
	return nil
}

// take notes that a revision is in force.
func (f *follower) take(r Revision, in Input, p Plan) {
	last := f.inForce()
	if last != nil && last.Revision.same(r) {
		return
	}
	if last != nil && last.Ended.IsZero() {
		e, why := Superseded, short(r.Hash)
		if last.Ending == Failing {
			e, why = Failed, fmt.Sprintf("superseded by %s while it failed: %s", why, last.Reason)
		}
		f.end(last, e, why)
	}
	var o *Outcome
	if n := len(f.list); n > 0 && f.list[n-1].Taken.IsZero() && f.list[n-1].Ended.IsZero() && f.list[n-1].Revision.same(r) {
		o = &f.list[n-1] // it waited
	} else {
		o = f.add(r)
	}
	o.Taken = f.now
	f.set(o, Applying, "")
	if !in.State.Applied.same(r) { // in this step: else it was not noted when it was taken
		o.Plan, o.Objects = PlanHash(in.Revision, p.Changes), touched(p.Changes)
	}
	if a := p.State.Approved; a != nil && a.Revision.same(r) {
		o.By = a.By
	}
	f.mark(o)
}

// touched is the number of objects that a revision changes.
func touched(changes []Change) int {
	objects := map[schema.Key]bool{}
	for _, c := range changes {
		if !c.Drift && c.Verb != Restart && c.Code != CodeEndpoints {
			objects[c.Object] = true
		}
	}
	return len(objects)
}

// judge says how far the revision in force is. Nothing is a success as long as something is not as declared, and well.
func (f *follower) judge(p Plan, status func() Status) {
	o := f.inForce()
	if !o.Ended.IsZero() {
		return
	}
	waits, only := map[schema.Key]bool{}, map[schema.Key]string{} // only: nothing is to be done but what is only said
	for _, c := range p.Changes {
		if c.WaitingCode == CodeReportOnly {
			only[c.Object] = fmt.Sprintf("%s: %s", c.Object, c.Waiting)
		} else {
			waits[c.Object] = true
		}
	}
	failed, since, left, bad := 0, 0, 0, ""
	var said []string
	failing := false
	for _, x := range status().Objects {
		if q := p.State.Objects[x.Key.String()].Quarantine; q != nil && !waits[x.Key] {
			if failed++; !q.Since.Before(o.Taken) {
				since++
			}
			continue
		}
		if x.Sync == Synced && x.Health == Healthy {
			continue
		}
		if why, ok := only[x.Key]; ok && !waits[x.Key] {
			said = append(said, why)
			continue
		}
		left++
		if broken := x.Health == Degraded; bad == "" || broken && !failing {
			bad, failing = fmt.Sprintf("%s: %s", x.Key, orUnwell(x)), failing || broken
		}
	}
	switch {
	case left > 0:
		if left > 1 {
			bad += fmt.Sprintf(" (and %d more)", left-1)
		}
		e := Applying
		if failing {
			e = Failing
		}
		f.set(o, e, bad)
	case failed+len(said) == 0:
		f.end(o, Applied, "")
	default:
		o.Except = failed + len(said)
		e := AppliedExcept
		if failed > 0 && since == failed && o.Objects == failed {
			e = RolledBack
		}
		slices.Sort(said)
		f.end(o, e, strings.Join(append(quarantines(p.State), said...), "; "))
	}
}

func orUnwell(x ObjectStatus) string {
	if x.Reason != "" {
		return x.Reason
	}
	return fmt.Sprintf("%s, %s", x.Sync, x.Health)
}

// quarantines names what is in quarantine, and why.
func quarantines(st State) (out []string) {
	for k, r := range st.Objects {
		if r.Quarantine != nil {
			out = append(out, k+": "+r.Quarantine.Reason)
		}
	}
	slices.Sort(out)
	return out
}

// wait notes a revision that is not in force.
func (f *follower) wait(r Revision, e Ending, why string) {
	if n := len(f.list); n > 0 && f.list[n-1].Taken.IsZero() && f.list[n-1].Revision.same(r) && (f.list[n-1].Ended.IsZero() || f.list[n-1].Ending == e) {
		if o := &f.list[n-1]; o.Ended.IsZero() {
			f.set(o, e, why)
		}
		return
	}
	o := f.add(r)
	f.set(o, e, why)
	if e == IsRefused {
		f.end(o, e, why)
	}
}

// short is so much of a commit's hash as people read.
func short(hash string) string { return fmt.Sprintf("%.12s", hash) }

// cut keeps a reason from filling the store: a commit may have thousands of errors.
func cut(s string) string {
	const most = 500
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + " ..."
	}
	return s
}

// How many outcomes are kept.
const (
	keptTaken   = 100      // that were in force
	keptOthers  = 100      // that never were
	keptOfPlans = 64 << 20 // bytes of their plans
)

// Prune is the newest outcomes that are kept, and the numbers of those that are not any more.
func Prune(all []Outcome) (kept []Outcome, gone []uint64) {
	taken, others, size := 0, 0, 0
	for i := len(all) - 1; i >= 0; i-- {
		o := all[i]
		n, most := &others, keptOthers
		if !o.Taken.IsZero() {
			n, most = &taken, keptTaken
		}
		*n++
		size += o.Size
		if *n > most || size > keptOfPlans && i < len(all)-1 {
			gone = append(gone, o.Number)
			size -= o.Size
			continue
		}
		kept = append(kept, o)
	}
	slices.Reverse(kept)
	slices.Reverse(gone)
	return kept, gone
}
