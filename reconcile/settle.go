package reconcile

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// settledFor is how long whatever runs has run in a settled fleet: longer than any pod has to, to be ready.
const settledFor = 12 * 24 * time.Hour

// ErrUnsettled is that a fleet comes to no rest in as many steps as its pods could need.
var ErrUnsettled = errors.New("the revision does not come to rest")

// Settle is the input once its revision has been carried out, as far as that can be told from here: every connected minion
// does at once what it is told, every image is there, whatever is started runs, nothing that runs ends, and what waits for
// time has waited. The clock stands still. Minions that are not connected stay as they are, and what waits for them does, too.
// The second value is what was still to be done then, all of it waiting for something else. The deletion fuse is open, and nobody need approve it.
func Settle(in Input) (Input, []Change, error) {
	in.Minions = maps.Clone(in.Minions)
	in.Revision.Trailers = []Trailer{{Key: TrailerAllowDelete, Value: "all"}}
	in.State.Approved = &Approval{Revision: in.Revision}
	quiet := 0
	for left := 100; left > 0; left-- {
		p := Compute(in)
		if p.Stalled != "" {
			return in, nil, errors.New(p.Stalled)
		}
		if left == 100 {
			left += 12 * max(p.State.Bindings.Len(), declaredPods(p.State.Accepted))
		}
		before := in.State.Sequence
		rested := p.State.Bindings.Len() == in.State.Bindings.Len() && before == p.State.Sequence && in.State.Table == p.State.Table
		in.State = p.State
		in.State.Resting = nil
		for name, m := range in.Minions {
			if m.Connected && m.Report != nil {
				in.Minions[name] = obey(in.Now, m, p, name)
			}
		}
		if quiet++; !rested {
			quiet = 0
		}
		if quiet == 2 {
			return in, slices.DeleteFunc(p.Changes, func(c Change) bool { return c.Verb == Route }), nil
		}
	}
	return in, nil, ErrUnsettled
}

// declaredPods is how many pods a set declares.
func declaredPods(s *schema.Set) int {
	if s == nil {
		return 0
	}
	n := len(s.Pods)
	for _, r := range s.ReplicationControllers {
		n += r.Spec.Count()
	}
	return n
}

// obey is a minion that has done what a plan tells it.
func obey(now time.Time, m Minion, p Plan, name string) Minion {
	r := *m.Report
	was := map[string]assignment.InstanceStatus{}
	for _, s := range r.Instances {
		was[s.ID] = s
	}
	r.Instances = nil
	for _, i := range p.Assignments[name].Instances {
		s, had := was[i.ID]
		switch {
		case i.Phase == assignment.Stop:
			if !had { // it must be listed once for its absence to tell something
				r.Instances = append(r.Instances, status(i, assignment.Waiting))
			}
			continue
		case i.Phase == assignment.Prepare:
			s = status(i, assignment.Prepared)
		case had && s.State == assignment.Ended:
		default:
			s = status(i, assignment.Running)
			s.Up, s.UpFor = now.Add(-settledFor), settledFor
		}
		r.Instances = append(r.Instances, s)
	}
	slices.SortFunc(r.Instances, func(a, b assignment.InstanceStatus) int { return strings.Compare(a.ID, b.ID) })
	m.Report, m.Reported, m.LastSeen, m.Error = &r, now, now, ""
	m.Table = p.Table.Generation
	return m
}

func status(i assignment.Instance, state assignment.InstanceState) assignment.InstanceStatus {
	return assignment.InstanceStatus{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller, Hash: i.Hash, Address: i.Address, Fence: i.Fence, State: state}
}
