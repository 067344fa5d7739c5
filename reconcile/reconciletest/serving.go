package reconciletest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/server"
)

// store models what outlives a server.
type store struct {
	saved []byte
	epoch uint64
	fail  string // how the next save ends: "refused", or "done" and reported as failed
	down  bool
	doubt bool // the last save failed and nothing was loaded since
}

// serving is one server process and its end of the link.
type serving struct {
	sim     *sim
	server  *server.Server
	epoch   uint64
	crashIn int // calls until it dies; 0: it does not
	dead    bool
	minions map[string]reconcile.Minion
	table   *assignment.Table
	work    map[string]*assignment.Assignment
}

// call tells whether the process still lives to have its call carried out.
func (s *serving) call() bool {
	if s.crashIn > 0 {
		if s.crashIn--; s.crashIn == 0 {
			s.dead = true
		}
	}
	return !s.dead
}

// startServer starts a server from what the store has.
func (s *sim) startServer() {
	if s.store.down {
		s.say("server: does not start, the store does not answer")
		return
	}
	st := reconcile.State{Fleet: "f1"}
	if s.store.saved != nil {
		if err := json.Unmarshal(s.store.saved, &st); err != nil {
			panic(err)
		}
	}
	s.store.epoch++
	s.store.doubt = false
	st.Epoch = s.store.epoch
	p := &serving{sim: s, epoch: st.Epoch, minions: map[string]reconcile.Minion{}, work: map[string]*assignment.Assignment{}}
	for _, n := range s.names {
		p.minions[n] = reconcile.Minion{}
	}
	var err error
	p.server, err = server.New(server.Config{State: st, Settings: s.settings(), Source: p, Store: p, Fleet: p, Load: p.load, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	s.server = p
	s.watch.serverStarted(st)
	s.say("server: starts with epoch %d", st.Epoch)
}

// crashServer ends the server: what it only had in memory is gone, and so are all streams.
func (s *sim) crashServer() {
	s.say("server: dies")
	s.server = nil
	for _, n := range s.names {
		s.minions[n].unlink()
	}
}

// stepServer lets the server make one step, or starts it.
func (s *sim) stepServer() {
	if s.server == nil {
		s.startServer()
		return
	}
	p := s.server
	look := !s.one(4)
	_, err := p.server.Step(context.Background(), s.serverTime(), look)
	s.say("server: step (look %t, err %v): %s", look, err, brief{&s.watch.state})
	if p.dead {
		s.crashServer()
	}
}

func (s *sim) serverTime() time.Time { return s.now.Add(s.skew) }

// Load is the interface's.
func (s *serving) Load(context.Context) (st reconcile.State, ok bool, err error) {
	if !s.call() || s.sim.store.down {
		return st, false, errCut
	}
	s.sim.store.doubt = false
	if s.sim.store.saved == nil {
		return st, false, nil
	}
	return st, true, json.Unmarshal(s.sim.store.saved, &st)
}

// Save is the interface's.
func (s *serving) Save(_ context.Context, st reconcile.State) error {
	d := &s.sim.store
	if !s.call() || d.down {
		d.doubt = !s.dead
		return errCut
	}
	if d.doubt {
		s.sim.fail("the server saves after a save of which the outcome is unknown")
	}
	how := d.fail
	d.fail, d.doubt = "", d.fail != ""
	if how == "refused" {
		return errors.New("refused")
	}
	b, err := json.Marshal(st)
	if err != nil {
		panic(err)
	}
	d.saved = b
	s.sim.decided(st)
	if how == "done" {
		return errors.New("done, and answered too late")
	}
	return nil
}

// Changed is the interfaces'; nobody waits for it.
func (s *serving) Changed() <-chan struct{} { return nil }

// Minions is the interface's.
func (s *serving) Minions() map[string]reconcile.Minion {
	out := map[string]reconcile.Minion{}
	for n, m := range s.minions {
		out[n] = m
	}
	return out
}

// SetTable is the interface's.
func (s *serving) SetTable(t assignment.Table) {
	if !s.call() || s.table != nil && s.table.Generation == t.Generation {
		return
	}
	s.sim.published(&t)
	s.table = &t
	for _, n := range s.sim.names {
		if m := s.sim.minions[n]; m.linked {
			m.send(message{table: &t})
		}
	}
}

// SetAssignments is the interface's.
func (s *serving) SetAssignments(all map[string]assignment.Assignment) {
	if !s.call() {
		return
	}
	for _, n := range s.sim.names {
		a, ok := all[n]
		if !ok {
			continue
		}
		old := s.work[n]
		a.Generation = assignment.Generation{Epoch: s.epoch, Counter: 1}
		if old != nil {
			a.Generation.Counter = old.Generation.Counter
			if reflect.DeepEqual(*old, a) {
				continue
			}
			a.Generation.Counter++
		}
		s.work[n] = &a
		if m := s.sim.minions[n]; m.linked {
			m.send(message{work: &a})
		}
	}
}

// Logs is the interface's.
func (s *serving) Logs(context.Context, string, assignment.LogRequest) (io.ReadCloser, error) {
	return nil, errCut
}

// Token is the interface's.
func (s *serving) Token(context.Context, int, time.Duration) (string, error) { return "", errCut }

// TokenFor is the interface's.
func (s *serving) TokenFor(context.Context, string, time.Duration) (string, error) {
	return "", errCut
}
