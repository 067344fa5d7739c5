package reconcile_test

import (
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// TestHeardOfTooLate: an agent that heard of an instance from an assignment that came very late reports it, and nothing of it is
// there but its image; the instance was forgotten and its address is another's. It gets no binding, or two would have one
// address. What runs does, whatever its address. Found by seeds 174 and 2533 of the simulation. Mutant: it is adopted.
func TestHeardOfTooLate(t *testing.T) {
	for state, adopted := range map[assignment.InstanceState]bool{assignment.Waiting: false, assignment.Prepared: false, assignment.Running: true} {
		f := newFleet()
		f.act(f.join("m1", assignment.Capacity{MilliCPU: 4000, Memory: 1000 << 20, Pods: 20}, nil))
		set, err := declare([]string{"pod a"})
		if err != nil {
			t.Fatal(err)
		}
		f.set, f.revision = set, reconcile.Revision{Hash: "c1"}
		for range 3 {
			f.round()
			f.step()
			f.now = f.now.Add(5 * time.Second)
		}
		in := f.input()
		m := in.Minions["m1"]
		r := *m.Report
		late := r.Instances[0]
		late.ID, late.UID, late.Pod, late.State, late.Up = "b-00000", "late", "b", state, time.Time{}
		r.Instances = append(r.Instances, late)
		m.Report = &r
		in.Minions["m1"] = m
		if b := reconcile.Compute(in).State.Bindings.Get("b-00000"); (b != nil) != adopted {
			t.Errorf("one that is reported as %s: got %+v", state, b)
		}
	}
}
