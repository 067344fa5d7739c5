package link

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
)

func TestJoin(t *testing.T) {
	f := newFixture(t, nil)
	good := f.token(0)
	parts := strings.Split(good, ".")
	other := strings.Split(f.token(0), ".")
	used := f.token(1)
	check(t, tryJoin(f, "m0", used))
	revoked := f.token(1)
	check(t, tryJoin(f, "gone", revoked))
	check(t, f.Revoke(t.Context(), "gone"))
	bound, err := f.TokenFor(t.Context(), "m0", time.Hour)
	check(t, err)
	expired, err := f.Token(t.Context(), 0, time.Nanosecond)
	check(t, err)
	wrongPin := strings.Join([]string{parts[0], parts[1], parts[2], strings.Repeat("A", len(parts[3]))}, ".")

	for _, c := range []struct{ name, minion, token, refused string }{
		{"a wrong pin", "m1", wrongPin, "not the one of the join token"},
		{"a wrong secret", "m1", strings.Join([]string{parts[0], parts[1], other[2], parts[3]}, "."), "not known"},
		{"an unknown id", "m1", strings.Join([]string{parts[0], "0123456789abcdef", parts[2], parts[3]}, "."), "not known"},
		{"a used-up token", "m1", used, "used up"},
		{"an expired token", "m1", expired, "expired"},
		{"a name that another key has", "m0", good, "another key"},
		{"a revoked name", "gone", good, "another key"},
		{"a token bound to another name", "m1", bound, "another minion"},
		{"a name that has the word of a path", "../m1", good, "not made of"},
		{"a good token", "m1", good, ""},
		{"a token bound to the name that another key has", "m0", bound, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := tryJoin(f, c.minion, c.token)
			switch {
			case c.refused == "" && err != nil:
				t.Error(err)
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("got %v, want %q", err, c.refused)
			}
			if _, there := f.Minions()["m1"]; there != (c.name == "a good token" || c.name == "a token bound to the name that another key has") {
				t.Errorf("m1 joined: %v", there)
			}
		})
	}
}

// tryJoin joins with a key of its own; Run's error is what the person sees.
func tryJoin(f *fixture, minion, token string) error {
	c, err := NewClient(ClientConfig{Server: f.addr, Minion: minion, Dir: f.t.TempDir(), Token: token, Log: quiet()})
	if err != nil {
		return err
	}
	err = c.join(f.t.Context(), c.currentIdentity())
	if err != nil && !errors.Is(err, pki.ErrRefused) {
		f.t.Errorf("%v does not wrap ErrRefused", err)
	}
	if err != nil {
		if again := c.Run(f.t.Context()); !errors.Is(again, pki.ErrRefused) {
			f.t.Errorf("run: got %v, want ErrRefused", again)
		}
	}
	return err
}

func TestJoinedNeedsNoToken(t *testing.T) {
	f := newFixture(t, nil)
	dir := t.TempDir()
	if _, err := NewClient(ClientConfig{Server: f.addr, Minion: "m1", Dir: dir, Log: quiet()}); err == nil {
		t.Error("a client with neither certificate nor token was made")
	}
	stop := f.run(f.client("m1", dir, f.token(1)))
	f.eventually("m1 is connected", func() bool { return f.Minions()["m1"].Connected })
	stop()
	f.eventually("m1 is gone", func() bool { return !f.Minions()["m1"].Connected })
	c := f.client("m1", dir, "")
	f.run(c)
	f.eventually("m1 is connected again", func() bool { return f.Minions()["m1"].Connected })
	if c.Fleet() != fleetID {
		t.Errorf("fleet is %q", c.Fleet())
	}
	for _, file := range []string{filepath.Join(dir, "identity.pem"), filepath.Join(f.dir, "ca.key")} {
		if i, err := os.Stat(file); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", file, i.Mode(), err)
		}
	}
	if _, err := NewClient(ClientConfig{Server: f.addr, Minion: "m2", Dir: dir, Log: quiet()}); err == nil {
		t.Error("the identity of m1 was taken for m2's")
	}
}

func TestWithoutCertificate(t *testing.T) {
	f := newFixture(t, nil)
	token, err := pki.ParseToken(f.token(0))
	check(t, err)
	c := f.client("m1", t.TempDir(), token.String())
	conn, err := c.dial(pki.JoinTLS(token.Pin))
	check(t, err)
	defer conn.Close()
	s, err := linkpb.NewLinkClient(conn).Connect(t.Context())
	check(t, err)
	if _, err := s.Recv(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("connect without a certificate: %v, want Unauthenticated", err)
	}
	l, err := linkpb.NewLinkClient(conn).Logs(t.Context())
	check(t, err)
	if err := l.RecvMsg(new(linkpb.LogDone)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("logs without a certificate: %v, want Unauthenticated", err)
	}
}

func TestRevoked(t *testing.T) {
	f := newFixture(t, nil)
	c, _ := f.agent("m1")
	f.agent("m2")
	config := c.currentIdentity().TLS()
	config.NextProtos = []string{"h2"}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	hello := func() (*tls.Conn, error) {
		conn, err := tls.Dial("tcp", f.addr, config)
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.ReadFull(conn, make([]byte, 9)) // the server's first HTTP/2 frame, or its refusal
		return conn, err
	}
	_, err := hello()
	check(t, err)
	conn, err := hello()
	check(t, err)
	if !conn.ConnectionState().DidResume {
		t.Fatal("the session was not resumed, so the test would show nothing")
	}
	check(t, f.Revoke(t.Context(), "m1"))
	f.eventually("m1's stream is ended", func() bool { return !f.Minions()["m1"].Connected })
	if conn, err := hello(); err == nil {
		t.Errorf("a revoked minion connected, resumed session: %v", conn.ConnectionState().DidResume)
	}
	if !f.Minions()["m2"].Connected {
		t.Error("m2 was disconnected too")
	}
	silent := f.connect(f.raw("m4")) // sends no heartbeat, so only the revocation itself can end it now
	check(t, f.Revoke(t.Context(), "m4"))
	if _, err := silent.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("stream of a revoked minion: %v, want PermissionDenied", err)
	}
	if err := f.Revoke(t.Context(), "m3"); err == nil {
		t.Error("a minion that never joined was revoked")
	}
}

func TestHeartbeatChecksTheCertificate(t *testing.T) {
	f := newFixture(t, nil)
	s := f.connect(f.raw("m1"))
	beat := &linkpb.FromAgent{Body: &linkpb.FromAgent_Heartbeat{Heartbeat: &linkpb.Ack{Table: toGeneration(gen(1, 1))}}}
	check(t, s.Send(beat))
	f.eventually("the heartbeat acknowledges", func() bool { return f.Minions()["m1"].Table == gen(1, 1) })
	check(t, f.roster.Revoke(t.Context(), "m1")) // nobody ends the stream, as when the certificate expires
	check(t, s.Send(beat))
	if _, err := s.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v, want PermissionDenied", err)
	}
}

func TestSpeaksForItselfOnly(t *testing.T) {
	f := newFixture(t, nil)
	f.agent("m2")
	raw := f.raw("m1")
	s := f.connect(raw)
	b, err := json.Marshal(assignment.Report{Minion: "m2"})
	check(t, err)
	check(t, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Report{Report: &linkpb.Report{Payload: b}}}))
	if _, err := s.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("report as another minion: %v, want PermissionDenied", err)
	}
	if f.Minions()["m2"].Report != nil {
		t.Error("m2 has a report that m1 made")
	}
	r, err := f.Server.Logs(t.Context(), "m2", assignment.LogRequest{Container: "endless", Follow: true})
	check(t, err)
	defer r.Close()
	_, err = r.Read(make([]byte, 1))
	check(t, err)
	// Another log, asked of m2, is offered by m1.
	f.mu.Lock()
	id := f.lastLog + 1
	f.lastLog = id
	f.logs[id] = &logReader{session: f.minions["m2"].session}
	f.mu.Unlock()
	l, err := raw.Logs(t.Context())
	check(t, err)
	check(t, l.Send(&linkpb.LogChunk{Id: id, Data: []byte("lie")}))
	if _, err := l.CloseAndRecv(); status.Code(err) != codes.NotFound {
		t.Errorf("a log of another minion: %v, want NotFound", err)
	}
	f.mu.Lock()
	delete(f.logs, id)
	f.mu.Unlock()
}

func TestMinionCannotServe(t *testing.T) {
	f := newFixture(t, nil)
	c, _ := f.agent("m1")
	config := c.currentIdentity().TLS()
	config.NextProtos = []string{"h2"}
	config.Certificates[0].Certificate = append(config.Certificates[0].Certificate, f.config.Authority.Certificate())
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	check(t, err)
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.(*tls.Conn).HandshakeContext(context.Background())
			conn.Close()
		}
	}()
	token, err := pki.ParseToken(f.token(1))
	check(t, err)
	other := f.client("m2", t.TempDir(), token.String())
	check(t, other.join(t.Context(), other.currentIdentity()))
	for what, config := range map[string]*tls.Config{"a minion": other.currentIdentity().TLS(), "a joiner": pki.JoinTLS(token.Pin)} {
		config.NextProtos = []string{"h2"}
		d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: config}
		if conn, err := d.Dial("tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Errorf("%s took m1 for the server", what)
		}
	}
}

func TestRenewal(t *testing.T) {
	f := newFixture(t, nil)
	dir := t.TempDir()
	c := f.client("m1", dir, f.token(1))
	stop := f.run(c)
	f.eventually("m1 is connected", func() bool { return f.Minions()["m1"].Connected })
	first := c.currentIdentity()
	c.mu.Lock()
	if d := time.Until(c.renewAt); d < 29*24*time.Hour || d > 61*24*time.Hour {
		t.Errorf("renewal is due in %v, want 30 to 60 days", d)
	}
	c.renewAt = time.Now()
	poke(c.wake)
	c.mu.Unlock()
	f.eventually("the certificate is renewed", func() bool { return c.currentIdentity() != first })
	if !f.Minions()["m1"].Connected {
		t.Error("the renewal ended the stream")
	}
	stop()
	f.run(f.client("m1", dir, ""))
	f.eventually("m1 is connected with its new certificate", func() bool { return f.Minions()["m1"].Connected })
	a, _ := first.PublicKey()
	b, _ := c.currentIdentity().PublicKey()
	if string(a) == string(b) {
		t.Error("the key was not renewed")
	}
}
