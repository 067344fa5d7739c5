package reconcile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// said is a plan's changes in words.
func said(in reconcile.Input) string {
	var out []string
	for _, c := range reconcile.Compute(in).Changes {
		if c.Verb != reconcile.Route {
			out = append(out, fmt.Sprintf("%s %s %s %s", c.Verb, c.Object.Name, c.Minion, c.Code))
		}
	}
	return strings.Join(out, "; ")
}

// settledFleet is a fleet of two minions at rest with two replicas and a bare pod on the first.
func settledFleet(t *testing.T) reconcile.Input {
	t.Helper()
	f := newFleet()
	for _, m := range []string{"m1", "m2"} {
		f.act(f.join(m, assignment.Capacity{MilliCPU: 1000, Memory: 1000 << 20, Pods: 3}, nil))
	}
	set, err := declare([]string{"rc web replicas=2", "pod db node=m1"})
	if err != nil {
		t.Fatal(err)
	}
	f.set, f.revision = set, reconcile.Revision{Hash: "c1"}
	f.round()
	in, left, err := reconcile.Settle(f.input())
	if err != nil || len(left) > 0 {
		t.Fatalf("%v: %+v", err, left)
	}
	return in
}

func TestWhatIf(t *testing.T) {
	in := settledFleet(t)
	before := mustJSON(in)
	for _, c := range []struct {
		name string
		edit func(reconcile.Input) (reconcile.Input, error)
		want string
		err  string
	}{
		{"nothing", func(in reconcile.Input) (reconcile.Input, error) { return in, nil }, "", ""},
		{"a minion is lost", func(in reconcile.Input) (reconcile.Input, error) { return reconcile.Without(in, "m2") }, "move web m1 minion-lost", ""},
		{"a minion that is not there is lost", func(in reconcile.Input) (reconcile.Input, error) { return reconcile.Without(in, "m9") }, "", `no minion "m9": it has m1, m2`},
		{"a minion is drained", func(in reconcile.Input) (reconcile.Input, error) { return reconcile.Drain(in, "m2") }, "move web m1 minion-tainted", ""},
		{"a minion that is not there is drained", func(in reconcile.Input) (reconcile.Input, error) { return reconcile.Drain(in, "m9") }, "", "no minion"},
		{"a minion joins, and another is lost", func(in reconcile.Input) (reconcile.Input, error) {
			in, err := reconcile.AddMinion(in, assignment.Report{Minion: "m9", Capacity: assignment.Capacity{MilliCPU: 100, Memory: 1 << 20, Pods: 9}})
			if err != nil {
				return in, err
			}
			return reconcile.Without(in, "m2")
		}, "move web m9 minion-lost", ""},
		{"a minion joins that is there", func(in reconcile.Input) (reconcile.Input, error) {
			return reconcile.AddMinion(in, assignment.Report{Minion: "m1"})
		}, "", "has one of this name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.edit(in)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil || said(got) != c.want {
				t.Errorf("%v: %s, want %s", err, said(got), c.want)
			}
			if mustJSON(in) != before { // mutant: the maps are not cloned
				t.Error("the input was changed")
			}
		})
	}
}

// TestSettle: what Settle takes for the end is the end of the model fleet, too. Mutant: it ends at the first step.
func TestSettle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet()
		f.settings.Progress = 24 * time.Hour // for Settle the clock stands still
		for i := range rapid.IntRange(1, 4).Draw(t, "minions") {
			f.act(f.join(fmt.Sprintf("m%d", i+1), assignment.Capacity{MilliCPU: 4000, Memory: int64(rapid.IntRange(3, 12).Draw(t, "memory")) * 100 << 20, Pods: 20}, nil))
		}
		for n := range 2 {
			f.set = servedSet(t, false)
			f.revision = reconcile.Revision{Hash: fmt.Sprint("c", n), Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
			for range rapid.IntRange(1, 20).Draw(t, "steps") {
				f.random(t)
				f.step()
			}
		}
		for _, name := range f.names() { // everybody is known
			f.takeTable(f.agents[name])
			f.reportNow(f.agents[name])
		}
		in := f.input()
		there, left, err := reconcile.Settle(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range left {
			if c.Waiting == "" {
				t.Fatalf("left to do without waiting: %+v", c)
			}
		}
		if p := reconcile.Compute(there); mustJSON(p.State.Bindings) != mustJSON(there.State.Bindings) {
			t.Fatalf("not settled: %s, then %s", brief(there.State), brief(p.State))
		}
		// As much runs as in the model when it has come to its end.
		for range 200 {
			f.step()
			f.round()
			f.now = f.now.Add(3e9)
		}
		if a, b := there.State.Bindings.Len(), f.state.Bindings.Len(); a != b {
			t.Fatalf("settled with %s, the model with %s", brief(there.State), brief(f.state))
		}
	})
}
