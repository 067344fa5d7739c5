package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/client"
	"reconciler/reconcile/link"
)

// aServer is a real server that can be stopped and started again on its directory.
type aServer struct {
	t           *testing.T
	dir, socket string
	listen      string
	repo        repository
	client      *client.Client
	stop        func()
}

func newServer(t *testing.T) *aServer {
	t.Helper()
	dir, err := os.MkdirTemp("", "recover") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &aServer{t: t, dir: filepath.Join(dir, "d"), socket: filepath.Join(dir, "s"), listen: l.Addr().String(), repo: newRepository(t), stop: func() {}}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.client = client.New(s.socket)
	t.Cleanup(func() { s.stop(); _ = os.RemoveAll(dir) })
	return s
}

// start starts it, and returns what ends with it.
func (s *aServer) start(args ...string) <-chan error {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--dir", s.dir, "--listen", s.listen, "--socket", s.socket, "--poll", "50ms", "--repo", s.repo.bare, "--min-ready", "100ms"}, args...))
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() { done <- root.ExecuteContext(ctx); close(ended) }()
	s.stop = func() { cancel(); <-ended }
	return done
}

// eventually waits for a status.
func (s *aServer) eventually(what string, ok func(reconcile.Status) bool) reconcile.Status {
	s.t.Helper()
	var st reconcile.Status
	var err error
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if st, err = s.client.Status(s.t.Context(), true); err == nil && ok(st) {
			return st
		}
	}
	b, _ := json.MarshalIndent(st.Objects, "", " ")
	s.t.Fatalf("waited in vain until %s: %v, %s %s %q\n%s", what, err, st.Sync, st.Health, st.Errors, b)
	return st
}

// inForce waits until a commit is applied, and all is well.
func (s *aServer) inForce(commit string) reconcile.Status {
	s.t.Helper()
	return s.eventually("everything is as declared", func(st reconcile.Status) bool { return st.Applied.Hash == commit && settled(st) && !leaving(st) })
}

// aMinion is an agent that takes what it is told over as a real one does, and says that it runs.
type aMinion struct {
	name    string
	address netip.Addr
	stop    func()

	mu      sync.Mutex
	work    *assignment.Assignment
	table   *assignment.Table
	up      map[string]time.Time
	started []string // instances, in the order in which they began to run
}

// join starts an agent that ends with the test.
func (s *aServer) join(name, address string) *aMinion {
	s.t.Helper()
	m := &aMinion{name: name, address: netip.MustParseAddr(address), up: map[string]time.Time{}}
	m.run(s)
	s.t.Cleanup(func() { m.stop() })
	return m
}

// run has an agent join, with a key of its own, and runs it until it is stopped.
func (m *aMinion) run(s *aServer) {
	s.t.Helper()
	var token string
	var err error
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if token, err = s.client.Token(s.t.Context(), "", 1, time.Hour); err == nil {
			break
		}
		if time.Now().After(end) {
			s.t.Fatal(err)
		}
	}
	l, err := link.NewClient(link.ClientConfig{Server: s.listen, Minion: m.name, Dir: s.t.TempDir(), Token: token, Version: "test", Log: slog.New(slog.DiscardHandler),
		Kept: func() (*assignment.Assignment, *assignment.Table) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.work, m.table
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := l.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.t.Error(err)
		}
	})
	all.Go(func() {
		for ctx.Err() == nil {
			m.step(l)
			select {
			case <-l.Changed():
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	m.stop = func() { cancel(); all.Wait() }
}

func (m *aMinion) step(l *link.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	work, table := l.Latest()
	why := ""
	if work != nil && (m.work == nil || work.Generation.Compare(m.work.Generation) >= 0) {
		m.work = work
	} else if work != nil {
		why = "an older assignment"
	}
	if table != nil && (m.table == nil || table.Generation.Compare(m.table.Generation) >= 0) {
		m.table = table
	}
	r := assignment.Report{Minion: m.name, Address: m.address, Capacity: assignment.Capacity{MilliCPU: 4000, Memory: 8 << 30, Pods: 100}, Version: "test"}
	if m.work != nil {
		has := map[string]bool{}
		for _, i := range m.work.Instances {
			if i.Phase == assignment.Stop {
				delete(m.up, i.ID)
				continue
			}
			has[i.ID] = true
			st := assignment.InstanceStatus{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller, Hash: i.Hash, Address: i.Address, State: assignment.Prepared}
			if _, runs := m.up[i.ID]; i.Phase == assignment.Run && !runs {
				m.up[i.ID] = time.Now()
				m.started = append(m.started, i.ID)
			}
			if at, runs := m.up[i.ID]; runs {
				st.State, st.Up, st.UpFor = assignment.Running, at, time.Since(at)
			}
			r.Instances = append(r.Instances, st)
		}
		for id := range m.up {
			if !has[id] { // an agent leaves it alone and reports it
				r.Instances = append(r.Instances, assignment.InstanceStatus{ID: id, State: assignment.Running, Up: m.up[id], UpFor: time.Since(m.up[id])})
			}
		}
		slices.SortFunc(r.Instances, func(a, b assignment.InstanceStatus) int { return strings.Compare(a.ID, b.ID) })
	}
	var t, w assignment.Generation
	if m.table != nil {
		t = m.table.Generation
	}
	if m.work != nil {
		w = m.work.Generation
	}
	l.Ack(t, w, why)
	l.Report(r)
}

// fleetNow is what must not change: what ever began to run, what runs, and the routes' addresses and endpoints.
func fleetNow(t *testing.T, minions ...*aMinion) string {
	t.Helper()
	var b strings.Builder
	for _, m := range minions {
		m.mu.Lock()
		fmt.Fprintln(&b, "started", m.started, "running", slices.Sorted(maps.Keys(m.up)))
		for _, s := range m.table.Services {
			fmt.Fprintln(&b, s.Name, s.Addresses, s.Endpoints)
		}
		m.mu.Unlock()
	}
	return b.String()
}

// copyDir keeps a copy of the server's directory, as cp -a does.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if _, err := command(t.Context(), "/", "cp", "-a", from, to); err != nil {
		t.Fatal(err)
	}
}

const more = `---
apiVersion: v1
kind: Service
metadata: {name: late}
spec: {selector: {name: web}, ports: [{port: 81}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {name: db}}
spec: {containers: [{name: c, image: "db:1"}]}
`

// TestRecover: the server's directory is an old copy while the fleet has moved on, then its store is gone: no pod is started again,
// no portal IP changes, and there is nothing to do. Mutants: NeedsRecovery is false; Recover leaves out the bindings, or the portal
// IPs, or the epoch; what Accepted says is taken for what is in force.
func TestRecover(t *testing.T) {
	s := newServer(t)
	first := s.repo.put(t, files{"web.yaml": replicas(3, "web:1")}).push(t)
	s.start()
	s.eventually("it answers", func(reconcile.Status) bool { return true })
	m1, m2 := s.join("m1", "192.0.2.11"), s.join("m2", "192.0.2.12")
	s.inForce(first)
	s.stop()
	backup := filepath.Join(t.TempDir(), "backup")
	copyDir(t, s.dir, backup)
	s.start()
	second := s.repo.put(t, files{"web.yaml": replicas(4, "web:2") + more}).push(t)
	m3 := s.join3()
	s.inForce(second)
	s.stop()
	was := fleetNow(t, m1, m2, m3)
	if strings.Count(was, "late [") != 3 || len(m1.started)+len(m2.started)+len(m3.started) < 8 {
		t.Fatal(was)
	}

	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	copyDir(t, backup, s.dir)
	s.start()
	st := s.eventually("an old copy plans nothing", func(st reconcile.Status) bool { return len(st.Errors) > 0 })
	if !strings.Contains(strings.Join(st.Errors, " "), "the store is an old copy. Nothing is planned") || !strings.Contains(strings.Join(st.Errors, " "), "--recover") {
		t.Errorf("it says %q", st.Errors)
	}
	k := st.Objects[0].Key
	if _, err := s.client.Suspend(t.Context(), k, "why", 0, time.Time{}, ""); err == nil || !strings.Contains(err.Error(), "the store is an old copy, and nothing is decided") {
		t.Errorf("a decision on an old copy: %v", err)
	}
	time.Sleep(300 * time.Millisecond)
	if now := fleetNow(t, m1, m2, m3); now != was {
		t.Errorf("the old copy changed the fleet: was\n%s\nis\n%s", was, now)
	}
	s.stop()

	s.start("--recover", "--recover-wait", "20s")
	s.inForce(second)
	if now := fleetNow(t, m1, m2, m3); now != was {
		t.Errorf("the recovery from an old copy changed the fleet: was\n%s\nis\n%s", was, now)
	}
	if out, errs, code := offline(t, s.repo.work, "diff", "--server", s.socket, "--live"); code != 0 || !strings.Contains(out, "Plan: nothing to do") {
		t.Errorf("diff: exit %d\n%s%s", code, out, errs)
	}
	s.stop()

	// With nothing to recover, the flag is of no harm.
	s.start("--recover")
	s.inForce(second)
	s.stop()

	if err := os.RemoveAll(filepath.Join(s.dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if err := <-s.start(); err == nil || !strings.Contains(err.Error(), "its decisions were lost") {
		t.Fatalf("an empty store: %v", err)
	}
	s.start("--recover", "--recover-minions", "3")
	s.inForce(second)
	if now := fleetNow(t, m1, m2, m3); now != was {
		t.Errorf("the recovery of an empty store changed the fleet: was\n%s\nis\n%s", was, now)
	}
	s.stop()

	// All is lost, the certificate authority too: the agents join anew.
	m1.mu.Lock()
	fleet := m1.table.Fleet
	m1.mu.Unlock()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	s.start("--recover", "--recover-minions", "3", "--fleet", fleet)
	for _, m := range []*aMinion{m1, m2, m3} {
		m.stop()
		m.run(s)
	}
	s.inForce(second)
	if now := fleetNow(t, m1, m2, m3); now != was {
		t.Errorf("the recovery of all changed the fleet: was\n%s\nis\n%s", was, now)
	}

	// It is a fleet like any other again.
	third := s.repo.put(t, files{"web.yaml": replicas(4, "web:3") + more}).push(t)
	s.inForce(third)
}

// join3 is a minion that the copy of the store does not know, on which pods may run.
func (s *aServer) join3() *aMinion {
	s.eventually("it answers", func(reconcile.Status) bool { return true })
	return s.join("m3", "192.0.2.13")
}

func TestRecoverFlags(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ name, args, want string }{
		{"a fleet without recovery", "--fleet f1", "--fleet, --recover-wait and --recover-minions are of --recover"},
		{"nothing tells which fleet", "--recover --repo nowhere", "nothing here tells which fleet is to be recovered"},
	} {
		args := append([]string{"serve", "--dir", filepath.Join(dir, "d"), "--socket", filepath.Join(dir, "s")}, strings.Fields(c.args)...)
		if strings.Contains(c.args, "nowhere") {
			r := newRepository(t)
			args[len(args)-1] = r.bare
		}
		if _, errs, code := offline(t, dir, args...); code != 2 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d: %s", c.name, code, errs)
		}
	}
}
