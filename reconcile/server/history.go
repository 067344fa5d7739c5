package server

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"

	"reconciler/reconcile"
	"reconciler/reconcile/print"
)

// history follows what becomes of revisions. It is Run's own.
type history struct {
	loaded bool
	list   []reconcile.Outcome // oldest first
	unkept map[uint64]bool     // numbers of those of which the store has an older version
	size   map[uint64]int      // bytes that plans were kept in
}

// next is the number of the outcome of a revision that is taken into force now.
func (h *history) next(r reconcile.Revision) uint64 {
	n := len(h.list)
	switch {
	case n == 0:
		return 1
	case h.list[n-1].Taken.IsZero() && h.list[n-1].Ended.IsZero() && h.list[n-1].Revision.Hash == r.Hash:
		return h.list[n-1].Number // it waited
	}
	return h.list[n-1].Number + 1
}

// load reads what an earlier server kept.
func (h *history) load(ctx context.Context, s *Server) {
	if h.loaded || s.History == nil {
		return
	}
	list, err := s.History.Outcomes(ctx)
	if err != nil {
		s.Log.Warn("could not read what became of revisions", "err", err)
		return
	}
	h.loaded, h.list = true, list
}

// keepPlan keeps the document of a plan that takes a revision into force, before that is saved: a crash leaves a plan too many,
// which the next takes the place of, and none too few.
func (h *history) keepPlan(ctx context.Context, s *Server, in reconcile.Input, p reconcile.Plan) {
	h.load(ctx, s)
	if s.History == nil || !h.loaded || !takes(in, p) {
		return
	}
	var b bytes.Buffer
	number := h.next(in.Revision)
	err := print.NewDocument(in, p, reconcile.Forecast(in, p)).JSON(&b)
	if err == nil {
		var size int
		if size, err = s.History.PutPlan(ctx, number, b.Bytes()); err == nil {
			h.size = map[uint64]int{number: size}
			return
		}
	}
	s.Log.Warn("plan was not kept", "revision", in.Revision.Hash, "err", err)
}

// takes tells whether a plan takes a revision into force.
func takes(in reconcile.Input, p reconcile.Plan) bool {
	was, is := in.State.Applied, p.State.Applied
	return is.Hash != "" && (was.Hash != is.Hash || was.Path != is.Path || !slices.Equal(was.Tags, is.Tags))
}

// follow notes what became of revisions, and keeps it. It returns that of the one in force; nil is unknown.
func (h *history) follow(ctx context.Context, s *Server, in reconcile.Input, p reconcile.Plan, status func() reconcile.Status) (of *reconcile.Outcome) {
	if s.History != nil && !h.loaded {
		return nil // what is kept must not be written over
	}
	list, changed := reconcile.Follow(h.list, in, p, status)
	if h.unkept == nil {
		h.unkept = map[uint64]bool{}
	}
	for _, n := range changed {
		h.unkept[n] = true
	}
	for i := range list {
		if size, ok := h.size[list[i].Number]; ok {
			list[i].Size = size
		}
	}
	list, gone := reconcile.Prune(list)
	h.list, h.size = list, nil
	for i := len(list) - 1; i >= 0; i-- {
		if o := list[i]; !o.Taken.IsZero() && o.Revision.Hash == p.State.Applied.Hash {
			of = &o
			break
		}
	}
	if s.History == nil {
		return of
	}
	err := s.History.DropOutcomes(ctx, gone)
	for i := 0; i < len(list) && err == nil; i++ {
		if h.unkept[list[i].Number] {
			if err = s.History.PutOutcome(ctx, list[i]); err == nil {
				delete(h.unkept, list[i].Number)
			}
		}
	}
	if err != nil {
		s.Log.Warn("could not keep what became of revisions", "err", err)
	}
	return of
}

// Outcomes are what became of revisions, newest first.
func (s *Server) Outcomes() []reconcile.Outcome {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := slices.Clone(s.outcomes)
	slices.Reverse(out)
	if out == nil {
		out = []reconcile.Outcome{}
	}
	return out
}

// keptPlan answers with the document of a plan.
func (s *Server) keptPlan(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.ParseUint(r.PathValue("number"), 10, 64)
	if err != nil {
		http.Error(w, "the number of a plan is a whole number", http.StatusBadRequest)
		return
	}
	var b []byte
	if s.History != nil {
		ctx, cancel := context.WithTimeout(r.Context(), stepTimeout)
		defer cancel()
		if b, err = s.History.Plan(ctx, number); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	if b == nil {
		http.Error(w, "the plan of this revision was not kept", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}
