package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

const (
	reportAtLeast = 20 * time.Second       // a report is repeated after this long even if nothing changed
	observeEvery  = 15 * time.Second       // the runtime is looked at this often even if no event came
	retryAfter    = time.Second            // after a runtime or a kernel that did not answer
	imagesEvery   = 10 * time.Minute       // images are listed after a pull, and this often
	progressEvery = 500 * time.Millisecond // between two reports of one pull

	observeTimeout = 30 * time.Second // of one look at the runtime
	overTimeout    = 5 * time.Second  // of one without a lease: what is fenced has to end even if the runtime hangs
)

// Config is what an Agent needs. All fields are required but Labels and those that name a default.
type Config struct {
	Dir        string            // the agent's own directory; holds the kept assignment
	Minion     string            // name of this minion
	Address    netip.Addr        // its own address, where other minions reach its pods through
	Labels     map[string]string // for nodeSelector
	Capacity   assignment.Capacity
	Features   []schema.Feature // what Runtime, Network and Router can do for a pod
	Version    string
	BootID     string // of /proc/sys/kernel/random/boot_id; without one no fenced instance is ever started
	Controller Controller
	Runtime    Runtime
	Network    Network
	Router     Router
	Parallel   int                  // instances that are started at the same time; 0 means 4
	Disk       Disk                 // where the kept assignment is; nil means a file in Dir
	LeaseDisk  Disk                 // where the lease is, which needs not outlive the boot; nil means a file in Dir
	Now        func() time.Time     // the minion's clock; nil means time.Now
	Boottime   func() time.Duration // since the boot that BootID names; nil means the function Boottime
	Log        *slog.Logger
}

// Agent is one minion's loop. It is made by New and run once by Run.
type Agent struct {
	Config
	started time.Time
	keep    *keeper
	wake    chan struct{} // room for one: the pod loop has something to look at
	routes  chan struct{} // room for one: the route loop has
	slots   chan struct{} // one per instance that may be starting

	mu       sync.Mutex         // protects the fields below, never held over I/O
	progress map[string]string  // by instance: what its pull says
	problems []string           // of the routes
	refusals [errorKinds]string // what is not in force, and why

	leasing sync.Mutex // protects lease; held while it is written, so that an older one is never written over a newer
	lease   lease

	// Owned by the pod loop.
	memory   map[string]*Memory
	workers  map[string]*worker
	done     chan outcome
	observed []Observed
	looked   bool // observed is something
	images   []assignment.Image
	imagesAt time.Time // when they were listed; zero: they are to be listed
	over     bool      // there is no lease, and fenced instances need one
	last     *assignment.Report
	lastSent time.Time
}

// worker is one action under way.
type worker struct {
	verb   Verb
	cancel context.CancelFunc
}

// New checks the configuration and reads what an earlier agent kept. It starts nothing.
func New(c Config) (*Agent, error) {
	switch {
	case c.Dir == "" || c.Minion == "" || !c.Address.IsValid():
		return nil, errors.New("agent: directory, minion and address are required")
	case c.Controller == nil || c.Runtime == nil || c.Network == nil || c.Router == nil || c.Log == nil:
		return nil, errors.New("agent: controller, runtime, network, router and log are required")
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Boottime == nil {
		c.Boottime = Boottime
	}
	if c.Disk == nil {
		if err := os.MkdirAll(c.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make agent directory: %w", err)
		}
		c.Disk = folder{dir: c.Dir, name: "kept.json"}
	}
	if c.LeaseDisk == nil {
		c.LeaseDisk = folder{dir: c.Dir, name: "lease.json", volatile: true}
	}
	k, err := loadKept(c.Disk)
	if err != nil {
		return nil, err
	}
	return &Agent{
		Config: c, started: c.Now(), lease: loadLease(c.LeaseDisk), keep: &keeper{kept: k, disk: c.Disk, features: c.Features},
		wake: make(chan struct{}, 1), routes: make(chan struct{}, 1), slots: make(chan struct{}, c.Parallel),
		progress: map[string]string{}, memory: map[string]*Memory{}, workers: map[string]*worker{}, done: make(chan outcome, 64),
	}, nil
}

// Run makes the minion as assigned until ctx ends, and returns after the last action under way has been given up. It stops
// no container and removes no route.
func (a *Agent) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.listen(ctx) })
	g.Go(func() error { return a.routeLoop(ctx) })
	g.Go(func() error { return a.leaseLoop(ctx) })
	g.Go(func() error { return a.podLoop(ctx, g) })
	err := g.Wait()
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// listen passes what others notice on to the two loops.
func (a *Agent) listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.Controller.Changed():
			poke(a.routes)
			poke(a.wake)
		case <-a.Runtime.Events():
			poke(a.wake)
		}
	}
}

// podLoop runs Step whenever something may have changed.
func (a *Agent) podLoop(ctx context.Context, g *errgroup.Group) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.wake:
		case <-timer.C:
		case o := <-a.done:
			a.finish(o)
		}
		next := a.Step(ctx, func(f func()) { g.Go(func() error { f(); return nil }) })
		timer.Reset(max(next.Sub(a.Now()), 0))
	}
}

// Step takes over what became of actions and a newer assignment, observes, hands what is to be done to spawn, and reports.
// It returns when to look again at the latest. Each function that spawn gets is one action and is to be run once, in any
// order. One Step runs at a time; Run calls it, and so does who has an agent live in a time of their own.
func (a *Agent) Step(ctx context.Context, spawn func(func())) time.Time {
	for more := true; more; {
		select {
		case o := <-a.done:
			a.finish(o)
		default:
			more = false
		}
	}
	assigned, _ := a.Controller.Latest()
	kept, taken, refused := a.keep.offerAssignment(assigned, a.Minion)
	switch {
	case refused != "":
		a.acknowledge(assignment.Generation{}, assignment.Generation{}, podErrors, refused)
	case kept.Assignment != nil:
		a.acknowledge(assignment.Generation{}, kept.Assignment.Generation, podErrors, "")
		if taken {
			a.Log.Debug("took assignment", "generation", kept.Assignment.Generation.String())
			poke(a.routes) // the pod network may be new
		}
	}
	var end time.Time
	a.over, end = a.renew()
	now, patience := a.Now(), observeTimeout
	if a.over {
		patience = overTimeout
	}
	octx, cancel := context.WithTimeout(ctx, patience)
	observed, err := a.Runtime.Observe(octx)
	cancel()
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Warn("could not observe the runtime", "err", err)
			if a.looked { // before the first look nothing is known, and unknown is not "not running"
				a.report(ctx, kept.Assignment, []string{"runtime: " + err.Error()}, now)
			}
			a.haltUnseen(ctx, kept.Assignment, spawn, now)
		}
		return now.Add(retryAfter)
	}
	a.observed, a.looked = observed, true
	a.listImages(ctx, now)
	next := earlier(now.Add(observeEvery), end)
	if kept.Assignment != nil {
		next = earlier(next, a.act(ctx, kept.Assignment, spawn, now))
	}
	a.report(ctx, kept.Assignment, nil, now)
	return next
}

// listImages brings up to date what images there are. What cannot be listed is what it was.
func (a *Agent) listImages(ctx context.Context, now time.Time) {
	if !a.imagesAt.IsZero() && now.Sub(a.imagesAt) < imagesEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, overTimeout)
	defer cancel()
	all, err := a.Runtime.Images(ctx)
	if err != nil {
		if ctx.Err() == nil {
			a.Log.Warn("could not list images", "err", err)
		}
		return
	}
	a.images, a.imagesAt = all, now
}

// act starts a worker for each instance that has something to do and no worker yet.
func (a *Agent) act(ctx context.Context, assigned *assignment.Assignment, spawn func(func()), now time.Time) (wake time.Time) {
	if a.keep.takeRepair() {
		for _, m := range a.memory {
			m.Attached = false
		}
	}
	listed := map[string]bool{}
	defer func() { a.keep.forget(listed) }()
	for i := range assigned.Instances {
		d := a.desired(&assigned.Instances[i])
		listed[d.ID] = true
		m := a.remember(&d)
		if a.busy(&d) {
			continue
		}
		action, at := Next(d, find(a.observed, d.ID), *m, now)
		wake = earlier(wake, at)
		if action != nil {
			a.start(ctx, d, action, assigned, spawn)
		}
	}
	for id := range a.memory {
		if !listed[id] && a.workers[id] == nil {
			delete(a.memory, id)
		}
	}
	return wake
}

// haltUnseen ends what may not run when the runtime does not say what runs.
func (a *Agent) haltUnseen(ctx context.Context, assigned *assignment.Assignment, spawn func(func()), now time.Time) {
	if !a.over {
		return
	}
	for i := range assigned.Instances {
		d := a.desired(&assigned.Instances[i])
		m := a.remember(&d)
		if !d.Held || d.Phase == assignment.Stop || a.busy(&d) {
			continue
		}
		if action, _ := halt(!m.Halted, *m, now); action != nil {
			a.start(ctx, d, action, assigned, spawn)
		}
	}
}

// desired is an assigned instance with its spec, and whether it may run.
func (a *Agent) desired(i *assignment.Instance) Desired {
	d := a.keep.decode(*i)
	d.Held = d.Fence && a.over
	return d
}

// remember is what is remembered of an instance.
func (a *Agent) remember(d *Desired) *Memory {
	m := a.memory[d.ID]
	if m == nil {
		m = &Memory{Images: map[string]bool{}}
		a.memory[d.ID] = m
	}
	m.Halted = m.Halted && d.Held
	return m
}

// busy tells whether a worker is at an instance; one that does what is not wanted any more is interrupted, and its end wakes
// the loop.
func (a *Agent) busy(d *Desired) bool {
	w := a.workers[d.ID]
	if w == nil {
		return false
	}
	if (d.Phase == assignment.Drain || d.Phase == assignment.Stop || d.Held) && w.verb == BringUp {
		w.cancel()
	}
	return true
}

// start hands an action to spawn.
func (a *Agent) start(ctx context.Context, d Desired, action *Action, assigned *assignment.Assignment, spawn func(func())) {
	wctx, cancel := context.WithCancel(ctx)
	a.workers[d.ID] = &worker{verb: action.Verb, cancel: cancel}
	gateway := assigned.Network.Addr().Next()
	spawn(func() {
		o := a.do(wctx, d, action, gateway)
		cancel()
		select {
		case a.done <- o:
		case <-ctx.Done():
		}
	})
}

// report hands the newest observation to the controller if it says something new, or if the last was long ago. With
// problems, what was observed last still stands.
func (a *Agent) report(ctx context.Context, assigned *assignment.Assignment, problems []string, now time.Time) {
	a.mu.Lock()
	problems = append(problems, a.problems...)
	progress := make(map[string]string, len(a.progress))
	for id, p := range a.progress {
		progress[id] = p
	}
	a.mu.Unlock()
	r := assignment.Report{Minion: a.Minion, Address: a.Address, Labels: a.Labels, Capacity: a.Capacity, Version: a.Version,
		BootID: a.BootID, Started: a.started, Problems: problems, Features: a.Features, Images: a.images}
	if a.last != nil {
		r.Runtime = a.last.Runtime
	}
	if r.Runtime == "" && len(problems) == 0 {
		vctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		r.Runtime, _ = a.Runtime.Version(vctx) // asked again with the next report
		cancel()
	}
	listed := map[string]bool{}
	if assigned != nil {
		for i := range assigned.Instances {
			d := a.desired(&assigned.Instances[i])
			listed[d.ID] = true
			o := find(a.observed, d.ID)
			var m Memory
			if a.memory[d.ID] != nil {
				m = *a.memory[d.ID]
			}
			if d.Phase == assignment.Stop && o == nil && m.Stopped {
				continue
			}
			r.Instances = append(r.Instances, instanceStatus(&d, o, m, progress[d.ID], now))
		}
	}
	for i := range a.observed {
		if !listed[a.observed[i].ID] {
			r.Instances = append(r.Instances, instanceStatus(nil, &a.observed[i], Memory{}, "", now))
		}
	}
	slices.SortFunc(r.Instances, func(x, y assignment.InstanceStatus) int { return compare(x.ID, y.ID) })
	if a.last != nil && now.Sub(a.lastSent) < reportAtLeast && a.last.Runtime == r.Runtime && slices.Equal(a.last.Problems, r.Problems) && slices.Equal(a.last.Images, r.Images) &&
		sameReport(a.last.Instances, r.Instances) {
		return
	}
	a.last, a.lastSent = &r, now
	a.Controller.Report(r)
}

func find(observed []Observed, id string) *Observed {
	i, ok := slices.BinarySearchFunc(observed, id, func(o Observed, id string) int { return compare(o.ID, id) })
	if !ok {
		return nil
	}
	return &observed[i]
}

// poke sends to a channel that has room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
