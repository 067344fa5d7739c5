package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"reconciler/reconcile/assignment"
)

// API answers the CLI:
//
//	GET  /v1/status    reconcile.Status; with ?fresh=true after a look at the repository
//	GET  /v1/snapshot  reconcile.Input, against which a diff is computed
//	GET  /v1/plan      reconcile.Plan of the last step
//	GET  /v1/plans     the outcome of each revision, newest first
//	GET  /v1/plans/{number}  the document of its plan, as diff -o json prints it
//	GET  /v1/logs      ?minion=&instance=&container=&follow=&tail=&previous=: the log, as text, as it comes
//	POST /v1/tokens    ?uses=&valid=&minion=: a join token, as text; with minion for that name alone, which may have joined before
//	POST /v1/suspensions    ?kind=&namespace=&name=&reason=&for=|until=&as=: nothing is done for the object
//	DELETE /v1/suspensions  ?kind=&namespace=&name=&as=: it is taken up again
//	POST /v1/apply     ?plan=HASH&as=: the revision that waits is taken into force with this plan; 409 if that went stale
//	GET  /v1/version   text
//
// An error is a text with a status of 400 and above. Whoever can open the socket may do all of this, so the socket is for
// root alone.
func (s *Server) API(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("fresh") == "true" {
			ctx, cancel := context.WithTimeout(r.Context(), stepTimeout)
			defer cancel()
			if err := s.Refresh(ctx); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
		}
		s.answer(w, func() any { return s.Status() })
	})
	mux.HandleFunc("GET /v1/snapshot", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, func() any { return s.Snapshot() }) })
	mux.HandleFunc("GET /v1/plan", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, func() any { return s.Plan() }) })
	mux.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, version) })
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("GET /v1/plans", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, func() any { return s.Outcomes() }) })
	mux.HandleFunc("GET /v1/plans/{number}", s.keptPlan)
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, r *http.Request) { makeToken(s.Fleet, w, r) })
	mux.HandleFunc("POST /v1/suspensions", s.suspend)
	mux.HandleFunc("POST /v1/apply", s.apply)
	mux.HandleFunc("DELETE /v1/suspensions", s.resume)
	return mux
}

// ServeAPI answers on l until ctx ends.
func ServeAPI(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }, ConnContext: withPeer}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve API: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = srv.Shutdown(end) // what is left is cut by Close
	_ = srv.Close()
	<-done
	return nil
}

// answer sends a value as JSON, or says that nothing is known yet.
func (s *Server) answer(w http.ResponseWriter, what func() any) {
	if !s.Ready() {
		http.Error(w, "the server has just started and has not completed a step yet", http.StatusServiceUnavailable)
		return
	}
	v := what()
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.Log.Debug("could not answer", "err", err)
	}
}

// tokens is who makes join tokens.
type tokens interface {
	// Token makes a join token that is good for uses joins (0: any number) until it expires.
	Token(ctx context.Context, uses int, validFor time.Duration) (string, error)
	// TokenFor makes a join token for one minion by name, which may have joined before with a key that it lost.
	TokenFor(ctx context.Context, minion string, validFor time.Duration) (string, error)
}

func makeToken(of tokens, w http.ResponseWriter, r *http.Request) {
	uses, err := strconv.Atoi(r.FormValue("uses"))
	valid, err2 := time.ParseDuration(r.FormValue("valid"))
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var t string
	if minion := r.FormValue("minion"); minion != "" {
		t, err = of.TokenFor(r.Context(), minion, valid)
	} else {
		t, err = of.Token(r.Context(), uses, valid)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, t)
}

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	tail, err := strconv.Atoi(r.FormValue("tail"))
	if err != nil {
		http.Error(w, "tail: "+err.Error(), http.StatusBadRequest)
		return
	}
	log, err := s.Fleet.Logs(r.Context(), r.FormValue("minion"), assignment.LogRequest{
		Instance: r.FormValue("instance"), Container: r.FormValue("container"), Tail: tail,
		Follow: r.FormValue("follow") == "true", Previous: r.FormValue("previous") == "true",
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = log.Close() }()
	stop := context.AfterFunc(r.Context(), func() { _ = log.Close() })
	defer stop()
	flush := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	w.Header().Set("Trailer", logError)
	for said := false; ; {
		n, err := log.Read(buf)
		if n > 0 {
			said = true
			if _, err := w.Write(buf[:n]); err != nil {
				return
			}
			_ = flush.Flush()
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF) || r.Context().Err() != nil:
		case said: // the log ended early: that is said behind it
			w.Header().Set(logError, err.Error())
		default:
			w.Header().Del("Trailer")
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
		return
	}
}

// logError is the trailer (RFC 9110 section 6.5) that says why a log ended before its end.
const logError = "Log-Error"
