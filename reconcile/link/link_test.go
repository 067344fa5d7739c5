package link

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

func TestDelivery(t *testing.T) {
	f := newFixture(t, nil)
	f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "a"), "m2": assign("m2", "b")}) // before they join
	f.SetTable(table(1, 1, 3))
	m1, _ := f.agent("m1")
	m2, _ := f.agent("m2")
	f.eventually("both have all", func() bool { return has(m1, gen(1, 1), gen(1, 1)) && has(m2, gen(1, 1), gen(1, 1)) })
	a, _ := m1.Latest()
	if a.Instances[0].ID != "a" || a.Fleet != fleetID {
		t.Errorf("m1 has %+v", a)
	}

	// m2's is unchanged: it keeps its generation and is not sent again.
	f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "a", "c"), "m2": assign("m2", "b")})
	f.SetTable(table(1, 2, 20_000)) // several parts
	f.eventually("both have the second", func() bool { return has(m1, gen(1, 2), gen(1, 2)) && has(m2, gen(1, 2), gen(1, 1)) })
	if _, got := m2.Latest(); len(got.Services) != 20_000 || got.Services[19_999].Name != table(1, 2, 20_000).Services[19_999].Name {
		t.Errorf("m2 has %d services", len(got.Services))
	}
	if n := len(f.Server.table.Load().frames); n < 2 {
		t.Errorf("the table is in %d parts, so the test does not show that parts are put together", n)
	}

	// A minion that is left out keeps what it has.
	f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1")})
	f.eventually("m1 has the third", func() bool { return has(m1, gen(1, 2), gen(1, 3)) })
	if a, _ := m2.Latest(); a.Generation != gen(1, 1) || len(a.Instances) != 1 {
		t.Errorf("m2 has %+v", a)
	}
}

func has(c *Client, t, w assignment.Generation) bool {
	a, got := c.Latest()
	return a != nil && got != nil && a.Generation == w && got.Generation == t
}

func TestAcknowledgements(t *testing.T) {
	f := newFixture(t, nil)
	c, stop := f.agent("m1")
	if m := f.Minions()["m1"]; !m.Table.IsZero() || !m.Work.IsZero() || m.Report != nil || m.LastSeen.IsZero() {
		t.Errorf("before any word: %+v", m)
	}
	c.Ack(gen(1, 1), assignment.Generation{}, "")
	f.eventually("the table is acknowledged", func() bool { return f.Minions()["m1"].Table == gen(1, 1) })
	c.Ack(assignment.Generation{}, gen(1, 4), "no kernel")
	f.eventually("the work is acknowledged", func() bool {
		m := f.Minions()["m1"]
		return m.Table == gen(1, 1) && m.Work == gen(1, 4) && m.Error == "no kernel"
	})
	c.Ack(assignment.Generation{}, assignment.Generation{}, "not UTF-8: \xff"+strings.Repeat("é", 40_000))
	f.eventually("the error is there", func() bool { return strings.HasPrefix(f.Minions()["m1"].Error, "not UTF-8: ?é") })
	if m := f.Minions()["m1"]; !m.Connected || m.Table != gen(1, 1) || m.Work != gen(1, 4) {
		t.Errorf("after zero generations: %+v", m)
	}
	c.Ack(assignment.Generation{}, assignment.Generation{}, "")
	c.Report(assignment.Report{Minion: "m1", Version: "one"})
	f.eventually("the error is withdrawn", func() bool { return f.Minions()["m1"].Error == "" })
	f.eventually("the report is there", func() bool { m := f.Minions()["m1"]; return m.Report != nil && !m.Reported.IsZero() })
	stop()
	f.eventually("m1 is gone", func() bool { return !f.Minions()["m1"].Connected })
	if m := f.Minions()["m1"]; m.Report == nil || m.Report.Version != "one" || m.Table != gen(1, 1) {
		t.Errorf("after the disconnection: %+v", m)
	}
}

// Mutants: images are sent with every report; they are not said again on a new stream; a report without them takes them away.
func TestImagesTravelByThemselves(t *testing.T) {
	f := newFixture(t, nil)
	c, _ := f.agent("m1")
	report := func(version string, images ...assignment.Image) {
		t.Helper()
		c.Report(assignment.Report{Minion: "m1", Version: version, Images: images})
		f.eventually("the report is there", func() bool { m := f.Minions()["m1"]; return m.Report != nil && m.Report.Version == version })
	}
	names := func() (out string) {
		r := f.Minions()["m1"].Report
		if r.Images == nil {
			return "not known"
		}
		for _, i := range r.Images {
			out += i.Name + " "
		}
		return out
	}
	one, two := assignment.Image{Name: "a:1", Digest: "sha256:1", Size: 5}, assignment.Image{Name: "b:1", Digest: "sha256:2"}
	report("0")
	if got := names(); got != "not known" {
		t.Errorf("an agent that does not say has %q", got)
	}
	report("1", one)
	f.eventually("its image is there", func() bool { return names() == "a:1 " })
	for i := range 5 {
		report(string(rune('2'+i)), one)
	}
	c.mu.Lock()
	if lists := c.said.lists; lists != 1 {
		t.Errorf("an unchanged list was sent %d times", lists)
	}
	c.mu.Unlock()
	if got := names(); got != "a:1 " {
		t.Errorf("after more reports it has %q", got)
	}
	report("7", one, two)
	f.eventually("the other is there too", func() bool { return names() == "a:1 b:1 " })
	f.stop()
	f.start(2, nil)
	f.eventually("another server knows them", func() bool { m := f.Minions()["m1"]; return m.Report != nil && names() == "a:1 b:1 " })
	c.Report(assignment.Report{Minion: "m1", Version: "8", Images: []assignment.Image{}})
	f.eventually("none is not the same as not known", func() bool { return names() == "" })
}

func TestServerRestart(t *testing.T) {
	f := newFixture(t, nil)
	f.SetTable(table(1, 7, 3))
	f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "a")})
	c, _ := f.agent("m1")
	f.eventually("m1 has all", func() bool { return has(c, gen(1, 7), gen(1, 1)) })
	c.Ack(gen(1, 7), gen(1, 1), "")
	c.Report(assignment.Report{Minion: "m1", Version: "one"})
	f.eventually("all is said", func() bool { m := f.Minions()["m1"]; return m.Report != nil && m.Table == gen(1, 7) })
	f.stop()
	c.Report(assignment.Report{Minion: "m1", Version: "two"})
	c.Report(assignment.Report{Minion: "m1", Version: "three"})

	f.start(2, nil)
	if m, ok := f.Minions()["m1"]; !ok || m.Report != nil {
		t.Errorf("right after the restart: %+v, known %v", m, ok)
	}
	f.SetTable(table(2, 1, 3))
	f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "a")})
	f.eventually("m1 has the new epoch's", func() bool { return has(c, gen(2, 1), gen(2, 1)) })
	f.eventually("the newest report and what is in force are said again", func() bool {
		m := f.Minions()["m1"]
		return m.Connected && m.Report != nil && m.Report.Version == "three" && m.Table == gen(1, 7) && m.Work == gen(1, 1)
	})
}

func TestSameBytesAreNotSentAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		table bool
	}{{"the agent has both", true}, {"the agent has the assignment only", false}} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.SetTable(table(1, 1, 3))
			f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "a")})
			s, err := f.raw("m1").Connect(t.Context())
			check(t, err)
			h := &linkpb.Hello{ProtocolMin: 1, ProtocolMax: 1, WorkHash: f.workOf("m1").hash[:]}
			if c.table {
				h.TableHash = f.Server.table.Load().hash[:]
			}
			check(t, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Hello{Hello: h}}))
			if m, err := s.Recv(); err != nil || m.GetWelcome() == nil {
				t.Fatalf("got %v, %v, want the welcome", m, err)
			}
			if !c.table {
				if m, err := s.Recv(); err != nil || m.GetTable() == nil {
					t.Fatalf("got %v, %v, want the table", m, err)
				}
			}
			f.SetAssignments(map[string]assignment.Assignment{"m1": assign("m1", "b")})
			m, err := s.Recv()
			check(t, err)
			if g := fromGeneration(m.GetWork().GetGeneration()); g != gen(1, 2) {
				t.Errorf("got %v, want the second assignment only", m)
			}
		})
	}
}

func TestStalled(t *testing.T) {
	f := newFixture(t, func(l *limits) { l.gap = 0 })
	quick, _ := f.agent("quick")
	s := f.connect(f.raw("stalled"))
	const last = 6
	for i := uint64(1); i <= last; i++ {
		f.SetTable(table(1, i, 15_000)) // one is more than the windows take
		f.eventually("the quick one has the table", func() bool { _, t := quick.Latest(); return t != nil && t.Generation == gen(1, i) })
	}
	f.mu.Lock()
	blocked := f.minions["stalled"].session.writing.Load() != 0
	f.mu.Unlock()
	if !blocked {
		t.Fatal("the stalled agent's writer is not blocked, so the test would show nothing")
	}
	var got []uint64
	for len(got) == 0 || got[len(got)-1] != last {
		m, err := s.Recv()
		check(t, err)
		if u := m.GetTable(); u.Part+1 == u.Parts {
			got = append(got, u.Generation.Counter)
		}
	}
	if len(got) > 2 {
		t.Errorf("after the stall the agent got tables %v, want the one it was blocked on and the newest", got)
	}
}

func TestEnded(t *testing.T) {
	beat := &linkpb.FromAgent{Body: &linkpb.FromAgent_Heartbeat{Heartbeat: &linkpb.Ack{}}}
	for _, c := range []struct {
		name   string
		limits func(*limits)
		reads  bool
		why    string
	}{
		{"an agent that says nothing", func(l *limits) { l.silent = 100 * time.Millisecond }, true, "said nothing"},
		{"an agent that does not read", func(l *limits) { l.blocked = 100 * time.Millisecond }, false, "read nothing"},
		{"an agent that does not acknowledge", func(l *limits) { l.behind = 100 * time.Millisecond }, true, "not acknowledged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(l *limits) { l.sweep = 5 * time.Millisecond; c.limits(l) })
			s := f.connect(f.raw("m1"))
			check(t, s.Send(beat))
			f.SetTable(table(1, 1, 30_000))
			f.SetTable(table(1, 2, 30_000))
			if !c.reads {
				f.eventually("the stream is ended", func() bool { return !f.Minions()["m1"].Connected })
			}
			for {
				_, err := s.Recv()
				if err == nil {
					continue
				}
				if status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), c.why) {
					t.Errorf("got %v, want %q", err, c.why)
				}
				return
			}
		})
	}
}

func TestSecondStreamReplacesTheFirst(t *testing.T) {
	f := newFixture(t, nil)
	l := f.raw("m1")
	first := f.connect(l)
	second := f.connect(l)
	if _, err := first.Recv(); status.Code(err) != codes.Aborted {
		t.Errorf("the first stream: %v, want Aborted", err)
	}
	if !f.Minions()["m1"].Connected {
		t.Error("the end of the first stream disconnected the minion")
	}
	f.SetTable(table(1, 1, 1))
	if m, err := second.Recv(); err != nil || m.GetTable() == nil {
		t.Errorf("the second stream: %v, %v, want the table", m, err)
	}
}

func TestHelloAcknowledges(t *testing.T) {
	f := newFixture(t, nil)
	s, err := f.raw("m1").Connect(t.Context())
	check(t, err)
	check(t, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Hello{Hello: &linkpb.Hello{
		ProtocolMin: 1, ProtocolMax: 1, Applied: &linkpb.Ack{Table: toGeneration(gen(7, 1)), Work: toGeneration(gen(7, 2)), Error: "busy"},
	}}}))
	_, err = s.Recv()
	check(t, err)
	if m := f.Minions()["m1"]; m.Table != gen(7, 1) || m.Work != gen(7, 2) || m.Error != "busy" {
		t.Errorf("after the hello: %+v", m)
	}
}

func TestProtocolMismatch(t *testing.T) {
	f := newFixture(t, nil)
	s, err := f.raw("m1").Connect(t.Context())
	check(t, err)
	check(t, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Hello{Hello: &linkpb.Hello{ProtocolMin: 2, ProtocolMax: 3}}}))
	if _, err := s.Recv(); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("got %v, want FailedPrecondition", err)
	}
}

func TestWorkIsTakenStrictly(t *testing.T) {
	f := newFixture(t, nil)
	c := f.client("m1", t.TempDir(), f.token(1))
	for name, content := range map[string]string{
		"an unknown field":    `{"fleet":"f","minion":"m1","generation":{"epoch":1,"counter":1},"network":"","privileged":true}`,
		"another minion":      `{"fleet":"f","minion":"m2","generation":{"epoch":1,"counter":1},"network":""}`,
		"another generation":  `{"fleet":"f","minion":"m1","generation":{"epoch":1,"counter":2},"network":""}`,
		"something behind it": `{"fleet":"f","minion":"m1","generation":{"epoch":1,"counter":1},"network":""}{}`,
	} {
		if err := c.takeWork([]byte(content), gen(1, 1)); err == nil {
			t.Errorf("%s: was taken over", name)
		}
	}
	check(t, c.takeWork([]byte(`{"fleet":"another","minion":"m1","generation":{"epoch":1,"counter":1},"network":""}`), gen(1, 1)))
	if a, _ := c.Latest(); a.Fleet != "another" {
		t.Error("the fleet's id was not passed on as it came")
	}
}

func TestLogs(t *testing.T) {
	f := newFixture(t, nil)
	_, stop := f.agent("m1")
	open := func(container string, follow bool) io.ReadCloser {
		r, err := f.Server.Logs(t.Context(), "m1", assignment.LogRequest{Instance: "i", Container: container, Follow: follow, Tail: -1})
		check(t, err)
		t.Cleanup(func() { r.Close() })
		return r
	}
	closed := func() {
		t.Helper()
		select {
		case <-closedLogs:
		case <-time.After(15 * time.Second):
			t.Fatal("the log was not closed on the minion")
		}
	}
	t.Run("a log is read to its end", func(t *testing.T) {
		b, err := io.ReadAll(open("short", false))
		if err != nil || string(b) != "i "+strings.Repeat("x", 100_000) {
			t.Errorf("got %d bytes, %v", len(b), err)
		}
	})
	t.Run("what goes wrong there is the reader's error", func(t *testing.T) {
		if _, err := io.ReadAll(open("none", false)); err == nil || !strings.Contains(err.Error(), "no such container") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a name that is not UTF-8 is refused and ends nothing", func(t *testing.T) {
		if _, err := f.Server.Logs(t.Context(), "m1", assignment.LogRequest{Container: "\xff"}); err == nil {
			t.Error("it was taken")
		}
		if _, err := io.ReadAll(open("short", false)); err != nil {
			t.Error(err)
		}
	})
	t.Run("the end of the context ends the log", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := f.Server.Logs(ctx, "m1", assignment.LogRequest{Container: "endless", Follow: true})
		check(t, err)
		defer r.Close()
		_, err = r.Read(make([]byte, 1))
		check(t, err)
		cancel()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's end", err)
		}
		closed()
	})
	t.Run("a reader that goes away ends a log that is silent", func(t *testing.T) {
		r := open("endless", true)
		_, err := r.Read(make([]byte, 1))
		check(t, err)
		check(t, r.Close())
		closed()
	})
	t.Run("a reader that goes away ends a log that is blocked", func(t *testing.T) {
		r := open("endless", false)
		_, err := io.ReadFull(r, make([]byte, 1<<20))
		check(t, err)
		check(t, r.Close())
		closed()
	})
	t.Run("a minion that goes away ends its logs", func(t *testing.T) {
		r := open("endless", true)
		_, err := r.Read(make([]byte, 1))
		check(t, err)
		stop()
		closed()
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("got %v, want an error that is not the regular end", err)
		}
		f.eventually("m1 is gone", func() bool { return !f.Minions()["m1"].Connected })
		if _, err := f.Server.Logs(t.Context(), "m1", assignment.LogRequest{}); err == nil {
			t.Error("a minion that is away was asked for a log")
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.logs) != 0 {
		t.Errorf("%d logs are left", len(f.logs))
	}
}
