package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// answering are agents of which some have answered.
type answering struct {
	mu      sync.Mutex
	minions []string
	peers   []string
	kept    []string
	changed chan struct{}
}

func (a *answering) Minions() map[string]reconcile.Minion {
	out := map[string]reconcile.Minion{}
	for _, n := range a.minions {
		out[n] = reconcile.Minion{}
	}
	return out
}

func (a *answering) Kept() map[string]reconcile.Kept {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := map[string]reconcile.Kept{}
	for _, n := range a.kept {
		t := &assignment.Table{}
		for _, p := range a.peers {
			t.Minions = append(t.Minions, assignment.Peer{Name: p})
		}
		out[n] = reconcile.Kept{Table: t}
	}
	return out
}

func (a *answering) Token(context.Context, int, time.Duration) (string, error) {
	return "r1.token", nil
}

func (a *answering) TokenFor(context.Context, string, time.Duration) (string, error) { return "", nil }

func (a *answering) Changed() <-chan struct{} { return a.changed }

// TestGathering: everybody is waited for, and nobody for ever. Mutants: it ends without any answer; it does not wait for those that
// only the store knows; with an empty store it ends with the first.
func TestGathering(t *testing.T) {
	for _, c := range []struct {
		name    string
		known   string // to the store
		minions string // to the link
		answers map[string]time.Duration
		peers   string // in the tables that are handed over
		enough  int
		took    time.Duration
		missing string
	}{
		{"all answer", "m1 m2", "m1 m2", map[string]time.Duration{"m1": time.Second, "m2": 13 * time.Second}, "m1 m2", 0, 13 * time.Second, ""},
		{"all answer at once, and who else there may be has time to dial", "m1 m2", "m1 m2", map[string]time.Duration{"m1": time.Second, "m2": time.Second}, "", 0, redial, ""},
		{"one that only the store knows does not", "m1 m2", "m1", map[string]time.Duration{"m1": time.Second}, "", 0, time.Minute, "m2"},
		{"one that only the link knows does not", "m1", "m1 m2", map[string]time.Duration{"m1": time.Second}, "", 0, time.Minute, "m2"},
		{"one that only the other's table names comes late", "m1", "m1", map[string]time.Duration{"m1": time.Second, "m2": 20 * time.Second}, "m1 m2", 0, 20 * time.Second, ""},
		{"one that only the other's table names does not", "", "m1", map[string]time.Duration{"m1": time.Second}, "m1 m2", 0, time.Minute, "m2"},
		{"as many as there are", "", "m1", map[string]time.Duration{"m1": time.Second, "m2": 2 * time.Second}, "m3", 2, 2 * time.Second, "m3"},
		{"more are said to be", "m1", "m1", map[string]time.Duration{"m1": time.Second}, "", 2, time.Minute, ""},
		{"the first answer comes late", "m1 m2", "m1 m2", map[string]time.Duration{"m1": time.Hour}, "", 0, time.Hour, "m2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &answering{minions: strings.Fields(c.minions), peers: strings.Fields(c.peers), changed: make(chan struct{}, 1)}
				for name, after := range c.answers {
					time.AfterFunc(after, func() {
						a.mu.Lock()
						a.kept = append(a.kept, name)
						a.mu.Unlock()
						a.changed <- struct{}{}
					})
				}
				began := time.Now()
				g := &Gathering{Agents: a, Known: strings.Fields(c.known), Enough: c.enough, Wait: time.Minute}
				kept, missing, err := g.Run(t.Context())
				if err != nil || len(kept) != len(c.answers) || strings.Join(missing, " ") != c.missing || time.Since(began) != c.took {
					t.Errorf("%v handed over, %v missing after %s, %v", kept, missing, time.Since(began), err)
				}
				r := httptest.NewRecorder()
				g.Handler().ServeHTTP(r, httptest.NewRequest("GET", "/v1/status", nil))
				if got := fmt.Sprint(r.Code, " ", r.Body); !strings.HasPrefix(got, "503 the server rebuilds its decisions from what the agents keep: ") {
					t.Errorf("said %q meanwhile", got)
				}
				r = httptest.NewRecorder()
				g.Handler().ServeHTTP(r, httptest.NewRequest("POST", "/v1/tokens?uses=1&valid=1h", nil))
				if r.Body.String() != "r1.token" {
					t.Errorf("a token: %s", r.Body)
				}
			})
		})
	}
}
