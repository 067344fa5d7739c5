package link

import (
	"sync/atomic"
	"testing"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// Mutants: the time of the answer is taken; an answer to what was never asked counts; a later answer leaves the earlier.
func TestBeats(t *testing.T) {
	now := 100 * time.Second
	b := beats{clock: func() time.Duration { return now }}
	mark := func() uint64 {
		a := &linkpb.Ack{}
		b.mark(a)
		now += time.Second
		return a.Beat
	}
	first, second, third := mark(), mark(), mark()
	answer := func(what string, beat uint64, want time.Duration) {
		t.Helper()
		now += time.Hour
		c, ok := b.answered(7, &linkpb.Heard{Beat: beat, Contact: 3})
		if ok != (want != 0) || ok && c != (assignment.Contact{Epoch: 7, Number: 3, Sent: want}) {
			t.Errorf("%s: %+v, %v, want it sent at %v", what, c, ok, want)
		}
	}
	answer("the answer to the first", first, 100*time.Second)
	answer("the same again", first, 0)
	answer("the answer to the third", third, 102*time.Second)
	answer("the answer to the second, which came too late", second, 0)
	answer("an answer that nobody asked for", mark()+5, 0)
	for range beatsAtOnce {
		mark()
	}
	if n := mark(); n != 0 {
		t.Errorf("%d beats wait for their answers, and one more was numbered %d", beatsAtOnce, n)
	}
	none := beats{}
	a := &linkpb.Ack{}
	if none.mark(a); a.Beat != 0 {
		t.Error("an agent without a clock asks for answers")
	}
}

// Mutants: a contact never ends; every message begins one.
func TestContactEndsWithASilence(t *testing.T) {
	var m minion
	at := time.Now()
	for _, c := range []struct {
		after time.Duration
		want  uint64
	}{{0, 1}, {14 * time.Second, 1}, {14 * time.Second, 1}, {15 * time.Second, 2}, {time.Hour, 3}, {-time.Minute, 3}, {time.Minute + 14*time.Second, 3}} {
		at = at.Add(c.after)
		if m.met(at); m.said.Contact != c.want {
			t.Errorf("%v later it is contact %d, want %d", c.after, m.said.Contact, c.want)
		}
	}
}

func TestHeartbeatsAreInTimeForTheLease(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{0: heartbeat, time.Hour: heartbeat, 20 * time.Second: 5 * time.Second, assignment.MinLease: assignment.MinLease / 4, 1: time.Second} {
		if got := heartbeatEvery(lease); got != want {
			t.Errorf("with a lease of %v every %v, want %v", lease, got, want)
		}
	}
}

// The agent's clock is not the server's: it is a day ahead here, and stands still between two looks of the test.
// Mutant: nothing is answered but the hello.
func TestContact(t *testing.T) {
	f := newFixture(t, nil)
	var clock atomic.Int64
	clock.Store(int64(24 * time.Hour))
	c := f.client("m1", t.TempDir(), f.token(1))
	c.config.Boottime = func() time.Duration { return time.Duration(clock.Load()) }
	stop := f.run(c)
	f.eventually("the hello is answered", func() bool {
		return c.Contact() == assignment.Contact{Epoch: 1, Number: 1, Sent: 24 * time.Hour}
	})
	if m := f.Minions()["m1"]; m.Contact != 1 {
		t.Errorf("the server calls it contact %d", m.Contact)
	}

	clock.Add(int64(time.Second))
	leased := assign("m1", "a")
	leased.Lease, leased.Contact, leased.Instances[0].Fence = time.Minute, 1, true
	f.SetAssignments(map[string]assignment.Assignment{"m1": leased})
	f.eventually("the assignment is there", func() bool { a, _ := c.Latest(); return a != nil && a.Lease == time.Minute && a.Contact == 1 })
	c.Ack(gen(0, 0), gen(1, 1), "")
	f.eventually("and its acknowledgement is answered", func() bool { return c.Contact().Sent == 24*time.Hour+time.Second })

	// Another server begins to count anew, and its answers are told apart by its epoch.
	stop()
	f.stop()
	f.start(2, nil)
	clock.Add(int64(time.Second))
	f.run(c)
	f.eventually("the new server answers", func() bool {
		return c.Contact() == assignment.Contact{Epoch: 2, Number: 1, Sent: 24*time.Hour + 2*time.Second}
	})
}
