package link

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/reconcile"
	"reconciler/reconcile/link/linkpb"
)

// Kept is what agents have handed over, by minion. Only a server that recovers asks for it.
func (s *Server) Kept() map[string]reconcile.Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]reconcile.Kept{}
	for name, m := range s.minions {
		if m.kept != nil {
			out[name] = *m.kept
		}
	}
	return out
}

// takeKept takes a part of what an agent hands over.
func (ss *session) takeKept(u *linkpb.Update) error {
	content, err := ss.kept.add(u)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if content == nil {
		return nil
	}
	k := new(reconcile.Kept)
	if err := json.Unmarshal(content, k); err != nil {
		return status.Errorf(codes.InvalidArgument, "read what the agent keeps: %v", err)
	}
	if a := k.Assignment; a != nil && a.Minion != ss.minion {
		return status.Errorf(codes.PermissionDenied, "minion %q hands over the assignment of %q", ss.minion, a.Minion)
	}
	ss.server.update(ss, func(m *minion) bool {
		m.kept = k
		return true
	})
	return nil
}

// handOver prepares what the agent keeps for the sender.
func (s *stream) handOver() error {
	if s.config.Kept == nil {
		return nil
	}
	var k reconcile.Kept
	k.Assignment, k.Table = s.config.Kept()
	content, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if len(content) > maxWhole {
		return fmt.Errorf("%d bytes are too many", len(content))
	}
	hash := sha256.Sum256(content)
	encoding, payload := pack(content)
	parts := max(1, (len(payload)+maxPart-1)/maxPart)
	var all []*linkpb.Update
	for i := range parts {
		all = append(all, &linkpb.Update{Hash: hash[:], Part: uint32(i), Parts: uint32(parts), Encoding: encoding,
			Payload: payload[i*maxPart : min(len(payload), (i+1)*maxPart)]})
	}
	s.mu.Lock()
	s.kept = all
	s.mu.Unlock()
	poke(s.wake)
	return nil
}

// keeps tells whether a part is still to be sent, and nextKept is the next.
func (s *stream) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept) > 0
}

func (s *stream) nextKept() *linkpb.Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.kept[0]
	s.kept = s.kept[1:]
	return u
}
