package reconcile_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// fleet models a server and its minions. Agents do what they are told and nothing else; what travels between them and the
// server travels only when a test says so, the newest only, as on the real link.
type fleet struct {
	now      time.Time
	settings reconcile.Settings
	state    reconcile.State
	revision reconcile.Revision
	set      *schema.Set
	attempt  reconcile.Attempt
	minions  map[string]reconcile.Minion
	agents   map[string]*agent
	table    assignment.Table                 // published
	work     map[string]assignment.Assignment // published
	counter  uint64
	missing  map[string]bool // images that no registry has
	crashing map[string]bool // images of which the containers end at once

	in   reconcile.Input // of the last step
	plan reconcile.Plan  // of the last step

	outcomes []reconcile.Outcome // after the last step
}

// agent is one minion of the model.
type agent struct {
	name     string
	address  netip.Addr
	labels   map[string]string
	capacity assignment.Capacity
	features []schema.Feature
	cut      bool // nothing travels
	work     assignment.Assignment
	table    assignment.Generation
	routes   assignment.Table
	stopped  map[string]bool // instances taken off
	has      map[string]*running
	outbox   *assignment.Report // made and not yet delivered
	heard    contact            // the newest
	lease    time.Time          // of the contact that fenced instances run by; zero: there is none
}

// contact is what an agent knows of the server's having heard of it.
type contact struct {
	epoch, number uint64
	at            time.Time
}

// running is one instance as it is on its minion.
type running struct {
	assignment.Instance
	prepared bool // only the images are there
	up       time.Time
	ended    bool
	restarts int  // of its container
	broken   bool // it ends again and again
	halted   bool // by the end of the lease
}

func newFleet() *fleet {
	return &fleet{
		now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), settings: reconcile.DefaultSettings(),
		state:   reconcile.State{Fleet: "f1", Epoch: 1},
		minions: map[string]reconcile.Minion{}, agents: map[string]*agent{}, work: map[string]assignment.Assignment{},
		missing: map[string]bool{}, crashing: map[string]bool{},
	}
}

// join adds a minion; it is heard of when its first report arrives.
func (f *fleet) join(name string, c assignment.Capacity, labels map[string]string) *agent {
	n := byte(len(f.agents) + 2)
	a := &agent{name: name, address: netip.AddrFrom4([4]byte{10, 245, 2, n}), labels: labels, capacity: c, stopped: map[string]bool{}, has: map[string]*running{}}
	f.agents[name] = a
	return a
}

func (f *fleet) names() []string { return slices.Sorted(maps.Keys(f.agents)) }

// input is what the next step is computed from.
func (f *fleet) input() reconcile.Input {
	return reconcile.Input{Now: f.now, Revision: f.revision, Set: f.set, Attempt: f.attempt, Settings: f.settings, State: f.state, Minions: maps.Clone(f.minions)}
}

// step is one step of the server: compute, save, publish.
func (f *fleet) step() reconcile.Plan {
	f.in = f.input()
	f.plan = reconcile.Compute(f.in)
	f.state = f.plan.State
	f.outcomes, _ = reconcile.Follow(f.outcomes, f.in, f.plan, func() reconcile.Status { return reconcile.Summarize(f.in, f.plan) })
	if f.plan.Table.Fleet == "" {
		return f.plan
	}
	f.table = f.plan.Table
	for name, w := range f.plan.Assignments {
		f.counter++
		w.Generation = assignment.Generation{Epoch: f.state.Epoch, Counter: f.counter}
		f.work[name] = w
	}
	return f.plan
}

// restart forgets what a server only keeps in memory.
func (f *fleet) restart() {
	f.state.Epoch++
	f.work, f.table = map[string]assignment.Assignment{}, assignment.Table{}
	for name := range f.minions {
		f.minions[name] = reconcile.Minion{LastSeen: f.now}
	}
	for _, a := range f.agents {
		a.outbox = nil
	}
}

// takeTable delivers the newest table to an agent, which routes it and acknowledges.
func (f *fleet) takeTable(a *agent) {
	if a.cut || f.table.Fleet == "" || f.table.Generation.Compare(a.table) < 0 {
		return
	}
	a.table, a.routes = f.table.Generation, f.table
	f.minions[a.name] = f.heard(a)
}

// takeWork delivers the newest assignment to an agent.
func (f *fleet) takeWork(a *agent) {
	if w, ok := f.work[a.name]; ok && !a.cut && w.Generation.Compare(a.work.Generation) >= 0 {
		a.work = w
		f.minions[a.name] = f.heard(a)
	}
}

func (f *fleet) heard(a *agent) reconcile.Minion {
	m := f.minions[a.name]
	if m.Contact == 0 || f.now.Sub(m.LastSeen) >= assignment.MinLease {
		m.Contact++
	}
	m.Connected, m.LastSeen, m.Table, m.Work = true, f.now, a.table, a.work.Generation
	a.heard = contact{f.state.Epoch, m.Contact, f.now}
	return m
}

// fence ends the fenced instances of an agent without lease, and renews the lease of one that has contact: see
// assignment.Contact.
func (f *fleet) fence(a *agent) {
	runs := func(since time.Time) bool { return !since.IsZero() && since.Add(a.work.Lease).After(f.now) }
	switch h := a.heard; {
	case a.work.Lease == 0:
		return
	case runs(a.lease):
		a.lease = h.at
	case runs(h.at) && h.epoch == a.work.Generation.Epoch && a.work.Contact >= h.number:
		a.lease = h.at
	default:
		a.lease = time.Time{}
	}
	for _, i := range a.work.Instances {
		switch r := a.has[i.ID]; {
		case !i.Fence || r == nil || r.prepared:
		case a.lease.IsZero():
			r.halted, r.up = true, time.Time{}
		case r.halted && i.Phase == assignment.Run:
			r.halted, r.up = false, f.now
		}
	}
}

// reboot ends what runs on a minion; what is on disk stays.
func (f *fleet) reboot(a *agent) {
	a.has, a.outbox, a.heard, a.lease = map[string]*running{}, nil, contact{}, time.Time{}
}

// act lets an agent do what it was told last, and makes a report of it.
func (f *fleet) act(a *agent) {
	f.fence(a)
	listed := map[string]bool{}
	for _, i := range a.work.Instances {
		listed[i.ID] = true
		r := a.has[i.ID]
		image := f.image(i)
		if i.Fence && a.work.Lease > 0 && a.lease.IsZero() && i.Phase == assignment.Run {
			continue
		}
		switch i.Phase {
		case assignment.Prepare:
			if r == nil && !f.missing[image] {
				a.has[i.ID] = &running{Instance: i, prepared: true}
			}
		case assignment.Run:
			if (r == nil || r.prepared) && !f.missing[image] {
				r = &running{Instance: i, up: f.now}
				a.has[i.ID] = r
			}
			if r != nil && f.crashing[image] {
				r.up = time.Time{}
				r.restarts++
			}
		case assignment.Stop:
			delete(a.has, i.ID)
			a.stopped[i.ID] = true
		}
	}
	a.outbox = f.report(a, listed)
}

// report is what the agent says: every instance that it is assigned or has, until it is removed.
func (f *fleet) report(a *agent, listed map[string]bool) *assignment.Report {
	r := &assignment.Report{Minion: a.name, Address: a.address, Labels: a.labels, Capacity: a.capacity, Version: "test", Features: a.features}
	status := func(i assignment.Instance) assignment.InstanceStatus {
		s := assignment.InstanceStatus{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller, Hash: i.Hash, Address: i.Address, Fence: i.Fence, State: assignment.Waiting}
		h, image := a.has[i.ID], f.image(i)
		switch {
		case h == nil && f.missing[image] && (i.Phase == assignment.Prepare || i.Phase == assignment.Run):
			s.Reason, s.Message = "ErrImagePull", fmt.Sprintf("pull image %q: not found", image)
		case h == nil:
		case h.prepared:
			s.State = assignment.Prepared
		case h.halted:
			s.Reason = assignment.Fenced
		case h.ended:
			s.State = assignment.Ended
		case h.broken:
			s.State, s.Reason = assignment.Running, "CrashLoopBackOff"
			s.Containers = []assignment.ContainerStatus{{Name: "c", Image: image, State: "waiting", Reason: "CrashLoopBackOff", Restarts: h.restarts,
				Last: &assignment.LastExit{Reason: "OOMKilled", ExitCode: 137}}}
		case h.up.IsZero():
			s.State, s.Reason, s.Message = assignment.Running, "CrashLoopBackOff", "ended with Error (exit code 1)"
			if h.restarts >= 5 { // reported late, as many tests look at the first seconds
				s.Containers = []assignment.ContainerStatus{{Name: "c", Image: image, Restarts: h.restarts}}
			}
		default:
			s.State, s.Up, s.UpFor = assignment.Running, h.up, f.now.Sub(h.up)
		}
		return s
	}
	for _, i := range a.work.Instances {
		if i.Phase == assignment.Stop && a.stopped[i.ID] && a.has[i.ID] == nil {
			continue
		}
		r.Instances = append(r.Instances, status(i))
	}
	for _, id := range slices.Sorted(maps.Keys(a.has)) {
		if !listed[id] && !a.has[id].prepared {
			r.Instances = append(r.Instances, status(a.has[id].Instance))
		}
	}
	slices.SortFunc(r.Instances, func(x, y assignment.InstanceStatus) int { return compare(x.ID, y.ID) })
	return r
}

// deliver brings the agent's newest report to the server.
func (f *fleet) deliver(a *agent) {
	if a.cut || a.outbox == nil {
		return
	}
	m := f.heard(a)
	m.Report, m.Reported = a.outbox, f.now
	f.minions[a.name] = m
	a.outbox = nil
}

// cutOff ends the stream of a minion: it goes on alone.
func (f *fleet) cutOff(a *agent) {
	a.cut = true
	if m, ok := f.minions[a.name]; ok {
		m.Connected = false
		f.minions[a.name] = m
	}
}

func (f *fleet) image(i assignment.Instance) string {
	spec, err := schema.DecodePodSpec(i.Spec)
	if err != nil || len(spec.Containers) == 0 {
		return ""
	}
	return spec.Containers[0].Image
}

// round lets everything travel and everybody act once.
func (f *fleet) round() {
	for _, name := range f.names() {
		a := f.agents[name]
		f.takeTable(a)
		f.takeWork(a)
		f.act(a)
		f.deliver(a)
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
