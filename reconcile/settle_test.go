package reconcile_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// TestSettles declares random pods with priorities, anti-affinities and tolerations on minions with taints, which do not all
// fit, twice, and expects each time that the fleet comes to rest: nothing displaces, moves or creates for ever, and what
// is left to do is blocked. At rest, no pod waits for room that one of lower priority has.
//
// Mutants: byPriority begins with the lowest; victims are taken though what already ends is enough; those of equal
// priority are taken; a pod goes where it tolerates a taint only for a time.
func TestSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, fleet: newFleet(), unknown: map[string]bool{}, loose: map[string]bool{}, before: map[string]assignment.Generation{}}
		for i := range rapid.IntRange(1, 3).Draw(t, "minions") {
			w.join(fmt.Sprintf("m%d", i+1), assignment.Capacity{MilliCPU: 4000, Memory: 1000 << 20, Pods: 20}, nil)
		}
		w.round()
		for range 2 {
			w.commit(crowd(t))
			w.rest()
		}
	})
}

// crowd is pods that want more than there may be.
func crowd(t *rapid.T) *schema.Set {
	var lines []string
	for i := range rapid.IntRange(1, 3).Draw(t, "pods") {
		lines = append(lines, fmt.Sprintf("pod p%d label=name:p%d mem=%d", i, i, rapid.IntRange(1, 9).Draw(t, "mem")*100))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "controllers") {
		lines = append(lines, fmt.Sprintf("rc r%d replicas=%d mem=%d hostport=%d", i, rapid.IntRange(1, 4).Draw(t, "replicas"), rapid.IntRange(1, 5).Draw(t, "mem")*100,
			rapid.SampledFrom([]int{0, 0, 80}).Draw(t, "hostport")))
	}
	set, err := declare(append(lines, "svc r0 select=name:r0"))
	if err != nil {
		t.Fatal(err)
	}
	randomRules(t, set)
	randomOrder(t, set)
	seconds := int64(rapid.IntRange(0, 20).Draw(t, "seconds"))
	for _, p := range set.Pods {
		if len(p.Spec.Tolerations) > 0 {
			p.Spec.Tolerations = []schema.Toleration{{Operator: schema.OpExists, Effect: schema.NoExecute, TolerationSeconds: &seconds}}
		}
	}
	return set
}

// rest lets the fleet act until it has not changed for 30 s, and checks that it is at rest.
func (w *world) rest() {
	still, before := 0, ""
	for range 600 {
		w.round()
		w.now = w.now.Add(time.Second)
		w.checkedStep()
		now := brief(w.state)
		if still++; now != before {
			still = 0
		}
		if before = now; still == 30 {
			break
		}
	}
	if still < 30 {
		w.t.Fatalf("no rest: %s, %+v", before, w.plan.Changes)
	}
	for _, c := range w.plan.Changes {
		// A replica that cannot be replaced holds up the others.
		if !c.Blocked && c.Verb != reconcile.Replace && c.Verb != reconcile.Move {
			w.t.Fatalf("at rest and not blocked: %+v", c)
		}
		if c.Verb == reconcile.Create && c.Instance == "" && c.WaitingCode != reconcile.CodeDependency {
			w.checkNoRoom(c)
		}
	}
}

// checkNoRoom fails if a pod that asks for nothing but room waits though those of lower priority on one minion hold enough.
func (w *world) checkNoRoom(c reconcile.Change) {
	i := slices.IndexFunc(w.set.Pods, func(p *schema.Pod) bool { return p.Key() == c.Object })
	if i < 0 {
		return
	}
	s := &w.set.Pods[i].Spec
	if m := w.set.Pods[i].Meta; m.Wave() != 0 || m.Annotations[schema.AnnotationDependsOn] != "" { // what comes before it does not give way to it
		return
	}
	for _, n := range w.set.Nodes {
		if len(n.Spec.Taints) > 0 {
			return
		}
	}
	waited := waitedFor(w.set)
	for b := range w.state.Bindings.All() {
		if b.Spec.Affinity != nil || s.Affinity != nil {
			return
		}
	}
	for _, name := range w.names() {
		left := w.agents[name].capacity.Memory
		for b := range w.state.Bindings.All() {
			if b.Minion == name && (b.Spec.Priority >= s.Priority || waited[declaredBy(*b)]) {
				left -= b.Spec.Reserved().Memory
			}
		}
		if left >= s.Reserved().Memory {
			w.t.Fatalf("%+v waits for room that lower ones have on %s: %s", c, name, brief(w.state))
		}
	}
}

// waitedFor are those whose priority may be that of another, which waits for them.
func waitedFor(set *schema.Set) map[schema.Key]bool {
	out := map[schema.Key]bool{}
	last := map[string]int{} // wave of each namespace
	for o := range set.Objects() {
		m := o.Metadata()
		last[m.Namespace] = max(last[m.Namespace], m.Wave())
		keys, _ := m.DependsOn()
		for _, k := range keys {
			out[k] = true
		}
	}
	for o := range set.Objects() {
		m := o.Metadata()
		if m.Wave() < last[m.Namespace] {
			out[o.Key()] = true
		}
		if s, ok := o.(*schema.Service); ok && out[o.Key()] {
			for _, p := range set.Pods {
				out[p.Key()] = out[p.Key()] || schema.Selects(s.Spec.Selector, p.Labels)
			}
			for _, r := range set.ReplicationControllers {
				out[r.Key()] = out[r.Key()] || schema.Selects(s.Spec.Selector, r.Spec.Template.Labels)
			}
		}
	}
	return out
}

// declaredBy is the object that an instance is of.
func declaredBy(b reconcile.Binding) schema.Key {
	if b.Controller != "" {
		return schema.Key{Kind: schema.KindReplicationController, Namespace: b.Namespace, Name: b.Controller}
	}
	return schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod}
}
