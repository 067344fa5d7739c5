package reconciletest

import (
	"maps"
	"slices"
	"time"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
)

// leaseTime is the lease of fenced instances.
const leaseTime = time.Minute

// fenced tells whether the instances of a pod or a controller are fenced here.
func fenced(pod, controller string) bool { return pod == "p3" || controller == "r1" }

// fence marks what is fenced in an assignment that is about to be sent, in place of the plan.
func (s *serving) fence(a *assignment.Assignment) {
	a.Instances = slices.Clone(a.Instances)
	for i := range a.Instances {
		x := &a.Instances[i]
		if x.Fence = fenced(x.Pod, x.Controller); x.Fence {
			a.Lease, a.Contact = leaseTime, s.minions[a.Minion].Contact
		}
	}
}

// due tells whether something fenced runs here although no server can have heard of the minion for as long as a lease.
func (m *minion) due() (id string, due bool) {
	if m.sim.now.Before(m.heard.Add(leaseTime)) {
		return "", false
	}
	for _, id := range slices.Sorted(maps.Keys(m.pods)) {
		if o := m.pods[id]; m.running(id) && fenced(o.Name, o.Controller) {
			return id, true
		}
	}
	return "", false
}

// keepFence lets what happens within a lease's margin happen: an agent sees the end of its lease whatever else it has to do,
// tries again what fails, and is started again if it died.
func (m *minion) keepFence() {
	if !m.sim.now.Before(m.heard.Add(leaseTime)) {
		m.step()
	}
	for range 20 {
		if _, due := m.due(); !due {
			return
		}
		if m.proc == nil {
			m.boot()
		}
		m.step()
		for m.proc != nil && len(m.proc.workers) > 0 {
			m.work()
		}
		m.sim.now = m.sim.now.Add(time.Second) // its back-off
	}
}

// advance lets time go by for all.
func (s *sim) advance(d time.Duration) {
	s.now = s.now.Add(d)
	for range 3 { // to see to one takes time for the others
		for _, n := range s.names {
			s.minions[n].keepFence()
		}
	}
}

// checkFence: nothing that is fenced runs where no server has heard of the minion for as long as the lease.
func (s *sim) checkFence() {
	for _, n := range s.names {
		if id, due := s.minions[n].due(); due {
			s.fail("%s runs on %s, which was heard of last %s ago", id, n, s.now.Sub(s.minions[n].heard))
		}
	}
}

// starts checks what an agent starts: nothing fenced after a reboot without contact.
func (s *sim) starts(m *minion, p agent.Pod) {
	if fenced(p.Name, p.Controller) && m.heard.Before(m.booted) {
		s.fail("%s starts %s after a reboot, and no server has heard of it since", m.name, p.ID)
	}
}

// halts checks what an agent halts: only what is fenced.
func (s *sim) halts(m *minion, id string) {
	if o := m.pods[id]; o != nil && !fenced(o.Name, o.Controller) {
		s.fail("%s halts %s, which is not fenced", m.name, id)
	}
}
