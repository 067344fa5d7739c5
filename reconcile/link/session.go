package link

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unique"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// maxControl is how many messages besides table and work may wait for one agent.
const maxControl = 64

// session is one agent's stream. Three goroutines have it: the call's own, which waits for the end, one that receives and
// one that sends.
type session struct {
	server *Server
	minion string
	cert   *x509.Certificate
	stream linkpb.Link_ConnectServer
	wake   chan struct{}   // the sender is to look again; room for one
	done   context.Context // ends with the stream
	cancel context.CancelCauseFunc

	kept assembly // the receiver's own: of what the agent hands over

	writing  atomic.Int64 // since when the sender is in a write, in Unix nanoseconds; 0: it is not
	lastSeen atomic.Int64 // last message, in Unix nanoseconds

	// The sender's own. table and work are what was sent last, rest is what is left of the one that is being sent.
	table, work *whole
	rest        []frame

	mu        sync.Mutex        // guards what follows
	control   []*linkpb.ToAgent // sent before anything else
	heard     *linkpb.Heard     // the newest that is to be answered, nil if none is
	owesTable owed
	owesWork  owed
}

// owed is what an agent was sent and has not acknowledged.
type owed struct {
	generation assignment.Generation
	since      time.Time // it was sent, or the agent last made progress; zero: nothing is owed
}

func (o *owed) sent(g assignment.Generation, now time.Time) {
	o.generation = g
	if o.since.IsZero() {
		o.since = now
	}
}

// heard takes an acknowledgement. An agent that says why it does not take something over is not late either.
func (o *owed) heard(g assignment.Generation, progress bool, now time.Time) {
	switch {
	case o.since.IsZero():
	case g.Compare(o.generation) >= 0:
		o.since = time.Time{}
	case progress:
		o.since = now
	}
}

// Connect is the protocol's.
func (s *service) Connect(stream linkpb.Link_ConnectServer) error {
	name, cert, err := s.who(stream.Context())
	if err != nil {
		return err
	}
	if s.config.Recover {
		ctx, cancel := context.WithTimeout(stream.Context(), registryTimeout)
		defer cancel()
		if err := s.roster.Keep(ctx, name); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
	ss := &session{server: s.Server, minion: name, cert: cert, stream: stream, wake: make(chan struct{}, 1)}
	ss.done, ss.cancel = context.WithCancelCause(stream.Context())
	defer ss.cancel(nil)
	hello := time.AfterFunc(s.limits.hello, func() { ss.end(status.Error(codes.DeadlineExceeded, "no hello came")) })
	defer hello.Stop()
	go func() { ss.end(ss.receive(hello)) }() // ends when this call has returned
	select {
	case <-ss.done.Done():
		err = context.Cause(ss.done)
	case <-s.closing:
		err = status.Error(codes.Unavailable, "the server is shutting down")
	}
	ss.cancel(err)
	s.part(ss, err)
	if _, ok := status.FromError(err); !ok {
		err = status.Error(codes.Aborted, err.Error())
	}
	return err
}

func (ss *session) end(err error) { ss.cancel(err) }

// receive takes messages until one cannot be taken.
func (ss *session) receive(hello *time.Timer) error {
	m, err := ss.stream.Recv()
	if err != nil {
		return err
	}
	h := m.GetHello()
	if h == nil {
		return status.Error(codes.InvalidArgument, "the first message is not a hello")
	}
	if h.ProtocolMin > protocol || h.ProtocolMax < protocol {
		return status.Errorf(codes.FailedPrecondition, "the agent speaks protocols %d to %d, the server %d", h.ProtocolMin, h.ProtocolMax, protocol)
	}
	hello.Stop()
	if !ss.server.welcome(ss, h) {
		return errors.New("the stream ended")
	}
	go ss.send() // ends when the call has returned
	for {
		m, err := ss.stream.Recv()
		if err != nil {
			return err
		}
		if err := ss.take(m); err != nil {
			return err
		}
	}
}

func (ss *session) take(m *linkpb.FromAgent) error {
	now := time.Now()
	ss.lastSeen.Store(now.UnixNano())
	switch b := m.Body.(type) {
	case *linkpb.FromAgent_Ack:
		ss.server.acknowledge(ss, b.Ack, now)
	case *linkpb.FromAgent_Heartbeat:
		// TLS looks at expiry and revocation only when the connection is made.
		if _, err := ss.server.roster.Check(ss.cert, now); err != nil {
			return status.Error(codes.PermissionDenied, err.Error())
		}
		ss.server.acknowledge(ss, b.Heartbeat, now)
	case *linkpb.FromAgent_Images:
		all := []assignment.Image{}
		if err := decode(b.Images, &all); err != nil {
			return status.Errorf(codes.InvalidArgument, "read list of images: %v", err)
		}
		if len(all) > assignment.MaxImages {
			return status.Errorf(codes.InvalidArgument, "read list of images: %d, of at most %d", len(all), assignment.MaxImages)
		}
		for i := range all { // the same ones are on many minions
			all[i].Name, all[i].Digest = unique.Make(all[i].Name).Value(), unique.Make(all[i].Digest).Value()
		}
		ss.server.update(ss, func(m *minion) bool {
			m.met(now)
			m.images = all
			if m.said.Report == nil {
				return false
			}
			r := *m.said.Report
			r.Images = all
			m.said.Report = &r
			return true
		})
	case *linkpb.FromAgent_Report:
		r := new(assignment.Report)
		if err := decode(b.Report, r); err != nil {
			return status.Errorf(codes.InvalidArgument, "read report: %v", err)
		}
		if r.Minion != ss.minion {
			return status.Errorf(codes.PermissionDenied, "minion %q reports as %q", ss.minion, r.Minion)
		}
		ss.server.update(ss, func(m *minion) bool {
			m.met(now)
			r.Images = m.images
			m.said.Report, m.said.Reported = r, now
			return true
		})
	case *linkpb.FromAgent_Kept:
		return ss.takeKept(b.Kept)
	case *linkpb.FromAgent_SigningRequest:
		return ss.renew(b.SigningRequest)
	}
	return nil // a newer agent may say what this server does not know
}

// decode reads what was packed as JSON.
func decode(m interface {
	GetEncoding() uint32
	GetPayload() []byte
}, into any) error {
	j, err := unpack(m.GetEncoding(), m.GetPayload())
	if err != nil {
		return err
	}
	return json.Unmarshal(j, into)
}

func (ss *session) renew(q *linkpb.SigningRequest) error {
	ctx, cancel := context.WithTimeout(ss.done, registryTimeout)
	defer cancel()
	c := &linkpb.Certificate{Authority: ss.server.config.Authority.Certificate()}
	cert, err := ss.server.roster.Renew(ctx, ss.cert, q.PublicKey)
	if err != nil {
		ss.server.log.Warn("certificate was not renewed", "minion", ss.minion, "err", err)
		c.Error = err.Error()
	}
	c.Certificate = cert
	return ss.tell(&linkpb.ToAgent{Epoch: ss.server.config.Epoch, Body: &linkpb.ToAgent_Certificate{Certificate: c}})
}

// tell queues a message besides table and work.
func (ss *session) tell(m *linkpb.ToAgent) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.control) >= maxControl {
		return status.Error(codes.ResourceExhausted, "too many requests wait for this minion")
	}
	ss.control = append(ss.control, m)
	poke(ss.wake)
	return nil
}

// send is the only writer of the stream.
func (ss *session) send() {
	for {
		m := ss.next()
		if m == nil {
			select {
			case <-ss.wake:
				continue
			case <-ss.done.Done():
				return
			}
		}
		ss.writing.Store(time.Now().UnixNano())
		err := ss.stream.SendMsg(m)
		ss.writing.Store(0)
		if err != nil {
			ss.end(err)
			return
		}
	}
}

// next is the next message, nil if there is none now: what was begun, then the table, because routes come first, then work.
func (ss *session) next() any {
	w := ss.server.workOf(ss.minion) // before ss.mu: the server's lock comes first
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if len(ss.control) > 0 {
		m := ss.control[0]
		ss.control = ss.control[1:]
		return m
	}
	if h := ss.heard; h != nil {
		ss.heard = nil
		return &linkpb.ToAgent{Epoch: ss.server.config.Epoch, Body: &linkpb.ToAgent_Heard{Heard: h}}
	}
	if len(ss.rest) == 0 {
		now := time.Now()
		if t := ss.server.table.Load(); t != nil && t != ss.table {
			ss.table, ss.rest = t, t.frames
			ss.owesTable.sent(t.generation, now)
		} else if w != nil && w != ss.work {
			ss.work, ss.rest = w, w.frames
			ss.owesWork.sent(w.generation, now)
		} else {
			return nil
		}
	}
	f := ss.rest[0]
	ss.rest = ss.rest[1:]
	return f
}

// late is why the stream must end, nil if the agent keeps up.
func (ss *session) late(now time.Time, l limits) error {
	if since := ss.writing.Load(); since != 0 && now.Sub(time.Unix(0, since)) > l.blocked {
		return status.Errorf(codes.Aborted, "the agent has read nothing for %v", l.blocked)
	}
	if now.Sub(time.Unix(0, ss.lastSeen.Load())) > l.silent {
		return status.Errorf(codes.Aborted, "the agent has said nothing for %v", l.silent)
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, o := range []owed{ss.owesTable, ss.owesWork} {
		if !o.since.IsZero() && now.Sub(o.since) > l.behind {
			return status.Errorf(codes.Aborted, "the agent has not acknowledged generation %v for %v", o.generation, l.behind)
		}
	}
	return nil
}

// welcome takes the session in, in place of an earlier one of the same minion. It is false if the session is over already.
func (s *Server) welcome(ss *session, h *linkpb.Hello) bool {
	now := time.Now()
	ss.lastSeen.Store(now.UnixNano())
	ss.control = []*linkpb.ToAgent{{Epoch: s.config.Epoch, Body: &linkpb.ToAgent_Welcome{Welcome: &linkpb.Welcome{Version: s.config.Version, Protocol: protocol}}}}
	if s.config.Recover {
		ss.control = append(ss.control, &linkpb.ToAgent{Epoch: s.config.Epoch, Body: &linkpb.ToAgent_KeptRequest{KeptRequest: &linkpb.KeptRequest{}}})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ss.done.Err() != nil {
		return false
	}
	m := s.minions[ss.minion]
	if m == nil { // joined through another server
		m = &minion{}
		s.minions[ss.minion] = m
	}
	if m.session != nil {
		m.session.end(status.Error(codes.Aborted, "the minion opened another stream"))
		delete(s.sessions, m.session)
	}
	m.session, m.images = ss, nil // an agent says anew what images it has, if it is one that does
	s.sessions[ss] = struct{}{}
	m.met(now)
	m.said.Connected = true
	hear(&m.said, h.GetApplied())
	ss.answer(h.GetApplied(), m)
	// The very same bytes, generation included, are not sent again.
	if t := s.table.Load(); t != nil && string(h.TableHash) == string(t.hash[:]) {
		ss.table = t
	}
	if w := s.work[ss.minion]; w != nil && string(h.WorkHash) == string(w.whole.hash[:]) {
		ss.work = w.whole
	}
	poke(s.changed)
	s.log.Info("minion connected", "minion", ss.minion, "version", h.Version)
	return true
}

// part takes the session out.
func (s *Server) part(ss *session, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ss)
	if m := s.minions[ss.minion]; m != nil && m.session == ss {
		m.session, m.said.Connected = nil, false
		poke(s.changed)
		s.log.Info("minion disconnected", "minion", ss.minion, "err", why)
	}
	for id, l := range s.logs {
		if l.session == ss {
			delete(s.logs, id)
			l.end(fmt.Errorf("read log: minion %q disconnected", ss.minion))
		}
	}
}

// update changes what is known of the session's minion, unless another session has taken its place.
func (s *Server) update(ss *session, change func(*minion) (tell bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.minions[ss.minion]; m != nil && m.session == ss && change(m) {
		poke(s.changed)
	}
}

func (s *Server) acknowledge(ss *session, a *linkpb.Ack, now time.Time) {
	s.update(ss, func(m *minion) bool {
		before := m.said
		m.met(now)
		hear(&m.said, a)
		progress := a.GetError() != "" || m.said.Table != before.Table || m.said.Work != before.Work
		ss.mu.Lock()
		ss.owesTable.heard(m.said.Table, progress, now)
		ss.owesWork.heard(m.said.Work, progress, now)
		ss.mu.Unlock()
		ss.answer(a, m)
		return m.said.Table != before.Table || m.said.Work != before.Work || m.said.Error != before.Error || m.said.Contact != before.Contact
	})
}

// answer lets the agent know that it was heard, if it asks. It is called with LastSeen noted and only by the session in
// force: what is not noted extends no lease.
func (ss *session) answer(a *linkpb.Ack, m *minion) {
	if a.GetBeat() == 0 {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.heard = &linkpb.Heard{Beat: a.GetBeat(), Contact: m.said.Contact}
	poke(ss.wake)
}

// met notes that something came from the minion, and begins a new contact after a silence. The server's lock is held.
func (m *minion) met(now time.Time) {
	if m.said.Contact == 0 || now.Sub(m.said.LastSeen) >= assignment.MinLease {
		m.said.Contact++
	}
	if now.After(m.said.LastSeen) {
		m.said.LastSeen = now
	}
}

// hear takes an acknowledgement; a zero generation says nothing.
func hear(m *reconcile.Minion, a *linkpb.Ack) {
	if g := fromGeneration(a.GetTable()); !g.IsZero() {
		m.Table = g
	}
	if g := fromGeneration(a.GetWork()); !g.IsZero() {
		m.Work = g
	}
	m.Error = a.GetError()
}

// workOf is nil if nothing was ever assigned to the minion.
func (s *Server) workOf(minion string) *whole {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.work[minion]; w != nil {
		return w.whole
	}
	return nil
}
