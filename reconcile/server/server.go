package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"reconciler/reconcile"
	"reconciler/schema"
)

const (
	stepTimeout = time.Minute          // of one step's calls to Git and the store
	retryAfter  = time.Second          // after a store or a repository that did not answer
	statusEvery = 30 * time.Second     // a step is made this often even if nothing is heard
	quiet       = 2 * time.Millisecond // reports that come within it are planned together
)

// Config is what a Server needs; all fields are required but Load's warnings and History.
type Config struct {
	State    reconcile.State // as loaded, with the epoch of this start
	Settings reconcile.Settings
	Path     string   // folder of the manifests that Load reads; "" for all of the tree, or if each source has its own
	Tags     []string // values of CUE tags that Load reads them with, as "name=value", sorted
	Source   Source
	Store    Store
	Fleet    Fleet
	History  History // nil: what became of revisions is forgotten when the server ends
	// Load turns a revision's tree into the objects it declares, or all its errors: an error that unwraps to several says
	// what is wrong with the commit, and it is not tried again; any other, that the tree could not be read.
	Load func(fs.FS) (*schema.Set, []string, error)
	Log  *slog.Logger
}

// Server is the control loop. It is made by New and run once by Run; its other methods may be called concurrently.
type Server struct {
	Config

	// Owned by Run.
	saved      reconcile.State // what the store is known to hold
	mustLoad   bool            // the outcome of a save is unknown
	head       reconcile.Revision
	set        *schema.Set // of head, nil if it did not load
	warnings   []string
	attempt    reconcile.Attempt
	lookAtHead bool
	started    time.Time   // of the first step
	pending    []*decision // to be taken by the next step
	history    history

	fresh     chan chan struct{} // asks Run for a step that looks at the ref; closed when it is done
	decisions chan *decision     // asks Run for a step that takes it

	mu      sync.RWMutex // protects the fields below
	ready   bool         // a step was completed, so that there is something to say
	input   reconcile.Input
	plan    reconcile.Plan
	status  func() reconcile.Status // worked out when somebody asks; nil before the first step
	outcome *reconcile.Outcome      // of the revision in force; nil is unknown
	shown   []shown                 // plans that waited for an approval, oldest first

	outcomes []reconcile.Outcome // oldest first
}

// NewState is the state of a fleet that has decided nothing yet, with an id of its own.
func NewState() reconcile.State {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return reconcile.State{Fleet: hex.EncodeToString(id[:])}
}

// New checks the configuration. It starts nothing.
func New(c Config) (*Server, error) {
	if c.Source == nil || c.Store == nil || c.Fleet == nil || c.Load == nil || c.Log == nil {
		return nil, errors.New("server: source, store, fleet, load and log are required")
	}
	if c.State.Fleet == "" || c.State.Epoch == 0 {
		return nil, errors.New("server: state has no fleet or no epoch")
	}
	return &Server{Config: c, saved: c.State, lookAtHead: true, fresh: make(chan chan struct{}), decisions: make(chan *decision)}, nil
}

// Run makes steps until ctx ends. It ends no container and withdraws no route.
func (s *Server) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var asked chan struct{}
		look := false
		select {
		case <-ctx.Done():
			return nil
		case asked = <-s.fresh:
			look = true
		case d := <-s.decisions:
			s.pending = append(s.pending, d)
			look = d.look
		case <-s.Source.Changed():
			look = true
		case <-s.Fleet.Changed():
			pause(ctx, quiet)
		case <-timer.C:
		}
		next, err := s.Step(ctx, time.Now(), look)
		if err != nil && ctx.Err() == nil {
			s.Log.Warn("step ended early", "err", err)
			next = time.Now().Add(retryAfter)
		}
		if asked != nil {
			close(asked)
		}
		timer.Reset(max(time.Until(next), 0))
	}
}

// Refresh returns after a step that began after the call and looked at the ref: what was pushed before is seen.
func (s *Server) Refresh(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case s.fresh <- done:
	case <-ctx.Done():
		return fmt.Errorf("wait for the control loop: %w", ctx.Err())
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the control loop: %w", ctx.Err())
	}
}

// pause lets reports that come together be planned together.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// Step observes, computes, saves and publishes once, and says when the next step is due at the latest; look says that the
// ref may have moved. One Step runs at a time; Run calls it, and so does who has a server live in a time of their own.
func (s *Server) Step(ctx context.Context, now time.Time, look bool) (time.Time, error) {
	pending := s.pending
	s.pending = nil
	next, err := s.step(ctx, now, look, pending)
	for _, d := range pending {
		d.end(err)
	}
	return next, err
}

// step takes the pending decisions together with its own: all of them are saved, or none.
func (s *Server) step(ctx context.Context, now time.Time, look bool, pending []*decision) (time.Time, error) {
	s.lookAtHead = s.lookAtHead || look
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if s.started.IsZero() {
		s.started = now
	}
	if s.mustLoad {
		state, ok, err := s.Store.Load(ctx)
		if err != nil {
			return now, fmt.Errorf("load state: %w", err)
		}
		if ok {
			state.Epoch = max(state.Epoch, s.saved.Epoch)
			s.saved = state
		}
		s.mustLoad = false
	}
	if s.lookAtHead || len(s.attempt.Errors) > 0 && s.attempt.Revision.Hash == "" {
		s.look(ctx, now)
	}
	in := reconcile.Input{
		Now: now, Revision: s.head, Set: s.set, Attempt: s.attempt, Settings: s.Settings, State: s.saved, Minions: s.Fleet.Minions(),
	}
	if s.set == nil { // what is in force stays in force
		in.Revision, in.Set = s.saved.Applied, s.saved.Accepted
		if !s.saved.Recovered.IsZero() { // which revision that is, is not known
			in.Revision, in.Set = reconcile.Revision{}, nil
		}
	}
	for name, m := range in.Minions {
		if m.LastSeen.IsZero() { // silence counts from when this server could have heard of it
			m.LastSeen = s.started
			in.Minions[name] = m
		}
	}
	for _, d := range pending {
		d.takeIn(&in)
	}
	plan := reconcile.Compute(in)
	plan.Warnings = append(plan.Warnings, s.warnings...)
	s.history.keepPlan(ctx, s, in, plan)
	if !plan.State.Equal(s.saved) {
		if err := s.Store.Save(ctx, plan.State); err != nil {
			s.mustLoad = true
			return now, fmt.Errorf("save state: %w", err)
		}
		if plan.State.Applied.Hash != s.saved.Applied.Hash {
			s.Log.Info("applied revision", "revision", plan.State.Applied.Hash, "took", time.Since(now).Round(time.Millisecond).String())
		}
		for name, n := range plan.State.Minions {
			switch was := s.saved.Minions[name].Lost; {
			case was.IsZero() && !n.Lost.IsZero():
				s.Log.Warn("minion declared lost", "minion", name)
			case !was.IsZero() && n.Lost.IsZero():
				s.Log.Info("minion returned", "minion", name)
			}
		}
		s.saved = plan.State
	}
	if plan.Table.Fleet != "" {
		s.Fleet.SetTable(plan.Table)
		s.Fleet.SetAssignments(plan.Assignments)
	}
	status := sync.OnceValue(func() reconcile.Status { return reconcile.Summarize(in, plan) })
	outcome := s.history.follow(ctx, s, in, plan, status)
	var shown reconcile.Status
	if plan.Held != "" { // its plan is remembered
		shown = status()
	}
	s.mu.Lock()
	s.input, s.plan, s.status, s.outcome = in, plan, status, outcome
	s.input.State, s.ready = plan.State, true
	s.remember(shown)
	s.outcomes = s.history.list
	s.mu.Unlock()
	next := now.Add(statusEvery)
	if !plan.Wake.IsZero() && plan.Wake.Before(next) {
		next = plan.Wake
	}
	if len(s.attempt.Errors) > 0 && s.attempt.Revision.Hash == "" && now.Add(retryAfter).Before(next) {
		next = now.Add(retryAfter)
	}
	return next, nil
}

// look resolves the followed ref and loads its tree if it moved. Whatever goes wrong becomes the attempt's errors: the
// accepted set stays.
func (s *Server) look(ctx context.Context, now time.Time) {
	s.lookAtHead = false
	head, err := s.Source.Head(ctx, s.saved.Applied)
	if err != nil {
		s.refuse(reconcile.Revision{}, now, err)
		return
	}
	head.Path, head.Tags = s.Path, s.Tags
	if head.Hash == s.head.Hash && s.set != nil {
		s.head, s.attempt = head, reconcile.Attempt{}
		return
	}
	if head.Hash == s.attempt.Revision.Hash {
		return // known not to load
	}
	tree, err := s.Source.Tree(ctx, head.Hash)
	if err != nil {
		s.refuse(reconcile.Revision{}, now, fmt.Errorf("read tree of %s: %w", head.Hash, err))
		return
	}
	set, warnings, err := s.Load(tree)
	var many interface{ Unwrap() []error }
	switch {
	case errors.As(err, &many):
		s.refuse(head, now, err)
		return
	case err != nil: // the tree could not be read: nothing is known of this commit, and it is tried again
		s.refuse(reconcile.Revision{}, now, fmt.Errorf("load %s: %w", head.Hash, err))
		return
	}
	s.Log.Info("loaded revision", "revision", head.Hash, "objects", set.Len(), "took", time.Since(now).Round(time.Millisecond).String())
	s.head, s.set, s.warnings, s.attempt = head, set, warnings, reconcile.Attempt{}
}

// refuse records why the newest revision is not the one in force. The loaded set of an earlier good head, if there is one,
// is the accepted one by now or stalled; either way the decision in force is the state's.
func (s *Server) refuse(r reconcile.Revision, now time.Time, err error) {
	var many interface{ Unwrap() []error }
	texts := []string{err.Error()}
	if errors.As(err, &many) {
		texts = nil
		for _, e := range many.Unwrap() {
			texts = append(texts, e.Error())
		}
	}
	if r.Hash == s.attempt.Revision.Hash && slices.Equal(texts, s.attempt.Errors) {
		return
	}
	s.Log.Error("refused revision", "revision", r.Hash, "err", err)
	s.attempt = reconcile.Attempt{Revision: r, Errors: texts, Since: now}
	s.head, s.set, s.warnings = reconcile.Revision{}, nil, nil
}

// Ready tells whether a step was completed: before that, nothing is known and the other methods answer with zero values.
func (s *Server) Ready() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ready
}

// Status is what was true at the last step.
func (s *Server) Status() reconcile.Status {
	s.mu.RLock()
	status, outcome := s.status, s.outcome
	s.mu.RUnlock()
	if status == nil {
		return reconcile.Status{}
	}
	st := status()
	st.Outcome = outcome
	return st
}

// Snapshot is the input of the last step with the state that it decided: what a diff is computed against.
func (s *Server) Snapshot() reconcile.Input {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.input
}

// Plan is what the last step decided.
func (s *Server) Plan() reconcile.Plan {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.plan
}
