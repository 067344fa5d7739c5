package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/reconcile"
)

// manual starts a server in which people apply.
func (w *world) manual(t *testing.T, epoch uint64) (s *Server, kill func()) {
	return w.bootWith(t, epoch, func(c *Config) { c.Settings.Manual, c.Settings.Fixed = true, map[string]string{"apply": "--apply"} })
}

// TestApply: a revision waits for people, who approve what they saw. Mutants: accept does not wait; the approval of one revision
// does for another; Approve does not compare the hash; the plan that was shown is not remembered.
func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("m1")
		w.push("c1", map[string]string{"a": "i:1", "b": "i:1"})
		s, kill := w.manual(t, 1)
		settle(time.Minute)
		if got := w.running(t); got != "" || s.Status().Held == nil || s.Status().Sync != reconcile.OutOfSync {
			t.Fatalf("the first revision runs %q, status %+v", got, s.Status())
		}
		first := s.Status().Held.Plan
		settle(5 * time.Minute)
		if again := s.Status().Held.Plan; again != first {
			t.Errorf("the hash became %s from %s though nothing changed", again, first)
		}
		w.push("c2", map[string]string{"a": "i:1", "c": "i:1"}) // it is not known to the server when the request comes
		got := ask(t, s, "POST", "/v1/apply?plan="+first)
		for _, want := range []string{"409 plan " + first[:23] + " went stale", "it was of revision c1; c2 is the newest now", "gone:      create Pod/b on m1", "new:       create Pod/c on m1"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q does not say %q", got, want)
			}
		}
		kill()
		s, kill = w.manual(t, 2)
		settle(time.Second)
		if got := ask(t, s, "POST", "/v1/apply?plan="+first); !strings.HasPrefix(got, "409 there is no plan") {
			t.Errorf("a plan that was shown before a restart: %q", got)
		}
		if got := ask(t, s, "POST", "/v1/apply?plan=sha256:12"); !strings.HasPrefix(got, `409 approve plan "sha256:12": a hash has 12 digits at least`) {
			t.Errorf("a short hash: %q", got)
		}
		second := s.Status().Held.Plan
		if got := ask(t, s, "POST", "/v1/apply?as=ada&plan="+second[:len("sha256:")+12]); got != "200 revision c2 is in force, approved by ada with plan "+second[:23] {
			t.Errorf("applied: %q", got)
		}
		settle(time.Minute)
		if got := w.running(t); got != "a=i:1 c=i:1" || s.Status().Approved.By != "ada" || s.Status().Sync != reconcile.Synced {
			t.Errorf("runs %q, status %+v", got, s.Status())
		}
		if got := ask(t, s, "POST", "/v1/apply?plan="+second); !strings.Contains(got, "200 plan "+second[:23]+" is applied already") {
			t.Errorf("applied twice: %q", got)
		}
		if got := ask(t, s, "POST", "/v1/apply?plan="+first); got != "200 nothing waits to be applied: revision c2 is in force" {
			t.Errorf("nothing to apply: %q", got)
		}
		w.push("c3", map[string]string{"a": "bad"})
		if got := ask(t, s, "POST", "/v1/apply?plan="+first); !strings.Contains(got, "409 nothing is applied: the newest revision c3 is refused: a:1:1: bad") {
			t.Errorf("a refused commit: %q", got)
		}
		// What is in force is kept up: over a restart of the server, and when an instance is gone.
		w.push("c4", map[string]string{"a": "i:4", "c": "i:4"})
		kill()
		s, kill = w.manual(t, 3)
		settle(time.Minute)
		if got := w.running(t); got != "a=i:1 c=i:1" || s.Status().Held == nil {
			t.Errorf("runs %q, held %v", got, s.Status().Held)
		}
		// The fleet that is used to it goes back to auto.
		kill()
		s, kill = w.boot(t, 4)
		settle(2 * time.Minute)
		if got := w.running(t); got != "a=i:4 c=i:4" || s.Status().Held != nil || s.Status().Approved != nil {
			t.Errorf("runs %q, status %+v", got, s.Status())
		}
		if got := ask(t, s, "POST", "/v1/apply?plan="+first); !strings.HasPrefix(got, "200 nothing waits to be applied: this fleet takes new revisions into force by itself") {
			t.Errorf("auto: %q", got)
		}
		kill()
	})
}
