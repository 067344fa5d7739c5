package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/reconcile"
)

// ask is an answer of the API as its code and its first line.
func ask(t *testing.T, s *Server, method, path string) string {
	t.Helper()
	r := httptest.NewRecorder()
	s.API("v0").ServeHTTP(r, httptest.NewRequest(method, path, nil).WithContext(t.Context()))
	return strings.TrimSpace(fmt.Sprint(r.Code, " ", r.Body))
}

// objectStatus is the status of one object.
func objectStatus(t *testing.T, s *Server, key string) reconcile.ObjectStatus {
	t.Helper()
	for _, o := range s.Status().Objects {
		if o.Key.String() == key {
			return o
		}
	}
	t.Fatalf("no status of %s", key)
	return reconcile.ObjectStatus{}
}

// TestSuspend: what is asked for is obeyed, kept over a restart, and over when it says so. Mutants: the decision is not put into
// the state that is saved; a step does not wake when it is over.
func TestSuspend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("m1")
		w.push("c1", map[string]string{"a": "i:1", "b": "i:1"})
		s, kill := w.boot(t, 1)
		settle(time.Minute)
		for _, c := range []struct{ name, method, query, want string }{
			{"an object that is not declared", "POST", "kind=Pod&namespace=default&name=c&reason=why", "409 suspend Pod/c: the revision in force does not declare it"},
			{"no reason", "POST", "kind=Pod&namespace=default&name=a", "409 suspend Pod/a: it takes a reason"},
			{"a kind that cannot be", "POST", "kind=Service&namespace=default&name=a&reason=why", "409 suspend Service/a: only pods"},
			{"a duration that is none", "POST", "kind=Pod&namespace=default&name=a&reason=why&for=-2h", `400 for "-2h" is no duration above 0`},
			{"a time that is none", "POST", "kind=Pod&namespace=default&name=a&reason=why&until=noon", `400 until "noon" is no time`},
			{"a time that is over", "POST", "kind=Pod&namespace=default&name=a&reason=why&until=1999-01-01T00:00:00Z", "409 suspend Pod/a: 1999-01-01T00:00:00Z is over already"},
			{"two ends", "POST", "kind=Pod&namespace=default&name=a&reason=why&for=2h&until=noon", "400 for and until exclude each other"},
			{"a name of two lines", "POST", "kind=Pod&namespace=default&name=a&reason=why&as=a%0Ab", "400 as: "},
			{"what is not suspended", "DELETE", "kind=Pod&namespace=default&name=a", "409 resume Pod/a: it is not suspended"},
			{"all of it", "POST", "kind=Pod&namespace=default&name=a&reason=INC-7&for=7205s&as=ada", `200 {"reason":"INC-7","owner":"ada"`},
			{"without an end", "POST", "kind=Pod&namespace=default&name=b&reason=hold", "200 "},
		} {
			if got := ask(t, s, c.method, "/v1/suspensions?"+c.query); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
		if o := objectStatus(t, s, "Pod/a"); o.Suspended == nil || o.Suspended.Owner != "ada" || !strings.Contains(o.Reason, "suspended by ada until") || o.Sync != reconcile.Synced {
			t.Errorf("status is %+v", o)
		}
		kill()
		s, kill = w.boot(t, 2)
		w.push("c2", map[string]string{"a": "i:2", "b": "i:2"})
		settle(time.Hour)
		if got := w.running(t); got != "a=i:1 b=i:1" || s.Status().Applied.Hash != "c2" {
			t.Errorf("runs %q at %s", got, s.Status().Applied.Hash)
		}
		settle(time.Hour + 10*time.Second)
		if o := objectStatus(t, s, "Pod/a"); o.Suspended != nil { // a step comes every 30 s in any case
			t.Errorf("it is still suspended: %s", o.Suspended)
		}
		settle(time.Minute)
		if got := w.running(t); got != "a=i:2 b=i:1" {
			t.Errorf("runs %q when the time is over", got)
		}
		if got := ask(t, s, http.MethodDelete, "/v1/suspensions?kind=Pod&namespace=default&name=b"); got != "200" {
			t.Errorf("resume: %q", got)
		}
		settle(time.Minute)
		if got := w.running(t); got != "a=i:2 b=i:2" {
			t.Errorf("runs %q when it is resumed", got)
		}
		kill()
	})
}

// TestDecisionThatIsNotKept: who asks is told that the outcome is unknown. Mutant: the error of the step is not passed on.
func TestDecisionThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("m1")
		w.push("c1", map[string]string{"a": "i:1"})
		s, kill := w.boot(t, 1)
		defer kill()
		settle(time.Minute)
		w.mu.Lock()
		w.failing = "refused"
		w.mu.Unlock()
		if got := ask(t, s, "POST", "/v1/suspensions?kind=Pod&namespace=default&name=a&reason=why"); !strings.HasPrefix(got, "409 it is not known whether it was kept: save state") {
			t.Errorf("%q", got)
		}
		settle(time.Minute)
		if o := objectStatus(t, s, "Pod/a"); o.Suspended != nil {
			t.Errorf("it was refused, and is kept: %+v", o)
		}
	})
}
