package reconcile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// failer is a test, of one run or of many.
type failer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// bothWays is a step of a fleet. It fails if its input changes, or if the same input gives another plan or status once it was encoded
// and decoded, and so has nothing that a step before worked out.
func bothWays(t failer, f *fleet) reconcile.Plan {
	t.Helper()
	in := f.input()
	before := mustJSON(in)
	again := decoded[reconcile.Input](t, in)
	p := f.step()
	if mustJSON(in) != before {
		t.Fatal("the input changed")
	}
	sameText(t, "plan", mustJSON(p), mustJSON(reconcile.Compute(again)))
	sameText(t, "status", mustJSON(reconcile.Summarize(in, p)), mustJSON(reconcile.Summarize(again, decoded[reconcile.Plan](t, p))))
	return p
}

func decoded[T any](t failer, v T) (out T) {
	t.Helper()
	if err := json.Unmarshal([]byte(mustJSON(v)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func sameText(t failer, what, a, b string) {
	t.Helper()
	if a == b {
		return
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(i-300, 0)
	t.Fatalf("the %s differs at %d: with what the step before worked out it is\n…%s\nand without\n…%s", what, i, a[from:min(len(a), i+300)], b[from:min(len(b), i+300)])
}

// commit lets a fleet follow a set that may delete everything.
func (f *fleet) commit(n int, set *schema.Set) {
	f.set = set
	f.revision = reconcile.Revision{Hash: fmt.Sprintf("c%d", n), Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
}

func mustDeclare(t failer, lines ...string) *schema.Set {
	t.Helper()
	set, err := declare(lines)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// without is a set that shares all objects with another but for one pod.
func without(set *schema.Set, pod string) *schema.Set {
	out := *set
	out.Pods = slices.DeleteFunc(slices.Clone(set.Pods), func(p *schema.Pod) bool { return p.Name == pod })
	return &out
}

// TestNumbersOfRecords: what comes in one commit is numbered in one order, whether or not it is known what was there before.
func TestNumbersOfRecords(t *testing.T) {
	f := newFleet()
	f.commit(1, mustDeclare(t, "pod x"))
	bothWays(t, f)
	f.commit(2, mustDeclare(t, "pod x", "pod z", "rc a replicas=1"))
	bothWays(t, f)
}

// TestSelectsNothingSince: a service that has never been routed to a pod is warned of once it selects none.
func TestSelectsNothingSince(t *testing.T) {
	f := newFleet()
	set := mustDeclare(t, "pod p label=name:p", "svc s select=name:p", "pod q")
	f.commit(1, set)
	bothWays(t, f)
	bothWays(t, f)
	f.commit(2, without(set, "p"))
	if p := bothWays(t, f); len(p.Warnings) != 1 {
		t.Errorf("the warnings are %q", p.Warnings)
	}
}

// TestMinionIsNotToldOf: of a minion that an input does not have nothing is seen, whatever was seen before.
func TestMinionIsNotToldOf(t *testing.T) {
	f := newFleet()
	for _, name := range []string{"m1", "m2"} {
		f.join(name, assignment.Capacity{MilliCPU: 4000, Memory: 1 << 30, Pods: 20}, nil)
	}
	f.commit(1, mustDeclare(t, "rc r replicas=4", "svc s select=name:r"))
	steps := func(n int) {
		for range n {
			f.now = f.now.Add(2 * time.Second)
			bothWays(t, f)
		}
	}
	for range 12 {
		f.round()
		steps(1)
	}
	left := f.minions["m2"]
	delete(f.minions, "m2")
	steps(3)
	f.commit(2, mustDeclare(t, "rc r replicas=3", "svc s select=name:r"))
	steps(3)
	f.minions["m2"] = left
	steps(5)
}

// TestPastsInOneOrder: of two objects that were the same one, one goes on, the same in both ways.
func TestPastsInOneOrder(t *testing.T) {
	f := newFleet()
	f.commit(1, mustDeclare(t, "pod x"))
	bothWays(t, f)
	f.commit(2, mustDeclare(t, "pod z was=Pod/x", "rc a replicas=1 was=Pod/x"))
	bothWays(t, f)
	bothWays(t, f)
}

// TestCountedComesAndGoes: pods that count as replicas, and the controller that they count for, leave Git and come back as they were.
func TestCountedComesAndGoes(t *testing.T) {
	f := newFleet()
	all := mustDeclare(t, "pod x label=name:r", "rc r replicas=3", "svc s select=name:r")
	f.commit(1, all)
	bothWays(t, f)
	bothWays(t, f)
	less := without(all, "x")
	f.commit(2, less)
	bothWays(t, f)
	least := *less
	least.ReplicationControllers = nil
	f.commit(3, &least)
	bothWays(t, f)
	f.commit(4, all)
	bothWays(t, f)
	bothWays(t, f)
}

// TestMemo: a fleet that lives through commits, faults, restarts, settings, suspensions and dry runs has the same plans and status
// whether or not a step knows what the one before worked out. Commits change few objects and share the others, as those of a server
// do. Mutants: a service whose pods left Git is routed as it was; what came is numbered in another order; a minion's address
// is not looked at again.
func TestMemo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet()
		f.missing["none:1"], f.crashing["bad:1"] = true, true
		one := func(n int, what string) bool { return rapid.IntRange(0, n-1).Draw(t, what) == 0 }
		for i := range rapid.IntRange(1, 4).Draw(t, "minions") {
			a := f.join(fmt.Sprintf("m%d", i+1), assignment.Capacity{MilliCPU: 4000, Memory: 1200 << 20, Pods: rapid.IntRange(3, 20).Draw(t, "pods")}, nil)
			if one(2, "fences") {
				a.features = []schema.Feature{schema.FeatureFence}
			}
		}
		effects := map[string]schema.Effect{"gone": schema.NoExecute, "full": schema.NoSchedule}
		lines := map[string]string{}
		tainted := "" // how m1 is
		commits := 0
		change := func() {
			image := rapid.SampledFrom([]string{"web:1", "web:1", "web:2", "bad:1", "none:1"}).Draw(t, "image")
			extra := rapid.SampledFrom([]string{"", "", "", "", "", " lost=keep", " lost=move", " lost=fence", " report=audit", "", " wave=1", " wave=2", " hostport=80", " minready=9", " rollback=off"}).Draw(t, "extra")
			label := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "label")
			ns := rapid.SampledFrom([]string{"", "", " ns=other"}).Draw(t, "ns")
			k := rapid.SampledFrom([]string{"pod a", "pod b", "pod z", "pod c", "rc a", "rc b", "rc c", "svc a", "svc b", "svc c"}).Draw(t, "key")
			was := ""
			if one(8, "moved") {
				was = " was=" + rapid.SampledFrom([]string{"Pod/a", "Pod/b", "ReplicationController/a", "ReplicationController/b"}).Draw(t, "was")
			}
			switch at := k + ns; {
			case one(4, "delete"):
				delete(lines, at)
			case k[:3] == "pod":
				lines[at] = k + ns + " image=" + image + " mem=100 label=name:" + label + extra + was
			case k[:2] == "rc":
				lines[at] = k + ns + " image=" + image + fmt.Sprintf(" replicas=%d", rapid.IntRange(0, 4).Draw(t, "replicas")) + " mem=100 label=name:" + label + extra + was +
					rapid.SampledFrom([]string{"", "", " selector=name:a", " selector=name:b"}).Draw(t, "selector")
			default:
				if extra != " report=audit" {
					extra = ""
				}
				lines[at] = k + ns + " select=name:" + label + extra + rapid.SampledFrom([]string{"", "", "", " portal=None", " portal=10.0.0.77", " portal=10.0.0.78", " public=10.245.2.2"}).Draw(t, "portal")
			}
		}
		for range rapid.IntRange(15, 60).Draw(t, "ticks") {
			if f.set == nil || one(5, "commit") {
				for range rapid.IntRange(1, 4).Draw(t, "changes") {
					change()
				}
				if one(6, "node") {
					tainted = rapid.SampledFrom([]string{"", "gone", "full"}).Draw(t, "taint")
				}
				var all []string
				for _, k := range slices.Sorted(maps.Keys(lines)) {
					all = append(all, lines[k])
				}
				set := mustDeclare(t, all...)
				if tainted != "" {
					n := &schema.Node{Meta: schema.Meta{Name: "m1"}}
					n.Spec.Taints = []schema.Taint{{Key: tainted, Effect: effects[tainted]}}
					set.Nodes = append(set.Nodes, n)
				}
				was := f.set
				if one(5, "shared with accepted") {
					was = f.state.Accepted
				}
				commits++
				f.set = shared(set, was)
				f.revision = reconcile.Revision{Hash: fmt.Sprintf("c%d", commits)}
				if !one(4, "fused") {
					f.revision.Trailers = []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}
				}
			}
			if one(30, "manual") {
				f.settings.Manual = !f.settings.Manual
			}
			if one(40, "minready") {
				f.settings.MinReady = time.Duration(rapid.IntRange(0, 9).Draw(t, "s")) * time.Second
			}
			if one(40, "restart") {
				f.restart()
			}
			if one(25, "suspend") {
				f.state.Suspensions = map[string]reconcile.Suspension{rapid.SampledFrom([]string{"Pod/a", "ReplicationController/a", "ReplicationController/b"}).Draw(t, "who"): {Reason: "x", Until: f.now.Add(10 * time.Second)}}
			}
			for _, name := range f.names() {
				a := f.agents[name]
				switch rapid.IntRange(0, 39).Draw(t, "fault of "+name) {
				case 0:
					f.cutOff(a)
				case 1:
					f.reboot(a)
				case 2, 3, 4:
					a.cut = false
				case 5:
					a.address = a.address.Next()
				}
				what := rapid.SampledFrom([]int{15, 15, 15, 15, 15, 7, 8, 0, 3, 12}).Draw(t, "what "+name+" does")
				for bit, do := range []func(*agent){f.takeTable, f.takeWork, f.act, f.deliver} {
					if what&(1<<bit) != 0 {
						do(a)
					}
				}
			}
			f.now = f.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 5, 25, 70}).Draw(t, "seconds")) * time.Second)
			for _, a := range f.agents {
				f.fence(a)
			}
			if one(6, "dry run") {
				if in, err := reconcile.Drain(f.input(), "m1"); err == nil {
					sameText(t, "plan of a dry run", mustJSON(reconcile.Compute(in)), mustJSON(reconcile.Compute(decoded[reconcile.Input](t, in))))
				}
			}
			bothWays(t, f)
		}
	})
}

// shared gives a set the objects of another that are the same.
func shared(now, was *schema.Set) *schema.Set {
	if was == nil {
		return now
	}
	old := map[schema.Key]schema.Object{}
	for o := range was.Objects() {
		old[o.Key()] = o
	}
	out := *now
	out.Pods, out.ReplicationControllers, out.Services = slices.Clone(now.Pods), slices.Clone(now.ReplicationControllers), slices.Clone(now.Services)
	same := func(o schema.Object) (schema.Object, bool) {
		x, ok := old[o.Key()]
		return x, ok && mustJSON(x) == mustJSON(o)
	}
	for i, p := range out.Pods {
		if x, ok := same(p); ok {
			out.Pods[i] = x.(*schema.Pod)
		}
	}
	for i, p := range out.ReplicationControllers {
		if x, ok := same(p); ok {
			out.ReplicationControllers[i] = x.(*schema.ReplicationController)
		}
	}
	for i, p := range out.Services {
		if x, ok := same(p); ok {
			out.Services[i] = x.(*schema.Service)
		}
	}
	return &out
}
