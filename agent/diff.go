package agent

import (
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// The back-off of restarts and of whatever failed: it doubles from backoffFirst to backoffMax, and starts again after a
// container ran for backoffReset.
const (
	backoffFirst = time.Second
	backoffMax   = 5 * time.Minute
	backoffReset = 10 * time.Minute
)

// Desired is one assigned instance with its spec decoded. Refused, if not empty, is why it cannot be run here: the spec does
// not decode strictly or does not have its hash.
type Desired struct {
	assignment.Instance
	PodSpec schema.PodSpec
	Refused string
	Held    bool // it is fenced and there is no lease: nothing of it may run
}

// Memory is what the agent remembers of its own tries for one instance. It does not survive the agent: the zero value is
// always right, and costs at most a try too early.
type Memory struct {
	Images   map[string]bool // image refs that are known to be here, as the pull policy demands
	Failures int             // tries that failed in a row
	Next     time.Time       // no try before ...
	Failing  Verb            // ... of what failed: another goal is tried at once
	Reason   string          // of the last failure: ErrImagePull, SandboxError, StartError
	Message  string
	Attached bool // the network was attached since this agent started
	Stopped  bool // everything of the instance was removed
	Halted   bool // everything of it was ended since the lease was over
}

// Verb is what an action does.
type Verb string

// The verbs of actions.
const (
	BringUp Verb = "bring up" // have the images; if Start is set, also namespaces, network, and each container that is named in it
	TakeOff Verb = "take off" // stop and remove everything of the instance
	Halt    Verb = "halt"     // stop everything of the instance and leave it there
)

// Action is the next thing to do for one instance.
type Action struct {
	Verb   Verb
	Images []string       // that must be had first
	Start  map[string]int // containers to start, and as which attempt
	Attach bool           // namespaces and network are to be made or checked
}

// Next decides what to do now for one instance, and when to look again if time alone will change that (zero: never). A nil
// observed means that nothing of the instance is there. An instance that is found and not assigned has no desired and
// nothing is done to it.
func Next(desired Desired, observed *Observed, m Memory, now time.Time) (action *Action, wake time.Time) {
	switch desired.Phase {
	case assignment.Stop:
		if observed == nil && m.Stopped {
			return nil, time.Time{}
		}
		if m.Failing == TakeOff && waits(m.Next, now) {
			return nil, m.Next
		}
		return &Action{Verb: TakeOff}, time.Time{}
	case assignment.Prepare, assignment.Run:
	default: // Drain runs as it is; a phase of a newer server is left alone
		if !desired.Held {
			return nil, time.Time{}
		}
	}
	if desired.Held && desired.Phase != assignment.Prepare {
		return halt(anyRunning(observed), m, now)
	}
	if desired.Refused != "" {
		return nil, time.Time{}
	}
	a := &Action{Verb: BringUp, Start: map[string]int{}}
	if desired.Phase == assignment.Run {
		wake = a.due(desired, observed, now)
		a.Attach = len(a.Start) > 0 || !m.Attached && anyRunning(observed)
	}
	starting := a.Start
	if desired.Phase == assignment.Prepare {
		starting = nil
	}
	for i := range desired.PodSpec.Containers {
		c := &desired.PodSpec.Containers[i]
		_, starts := starting[c.Name]
		if !m.Images[c.Image] && (starts || starting == nil) {
			a.Images = append(a.Images, c.Image)
		}
	}
	if len(a.Images) == 0 && len(a.Start) == 0 && !a.Attach {
		return nil, wake
	}
	if waits(m.Next, now) {
		return nil, earlier(wake, m.Next)
	}
	return a, wake
}

// halt is what to do with an instance that may not run.
func halt(runs bool, m Memory, now time.Time) (action *Action, wake time.Time) {
	switch {
	case !runs:
		return nil, time.Time{}
	case m.Failing == Halt && waits(m.Next, now):
		return nil, m.Next
	}
	return &Action{Verb: Halt}, time.Time{}
}

// due adds the containers that are to be started now, and says when the next one will be.
func (a *Action) due(desired Desired, observed *Observed, now time.Time) (wake time.Time) {
	for i := range desired.PodSpec.Containers {
		name := desired.PodSpec.Containers[i].Name
		c := observed.container(name)
		switch {
		case c == nil:
			a.Start[name] = 0
		case c.State == Created:
			a.Start[name] = c.Attempt
		case c.State == Exited && restarts(desired.PodSpec.Restart(), c):
			if at := restartAt(c); waits(at, now) {
				wake = earlier(wake, at)
			} else {
				a.Start[name] = c.Attempt + 1
			}
		}
	}
	return wake
}

// restarts tells whether the policy wants an exited container back.
func restarts(policy schema.RestartPolicy, c *ObservedContainer) bool {
	if c.Reason == assignment.Fenced { // it did not end by itself
		return true
	}
	switch policy {
	case schema.RestartNever:
		return false
	case schema.RestartOnFailure:
		return c.ExitCode != 0 || c.Reason == "Lost"
	}
	return true
}

// restartAt is when an exited container may be started again.
func restartAt(c *ObservedContainer) time.Time {
	if c.Reason == assignment.Fenced {
		return c.FinishedAt
	}
	n := c.Attempt
	if !c.StartedAt.IsZero() && c.FinishedAt.Sub(c.StartedAt) >= backoffReset {
		n = 0
	}
	return c.FinishedAt.Add(backoff(n))
}

// waits tells whether a time has not come yet. One that is further away than any wait is of a clock that was set back since, and
// has come.
func waits(until, now time.Time) bool { return until.After(now) && until.Sub(now) <= backoffMax }

// backoff is the wait after n earlier tries.
func backoff(n int) time.Duration {
	if n > 16 {
		return backoffMax
	}
	return min(backoffFirst<<n, backoffMax)
}

// earlier is the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// container finds a container by name; nil if it, or the whole instance, is not there.
func (o *Observed) container(name string) *ObservedContainer {
	if o == nil {
		return nil
	}
	for i := range o.Containers {
		if o.Containers[i].Name == name {
			return &o.Containers[i]
		}
	}
	return nil
}

// anyRunning tells whether any container runs.
func anyRunning(o *Observed) bool {
	if o == nil {
		return false
	}
	for i := range o.Containers {
		if o.Containers[i].State == Running {
			return true
		}
	}
	return false
}
