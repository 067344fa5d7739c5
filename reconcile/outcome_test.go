package reconcile_test

import (
	"fmt"
	"testing"
	"time"

	"reconciler/reconcile"
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
