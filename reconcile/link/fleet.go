package link

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
)

// tableContent is a table that was set and not yet published.
type tableContent struct {
	generation assignment.Generation
	json       []byte
}

// work is what one minion is to run.
type work struct {
	given   assignment.Assignment
	content [sha256.Size]byte // hash of the assignment without its generation
	whole   *whole
}

// is tells whether an assignment is certainly what was given: its instances are the same list, which nobody changes. Most of a
// plan's are, and are then not encoded again.
func (w *work) is(a assignment.Assignment) bool {
	g := w.given
	return oneList(g.Instances, a.Instances) && g.Fleet == a.Fleet && g.Minion == a.Minion && g.Network == a.Network && g.Lease == a.Lease && g.Contact == a.Contact
}

// oneList tells whether two lists, which are not changed, are one.
func oneList[T any](x, y []T) bool {
	return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
}

// Minions is every minion that ever joined, with what it last said. The reports in it are never changed.
func (s *Server) Minions() map[string]reconcile.Minion {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]reconcile.Minion, len(s.minions))
	for name, m := range s.minions {
		all[name] = m.said
	}
	return all
}

// Changed receives after Minions changed by more than LastSeen; it has room for one.
func (s *Server) Changed() <-chan struct{} { return s.changed }

// SetTable replaces the table that all minions are to have. The first change after a pause is sent at once, later ones at
// most every 50 ms, the newest only. A table equal to the last one is not sent again. Its lists must not be changed later.
func (s *Server) SetTable(t assignment.Table) {
	s.mu.Lock()
	given := s.given
	s.given = t
	s.mu.Unlock()
	if given.Fleet == t.Fleet && given.Generation == t.Generation && oneList(given.Services, t.Services) && oneList(given.Minions, t.Minions) && len(t.Minions) > 0 {
		return // it certainly is the last, and is not encoded again
	}
	b, err := json.Marshal(t)
	if err != nil {
		s.log.Error("table was not encoded", "generation", t.Generation, "err", err)
		return
	}
	hash := sha256.Sum256(b)
	s.mu.Lock()
	same := hash == s.latest
	if !same {
		s.latest = hash
		s.next = &tableContent{t.Generation, b}
	}
	s.mu.Unlock()
	if !same {
		s.tables.ask()
	}
}

// publish encodes the newest table and wakes all writers.
func (s *Server) publish() {
	s.mu.Lock()
	next := s.next
	s.next = nil
	s.mu.Unlock()
	if next == nil {
		return
	}
	epoch := s.config.Epoch
	w, err := newWhole(next.generation, next.json, func(u *linkpb.Update) *linkpb.ToAgent {
		return &linkpb.ToAgent{Epoch: epoch, Body: &linkpb.ToAgent_Table{Table: u}}
	})
	if err != nil {
		s.log.Error("table was not encoded", "generation", next.generation, "err", err)
		return
	}
	s.table.Store(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		poke(ss.wake)
	}
}

// SetAssignments replaces what each minion is to run. The server numbers them: one that differs from the minion's last gets
// the next counter of the server's epoch, an equal one keeps its generation and is not sent again. A minion that is not in
// the map keeps what it has: only a Stop in its assignment stops anything. The lists of instances must not be changed later.
func (s *Server) SetAssignments(all map[string]assignment.Assignment) {
	s.assigning.Lock()
	defer s.assigning.Unlock()
	for name, a := range all {
		if a.Minion != name {
			s.log.Error("assignment was not sent: it is for another minion", "minion", name, "other", a.Minion)
			continue
		}
		s.mu.Lock()
		old := s.work[name]
		s.mu.Unlock()
		w, err := s.nextWork(old, a)
		if err != nil {
			s.log.Error("assignment was not encoded", "minion", name, "err", err)
			continue
		}
		if w == old {
			continue
		}
		s.mu.Lock()
		s.work[name] = w
		if m := s.minions[name]; m != nil && m.session != nil && (old == nil || w.whole != old.whole) {
			poke(m.session.wake)
		}
		s.mu.Unlock()
	}
}

// nextWork is old, or has its generation, if a has the same content.
func (s *Server) nextWork(old *work, a assignment.Assignment) (*work, error) {
	if old != nil && old.is(a) {
		return old, nil
	}
	given := a
	a.Generation = assignment.Generation{}
	b, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	w := &work{given: given, content: sha256.Sum256(b)}
	a.Generation = assignment.Generation{Epoch: s.config.Epoch, Counter: 1}
	if old != nil {
		if old.content == w.content {
			w.whole = old.whole
			return w, nil
		}
		a.Generation.Counter = old.whole.generation.Counter + 1
	}
	if b, err = json.Marshal(a); err != nil {
		return nil, err
	}
	w.whole, err = newWhole(a.Generation, b, func(u *linkpb.Update) *linkpb.ToAgent {
		return &linkpb.ToAgent{Epoch: s.config.Epoch, Body: &linkpb.ToAgent_Work{Work: u}}
	})
	return w, err
}

// Token makes a join token that is good for uses joins (0: any number) of names that are free, until it expires.
func (s *Server) Token(ctx context.Context, uses int, validFor time.Duration) (string, error) {
	t, err := s.roster.Token(ctx, pki.TokenOptions{Uses: uses, ValidFor: validFor})
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// TokenFor makes a token for one join of that name, also if another key has it or it is revoked.
func (s *Server) TokenFor(ctx context.Context, minion string, validFor time.Duration) (string, error) {
	t, err := s.roster.Token(ctx, pki.TokenOptions{Uses: 1, ValidFor: validFor, Minion: minion})
	if err != nil {
		return "", err
	}
	return t.String(), nil
}

// Revoke makes the minion's certificates worthless and ends its stream. What it runs, it goes on running.
func (s *Server) Revoke(ctx context.Context, minion string) error {
	if err := s.roster.Revoke(ctx, minion); err != nil {
		return err
	}
	s.dismiss(minion)
	return nil
}
