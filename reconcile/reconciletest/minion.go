package reconciletest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"reconciler/agent"
	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// minion is a machine: what is in it outlives its agents.
type minion struct {
	sim      *sim
	name     string
	address  netip.Addr
	capacity assignment.Capacity
	skew     time.Duration // of its clock
	boots    int
	booted   time.Time // of the one true time

	disk        []byte
	lease       []byte // the disk of the lease
	images      map[string]bool
	pods        map[string]*agent.Observed
	routes      []netproxy.Service // the kernel's
	kernelFails bool               // it takes no routes
	failNext    string             // how the next call ends: "refused", or "done" and reported as failed

	proc   *process  // nil while no agent runs
	cut    bool      // no stream can be made
	linked bool      // there is one, as the agent sees it
	parted time.Time // when the last one ended
	fenced fences    // of what its agent obeys, see fences

	everFenced map[string]bool // instances

	heard time.Time // when a server heard of it last, of the one true time
	down  []message
	up    []answer
	sent  []message // all that was ever sent
}

// process is one agent.
type process struct {
	*minion
	agent   *agent.Agent
	workers []func()
	crashIn int // calls until it dies; 0: it does not
	dead    bool

	table    *assignment.Table
	assigned *assignment.Assignment
	acked    answer
	contact  assignment.Contact
	report   *assignment.Report
	obeyed   []byte // what the agent keeps, as it knows: of a save that failed it does not obey
}

func newMinion(s *sim, i int) *minion {
	return &minion{sim: s, booted: s.now, name: fmt.Sprintf("m%d", i+1), address: netip.AddrFrom4([4]byte{10, 245, 2, byte(i + 2)}),
		capacity: assignment.Capacity{MilliCPU: 4000, Memory: int64(12+s.rand.IntN(4)) * 200 << 20, Pods: 20},
		images:   map[string]bool{}, pods: map[string]*agent.Observed{}, everFenced: map[string]bool{}}
}

func (m *minion) now() time.Time { return m.sim.now.Add(m.skew) }

// uptime is its CLOCK_BOOTTIME, which nobody steps.
func (m *minion) uptime() time.Duration { return m.sim.now.Sub(m.booted) }

// boot starts an agent.
func (m *minion) boot() {
	p := &process{minion: m}
	a, err := agent.New(agent.Config{Dir: "none", Minion: m.name, Address: m.address, Capacity: m.capacity, Version: "test", BootID: fmt.Sprint(m.boots),
		Controller: controller{p}, Runtime: runtime{p}, Network: network{p}, Router: router{p}, Disk: disk{p}, LeaseDisk: leaseDisk{p}, Features: []schema.Feature{schema.FeatureFence}, Now: m.now, Boottime: m.uptime, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.sim.say("%s: agent does not start: %v", m.name, err)
		return
	}
	p.agent, m.proc = a, p
	m.sim.say("%s: agent starts", m.name)
}

// crash ends the agent: its memory is gone, all else stays.
func (m *minion) crash() {
	if m.proc == nil {
		return
	}
	m.proc.dead, m.proc = true, nil
	m.unlink()
	m.sim.say("%s: agent dies", m.name)
}

func (m *minion) crashSoon(calls int) {
	if m.proc != nil {
		m.proc.crashIn = calls
		m.sim.say("%s: agent will die at its call %d", m.name, calls)
	}
}

// reboot ends all that runs; the disk stays, and what the runtime knows of its containers.
func (m *minion) reboot() {
	m.crash()
	m.boots++
	m.booted = m.sim.now
	m.routes = nil
	for _, id := range slices.Sorted(maps.Keys(m.pods)) {
		m.pods[id].Namespaces = ""
		for i := range m.pods[id].Containers {
			m.end(&m.pods[id].Containers[i], "Lost")
		}
	}
	m.sim.say("%s: reboots", m.name)
}

func (m *minion) end(c *agent.ObservedContainer, reason string) {
	if c.State == agent.Running {
		c.State, c.ExitCode, c.Reason, c.FinishedAt = agent.Exited, 1, reason, m.now()
	}
}

// exit ends one container by itself.
func (m *minion) exit() {
	ids := slices.Sorted(maps.Keys(m.pods))
	if len(ids) == 0 {
		return
	}
	id := pick(m.sim, ids)
	for i := range m.pods[id].Containers {
		m.end(&m.pods[id].Containers[i], "Error")
	}
	m.sim.say("%s: %s ends by itself", m.name, id)
}

// running tells whether anything of an instance runs here.
func (m *minion) running(id string) bool {
	return m.pods[id] != nil && slices.ContainsFunc(m.pods[id].Containers, func(c agent.ObservedContainer) bool { return c.State == agent.Running })
}

// step lets the agent make one step.
func (m *minion) step() {
	if m.proc == nil {
		return
	}
	p := m.proc
	p.agent.Step(context.Background(), func(f func()) { p.workers = append(p.workers, f) })
	m.sim.say("%s: step", m.name)
	m.bury()
}

// route lets the agent apply its routes.
func (m *minion) route() {
	if m.proc == nil {
		return
	}
	err := m.proc.agent.Route(context.Background(), false)
	m.sim.say("%s: routes, err %v", m.name, err)
	m.bury()
}

// work lets one action that is under way end: the longer it is not chosen, the slower it was.
func (m *minion) work() {
	if m.proc == nil || len(m.proc.workers) == 0 {
		return
	}
	i := m.sim.rand.IntN(len(m.proc.workers))
	f := m.proc.workers[i]
	m.proc.workers = slices.Delete(m.proc.workers, i, i+1)
	f()
	m.sim.say("%s: an action ends", m.name)
	m.bury()
}

// bury takes note of an agent that died in a call.
func (m *minion) bury() {
	if m.proc != nil && m.proc.dead {
		m.crash()
	}
}

var (
	errDead    = errors.New("the process is dead")
	errRefused = errors.New("refused")
	errLate    = errors.New("done, and answered too late")
)

// do carries out one call of the agent on its machine, unless it is to fail or the agent dies before it.
func (p *process) do(ctx context.Context, f func() error) error {
	if p.crashIn > 0 {
		if p.crashIn--; p.crashIn == 0 {
			p.dead = true
		}
	}
	if p.dead {
		return errDead
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	how := p.failNext
	p.failNext = ""
	if how == "refused" {
		return errRefused
	}
	if err := f(); err != nil {
		return err
	}
	if how == "done" {
		return errLate
	}
	return nil
}

// controller is the agent's end of the link.
type controller struct{ *process }

// Latest is the interface's.
func (c controller) Latest() (*assignment.Assignment, *assignment.Table) { return c.assigned, c.table }

// Contact is the interface's.
func (c controller) Contact() assignment.Contact { return c.contact }

// Changed is the interface's; nobody waits for it.
func (c controller) Changed() <-chan struct{} { return nil }

// Ack is the interface's.
func (c controller) Ack(table, work assignment.Generation, err string) {
	if c.dead {
		return
	}
	if !table.IsZero() {
		c.acked.table = table
	}
	if !work.IsZero() {
		c.acked.work = work
	}
	c.acked.err = err
	c.tell(answer{table: table, work: work, err: err})
}

// Report is the interface's.
func (c controller) Report(r assignment.Report) {
	if c.dead {
		return
	}
	c.process.report = &r
	c.tell(answer{report: &r})
}

func (c controller) tell(a answer) {
	if c.linked && c.minion.proc == c.process {
		a.sent = c.uptime()
		c.up = append(c.up, a)
	}
}

// beat lets the agent say again what it has in force.
func (m *minion) beat() {
	if m.proc != nil {
		controller{m.proc}.tell(m.proc.acked)
		m.sim.say("%s: heartbeat", m.name)
	}
}

// disk is the interface's Disk.
type disk struct{ *process }

// Load is the interface's.
func (d disk) Load() ([]byte, error) {
	d.obeyed = d.disk
	return d.disk, nil
}

// Save is the interface's.
func (d disk) Save(b []byte) error {
	d.sim.keeps(d.minion, d.obeyed, b)
	err := d.do(context.Background(), func() error { d.disk = b; return nil })
	if err == nil {
		d.obeyed = b
	}
	return err
}

// leaseDisk is the interface's Disk of the lease.
type leaseDisk struct{ *process }

// Load is the interface's.
func (d leaseDisk) Load() ([]byte, error) { return d.lease, nil }

// Save is the interface's.
func (d leaseDisk) Save(b []byte) error {
	return d.do(context.Background(), func() error { d.lease = b; return nil })
}

// router is the interface's Router.
type router struct{ *process }

// Apply is the interface's.
func (r router) Apply(ctx context.Context, services []netproxy.Service, _ netip.Prefix) error {
	return r.do(ctx, func() error {
		if r.kernelFails {
			return errRefused
		}
		r.routes = services
		return nil
	})
}

// Refused is the interface's.
func (r router) Refused() []string { return nil }

// Changed is the interface's; nobody waits for it.
func (r router) Changed() <-chan struct{} { return nil }

// network is the interface's Network.
type network struct{ *process }

// Attach is the interface's.
func (n network) Attach(ctx context.Context, id, netns string, a, _ netip.Addr) error {
	return n.do(ctx, func() error { return nil })
}

// Detach is the interface's.
func (n network) Detach(ctx context.Context, id string) error {
	return n.do(ctx, func() error { return nil })
}

// SetRoutes is the interface's.
func (n network) SetRoutes(ctx context.Context, _ string, _ []assignment.Peer) error {
	return n.do(ctx, func() error { return nil })
}

// Changed is the interface's; nobody waits for it.
func (n network) Changed() <-chan struct{} { return nil }

// runtime is the interface's Runtime.
type runtime struct{ *process }

// Version is the interface's.
func (r runtime) Version(ctx context.Context) (string, error) {
	return "model 1", r.do(ctx, func() error { return nil })
}

// Events is the interface's; nobody waits for it.
func (r runtime) Events() <-chan struct{} { return nil }

// Observe is the interface's.
func (r runtime) Observe(ctx context.Context) (out []agent.Observed, err error) {
	err = r.do(ctx, func() error {
		for _, id := range slices.Sorted(maps.Keys(r.pods)) {
			o := *r.pods[id]
			o.Containers = slices.Clone(o.Containers)
			out = append(out, o)
		}
		return nil
	})
	return out, err
}

// HasImage is the interface's.
func (r runtime) HasImage(ctx context.Context, ref string) (has bool, err error) {
	return has, r.do(ctx, func() error { has = r.images[ref]; return nil })
}

// Images is the interface's.
func (r runtime) Images(ctx context.Context) (out []assignment.Image, err error) {
	return out, r.do(ctx, func() error {
		out = []assignment.Image{}
		for _, name := range slices.Sorted(maps.Keys(r.images)) {
			out = append(out, assignment.Image{Name: name, Digest: "sha256:0"})
		}
		return nil
	})
}

// Pull is the interface's.
func (r runtime) Pull(ctx context.Context, ref string, _ func(agent.PullProgress)) error {
	return r.do(ctx, func() error {
		if ref == badImage && !r.sim.healed {
			return errRefused
		}
		r.images[ref] = true
		return nil
	})
}

// Sandbox is the interface's.
func (r runtime) Sandbox(ctx context.Context, p agent.Pod) (string, error) {
	return "/ns/" + p.ID, r.do(ctx, func() error {
		if r.pods[p.ID] == nil {
			r.pods[p.ID] = &agent.Observed{ID: p.ID, UID: p.UID, Namespace: p.Namespace, Name: p.Name, Controller: p.Controller, Hash: p.Hash, Address: p.Address}
		}
		r.pods[p.ID].Namespaces = "/ns/" + p.ID
		return nil
	})
}

// Start is the interface's.
func (r runtime) Start(ctx context.Context, p agent.Pod, container string, attempt int) error {
	return r.do(ctx, func() error {
		o := r.pods[p.ID]
		if o == nil {
			return errors.New("no sandbox")
		}
		for _, c := range o.Containers {
			if c.Name == container && c.State == agent.Running && c.Attempt == attempt {
				return nil
			}
		}
		r.sim.starts(r.minion, p)
		o.Containers = slices.DeleteFunc(o.Containers, func(c agent.ObservedContainer) bool { return c.Name == container })
		o.Containers = append(o.Containers, agent.ObservedContainer{Name: container, ID: p.ID + "." + container, State: agent.Running, Attempt: attempt, StartedAt: r.now()})
		r.sim.say("%s: %s runs", r.name, p.ID)
		return nil
	})
}

// Stop is the interface's.
func (r runtime) Stop(ctx context.Context, id string, _ time.Duration) error {
	return r.do(ctx, func() error {
		r.sim.stops(r.minion, id)
		delete(r.pods, id)
		r.sim.say("%s: %s is stopped", r.name, id)
		return nil
	})
}

// Halt is the interface's.
func (r runtime) Halt(ctx context.Context, id string, _ time.Duration) error {
	return r.do(ctx, func() error {
		r.sim.halts(r.minion, id)
		if o := r.pods[id]; o != nil {
			for i := range o.Containers {
				r.end(&o.Containers[i], assignment.Fenced)
			}
		}
		r.sim.say("%s: %s is halted", r.name, id)
		return nil
	})
}

// Logs is the interface's.
func (r runtime) Logs(context.Context, string, string, agent.LogOptions) (io.ReadCloser, error) {
	return nil, errRefused
}
