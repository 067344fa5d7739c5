package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"reconciler/reconcile"
)

// shownMax is how many plans of revisions that wait are remembered, to say what changed since.
const shownMax = 20

// shown is a plan that waited for an approval at some step.
type shown struct {
	hash     string
	revision reconcile.Revision
	changes  []reconcile.Change
}

// remember keeps the plan that waits now as the newest of those that did; s.mu is held.
func (s *Server) remember(st reconcile.Status) {
	if st.Held == nil {
		return
	}
	s.shown = slices.DeleteFunc(s.shown, func(x shown) bool { return x.hash == st.Held.Plan })
	s.shown = append(s.shown, shown{st.Held.Plan, st.Attempted, st.Held.Changes})
	s.shown = s.shown[max(0, len(s.shown)-shownMax):]
}

// apply approves the plan that the request names. Its answer is for people.
func (s *Server) apply(w http.ResponseWriter, r *http.Request) {
	owner, err := ownerOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	plan := strings.ToLower(strings.TrimSpace(r.FormValue("plan")))
	var seen reconcile.Input
	err = s.decide(r.Context(), true, func(in reconcile.Input) (reconcile.State, error) {
		seen = in
		return reconcile.Approve(in, plan, owner)
	})
	var stale *reconcile.StaleError
	switch {
	case err == nil:
		a := s.Snapshot().State.Approved
		if now := s.Status(); now.Approved == nil || a == nil { // another decision of the same step came between
			http.Error(w, "the plan was approved, and its revision is not in force: see status", http.StatusConflict)
			return
		}
		fmt.Fprintf(w, "revision %.12s is in force, approved by %s with plan %.23s", a.Revision.Hash, a.By, a.Plan)
	case errors.As(err, &stale):
		http.Error(w, s.stale(stale), http.StatusConflict)
	case errors.Is(err, reconcile.ErrNotHeld):
		text, ok := notHeld(seen, plan)
		if !ok {
			http.Error(w, text, http.StatusConflict)
			return
		}
		fmt.Fprint(w, text)
	default:
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

// notHeld says why there is nothing to approve; ok is false if that is no reason to be content.
func notHeld(in reconcile.Input, plan string) (text string, ok bool) {
	st := in.State
	switch a := st.Approved; {
	case len(in.Attempt.Errors) > 0:
		return fmt.Sprintf("nothing is applied: the newest revision %.12s is refused: %s", in.Attempt.Revision.Hash, strings.Join(in.Attempt.Errors, "; ")), false
	case st.Applied.Hash == "":
		return "nothing is applied: the branch has no revision yet", false
	case a != nil && a.Revision.Hash == st.Applied.Hash && strings.HasPrefix(strings.TrimPrefix(a.Plan, "sha256:"), strings.TrimPrefix(plan, "sha256:")):
		return fmt.Sprintf("plan %.23s is applied already: revision %.12s is in force", a.Plan, st.Applied.Hash), true
	case in.Settings.With(st.Accepted.Cluster()).Manual:
		return fmt.Sprintf("nothing waits to be applied: revision %.12s is in force", st.Applied.Hash), true
	}
	return fmt.Sprintf("nothing waits to be applied: this fleet takes new revisions into force by itself, and %.12s is in force", st.Applied.Hash), true
}

// stale says what changed since a plan was shown.
func (s *Server) stale(e *reconcile.StaleError) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := slices.IndexFunc(s.shown, func(x shown) bool { return strings.HasPrefix(x.hash, e.Asked) })
	if i < 0 {
		return fmt.Sprintf("there is no plan %.23s among those that this server has shown since it started. What would be done now is plan %.23s of revision %.12s",
			e.Asked, e.Plan, e.Revision.Hash)
	}
	was := s.shown[i]
	lines := []string{fmt.Sprintf("plan %.23s went stale. What would be done now is plan %.23s:", was.hash, e.Plan)}
	if was.revision.Hash != e.Revision.Hash {
		lines = append(lines, fmt.Sprintf("  it was of revision %.12s; %.12s is the newest now", was.revision.Hash, e.Revision.Hash))
	}
	for _, l := range reconcile.ComparePlans(was.changes, e.Changes) {
		lines = append(lines, "  "+l)
	}
	return strings.Join(lines, "\n")
}
