package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// fakeRuntime models a runtime: images, namespaces and containers that survive every agent. fail makes the next call of an
// operation fail: "refused" before it did anything, "done" after it did all.
type fakeRuntime struct {
	mu      sync.Mutex
	images  map[string]bool
	pods    map[string]*Observed
	starts  map[string]int // by instance/container
	stops   []string
	halts   []string
	listed  int // how often images were
	fail    map[string]string
	pulling map[string]chan struct{} // pulls of these images hang until closed
	down    bool
	events  chan struct{}
}

func newFakeRuntime() *fakeRuntime {
	return &fakeRuntime{images: map[string]bool{}, pods: map[string]*Observed{}, starts: map[string]int{}, fail: map[string]string{},
		pulling: map[string]chan struct{}{}, events: make(chan struct{}, 1)}
}

var errFake = errors.New("fake failure")

// try runs f with mu held, unless op is to fail.
func (f *fakeRuntime) try(op string, do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errors.New("runtime is down")
	}
	how := f.fail[op]
	delete(f.fail, op)
	if how == "refused" {
		return errFake
	}
	if err := do(); err != nil {
		return err
	}
	if how == "done" {
		return errFake
	}
	return nil
}

func (f *fakeRuntime) Version(context.Context) (string, error) {
	return "fake 1", f.try("version", func() error { return nil })
}

func (f *fakeRuntime) Observe(context.Context) (out []Observed, err error) {
	return out, f.try("observe", func() error {
		for _, o := range f.pods {
			c := *o
			c.Containers = slices.Clone(o.Containers)
			out = append(out, c)
		}
		slices.SortFunc(out, func(a, b Observed) int { return strings.Compare(a.ID, b.ID) })
		return nil
	})
}

func (f *fakeRuntime) Events() <-chan struct{} { return f.events }

func (f *fakeRuntime) HasImage(_ context.Context, ref string) (has bool, err error) {
	return has, f.try("hasimage", func() error { has = f.images[ref]; return nil })
}

func (f *fakeRuntime) Images(context.Context) (out []assignment.Image, err error) {
	return out, f.try("images", func() error {
		f.listed++
		out = []assignment.Image{}
		for name := range f.images {
			out = append(out, assignment.Image{Name: name, Digest: "sha256:0", Size: 1 << 20})
		}
		slices.SortFunc(out, func(a, b assignment.Image) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
}

func (f *fakeRuntime) Pull(ctx context.Context, ref string, progress func(PullProgress)) error {
	f.mu.Lock()
	hang := f.pulling[ref]
	f.mu.Unlock()
	progress(PullProgress{Done: 1 << 20, Total: 9 << 20})
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.try("pull", func() error {
		if strings.Contains(ref, "missing") {
			return ErrImage
		}
		f.images[ref] = true
		return nil
	})
}

func (f *fakeRuntime) Sandbox(_ context.Context, p Pod) (string, error) {
	return "/ns/" + p.ID, f.try("sandbox", func() error {
		if f.pods[p.ID] == nil {
			f.pods[p.ID] = &Observed{ID: p.ID, UID: p.UID, Namespace: p.Namespace, Name: p.Name, Hash: p.Hash, Address: p.Address}
		}
		f.pods[p.ID].Namespaces = "/ns/" + p.ID
		return nil
	})
}

func (f *fakeRuntime) Start(_ context.Context, p Pod, container string, attempt int) error {
	return f.try("start", func() error {
		o := f.pods[p.ID]
		if o == nil {
			return errors.New("no sandbox")
		}
		if c := o.container(container); c != nil {
			if c.State == Running && c.Attempt == attempt {
				return nil
			}
			o.Containers = slices.DeleteFunc(o.Containers, func(c ObservedContainer) bool { return c.Name == container })
		}
		f.starts[p.ID+"/"+container]++
		o.Containers = append(o.Containers, ObservedContainer{Name: container, ID: p.ID + "." + container, State: Running, Attempt: attempt, StartedAt: time.Now()})
		return nil
	})
}

func (f *fakeRuntime) Stop(_ context.Context, id string, _ time.Duration) error {
	return f.try("stop", func() error { f.stops = append(f.stops, id); delete(f.pods, id); return nil })
}

func (f *fakeRuntime) Halt(_ context.Context, id string, _ time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock() // also while the runtime is down
	how := f.fail["halt"]
	delete(f.fail, "halt")
	if how == "refused" {
		return errFake
	}
	f.halts = append(f.halts, id)
	if o := f.pods[id]; o != nil {
		for i := range o.Containers {
			if c := &o.Containers[i]; c.State == Running {
				c.State, c.ExitCode, c.FinishedAt, c.Reason = Exited, 143, time.Now(), assignment.Fenced
			}
		}
	}
	if how == "done" {
		return errFake
	}
	return nil
}

func (f *fakeRuntime) Logs(context.Context, string, string, LogOptions) (io.ReadCloser, error) {
	return nil, errors.New("no logs here")
}

// exit ends a container.
func (f *fakeRuntime) exit(id, container string, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.pods[id].container(container)
	c.State, c.ExitCode, c.FinishedAt, c.Reason = Exited, code, time.Now(), "Error"
	poke(f.events)
}

// fakeNetwork models links and routes.
type fakeNetwork struct {
	mu       sync.Mutex
	attached map[string]netip.Addr
	attaches int
	peers    []assignment.Peer
	fail     error // of SetRoutes
	changed  chan struct{}
}

func (f *fakeNetwork) Attach(_ context.Context, id, _ string, address, _ netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached[id] = address
	f.attaches++
	return nil
}

func (f *fakeNetwork) Detach(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.attached, id)
	return nil
}

func (f *fakeNetwork) SetRoutes(_ context.Context, _ string, peers []assignment.Peer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers = peers
	return f.fail
}

func (f *fakeNetwork) Changed() <-chan struct{} { return f.changed }

// fakeRouter models the kernel's table.
type fakeRouter struct {
	mu       sync.Mutex
	services []netproxy.Service
	fail     error
	changed  chan struct{}
}

func (f *fakeRouter) Apply(_ context.Context, services []netproxy.Service, _ netip.Prefix) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.services = services
	return nil
}

func (f *fakeRouter) Refused() []string { return nil }

func (f *fakeRouter) Changed() <-chan struct{} { return f.changed }

// fakeController is a link whose other end is the test.
type fakeController struct {
	mu      sync.Mutex
	work    *assignment.Assignment
	table   *assignment.Table
	acked   struct{ table, work assignment.Generation }
	errs    []string
	reports []assignment.Report
	contact assignment.Contact
	changed chan struct{}
}

func (f *fakeController) Latest() (*assignment.Assignment, *assignment.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.work, f.table
}

func (f *fakeController) Contact() assignment.Contact {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.contact
}

// meet lets the server of epoch 1 have heard of what was sent at a time since the boot.
func (f *fakeController) meet(number uint64, sent time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.contact = assignment.Contact{Epoch: 1, Number: number, Sent: sent}
	poke(f.changed)
}

func (f *fakeController) Changed() <-chan struct{} { return f.changed }

func (f *fakeController) Ack(table, work assignment.Generation, err string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !table.IsZero() {
		f.acked.table = table
	}
	if !work.IsZero() {
		f.acked.work = work
	}
	if err != "" {
		f.errs = append(f.errs, err)
	}
}

func (f *fakeController) Report(r assignment.Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, r)
}

func (f *fakeController) send(a *assignment.Assignment, t *assignment.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a != nil {
		f.work = a
	}
	if t != nil {
		f.table = t
	}
	poke(f.changed)
}

// last is the newest report's status of an instance, nil if it does not list it.
func (f *fakeController) last(id string) *assignment.InstanceStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.reports) == 0 {
		return nil
	}
	r := f.reports[len(f.reports)-1]
	for i := range r.Instances {
		if r.Instances[i].ID == id {
			return &r.Instances[i]
		}
	}
	return nil
}

// minion is a machine that outlives its agents.
type minion struct {
	t       *testing.T
	boots   int
	booted  time.Time
	dir     string
	runtime *fakeRuntime
	network *fakeNetwork
	router  *fakeRouter
	link    *fakeController
}

func newMinion(t *testing.T) *minion {
	return &minion{t: t, booted: time.Now(), dir: t.TempDir(), runtime: newFakeRuntime(),
		network: &fakeNetwork{attached: map[string]netip.Addr{}, changed: make(chan struct{}, 1)},
		router:  &fakeRouter{changed: make(chan struct{}, 1)}, link: &fakeController{changed: make(chan struct{}, 1)}}
}

// uptime is CLOCK_BOOTTIME.
func (m *minion) uptime() time.Duration { return time.Since(m.booted) }

// reboot ends all that runs; the disk stays.
func (m *minion) reboot() {
	m.boots++
	m.booted = time.Now()
	m.runtime.mu.Lock()
	defer m.runtime.mu.Unlock()
	for _, o := range m.runtime.pods {
		for i := range o.Containers {
			c := &o.Containers[i]
			c.State, c.ExitCode, c.FinishedAt, c.Reason = Exited, 255, time.Now(), "Lost"
		}
	}
}

// boot starts an agent and returns what ends it.
func (m *minion) boot() (kill func()) {
	a, err := New(Config{Dir: m.dir, Minion: "m1", Address: netip.MustParseAddr("10.245.2.2"), Controller: m.link, Runtime: m.runtime,
		BootID: fmt.Sprint("boot ", m.boots), Boottime: m.uptime, Network: m.network, Router: m.router, Features: []schema.Feature{schema.FeatureHooks}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("agent ended: %v", err)
		}
	}
}

// work is an assignment of generation n.
func work(n uint64, instances ...assignment.Instance) *assignment.Assignment {
	return &assignment.Assignment{Fleet: "f", Minion: "m1", Generation: assignment.Generation{Epoch: 1, Counter: n}, Network: netip.MustParsePrefix("10.244.1.0/24"), Instances: instances}
}

// instance is one pod of one container "c".
func instance(id, image string, phase assignment.Phase) assignment.Instance {
	spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: image}}}
	return assignment.Instance{ID: id, UID: id, Namespace: "default", Pod: id, Hash: spec.Hash(), Spec: spec.CanonicalJSON(),
		Address: netip.MustParseAddr("10.244.1.7"), Phase: phase}
}
