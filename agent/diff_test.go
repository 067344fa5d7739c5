package agent

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

var t0 = time.Date(2014, 12, 16, 9, 0, 0, 0, time.UTC)

// text is an action as a line.
func (a *Action) text() string {
	if a == nil {
		return "nothing"
	}
	s := string(a.Verb)
	if len(a.Images) > 0 {
		s += " images=" + strings.Join(a.Images, ",")
	}
	for _, n := range slices.Sorted(maps.Keys(a.Start)) {
		s += fmt.Sprintf(" start=%s/%d", n, a.Start[n])
	}
	if a.Attach {
		s += " attach"
	}
	return s
}

func TestNext(t *testing.T) {
	spec := schema.PodSpec{Containers: []schema.Container{{Name: "a", Image: "i:1"}, {Name: "b", Image: "i:2"}}}
	had := map[string]bool{"i:1": true, "i:2": true}
	ran := func(state ContainerState, attempt, code int, from, to time.Duration) ObservedContainer {
		return ObservedContainer{Name: "a", State: state, Attempt: attempt, ExitCode: code, StartedAt: t0.Add(from), FinishedAt: t0.Add(to)}
	}
	b := ObservedContainer{Name: "b", State: Running, StartedAt: t0}
	for _, c := range []struct {
		name     string
		phase    assignment.Phase
		policy   schema.RestartPolicy
		refused  string
		held     bool
		observed *Observed
		memory   Memory
		at       time.Duration
		want     string
		wake     time.Duration // from t0; 0: never
	}{
		{name: "new instance is brought up with its images", phase: assignment.Run, want: "bring up images=i:1,i:2 start=a/0 start=b/0 attach"},
		{name: "images that are here are not asked for again", phase: assignment.Run, memory: Memory{Images: had}, want: "bring up start=a/0 start=b/0 attach"},
		{name: "prepare has the images and starts nothing", phase: assignment.Prepare, want: "bring up images=i:1,i:2"},
		{name: "prepared waits", phase: assignment.Prepare, memory: Memory{Images: had}, want: "nothing"},
		{name: "running and attached is left alone", phase: assignment.Run, memory: Memory{Attached: true},
			observed: &Observed{Containers: []ObservedContainer{ran(Running, 0, 0, 0, 0), b}}, want: "nothing"},
		{name: "running is attached once after the agent's own start", phase: assignment.Run,
			observed: &Observed{Containers: []ObservedContainer{ran(Running, 0, 0, 0, 0), b}}, want: "bring up attach"},
		{name: "a container that was made and not started is started as the same attempt", phase: assignment.Run, memory: Memory{Images: had, Attached: true},
			observed: &Observed{Containers: []ObservedContainer{ran(Created, 2, 0, 0, 0), b}}, want: "bring up start=a/2 attach"},
		{name: "an ended container waits for its back-off", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: 10 * time.Second,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 3, 1, 0, 9*time.Second), b}}, want: "nothing", wake: 17 * time.Second},
		{name: "and is then started as the next attempt", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: 17 * time.Second,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 3, 1, 0, 9*time.Second), b}}, want: "bring up start=a/4 attach"},
		{name: "a long run forgives earlier crashes", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: 10*time.Minute + time.Second,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 9, 1, 0, 10*time.Minute), b}}, want: "bring up start=a/10 attach"},
		{name: "the back-off is capped", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: time.Second,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 400, 1, 0, 0), b}}, want: "nothing", wake: backoffMax},
		// Found by seed 9990 of the simulation. Mutant: any time that has not come is waited for.
		{name: "a clock that was set back keeps nothing down for longer", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: -2 * time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 3, 1, -time.Minute, 0), b}}, want: "bring up start=a/4 attach"},
		{name: "nor what was halted", phase: assignment.Run, memory: Memory{Images: had, Attached: true}, at: -2 * time.Hour,
			observed: &Observed{Containers: []ObservedContainer{{Name: "a", State: Exited, Attempt: 9, Reason: assignment.Fenced, FinishedAt: t0}, b}}, want: "bring up start=a/10 attach"},
		{name: "nor the tries of what failed", phase: assignment.Stop, memory: Memory{Next: t0.Add(time.Minute), Failing: TakeOff}, at: -2 * time.Hour, want: "take off"},
		{name: "a little is waited for", phase: assignment.Stop, memory: Memory{Next: t0.Add(time.Minute), Failing: TakeOff}, at: -4 * time.Minute, want: "nothing", wake: time.Minute},
		{name: "policy Never leaves the ended one", phase: assignment.Run, policy: schema.RestartNever, memory: Memory{Images: had, Attached: true}, at: time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 0, 1, 0, 1), b}}, want: "nothing"},
		{name: "policy OnFailure leaves success", phase: assignment.Run, policy: schema.RestartOnFailure, memory: Memory{Images: had, Attached: true}, at: time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 0, 0, 0, 1), b}}, want: "nothing"},
		{name: "policy OnFailure restarts failure", phase: assignment.Run, policy: schema.RestartOnFailure, memory: Memory{Images: had, Attached: true}, at: time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 0, 7, 0, 1), b}}, want: "bring up start=a/1 attach"},
		{name: "a failed try is not repeated before its time", phase: assignment.Run, memory: Memory{Next: t0.Add(8 * time.Second)}, want: "nothing", wake: 8 * time.Second},
		// Mutant: Drain falling through to the Run branch restarts what was drained.
		{name: "a draining instance is never started", phase: assignment.Drain, memory: Memory{Images: had}, at: time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 0, 1, 0, 1), b}}, want: "nothing"},
		{name: "stop takes off what runs", phase: assignment.Stop, observed: &Observed{Containers: []ObservedContainer{b}}, want: "take off"},
		{name: "stop cleans up even what was never seen to run", phase: assignment.Stop, want: "take off"},
		{name: "stop does not wait for the back-off of a start", phase: assignment.Stop, memory: Memory{Next: t0.Add(time.Hour), Failing: BringUp}, want: "take off"},
		{name: "but for its own", phase: assignment.Stop, memory: Memory{Next: t0.Add(time.Minute), Failing: TakeOff}, want: "nothing", wake: time.Minute},
		{name: "stopped is done", phase: assignment.Stop, memory: Memory{Stopped: true}, want: "nothing"},
		{name: "a spec that was refused is not run", phase: assignment.Run, refused: "unknown field", want: "nothing"},
		{name: "but can be stopped", phase: assignment.Stop, refused: "unknown field", observed: &Observed{}, want: "take off"},
		{name: "without a lease what runs is halted", phase: assignment.Run, held: true, memory: Memory{Images: had, Attached: true},
			observed: &Observed{Containers: []ObservedContainer{b}}, want: "halt"},
		{name: "and nothing is started", phase: assignment.Run, held: true, memory: Memory{Images: had}, want: "nothing"},
		{name: "nor restarted", phase: assignment.Run, held: true, memory: Memory{Images: had, Attached: true}, at: time.Hour,
			observed: &Observed{Containers: []ObservedContainer{ran(Exited, 0, 1, 0, 1)}}, want: "nothing"},
		{name: "what drains is halted too", phase: assignment.Drain, held: true, observed: &Observed{Containers: []ObservedContainer{b}}, want: "halt"},
		{name: "so is a phase of a newer server", phase: "Freeze", held: true, observed: &Observed{Containers: []ObservedContainer{b}}, want: "halt"},
		{name: "and a spec that was refused", phase: assignment.Run, held: true, refused: "unknown field", observed: &Observed{Containers: []ObservedContainer{b}}, want: "halt"},
		{name: "images may be had without a lease", phase: assignment.Prepare, held: true, want: "bring up images=i:1,i:2"},
		{name: "a halt that failed waits for its back-off", phase: assignment.Run, held: true, memory: Memory{Next: t0.Add(time.Second), Failing: Halt},
			observed: &Observed{Containers: []ObservedContainer{b}}, want: "nothing", wake: time.Second},
		{name: "but not for a start's", phase: assignment.Run, held: true, memory: Memory{Next: t0.Add(time.Hour), Failing: BringUp},
			observed: &Observed{Containers: []ObservedContainer{b}}, want: "halt"},
		{name: "stop takes off without a lease", phase: assignment.Stop, held: true, observed: &Observed{Containers: []ObservedContainer{b}}, want: "take off"},
		{name: "what was halted is started again at once, whatever the policy and its crashes", phase: assignment.Run, policy: schema.RestartNever, memory: Memory{Images: had, Attached: true},
			observed: &Observed{Containers: []ObservedContainer{{Name: "a", State: Exited, Attempt: 9, ExitCode: 143, Reason: assignment.Fenced, FinishedAt: t0}, b}}, want: "bring up start=a/10 attach"},
		{name: "a phase of a newer server is left alone", phase: "Freeze", observed: &Observed{Containers: []ObservedContainer{b}}, want: "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Desired{Instance: assignment.Instance{ID: "x", Phase: c.phase}, PodSpec: spec, Refused: c.refused, Held: c.held}
			d.PodSpec.RestartPolicy = c.policy
			got, wake := Next(d, c.observed, c.memory, t0.Add(c.at))
			if got.text() != c.want {
				t.Errorf("got %q, want %q", got.text(), c.want)
			}
			var want time.Time
			if c.wake != 0 {
				want = t0.Add(c.wake)
			}
			if !wake.Equal(want) {
				t.Errorf("wake %v, want %v", wake, want)
			}
		})
	}
}

func TestKeptRefuses(t *testing.T) {
	a := func(fleet, minion string, e, c uint64) *assignment.Assignment {
		return &assignment.Assignment{Fleet: fleet, Minion: minion, Generation: assignment.Generation{Epoch: e, Counter: c}}
	}
	for _, c := range []struct {
		name  string
		have  *assignment.Assignment
		offer *assignment.Assignment
		taken bool
	}{
		{"the first is taken", nil, a("f", "m", 1, 1), true},
		{"a newer one is taken", a("f", "m", 1, 1), a("f", "m", 1, 2), true},
		{"the same generation is taken again", a("f", "m", 1, 2), a("f", "m", 1, 2), true},
		{"a newer epoch begins its counter anew", a("f", "m", 1, 9), a("f", "m", 2, 1), true},
		{"an older counter is refused", a("f", "m", 1, 2), a("f", "m", 1, 1), false},
		{"an older epoch is refused", a("f", "m", 2, 1), a("f", "m", 1, 9), false},
		{"another fleet is refused", a("f", "m", 1, 1), a("g", "m", 9, 9), false},
		{"another minion's is refused", a("f", "m", 1, 1), a("f", "n", 1, 2), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k kept
			if c.have != nil {
				k = kept{Fleet: c.have.Fleet, Assignment: c.have}
			}
			if why := k.takeAssignment(c.offer, "m"); (why == "") != c.taken {
				t.Errorf("taken %v, want %v: %s", why == "", c.taken, why)
			}
			if taken := k.Assignment == c.offer; taken != c.taken {
				t.Errorf("in force: %v, want %v", taken, c.taken)
			}
		})
	}
}
