package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// logReader is a log on its way from an agent. Its reader's pace is the agent's.
type logReader struct {
	*io.PipeReader
	session *session
	to      *io.PipeWriter
	done    context.Context // ends with the log, from either side
	cancel  context.CancelFunc
	stop    func() bool // no longer waits for the caller's context
}

// end makes reads return err, nil for the regular end, and ends the agent's stream. Only the first call counts.
func (l *logReader) end(err error) {
	l.to.CloseWithError(err)
	l.cancel()
}

// Close ends the log at the agent too.
func (l *logReader) Close() error {
	l.stop()
	l.PipeReader.Close()
	l.cancel()
	return nil
}

// Logs asks the minion for a container's log. It does not wait for the answer: what goes wrong there is an error of Read.
// The caller must close the reader; the end of ctx ends it too.
func (s *Server) Logs(ctx context.Context, minion string, r assignment.LogRequest) (io.ReadCloser, error) {
	if !utf8.ValidString(r.Instance) || !utf8.ValidString(r.Container) {
		return nil, fmt.Errorf("read log: instance %q or container %q is not UTF-8", r.Instance, r.Container)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.minions[minion]
	switch {
	case m == nil:
		return nil, fmt.Errorf("read log: there is no minion %q", minion)
	case m.session == nil:
		return nil, fmt.Errorf("read log: minion %q is not connected", minion)
	}
	l := &logReader{session: m.session}
	l.PipeReader, l.to = io.Pipe()
	l.done, l.cancel = context.WithCancel(context.Background())
	s.lastLog++
	id := s.lastLog
	err := m.session.tell(&linkpb.ToAgent{Epoch: s.config.Epoch, Body: &linkpb.ToAgent_LogOpen{LogOpen: &linkpb.LogOpen{
		Id: id, Instance: r.Instance, Container: r.Container, Follow: r.Follow, Tail: int64(r.Tail), Previous: r.Previous,
	}}})
	if err != nil {
		l.cancel()
		return nil, fmt.Errorf("read log of minion %q: %s", minion, status.Convert(err).Message())
	}
	s.logs[id] = l
	l.stop = context.AfterFunc(ctx, func() { l.end(ctx.Err()) })
	unopened := time.AfterFunc(s.limits.hello, func() {
		if s.takeLog(id, minion) != nil {
			l.end(fmt.Errorf("read log: minion %q did not answer within %v", minion, s.limits.hello))
		}
	})
	context.AfterFunc(l.done, func() { unopened.Stop(); s.takeLog(id, minion) })
	return l, nil
}

// takeLog is the log that was asked of the minion under this number and has not been opened, nil if there is none.
func (s *Server) takeLog(id uint64, minion string) *logReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[id]
	if l == nil || l.session.minion != minion {
		return nil
	}
	delete(s.logs, id)
	return l
}

// Logs is the protocol's: an agent opens a log that it was asked for.
func (s *service) Logs(stream linkpb.Link_LogsServer) error {
	name, _, err := s.who(stream.Context())
	if err != nil {
		return err
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	l := s.takeLog(first.Id, name)
	if l == nil {
		return status.Error(codes.NotFound, "this log is not wanted")
	}
	received := make(chan error, 1)
	go func() { received <- l.copy(first, stream) }() // ends when this call has returned
	select {
	case err = <-received:
		l.end(err)
		if err == nil {
			return stream.SendAndClose(&linkpb.LogDone{})
		}
		return err
	case <-l.done.Done(): // its reader went away
		return status.Error(codes.Canceled, "this log is no longer wanted")
	case <-s.closing:
		err = status.Error(codes.Unavailable, "the server is shutting down")
		l.end(err)
		return err
	}
}

// copy is nil at the regular end of the log.
func (l *logReader) copy(c *linkpb.LogChunk, stream linkpb.Link_LogsServer) error {
	for {
		if len(c.Data) > 0 {
			if _, err := l.to.Write(c.Data); err != nil {
				return err
			}
		}
		if c.Error != "" {
			return errors.New(c.Error)
		}
		var err error
		if c, err = stream.Recv(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
	}
}
