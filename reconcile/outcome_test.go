package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// TestPrune: the newest are kept, by number and by size. Mutants: revisions that were never in force push out those that were;
// the newest is dropped because it is large.
func TestPrune(t *testing.T) {
	at := time.Unix(1e9, 0)
	var all []reconcile.Outcome
	for i := range uint64(500) {
		o := reconcile.Outcome{Number: i + 1}
		if i%5 == 0 {
			o.Taken = at
		}
		all = append(all, o)
	}
	kept, gone := reconcile.Prune(all)
	if len(kept) != 200 || len(gone) != 300 || kept[0].Number != 1 || kept[199].Number != 500 {
		t.Errorf("%d kept from %d on, %d gone", len(kept), kept[0].Number, len(gone))
	}
	again, none := reconcile.Prune(kept)
	if len(again) != 200 || len(none) != 0 {
		t.Errorf("%d kept, %d gone the second time", len(again), len(none))
	}
	var large []reconcile.Outcome
	for i := range uint64(4) {
		large = append(large, reconcile.Outcome{Number: i + 1, Taken: at, Size: 30 << 20})
	}
	if kept, gone := reconcile.Prune(large); len(kept) != 2 || fmt.Sprint(gone) != "[1 2]" {
		t.Errorf("%v kept, %v gone", kept, gone)
	}
	if kept, _ := reconcile.Prune([]reconcile.Outcome{{Number: 1, Taken: at, Size: 1 << 30}}); len(kept) != 1 {
		t.Error("the only one is gone")
	}
}

// TestReportOnlyIsNotRolledBack: of a revision that was in force before anybody followed it, nothing is known to have changed; what
// is report-only of it has not failed. Mutant: no failures of no changes are all that changed.
func TestReportOnlyIsNotRolledBack(t *testing.T) {
	f := fleetAfter(t, "pod db", "pod db image=web:2 report=audit")
	got, _ := reconcile.Follow(nil, f.in, f.plan, func() reconcile.Status { return reconcile.Summarize(f.in, f.plan) })
	if len(got) != 1 || got[0].Ending != reconcile.AppliedExcept || got[0].Except != 1 {
		t.Errorf("got %+v", got)
	}
}

// fleetAfter is one minion after each of these sets was declared and done, with the same services in all of them.
func fleetAfter(t *testing.T, sets ...string) *fleet {
	t.Helper()
	f := newFleet()
	f.join("m1", assignment.Capacity{MilliCPU: 4000, Memory: 1 << 30, Pods: 20}, nil)
	f.round()
	var services []*schema.Service
	for i, text := range sets {
		set, err := declare(strings.Split(text, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if services != nil {
			set.Services = services
		}
		services, f.set, f.revision = set.Services, set, reconcile.Revision{Hash: fmt.Sprintf("c%d", i+1)}
		for range 20 {
			f.round()
			f.now = f.now.Add(time.Second)
			f.step()
		}
	}
	return f
}

// TestSelectsNothingAnyMore: that a service selects nothing that is declared is said also while its pods keep the labels that they
// had. Mutant: who has the owners and bindings that it had is routed as before, without a word.
func TestSelectsNothingAnyMore(t *testing.T) {
	f := fleetAfter(t, "rc web label=app:x\nsvc s select=app:x", "rc web label=app:y report=audit\nsvc s select=app:x")
	if !slices.ContainsFunc(f.plan.Warnings, func(w string) bool { return strings.Contains(w, "Service/s selects app=x, which no declared pod has") }) {
		t.Errorf("warnings: %q", f.plan.Warnings)
	}
}
