package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
)

// logsAtOnce is how many logs an agent sends at a time.
const logsAtOnce = 16

// stream is one stream of a client. One goroutine receives, one sends, and there is one for each log.
type stream struct {
	*Client
	link linkpb.LinkClient
	logs chan struct{} // one entry for each log being sent
	beat beats

	mu   sync.Mutex
	next *pki.Identity    // its key is being signed; nil if none is
	kept []*linkpb.Update // parts that the server asked for and was not sent yet
}

// run keeps the stream until it ends; up tells that the server answered.
func (s *stream) run(ctx context.Context) (up bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(nil)
	s.logs = make(chan struct{}, logsAtOnce)
	s.beat.clock = s.config.Boottime
	welcome := time.AfterFunc(callTimeout, func() { cancel(errors.New("the server did not answer")) })
	defer welcome.Stop()
	conn, err := s.link.Connect(ctx)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	hello, sent := s.hello()
	s.beat.mark(hello.Applied)
	if err := conn.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Hello{Hello: hello}}); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("connect: %w", err)
	}
	var table, work assembly
	for {
		m, err := conn.Recv()
		if err != nil {
			if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
				err = cause
			}
			return up, fmt.Errorf("read from the server: %w", err)
		}
		switch b := m.Body.(type) {
		case *linkpb.ToAgent_Welcome:
			if !up {
				up = true
				welcome.Stop()
				s.log.Info("link to the server is up", "minion", s.config.Minion, "version", b.Welcome.Version)
				all.Go(func() { cancel(s.send(ctx, conn, sent)) })
			}
		case *linkpb.ToAgent_Table:
			if content, err := table.add(b.Table); err != nil || content != nil {
				if err == nil {
					err = s.takeTable(content, fromGeneration(b.Table.Generation))
				}
				s.took(&s.received.tableErr, err)
			}
		case *linkpb.ToAgent_Work:
			if content, err := work.add(b.Work); err != nil || content != nil {
				if err == nil {
					err = s.takeWork(content, fromGeneration(b.Work.Generation))
				}
				s.took(&s.received.workErr, err)
			}
		case *linkpb.ToAgent_Certificate:
			if err := s.renewed(b.Certificate); err != nil {
				s.log.Warn("certificate was not renewed", "minion", s.config.Minion, "err", err)
			}
		case *linkpb.ToAgent_Heard:
			if contact, ok := s.beat.answered(m.Epoch, b.Heard); ok {
				s.met(contact)
			}
		case *linkpb.ToAgent_KeptRequest:
			if err := s.handOver(); err != nil {
				s.log.Warn("what is kept was not handed over", "minion", s.config.Minion, "err", err)
			}
		case *linkpb.ToAgent_LogOpen:
			all.Go(func() { s.sendLog(ctx, b.LogOpen) })
		}
	}
}

// hello is the first message; sent is what it said.
func (s *stream) hello() (h *linkpb.Hello, sent said) {
	s.Client.mu.Lock()
	defer s.Client.mu.Unlock()
	h = &linkpb.Hello{Version: s.config.Version, ProtocolMin: protocol, ProtocolMax: protocol, Applied: s.ack()}
	if s.received.table != nil {
		h.TableHash = s.received.tableHash[:]
	}
	if s.received.work != nil {
		h.WorkHash = s.received.workHash[:]
	}
	return h, said{acks: s.said.acks} // report and images are said again on every stream
}

// send is the only writer of the stream. What is said more often than it can be sent is said once, in its newest form.
func (s *stream) send(ctx context.Context, conn linkpb.Link_ConnectClient, sent said) error {
	next := time.NewTimer(jittered(heartbeat))
	defer next.Stop()
	var every time.Duration
	for {
		if d := heartbeatEvery(s.lease()); d != every {
			every = d
			next.Reset(jittered(every))
		}
		m, err := s.due(&sent)
		if err != nil {
			return err
		}
		if m == nil {
			select {
			case <-s.wake:
				continue
			case <-next.C:
				next.Reset(jittered(every))
				s.Client.mu.Lock()
				m = &linkpb.FromAgent{Body: &linkpb.FromAgent_Heartbeat{Heartbeat: s.ack()}}
				sent.acks = s.said.acks
				s.Client.mu.Unlock()
			case <-ctx.Done():
				return nil
			}
		}
		if a := cmp.Or(m.GetHeartbeat(), m.GetAck()); a != nil {
			s.beat.mark(a)
		}
		if err := conn.Send(m); err != nil {
			return nil // the receiver gets the reason
		}
	}
}

func jittered(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5) }

// due is what is to be sent besides heartbeats, nil if nothing is: acknowledgements before images, and these before reports.
func (s *stream) due(sent *said) (*linkpb.FromAgent, error) {
	s.Client.mu.Lock()
	defer s.Client.mu.Unlock()
	switch {
	case sent.acks != s.said.acks:
		sent.acks = s.said.acks
		return &linkpb.FromAgent{Body: &linkpb.FromAgent_Ack{Ack: s.ack()}}, nil
	case sent.lists != s.said.lists:
		sent.lists = s.said.lists
		return &linkpb.FromAgent{Body: &linkpb.FromAgent_Images{Images: s.said.images}}, nil
	case sent.reports != s.said.reports:
		sent.reports = s.said.reports
		return &linkpb.FromAgent{Body: &linkpb.FromAgent_Report{Report: s.said.report}}, nil
	case s.keeps():
		return &linkpb.FromAgent{Body: &linkpb.FromAgent_Kept{Kept: s.nextKept()}}, nil
	case time.Now().After(s.renewAt):
		id, err := pki.NewIdentity()
		if err != nil {
			return nil, err
		}
		public, err := id.PublicKey()
		if err != nil {
			return nil, err
		}
		s.renewAt = time.Now().Add(jittered(time.Hour)) // if there is no answer
		s.mu.Lock()
		s.next = id
		s.mu.Unlock()
		return &linkpb.FromAgent{Body: &linkpb.FromAgent_SigningRequest{SigningRequest: &linkpb.SigningRequest{PublicKey: public}}}, nil
	}
	return nil, nil
}

// renewed takes a new certificate over. This stream goes on with the old one; the next dial uses the new one.
func (s *stream) renewed(c *linkpb.Certificate) error {
	if c.Error != "" {
		return errors.New(c.Error)
	}
	s.mu.Lock()
	id := s.next
	s.next = nil
	s.mu.Unlock()
	if id == nil {
		return errors.New("it was not asked for")
	}
	id, err := id.With(c.Certificate, c.Authority)
	if err != nil {
		return err
	}
	if err := id.Save(s.config.Dir); err != nil {
		return err
	}
	s.setIdentity(id)
	s.log.Info("certificate was renewed", "minion", s.config.Minion)
	return nil
}

// sendLog sends the log that the server asked for, until its end or until nobody reads it any more.
func (s *stream) sendLog(ctx context.Context, q *linkpb.LogOpen) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.link.Logs(ctx)
	if err != nil {
		s.log.Debug("log was not sent", "instance", q.Instance, "err", err)
		return
	}
	ended := make(chan error, 1)
	go func() { // only a receive tells a client that the server has ended the stream
		ended <- conn.RecvMsg(new(linkpb.LogDone))
		cancel()
	}()
	err = s.copyLog(ctx, q, conn)
	if errors.Is(err, errEnded) {
		cancel() // without the regular end, which would make the reader believe that this was all
	} else {
		if err != nil {
			conn.Send(&linkpb.LogChunk{Id: q.Id, Error: strings.ToValidUTF8(err.Error(), "?")}) // the stream's end says the rest
		}
		conn.CloseSend()
	}
	if err := <-ended; err != nil && status.Code(err) != codes.Canceled {
		s.log.Debug("log was not sent", "instance", q.Instance, "err", err)
	}
}

// errEnded means that a log's stream ended before the log.
var errEnded = errors.New("the stream ended")

// copyLog is nil at the end of the log, and errEnded when ctx or the stream ended before.
func (s *stream) copyLog(ctx context.Context, q *linkpb.LogOpen, conn linkpb.Link_LogsClient) error {
	select {
	case s.logs <- struct{}{}:
		defer func() { <-s.logs }()
	default:
		return fmt.Errorf("the minion already sends %d logs", logsAtOnce)
	}
	if s.config.Logs == nil {
		return errors.New("the minion keeps no logs")
	}
	// The first chunk names the log before it is opened: opening may take its time.
	if conn.Send(&linkpb.LogChunk{Id: q.Id}) != nil {
		return errEnded
	}
	r, err := s.config.Logs(ctx, assignment.LogRequest{Instance: q.Instance, Container: q.Container, Follow: q.Follow, Tail: int(q.Tail), Previous: q.Previous})
	if err != nil && ctx.Err() != nil {
		return errEnded
	}
	if err != nil {
		return err
	}
	var once sync.Once
	closed := func() { once.Do(func() { r.Close() }) }
	defer closed()
	defer context.AfterFunc(ctx, closed)() // unblocks a read
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if conn.Send(&linkpb.LogChunk{Id: q.Id, Data: buf[:n]}) != nil {
				return errEnded
			}
		}
		if ctx.Err() != nil {
			return errEnded
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
}
