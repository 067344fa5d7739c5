package link

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"reconciler/agent"
	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/link/pki/registrytest"
	"reconciler/reconcile/server"
)

var (
	_ server.Fleet     = (*Server)(nil)
	_ agent.Controller = (*Client)(nil)
)

const fleetID = "fleet-1"

// fixture is a server on loopback whose registry and authority outlive it.
type fixture struct {
	*Server
	t        testing.TB
	dir      string
	registry *registrytest.Memory
	addr     string
	recover  bool   // of servers that are started from now on
	stop     func() // ends the server and waits
}

func newFixture(t testing.TB, change func(*limits)) *fixture {
	f := &fixture{t: t, dir: t.TempDir(), registry: &registrytest.Memory{}, addr: "127.0.0.1:0"}
	f.start(1, change)
	return f
}

func (f *fixture) start(epoch uint64, change func(*limits)) {
	f.t.Helper()
	a, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: f.dir, Fleet: fleetID})
	check(f.t, err)
	f.Server, err = NewServer(ServerConfig{Fleet: fleetID, Epoch: epoch, Authority: a, Registry: f.registry, Version: "test", Log: quiet(), Recover: f.recover})
	check(f.t, err)
	if change != nil {
		change(&f.limits)
		f.tables.gap = f.limits.gap
	}
	l, err := net.Listen("tcp", f.addr)
	check(f.t, err)
	f.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	s := f.Server
	all.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			f.t.Error(err)
		}
	})
	f.stop = func() { cancel(); all.Wait() }
	f.t.Cleanup(f.stop)
}

func (f *fixture) token(uses int) string {
	f.t.Helper()
	t, err := f.Token(f.t.Context(), uses, time.Hour)
	check(f.t, err)
	return t
}

func (f *fixture) client(name, dir, token string) *Client {
	f.t.Helper()
	c, err := NewClient(ClientConfig{Server: f.addr, Minion: name, Dir: dir, Token: token, Version: "test", Log: quiet(), Logs: testLogs})
	check(f.t, err)
	return c
}

// run runs c until the test's end or until stop.
func (f *fixture) run(c *Client) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		if err := c.Run(ctx); err != nil {
			f.t.Errorf("run: %v", err)
		}
	})
	stop = func() { cancel(); all.Wait() }
	f.t.Cleanup(stop)
	return stop
}

// agent is a client that has joined and is connected.
func (f *fixture) agent(name string) (c *Client, stop func()) {
	f.t.Helper()
	c = f.client(name, f.t.TempDir(), f.token(1))
	stop = f.run(c)
	f.eventually(name+" is connected", func() bool { return f.Minions()[name].Connected })
	return c, stop
}

// raw is a joined minion that speaks the protocol by itself.
func (f *fixture) raw(name string) linkpb.LinkClient {
	f.t.Helper()
	c := f.client(name, f.t.TempDir(), f.token(1))
	check(f.t, c.join(f.t.Context(), c.currentIdentity()))
	return f.dial(c)
}

func (f *fixture) dial(c *Client) linkpb.LinkClient {
	conn, err := c.dial(c.currentIdentity().TLS())
	check(f.t, err)
	f.t.Cleanup(func() { conn.Close() })
	return linkpb.NewLinkClient(conn)
}

// connect opens a stream and waits for the welcome.
func (f *fixture) connect(l linkpb.LinkClient) grpc.BidiStreamingClient[linkpb.FromAgent, linkpb.ToAgent] {
	f.t.Helper()
	s, err := l.Connect(f.t.Context())
	check(f.t, err)
	check(f.t, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Hello{Hello: &linkpb.Hello{ProtocolMin: 1, ProtocolMax: 1}}}))
	m, err := s.Recv()
	check(f.t, err)
	if m.GetWelcome() == nil {
		f.t.Fatalf("first message is %v, want a welcome", m)
	}
	return s
}

func (f *fixture) eventually(what string, is func() bool) {
	f.t.Helper()
	for end := time.Now().Add(15 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			f.t.Fatalf("never: %s", what)
		}
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// table has n services of one endpoint with addresses that do not compress well.
func table(epoch, counter uint64, n int) assignment.Table {
	t := assignment.Table{Fleet: fleetID, Generation: assignment.Generation{Epoch: epoch, Counter: counter}}
	x := uint32(counter)
	for range n {
		x = x*1664525 + 1013904223
		a := netip.AddrFrom4([4]byte{10, byte(x >> 24), byte(x >> 16), byte(x >> 8)})
		t.Services = append(t.Services, netproxy.Service{
			Namespace: "default", Name: a.String(), Protocol: "TCP", Port: uint16(x >> 16),
			Addresses: []netip.Addr{a}, Endpoints: []netip.AddrPort{netip.AddrPortFrom(a.Next(), uint16(x>>12))},
		})
	}
	return t
}

func assign(minion string, ids ...string) assignment.Assignment {
	a := assignment.Assignment{Fleet: fleetID, Minion: minion, Network: netip.MustParsePrefix("10.244.1.0/24")}
	for _, id := range ids {
		a.Instances = append(a.Instances, assignment.Instance{ID: id, Spec: []byte("{}"), Phase: assignment.Run})
	}
	return a
}

func gen(epoch, counter uint64) assignment.Generation {
	return assignment.Generation{Epoch: epoch, Counter: counter}
}

// testLogs knows three containers: "short", "endless", which says that it was closed on closedLogs, and none else.
func testLogs(ctx context.Context, r assignment.LogRequest) (io.ReadCloser, error) {
	switch r.Container {
	case "short":
		return io.NopCloser(strings.NewReader(r.Instance + " " + strings.Repeat("x", 100_000))), nil
	case "endless":
		return &endless{ctx: ctx, closed: make(chan struct{}), follow: r.Follow}, nil
	}
	return nil, &net.AddrError{Err: "no such container", Addr: r.Container}
}

var closedLogs = make(chan struct{}, 8)

// endless is a log without an end: with follow one byte and then silence, else data as fast as it is read.
type endless struct {
	ctx    context.Context
	closed chan struct{}
	follow bool
	said   bool
}

func (e *endless) Read(p []byte) (int, error) {
	if e.follow && e.said {
		<-e.closed
		return 0, io.ErrClosedPipe
	}
	if e.follow {
		e.said = true
		p[0] = '!'
		return 1, nil
	}
	return len(p), nil
}

func (e *endless) Close() error {
	close(e.closed)
	closedLogs <- struct{}{}
	return nil
}
