package reconciletest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile"
)

// Config is how a simulation goes. The zero value is the usual one.
type Config struct {
	Events int // with faults, before these end; 0 means 250
}

// Failure is what went wrong with a seed, and all that happened before it.
type Failure struct {
	Seed  uint64
	What  string
	Trace []string // one line an event
}

// Error says what went wrong, after all that happened.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s\nseed %d: %s", strings.Join(f.Trace, "\n"), f.Seed, f.What)
}

// Run lets one fleet live and returns what it did wrong, nil if nothing. It may be called concurrently.
func Run(seed uint64, c Config) *Failure {
	if c.Events == 0 {
		c.Events = 250
	}
	if f, _ := run(seed, c, false); f == nil {
		return nil
	}
	f, _ := run(seed, c, true) // to tell all that happens takes longer than to let it happen
	return f
}

// Trace is all that happens with a seed, one line an event.
func Trace(seed uint64, c Config) []string {
	if c.Events == 0 {
		c.Events = 250
	}
	_, trace := run(seed, c, true)
	return trace
}

func run(seed uint64, c Config, tell bool) (failure *Failure, trace []string) {
	s := &sim{tell: tell, rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: began, minions: map[string]*minion{}, watch: newWatch()}
	defer func() {
		trace = s.trace
		switch p := recover().(type) {
		case nil:
		case broken:
			failure = &Failure{Seed: seed, What: string(p), Trace: s.trace}
		default: // a panic of what is tested is a failure too
			failure = &Failure{Seed: seed, What: fmt.Sprintf("panic: %v\n%s", p, debug.Stack()), Trace: s.trace}
		}
	}()
	s.begin()
	for range c.Events {
		s.event()
		s.check()
	}
	s.calm()
	return nil, nil
}

// began is when every simulation begins.
var began = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// broken is the panic of a rule that does not hold.
type broken string

// sim is one fleet with everything around it.
type sim struct {
	tell    bool // the trace is kept
	rand    *rand.Rand
	trace   []string
	now     time.Time     // the one true time
	skew    time.Duration // of the server's clock; changes between two servers only
	repo    repo
	store   store
	healed  bool // every image can be pulled
	minions map[string]*minion
	names   []string
	server  *serving // nil while none runs
	watch   watch
}

// begin starts a server and its minions with a first commit.
func (s *sim) begin() {
	for i := range 2 + s.rand.IntN(3) {
		m := newMinion(s, i)
		s.minions[m.name] = m
		s.names = append(s.names, m.name)
	}
	s.commit()
	s.startServer()
	for _, n := range s.names {
		s.minions[n].boot()
		s.minions[n].connect()
	}
	if s.one(2) {
		s.grow()
	}
}

// say adds an event to the trace.
func (s *sim) say(format string, args ...any) {
	if s.tell {
		s.trace = append(s.trace, fmt.Sprintf("%4d %8.1fs ", len(s.trace), s.now.Sub(began).Seconds())+fmt.Sprintf(format, args...))
	}
}

// fail ends the simulation: a rule does not hold.
func (s *sim) fail(format string, args ...any) { panic(broken(fmt.Sprintf(format, args...))) }

// one tells whether one of n chances came.
func (s *sim) one(n int) bool { return s.rand.IntN(n) == 0 }

func pick[T any](s *sim, all []T) T { return all[s.rand.IntN(len(all))] }

// event lets one thing happen.
func (s *sim) event() {
	m := s.minions[pick(s, s.names)]
	switch n := s.rand.IntN(100); {
	case n < 16:
		s.stepServer()
	case n < 44:
		s.minionActs(m)
	case n < 62:
		m.deliver()
	case n < 74:
		m.receive()
	case n < 84:
		s.pass(pick(s, []time.Duration{100 * time.Millisecond, time.Second, time.Second, 2 * time.Second, 5 * time.Second, 25 * time.Second}))
	case n < 87:
		s.commit()
	case n < 90:
		m.mend()
	case n < 97:
		s.minionFault(m)
	default:
		s.serverFault()
	}
}

// keepalive is how long a dead stream may look alive.
const keepalive = 20 * time.Second

// pass lets time go by.
func (s *sim) pass(d time.Duration) {
	s.say("%s pass", d)
	s.advance(d)
	for _, n := range s.names {
		if m := s.minions[n]; m.said().Connected && !m.linked && s.now.Sub(m.parted) > keepalive {
			m.notice()
		}
	}
}

// minionActs lets an agent do one thing of its own.
func (s *sim) minionActs(m *minion) {
	switch n := s.rand.IntN(10); {
	case m.proc == nil:
		m.boot()
	case n < 4:
		m.step()
	case n < 5:
		m.route()
	case n < 6:
		m.beat()
	default:
		m.work()
	}
}

// minionFault lets something go wrong on a minion or on the way to it.
func (s *sim) minionFault(m *minion) {
	switch s.rand.IntN(14) {
	case 0, 1:
		m.cutOff()
	case 2:
		m.notice()
	case 3:
		m.crash()
	case 4:
		m.crashSoon(1 + s.rand.IntN(12))
	case 5:
		m.reboot()
	case 6, 7:
		m.failNext = pick(s, []string{"refused", "done"})
		s.say("%s: its next call will be %s", m.name, m.failNext)
	case 8:
		m.exit()
	case 9:
		m.skew += pick(s, []time.Duration{-time.Hour, -time.Minute, time.Minute, time.Hour})
		s.say("%s: its clock jumps, now %s off", m.name, m.skew)
	case 10:
		m.doubled()
	case 11:
		m.stale()
	case 12, 13:
		m.kernelFails = !m.kernelFails
		s.say("%s: its kernel takes no routes %t", m.name, m.kernelFails)
	}
}

// serverFault lets something go wrong on the server, its store or its repository.
func (s *sim) serverFault() {
	switch s.rand.IntN(8) {
	case 0:
		s.crashServer()
	case 1:
		if s.server != nil {
			s.server.crashIn = 1 + s.rand.IntN(5)
			s.say("server: will die at its call %d", s.server.crashIn)
		}
	case 2, 3:
		s.store.fail = pick(s, []string{"refused", "done"})
		s.say("store: its next save will be %s", s.store.fail)
	case 4:
		s.store.down = !s.store.down
		s.say("store: down %t", s.store.down)
	case 5:
		s.repo.down = !s.repo.down
		s.say("repository: down %t", s.repo.down)
	case 6:
		s.repo.gone = !s.repo.gone
		s.say("repository: branch gone %t", s.repo.gone)
	case 7:
		s.crashServer()
		s.skew += pick(s, []time.Duration{-time.Minute, time.Minute, time.Hour})
		clear(s.watch.freed) // no server whose clock was put forward knows how long an address has rested, nor does one after it
		s.say("server: its clock is now %s off", s.skew)
	}
}

// calmRounds is how many rounds a fleet without faults may need until it is as declared: restarts back off up to five minutes.
const calmRounds = 400

// fewRounds is how many it may need to take the last commit into force.
const fewRounds = 20

// calm ends all faults and expects the fleet to become as declared, and then to rest.
func (s *sim) calm() {
	s.say("all faults end")
	s.store.down, s.store.fail, s.repo.down, s.repo.gone, s.healed = false, "", false, false, true
	s.crashServer() // the next one has all the patience
	for s.repo.bad {
		s.commit()
	}
	s.lift()
	for _, n := range s.names {
		m := s.minions[n]
		m.failNext, m.cut, m.kernelFails = "", false, false
		if m.proc != nil {
			m.proc.crashIn = 0
		}
	}
	if s.server != nil {
		s.server.crashIn = 0
	}
	var left string
	for i := range calmRounds {
		s.round()
		if left = s.unfinished(); left == "" {
			break
		}
		if i%(calmRounds/4) == fewRounds {
			// What moved to another name has the quarantine of the old one, which no state said before; and what still backs off
			// from a fault may meet its deadline.
			s.lift()
		}
		s.advance(time.Duration(1+i/20) * time.Second)
	}
	if left != "" {
		s.fail("not done when nothing fails any more: %s", left)
	}
	before := string(s.store.saved)
	s.round()
	s.round()
	if string(s.store.saved) != before {
		s.fail("a fleet at rest changed its state from\n%s\nto\n%s", before, s.store.saved)
	}
}

// round lets everybody act and everything travel once.
func (s *sim) round() {
	s.say("round")
	if s.server == nil {
		s.startServer()
	}
	for _, n := range s.names {
		m := s.minions[n]
		if m.proc == nil {
			m.boot()
		}
		if m.said().Connected && !m.linked {
			m.notice()
		}
		m.connect()
		for len(m.down) > 0 {
			m.deliver()
		}
		m.beat()
		m.route()
		m.step()
		for m.proc != nil && len(m.proc.workers) > 0 {
			m.work()
		}
		if m.proc != nil {
			m.step()
		}
		for len(m.up) > 0 && s.server != nil {
			m.receive()
		}
		s.check()
	}
	s.stepServer()
	s.check()
}

// unfinished says what is not as declared, "" if all is.
func (s *sim) unfinished() string {
	if s.server == nil {
		return "no server"
	}
	plan := s.server.server.Plan()
	if plan.Stalled != "" || len(plan.Changes) > 0 {
		return fmt.Sprintf("%s %+v", plan.Stalled, plan.Changes)
	}
	st := plan.State
	for _, k := range slices.Sorted(maps.Keys(st.Objects)) {
		if st.Objects[k].Quarantine != nil {
			return k + " is quarantined"
		}
	}
	if st.Applied.Hash != s.repo.head() {
		return fmt.Sprintf("%s is in force, not %s", st.Applied.Hash, s.repo.head())
	}
	want := declared(s.repo.set())
	for _, id := range st.Bindings.IDs() {
		b := binding(st, id)
		slot := slotOf(b)
		if want[slot]--; want[slot] < 0 {
			return fmt.Sprintf("%s is one too many of %s", id, slot)
		}
		if !s.minions[b.Minion].running(id) {
			return id + " does not run"
		}
	}
	for slot, n := range want {
		if n > 0 {
			return fmt.Sprintf("%d of %s are missing", n, slot)
		}
	}
	for _, n := range s.names {
		m := s.minions[n]
		if m.proc.acked.table != st.Table {
			return fmt.Sprintf("%s routes %s, not %s", n, m.proc.acked.table, st.Table)
		}
		for id := range m.pods {
			if st.Bindings.Get(id) == nil {
				return fmt.Sprintf("%s is still on %s", id, n)
			}
		}
	}
	return ""
}

// slotOf is what several instances of the same pod, or all replicas of a controller, have in common.
func slotOf(b reconcile.Binding) string {
	if b.Controller != "" {
		return "controller " + b.Controller
	}
	return "pod " + b.Pod
}
