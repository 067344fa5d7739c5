package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/reconcile"
)

// shelf models where outcomes and plans are kept. While down it refuses all.
type shelf struct {
	mu       sync.Mutex
	down     bool
	outcomes map[uint64]reconcile.Outcome
	plans    map[uint64][]byte
}

var errDown = errors.New("shelf is down")

func (h *shelf) Outcomes(context.Context) (all []reconcile.Outcome, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return nil, errDown
	}
	for n := uint64(1); len(all) < len(h.outcomes); n++ {
		if o, ok := h.outcomes[n]; ok {
			all = append(all, o)
		}
	}
	return all, nil
}

func (h *shelf) PutOutcome(_ context.Context, o reconcile.Outcome) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return errDown
	}
	h.outcomes[o.Number] = o
	return nil
}

func (h *shelf) PutPlan(_ context.Context, n uint64, b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return 0, errDown
	}
	h.plans[n] = b
	return len(b), nil
}

func (h *shelf) Plan(_ context.Context, n uint64) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.plans[n], nil
}

// answers tells whether it is to answer.
func (h *shelf) answers(ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = !ok
}

func (h *shelf) DropOutcomes(_ context.Context, numbers []uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return errDown
	}
	for _, n := range numbers {
		delete(h.outcomes, n)
		delete(h.plans, n)
	}
	return nil
}

func (h *shelf) String() string {
	all, _ := h.Outcomes(context.Background())
	var out []string
	for _, o := range all {
		out = append(out, fmt.Sprintf("%d %s %s", o.Number, o.Revision.Hash, o.Words()))
	}
	return strings.Join(out, ", ")
}

// TestHistory: what became of each revision is kept, over restarts and failures of the store, with the plan of each that was in
// force. Mutants: the plan is kept after the state; what could not be kept is not kept later; a restart begins anew.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &shelf{outcomes: map[uint64]reconcile.Outcome{}, plans: map[uint64][]byte{}}
		w := newWorld()
		w.join("m1")
		boot := func(epoch uint64, manual bool) (*Server, func()) {
			return w.bootWith(t, epoch, func(c *Config) { c.History, c.Settings.Manual = h, manual })
		}
		w.push("c1", map[string]string{"a": "i:1"})
		s, kill := boot(1, false)
		settle(time.Minute)
		w.push("c2", map[string]string{"a": "bad"})
		settle(time.Minute)
		h.answers(false)
		w.push("c3", map[string]string{"a": "i:3"})
		settle(time.Minute)
		if st := s.Status(); st.Outcome == nil || st.Outcome.Ending != reconcile.Applied || st.Outcome.Revision.Hash != "c3" {
			t.Errorf("while nothing can be kept, the outcome is %+v", st.Outcome)
		}
		h.answers(true)
		settle(time.Minute)
		if got, want := h.String(), "1 c1 applied, 2 c2 refused, 3 c3 applied"; got != want {
			t.Errorf("kept %q, want %q", got, want)
		}
		kill()
		s, kill = boot(2, true)
		w.push("c4", map[string]string{"a": "i:4"})
		settle(time.Minute)
		w.push("c5", map[string]string{"a": "i:5"})
		settle(time.Minute)
		if got := ask(t, s, "POST", "/v1/apply?as=ada&plan="+s.Status().Held.Plan); !strings.HasPrefix(got, "200 ") {
			t.Fatal(got)
		}
		settle(time.Minute)
		if got, want := h.String(), "1 c1 applied, 2 c2 refused, 3 c3 applied, 4 c4 superseded by c5, 5 c5 applied"; got != want {
			t.Errorf("kept %q, want %q", got, want)
		}
		o := h.outcomes[5]
		var doc struct {
			Hash     string
			Revision reconcile.Revision
			Changes  []reconcile.Change
		}
		if err := json.Unmarshal(h.plans[5], &doc); err != nil || doc.Hash != o.Plan || doc.Revision.Hash != "c5" || len(doc.Changes) != 1 || o.By != "ada" || o.Size == 0 {
			t.Errorf("outcome %+v, document %+v, %v", o, doc, err)
		}
		if h.plans[3] != nil || h.plans[4] != nil || h.plans[1] == nil {
			t.Error("other plans are kept than those that were in force and could be")
		}
		var list []reconcile.Outcome
		if err := json.Unmarshal([]byte(strings.TrimPrefix(ask(t, s, "GET", "/v1/plans"), "200 ")), &list); err != nil || len(list) != 5 || list[0].Number != 5 {
			t.Errorf("%v, %v", list, err)
		}
		for path, want := range map[string]string{"5": "200 {\n", "4": "404 the plan of this revision was not kept", "x": "400 ", "99": "404 "} {
			if got := ask(t, s, "GET", "/v1/plans/"+path); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q", path, got)
			}
		}
		// A crash after the plan was kept and before the state was: the next plan takes its place.
		w.mu.Lock()
		w.failing = "refused"
		w.mu.Unlock()
		kill()
		s, kill = boot(3, false)
		w.push("c6", map[string]string{"a": "i:6"})
		settle(time.Minute)
		if got := h.outcomes[6]; got.Revision.Hash != "c6" || got.Ending != reconcile.Applied || len(h.outcomes) != 6 || s.Status().Outcome.Plan != got.Plan {
			t.Errorf("%+v", got)
		}
		kill()
	})
}
