package agent

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/reconcile/assignment"
)

// Mutants: what is heard after the end goes on with a lease; an assignment of another epoch, or one decided before the
// contact, begins one; a boot's lease goes on in the next; a lease is counted from the answer.
func TestLease(t *testing.T) {
	const s = time.Second
	a := func(epoch, contact uint64, lease time.Duration) *assignment.Assignment {
		return &assignment.Assignment{Generation: assignment.Generation{Epoch: epoch, Counter: 1}, Contact: contact, Lease: lease}
	}
	heard := func(epoch, number uint64, sent time.Duration) assignment.Contact {
		return assignment.Contact{Epoch: epoch, Number: number, Sent: sent}
	}
	for _, c := range []struct {
		name  string
		was   lease
		heard assignment.Contact
		in    *assignment.Assignment
		boot  string
		now   time.Duration
		until time.Duration // 0: there is none
	}{
		{"an assignment that knows of the contact begins a lease", lease{}, heard(1, 1, 10*s), a(1, 1, 60*s), "b", 11 * s, 70 * s},
		{"one that was decided before it does not", lease{}, heard(1, 2, 10*s), a(1, 1, 60*s), "b", 11 * s, 0},
		{"nor one of an earlier server", lease{}, heard(2, 1, 10*s), a(1, 1, 60*s), "b", 11 * s, 0},
		{"nor one of a later server that was not heard of", lease{}, heard(1, 1, 10*s), a(2, 1, 60*s), "b", 11 * s, 0},
		{"nor a contact that is too old", lease{}, heard(1, 1, 10*s), a(1, 1, 60*s), "b", 70 * s, 0},
		{"nor none at all", lease{}, heard(0, 0, 0), a(1, 0, 60*s), "b", s, 0},
		{"without a boot id nobody knows", lease{}, heard(1, 1, 10*s), a(1, 1, 60*s), "", 11 * s, 0},
		{"a contact goes on with a lease", lease{"b", 10 * s}, heard(1, 1, 40*s), a(1, 1, 60*s), "b", 42 * s, 100 * s},
		{"so does one of another server", lease{"b", 10 * s}, heard(2, 1, 40*s), a(1, 1, 60*s), "b", 42 * s, 100 * s},
		{"and one of which the assignment does not know", lease{"b", 10 * s}, heard(1, 2, 40*s), a(1, 1, 60*s), "b", 42 * s, 100 * s},
		{"without a new contact it runs on", lease{"b", 40 * s}, heard(1, 1, 40*s), a(1, 1, 60*s), "b", 99 * s, 100 * s},
		{"and out", lease{"b", 40 * s}, heard(1, 1, 40*s), a(1, 1, 60*s), "b", 100 * s, 0},
		{"an agent that has heard nothing yet goes on with what was kept", lease{"b", 40 * s}, heard(0, 0, 0), a(1, 1, 60*s), "b", 50 * s, 100 * s},
		{"an older answer shortens nothing", lease{"b", 40 * s}, heard(1, 1, 20*s), a(1, 1, 60*s), "b", 50 * s, 100 * s},
		{"what was heard before the end and read after it does not count", lease{"b", 10 * s}, heard(1, 2, 60*s), a(1, 1, 60*s), "b", 80 * s, 0},
		{"but an assignment that knows of it does", lease{"b", 10 * s}, heard(1, 2, 60*s), a(1, 2, 60*s), "b", 80 * s, 120 * s},
		{"another boot ends it", lease{"b", 10 * s}, heard(0, 0, 0), a(1, 1, 60*s), "c", 11 * s, 0},
		{"a shorter lease ends it earlier", lease{"b", 10 * s}, heard(1, 1, 10*s), a(1, 1, 20*s), "b", 30 * s, 0},
		{"without leases there is none", lease{"b", 10 * s}, heard(1, 1, 10*s), a(1, 1, 0), "b", 11 * s, 0},
		{"nor without an assignment", lease{"b", 10 * s}, heard(1, 1, 10*s), nil, "b", 11 * s, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.was.next(c.heard, c.in, c.boot, c.now)
			switch {
			case c.until == 0 && (got != lease{} || got.holds(c.in, c.boot, c.now)):
				t.Errorf("got %+v, want none", got)
			case c.until != 0 && (!got.holds(c.in, c.boot, c.until-1) || got.holds(c.in, c.boot, c.until)):
				t.Errorf("got %+v, want one until %v", got, c.until)
			}
		})
	}
}

// fenced is an assignment with a lease of a minute, decided in a contact: db is fenced, web is not.
func fenced(n, contact uint64) *assignment.Assignment {
	db := instance("db", "i:1", assignment.Run)
	db.Fence = true
	a := work(n, db, instance("web", "i:1", assignment.Run))
	a.Lease, a.Contact = time.Minute, contact
	return a
}

// leased is a minion on which both run; its contact was 1 s ago.
func leased(t *testing.T) (m *minion, kill func()) {
	m = newMinion(t)
	kill = m.boot()
	m.link.meet(1, m.uptime())
	m.link.send(fenced(1, 1), nil)
	settle(time.Second)
	for _, id := range []string{"db", "web"} {
		if s := m.link.last(id); s == nil || s.State != assignment.Running {
			t.Fatalf("%s is reported as %+v", id, s)
		}
	}
	return m, kill
}

// halts is what was halted, started how often the one container of an instance was started.
func (m *minion) halts() []string {
	m.runtime.mu.Lock()
	defer m.runtime.mu.Unlock()
	return slices.Clone(m.runtime.halts)
}

func (m *minion) started(id string) int {
	m.runtime.mu.Lock()
	defer m.runtime.mu.Unlock()
	return m.runtime.starts[id+"/c"]
}

func (m *minion) runs(id string) bool {
	m.runtime.mu.Lock()
	defer m.runtime.mu.Unlock()
	return anyRunning(m.runtime.pods[id])
}

// Mutants: what is not fenced ends too; nothing ends; contact alone starts it again.
func TestFencedEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kill := leased(t)
		defer kill()
		for range 20 { // as long as there is contact it goes on
			settle(10 * time.Second)
			m.link.meet(1, m.uptime())
		}
		if !m.runs("db") || len(m.halts()) > 0 {
			t.Fatalf("in contact, halted %v", m.halts())
		}
		settle(59 * time.Second)
		if !m.runs("db") {
			t.Error("it ended before the lease")
		}
		settle(2 * time.Second)
		if m.runs("db") || !m.runs("web") {
			t.Errorf("after the lease db runs %v, web %v", m.runs("db"), m.runs("web"))
		}
		if s := m.link.last("db"); s.State != assignment.Waiting || s.Reason != assignment.Fenced || !s.Up.IsZero() {
			t.Errorf("reported %+v", s)
		}
		settle(time.Hour)
		m.link.meet(2, m.uptime())
		settle(5 * time.Second)
		if m.runs("db") {
			t.Error("contact alone started it, and the server may have moved it")
		}
		m.link.send(fenced(2, 2), nil)
		settle(2 * time.Second)
		if !m.runs("db") || m.started("db") != 2 || m.started("web") != 1 || len(m.halts()) != 1 {
			t.Errorf("after an assignment that knows of it: started %d times, halts %v", m.started("db"), m.halts())
		}
		if s := m.link.last("db"); s.State != assignment.Running || s.Reason != "" {
			t.Errorf("reported %+v", s)
		}
	})
}

// Mutant: the kept boot id is not compared.
func TestFencedAfterAReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kill := leased(t)
		kill()
		m.reboot()
		m.link.contact = assignment.Contact{}
		m.link.work = nil
		kill = m.boot()
		defer kill()
		settle(5 * time.Second) // the lease would not be over yet
		if m.runs("db") || !m.runs("web") {
			t.Errorf("after the reboot db runs %v, web %v", m.runs("db"), m.runs("web"))
		}
		if s := m.link.last("db"); s.State != assignment.Waiting || s.Reason != assignment.Fenced {
			t.Errorf("reported %+v", s)
		}
		m.link.meet(3, m.uptime())
		m.link.send(fenced(4, 3), nil)
		settle(2 * time.Second)
		if !m.runs("db") {
			t.Error("it does not run in contact")
		}
	})
}

// Mutants: the lease is not kept; a kept one begins anew.
func TestFencedWhenTheAgentRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, kill := leased(t)
		kill()
		m.link.contact = assignment.Contact{}
		m.link.work = nil
		settle(30 * time.Second)
		kill = m.boot()
		settle(20 * time.Second)
		if !m.runs("db") || len(m.halts()) > 0 {
			t.Errorf("the restart of the agent ended the lease: halts %v", m.halts())
		}
		settle(10 * time.Second)
		if m.runs("db") {
			t.Error("the restart of the agent made the lease longer")
		}
		kill()
		kill = m.boot() // and what was over is over
		settle(5 * time.Second)
		if m.runs("db") || !m.runs("web") {
			t.Errorf("db runs %v, web %v", m.runs("db"), m.runs("web"))
		}
		kill()
		m.runtime.mu.Lock()
		m.runtime.pods["db"].Containers[0].State = Running // as by an agent that died in the midst of a start
		m.runtime.mu.Unlock()
		kill = m.boot()
		defer kill()
		settle(2 * time.Second)
		if m.runs("db") {
			t.Error("an agent that found it running without a lease let it run")
		}
	})
}

// Mutants: nothing is halted while the runtime does not answer; a halt that failed is not repeated.
func TestFencedEndsWithoutTheRuntime(t *testing.T) {
	for _, how := range []string{"", "refused", "done"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, kill := leased(t)
				defer kill()
				m.runtime.mu.Lock()
				m.runtime.down, m.runtime.fail["halt"] = true, how
				m.runtime.mu.Unlock()
				settle(5 * time.Minute)
				if n := len(m.halts()); m.runs("db") || n == 0 || n > 2 || strings.Join(m.halts(), "") != strings.Repeat("db", n) {
					t.Errorf("db runs %v, halted %v", m.runs("db"), m.halts())
				}
			})
		})
	}
}

// Mutant: a start that is under way when the lease ends goes on.
func TestLeaseEndsInAPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.runtime.pulling["i:1"] = make(chan struct{})
		defer m.boot()()
		m.link.meet(1, m.uptime())
		m.link.send(fenced(1, 1), nil)
		settle(2 * time.Minute)
		close(m.runtime.pulling["i:1"])
		settle(time.Minute)
		if m.started("db") != 0 || m.started("web") != 1 {
			t.Errorf("started %d and %d times", m.started("db"), m.started("web"))
		}
	})
}

// What becomes fenced while it runs is not ended by that.
func TestFenceOfWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("db", "i:1", assignment.Run), instance("web", "i:1", assignment.Run)), nil)
		settle(time.Minute)
		m.link.meet(1, m.uptime()-12*time.Second)
		m.link.send(fenced(2, 1), nil)
		settle(2 * time.Second)
		if !m.runs("db") || len(m.halts()) > 0 {
			t.Errorf("halted %v", m.halts())
		}
		m.link.send(work(3, instance("db", "i:1", assignment.Run), instance("web", "i:1", assignment.Run)), nil) // and back
		settle(time.Hour)
		if !m.runs("db") || len(m.halts()) > 0 {
			t.Errorf("halted %v", m.halts())
		}
	})
}
