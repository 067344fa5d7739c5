package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"reconciler/reconcile"
	"reconciler/schema"
)

// decision is what somebody asks for by the API. A step takes it as the first of what it decides, so that it is saved with the
// rest and obeyed at once.
type decision struct {
	take func(reconcile.Input) (reconcile.State, error)
	look bool // the ref first
	err  error
	done chan error // has room for one
}

// errOldCopy refuses a decision that the newer store would not know of.
var errOldCopy = errors.New("the store is an old copy, and nothing is decided: start the server with --recover")

// takeIn puts what is decided into the input of the step. What is refused leaves it as it is.
func (d *decision) takeIn(in *reconcile.Input) {
	if in.State.Superseded != 0 {
		d.err = errOldCopy
		return
	}
	var st reconcile.State
	if st, d.err = d.take(*in); d.err == nil {
		in.State = st
	}
}

// end answers who asked; err is that of the step.
func (d *decision) end(err error) {
	if d.err == nil && err != nil {
		d.err = fmt.Errorf("it is not known whether it was kept: %w", err)
	}
	d.done <- d.err
}

// decide waits until a step has taken the decision and it is saved.
func (s *Server) decide(ctx context.Context, look bool, take func(reconcile.Input) (reconcile.State, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	d := &decision{take: take, look: look, done: make(chan error, 1)}
	select {
	case s.decisions <- d:
	case <-ctx.Done():
		return fmt.Errorf("wait for the control loop: %w", ctx.Err())
	}
	select {
	case err := <-d.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the control loop, which may take the decision yet: %w", ctx.Err())
	}
}

func (s *Server) suspend(w http.ResponseWriter, r *http.Request) {
	var said reconcile.Suspension
	owner, err := ownerOf(r)
	if err == nil {
		said, err = suspensionOf(r, time.Now().UTC())
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	said.Owner = owner
	k := keyOf(r)
	err = s.decide(r.Context(), false, func(in reconcile.Input) (reconcile.State, error) {
		return reconcile.Suspend(in.State, k, said)
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	s.answer(w, func() any { return said })
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	k := keyOf(r)
	err := s.decide(r.Context(), false, func(in reconcile.Input) (reconcile.State, error) { return reconcile.Resume(in.State, k) })
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func keyOf(r *http.Request) schema.Key {
	return schema.Key{Kind: schema.Kind(r.FormValue("kind")), Namespace: r.FormValue("namespace"), Name: r.FormValue("name")}
}

// suspensionOf reads what was asked for, without its owner.
func suspensionOf(r *http.Request, now time.Time) (s reconcile.Suspension, err error) {
	s.Reason, s.Since = r.FormValue("reason"), now
	during, until := r.FormValue("for"), r.FormValue("until")
	switch {
	case during != "" && until != "":
		return s, errors.New("for and until exclude each other")
	case during != "":
		d, err := time.ParseDuration(during)
		if err != nil || d <= 0 {
			return s, fmt.Errorf("for %q is no duration above 0, as 2h or 30m", during)
		}
		s.Until = now.Add(d)
	case until != "":
		if s.Until, err = time.Parse(time.RFC3339, until); err != nil {
			return s, fmt.Errorf("until %q is no time of RFC 3339, as 2014-12-15T19:18:36Z", until)
		}
		s.Until = s.Until.UTC()
	}
	return s, nil
}

// ownerOf is who takes a decision: who they say they are, and whom the socket knows them as.
func ownerOf(r *http.Request) (string, error) {
	as := strings.TrimSpace(r.FormValue("as"))
	if len(as) > 100 || strings.ContainsFunc(as, unicode.IsControl) {
		return "", errors.New("as: a name has at most 100 bytes, in one line")
	}
	known, _ := r.Context().Value(peerKey{}).(string)
	switch {
	case as == "" || as == known:
		return known, nil
	case known == "":
		return as, nil
	}
	return as + " (" + known + ")", nil
}

// peerKey has the name of the user at the other end of the connection in a request's context.
type peerKey struct{}

// withPeer finds out who is at the other end of a unix socket (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *syscall.Ucred
	if raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}) != nil || err != nil {
		return ctx
	}
	id := strconv.FormatUint(uint64(cred.Uid), 10)
	name := "uid " + id
	if found, err := user.LookupId(id); err == nil {
		name = found.Username
	}
	return context.WithValue(ctx, peerKey{}, name)
}
