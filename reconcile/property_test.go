package reconcile_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// TestProperties lets a model fleet live through random commits, delays, cut and rebooted minions and restarted servers, and
// checks after every step what must always hold. Each check names the mutants that it was seen to catch.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, fleet: newFleet(), unknown: map[string]bool{}, loose: map[string]bool{}, before: map[string]assignment.Generation{}}
		w.missing["none:1"], w.crashing["bad:1"] = true, true
		for i := range rapid.IntRange(1, 4).Draw(t, "minions") {
			c := assignment.Capacity{MilliCPU: 4000, Memory: int64(rapid.IntRange(5, 12).Draw(t, "memory")) * 100 << 20, Pods: 20,
				PIDs: rapid.SampledFrom([]int64{0, 300}).Draw(t, "pids"), Storage: rapid.SampledFrom([]int64{0, 300 << 20}).Draw(t, "disk")}
			a := w.join(fmt.Sprintf("m%d", i+1), c, nil)
			a.features = []schema.Feature{schema.FeaturePIDLimit, schema.FeatureStorageLimit}
			if rapid.IntRange(0, 3).Draw(t, "fences") > 0 {
				a.features = append(a.features, schema.FeatureFence)
			}
			w.act(a)
		}
		for range rapid.IntRange(20, 80).Draw(t, "ticks") {
			w.tick()
		}
		w.calm()
	})
}

// world is a fleet with faults.
type world struct {
	*fleet
	t       *rapid.T
	commits int
	ghosts  int
	unknown map[string]bool                  // ghosts that no server has heard of
	loose   map[string]bool                  // instances that were made when two of their pod might run
	before  map[string]assignment.Generation // the last table before an instance was made
}

// tick lets random things happen, then makes one step.
func (w *world) tick() {
	t := w.t
	if w.set == nil || rapid.IntRange(0, 9).Draw(t, "commit") == 0 {
		w.commit(randomSet(t))
	}
	if rapid.IntRange(0, 29).Draw(t, "restart") == 0 {
		w.restart()
	}
	for _, name := range w.names() {
		a := w.agents[name]
		switch rapid.IntRange(0, 39).Draw(t, "fault of "+name) {
		case 0:
			w.cutOff(a)
		case 1: // reboot: what ran is gone, what is on disk stays
			w.reboot(a)
		case 2, 3, 4:
			a.cut = false
		case 5: // two instances of ours that nobody knows
			for range 2 {
				w.ghosts++
				id := fmt.Sprintf("ghost-%d", w.ghosts)
				a.has[id] = &running{up: w.now, Instance: assignment.Instance{ID: id, UID: id, Namespace: "default", Pod: id,
					Address: netip.AddrFrom4([4]byte{10, 99, byte(w.ghosts >> 8), byte(w.ghosts)})}}
				w.unknown[id] = true
			}
		}
		what := rapid.IntRange(0, 15).Draw(t, "what "+name+" does")
		for bit, do := range []func(*agent){w.takeTable, w.takeWork, w.act, w.deliver} {
			if what&(1<<bit) != 0 {
				do(a)
			}
		}
	}
	w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 1, 1, 2, 5, 25, 70}).Draw(t, "seconds")) * time.Second)
	for _, a := range w.agents { // no agent sleeps when its lease ends
		w.fence(a)
	}
	w.checkedStep()
}

func (w *world) commit(set *schema.Set) {
	w.commits++
	w.set = set
	w.revision = reconcile.Revision{Hash: fmt.Sprintf("c%d", w.commits), Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
}

// calm ends all faults, declares something that fits, and expects everything to be done soon.
func (w *world) calm() {
	for _, a := range w.agents {
		a.cut = false
	}
	set, err := declare([]string{"svc web select=name:web", "rc web replicas=2 image=web:7", "pod p0 image=web:7", "pod p1 image=web:7"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(set)
	w.settings.Progress = time.Hour // so that nothing of the past is given up now
	for range 300 {
		w.round()
		w.now = w.now.Add(time.Second)
		w.checkedStep()
		if len(w.plan.Changes) == 0 && w.state.Bindings.Len() == 4 {
			break
		}
	}
	if len(w.plan.Changes) > 0 || w.state.Bindings.Len() != 4 {
		w.t.Fatalf("not done when nothing fails any more: %+v, bindings %v", w.plan.Changes, w.state.Bindings.IDs())
	}
	before := mustJSON(w.state)
	w.round()
	w.checkedStep()
	if after := mustJSON(w.state); after != before {
		w.t.Fatalf("a fleet at rest changed its state from\n%s\nto\n%s", before, after)
	}
}

// randomSet declares up to four bare pods and two controllers with services.
func randomSet(t *rapid.T) *schema.Set {
	var lines []string
	image := func() string {
		return rapid.SampledFrom([]string{"web:1", "web:1", "web:2", "web:3", "bad:1", "none:1"}).Draw(t, "image")
	}
	lost := func() string {
		return rapid.SampledFrom([]string{"", "", " lost=keep", " lost=move", " lost=fence", " lost=fence"}).Draw(t, "lost")
	}
	held := func() string {
		return rapid.SampledFrom([]string{"", "", "", "", "", "", " report=audit"}).Draw(t, "held")
	}
	limit := func() string {
		return rapid.SampledFrom([]string{"", "", "", "", " pids=100", " disk=100"}).Draw(t, "limit")
	}
	past := func(names ...string) string {
		if rapid.IntRange(0, 2).Draw(t, "moved") > 0 {
			return ""
		}
		return " was=" + rapid.SampledFrom(names).Draw(t, "was")
	}
	for i := range 4 {
		switch rapid.IntRange(0, 5).Draw(t, "pod") {
		case 0:
		case 1:
			lines = append(lines, fmt.Sprintf("pod p%d image=%s hostport=80 label=name:p%d", i, image(), i)+lost())
		case 2: // one that may count as a replica
			lines = append(lines, fmt.Sprintf("pod p%d image=%s mem=100 label=name:r%d", i, image(), i%2)+lost())
		default:
			lines = append(lines, fmt.Sprintf("pod p%d image=%s mem=100 label=name:p%d", i, image(), i)+lost()+held()+limit()+past("Pod/p0", "Pod/p1", "Pod/p2", "ReplicationController/r0"))
		}
	}
	for i := range 2 {
		if n := rapid.IntRange(-1, 4).Draw(t, "replicas"); n >= 0 {
			lines = append(lines, fmt.Sprintf("rc r%d replicas=%d image=%s mem=%d %s %s", i, n, image(), rapid.SampledFrom([]int{0, 100, 200}).Draw(t, "mem"),
				rapid.SampledFrom([]string{"", "", "surge=0", "surge=2", "surge=50%"}).Draw(t, "surge"),
				rapid.SampledFrom([]string{"", "", "unavailable=0", "unavailable=1", "unavailable=50%"}).Draw(t, "unavailable"))+
				rapid.SampledFrom([]string{"", "", " rollback=off"}).Draw(t, "rollback")+lost()+held()+limit()+past("Pod/p0", "ReplicationController/r0", "ReplicationController/r1"))
		}
	}
	for _, s := range []string{"p0", "r0", "r1"} {
		if rapid.IntRange(0, 4).Draw(t, "service") > 0 {
			lines = append(lines, "svc "+s+" select=name:"+s+held())
		}
	}
	set, err := declare(lines)
	if err != nil {
		t.Fatal(err)
	}
	randomRules(t, set)
	randomOrder(t, set)
	return set
}

// randomRules gives some of the pods priorities and anti-affinities, and minions taints.
func randomRules(t *rapid.T, set *schema.Set) {
	rules := func(name string, s *schema.PodSpec) {
		s.Priority = int32(rapid.SampledFrom([]int{0, 0, 0, 10, -5}).Draw(t, "priority"))
		if rapid.IntRange(0, 3).Draw(t, "apart") == 0 {
			of := rapid.SampledFrom([]string{name, "p0", "r0"}).Draw(t, "of")
			s.Affinity = &schema.Affinity{PodAnti: &schema.PodAffinity{Required: []schema.PodTerm{{
				Selector: &schema.LabelSelector{Labels: map[string]string{"name": of}}, TopologyKey: "kubernetes.io/hostname"}}}}
		}
		if rapid.IntRange(0, 3).Draw(t, "tolerates") == 0 {
			s.Tolerations = []schema.Toleration{{Operator: schema.OpExists}}
		}
	}
	for _, p := range set.Pods {
		rules(p.Name, &p.Spec)
	}
	for _, r := range set.ReplicationControllers {
		rules(r.Name, &r.Spec.Template.Spec)
	}
	for i := range 2 {
		n := schema.Node{Meta: schema.Meta{Name: fmt.Sprintf("m%d", i+1)}}
		switch rapid.IntRange(0, 5).Draw(t, "node") {
		case 0:
			n.Spec.Taints = []schema.Taint{{Key: "gone", Effect: schema.NoExecute}}
		case 1:
			n.Spec.Taints = []schema.Taint{{Key: "full", Effect: schema.NoSchedule}}
		default:
			continue
		}
		set.Nodes = append(set.Nodes, &n)
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// checkedStep makes one step and checks everything.
func (w *world) checkedStep() {
	in := w.input()
	before := mustJSON(in)
	var again reconcile.Input
	if err := json.Unmarshal([]byte(before), &again); err != nil {
		w.t.Fatal(err)
	}
	for name, m := range again.Minions {
		if m.Report != nil {
			slices.Reverse(m.Report.Instances)
			again.Minions[name] = m
		}
	}
	p := w.step()
	// Mutant: relabel writes into the labels of the old binding's map; clone without maps.Clone.
	if mustJSON(in) != before {
		w.t.Fatal("Compute changed its input")
	}
	// Mutants: prune ranges over the map of bindings unsorted; strays are taken in the order of the report.
	if a, b := mustJSON(p), mustJSON(reconcile.Compute(again)); a != b {
		w.t.Fatalf("the same input gave another plan:\n%s\n%s", a, b)
	}
	if p.State.Bindings.Len() > 0 && p.Table.Fleet == "" {
		w.t.Fatal("nothing planned: ", p.Stalled)
	}
	reconcile.Summarize(in, p)
	for b := range p.State.Bindings.All() {
		if in.State.Bindings.Get(b.ID) == nil && b.Created.Equal(in.Now) {
			w.before[b.ID] = in.State.Table
		}
	}
	w.checkAddresses(p.State)
	w.checkCopies(in, p.State)
	w.checkRoom(p.State)
	w.checkRules(in, p)
	w.checkEnds(in, p)
	w.checkRollouts(in, p)
	w.checkQuarantines(in, p)
	w.checkOrder(in, p)
	w.checkGone(in, p)
}

// Mutant: podAddress does not note what it gave; release without rest is not caught here but by the golden scenario.
func (w *world) checkAddresses(s reconcile.State) {
	seen := map[netip.Addr]string{}
	for id, b := range s.Bindings.ByID() {
		if other := seen[b.Address]; other != "" {
			w.t.Fatalf("%s and %s have address %s", id, other, b.Address)
		}
		seen[b.Address] = id
	}
	for k, r := range s.Objects {
		if other := seen[r.Portal]; r.Portal.IsValid() && other != "" {
			w.t.Fatalf("%s and %s have address %s", k, other, r.Portal)
		} else if r.Portal.IsValid() {
			seen[r.Portal] = k
		}
	}
}

// Mutants: follow lets a Prepare run though an old instance is leaving; a bare pod is moved off a lost minion; a fenced one is
// before the lease is over, or though its agent never said that it obeys; the lease is shortened while the agent has the longer;
// a controller becomes a pod that is leaving still.
func (w *world) checkCopies(in reconcile.Input, s reconcile.State) {
	runs := map[string]int{}
	for b := range s.Bindings.All() {
		if b.Controller == "" && b.Phase == assignment.Run {
			runs[b.Pod]++
		}
		if was := in.State.Bindings.Get(b.ID); was == nil || was.Phase == assignment.Prepare && b.Phase == assignment.Run {
			w.loose[b.ID] = onLoss(s, b) == "move" // what is declared when it is let run counts
		}
	}
	really := map[string][]*reconcile.Binding{} // by pod: what truly runs, whatever was decided
	for _, a := range w.agents {
		for id, r := range a.has {
			if b := s.Bindings.Get(id); b != nil && !r.prepared && !r.halted && b.Controller == "" {
				really[b.Pod] = append(really[b.Pod], b)
			}
		}
	}
	for pod, all := range really {
		if len(all) > 1 && !slices.ContainsFunc(all, func(b *reconcile.Binding) bool { return w.loose[b.ID] }) {
			w.t.Fatalf("two instances of pod %s run at once: %s", pod, brief(s))
		}
	}
	for pod, n := range runs {
		if n > 1 {
			w.t.Fatalf("%d instances of pod %s are to run", n, pod)
		}
	}
	w.checkKept(in, s)
}

// declaredAs is the object that an instance is of, nil if that is not declared.
func declaredAs(s reconcile.State, b reconcile.Binding) schema.Object {
	for _, p := range s.Accepted.Pods {
		if b.Controller == "" && p.Name == b.Pod {
			return p
		}
	}
	for _, r := range s.Accepted.ReplicationControllers {
		if b.Controller != "" && r.Name == b.Controller {
			return r
		}
	}
	return nil
}

// onLoss is what is declared to become of an instance when its minion is lost.
func onLoss(s reconcile.State, b *reconcile.Binding) string {
	if o := declaredAs(s, *b); o != nil && o.Metadata().Annotations[schema.AnnotationWhenLost] != "" {
		return o.Metadata().Annotations[schema.AnnotationWhenLost]
	}
	if b.Controller == "" {
		return "keep"
	}
	return "move"
}

// checkKept looks at every new instance: no other of its pod may be left on a lost minion that keeps it, or may run it still.
// Mutants: barred only looks at bare pods; decidePod does not wait for what is barred.
func (w *world) checkKept(in reconcile.Input, s reconcile.State) {
	for b := range s.Bindings.All() {
		if in.State.Bindings.Get(b.ID) != nil || b.Phase != assignment.Run || !b.Created.Equal(in.Now) || strings.HasPrefix(b.ID, "ghost") {
			continue
		}
		roll := false // it takes the place of one elsewhere, which was there when two were allowed
		for was := range in.State.Bindings.All() {
			o := s.Bindings.Get(was.ID) // by the name that it may just have got
			roll = roll || o != nil && o.Pod == b.Pod && o.Controller == b.Controller && s.Minions[o.Minion].Lost.IsZero() && was.Phase == assignment.Run
		}
		if roll {
			continue
		}
		for o := range s.Bindings.All() {
			ran := o.Phase != assignment.Prepare && (o.Phase != assignment.Stop || !o.Withdrawn.IsZero())
			if o.ID == b.ID || o.Pod != b.Pod || o.Controller != b.Controller || s.Minions[o.Minion].Lost.IsZero() || !ran {
				continue
			}
			r := w.agents[o.Minion].has[o.ID]
			switch policy := onLoss(s, b); {
			case policy == "keep" && b.Created.After(o.Created):
				w.t.Fatalf("%s is made though lost minion %s keeps %s: %s", b.ID, o.Minion, o.ID, brief(s))
			case policy == "fence" && r != nil && !r.prepared && !r.halted:
				w.t.Fatalf("%s is made though lost minion %s runs %s still: %s", b.ID, o.Minion, o.ID, brief(s))
			}
		}
	}
}

// Mutants: bind does not take from the fleet; excludes does not look at host ports; Take does not count memory.
func (w *world) checkRoom(s reconcile.State) {
	taken, ports := map[string]schema.Resources{}, map[string]string{}
	for id, b := range s.Bindings.ByID() {
		// In Prepare it runs only when what it replaces is gone; stopped without Withdrawn it never left Prepare.
		if b.Phase == assignment.Prepare || b.Phase == assignment.Stop && b.Withdrawn.IsZero() {
			continue
		}
		r, more := taken[b.Minion], b.Spec.Reserved()
		taken[b.Minion] = schema.Resources{Memory: r.Memory + more.Memory, PIDs: r.PIDs + more.PIDs, Storage: r.Storage + more.Storage}
		for _, c := range b.Spec.Containers {
			for _, p := range c.Ports {
				k := fmt.Sprint(b.Minion, p.HostPort)
				if p.HostPort != 0 && ports[k] != "" {
					w.t.Fatalf("%s and %s have host port %s", id, ports[k], k)
				}
				ports[k] = id
			}
		}
	}
	for name, r := range taken {
		if c := w.agents[name].capacity; r.Memory > c.Memory || c.PIDs > 0 && r.PIDs > c.PIDs || c.Storage > 0 && r.Storage > c.Storage {
			w.t.Fatalf("of minion %s more is taken than it has: %+v of %+v", name, r, c)
		}
	}
}

// checkRules looks at every new binding: the taints of its minion, and who is there whom it or who must not be near the other.
// Mutants: the fleet does not track pods; held has no labels, or no hash; Choose does not look at NoExecute; a replacement
// prefers the old minion without looking at it.
func (w *world) checkRules(in reconcile.Input, p reconcile.Plan) {
	taints := map[string][]schema.Taint{}
	for _, n := range p.State.Accepted.Nodes {
		taints[n.Name] = n.Spec.Taints
	}
	about := func(a, b reconcile.Binding) bool {
		if was := in.State.Bindings.Get(b.ID); a.Spec.Affinity == nil || was != nil && was.Labels["name"] != b.Labels["name"] {
			return false // labels that change later move nothing
		}
		return a.Spec.Affinity.PodAnti.Required[0].Selector.Labels["name"] == b.Labels["name"]
	}
	for id, b := range p.State.Bindings.ByID() {
		// What was found was not placed, whether it is wanted or not.
		if in.State.Bindings.Get(id) != nil || b.Phase != assignment.Run && b.Phase != assignment.Prepare || !b.Created.Equal(in.Now) {
			continue
		}
		for _, t := range taints[b.Minion] {
			if len(b.Spec.Tolerations) == 0 {
				w.t.Fatalf("%s is put on minion %s in spite of the taint %s", id, b.Minion, t)
			}
		}
		for other, o := range p.State.Bindings.ByID() {
			// In Prepare it takes the place of its own old instance and does not run beside it.
			instead := b.Phase == assignment.Prepare && o.Pod == b.Pod && o.Controller == b.Controller
			if other != id && o.Minion == b.Minion && !instead && (about(b, o) || about(o, b)) {
				w.t.Fatalf("%s is put beside %s on minion %s, which one of them must not be near: %s", id, other, b.Minion, brief(p.State))
			}
		}
	}
}

// displaced tells whether an instance gives way to one of higher priority, and fails if it is not higher.
// Mutant: victims takes those of equal priority.
func (w *world) displaced(b reconcile.Binding) bool {
	var by string
	var priority int32
	if n, _ := fmt.Sscanf(b.Reason, "displaced by %s of priority %d", &by, &priority); n != 2 {
		return false
	}
	if priority <= b.Spec.Priority {
		w.t.Fatalf("%s of priority %d is %s", b.ID, b.Spec.Priority, b.Reason)
	}
	return true
}

// ready tells by itself what the plan must take for ready.
func ready(in reconcile.Input, b reconcile.Binding) bool {
	m := in.Minions[b.Minion]
	if b.Phase != assignment.Run || m.Report == nil {
		return b.Phase == assignment.Run && b.Serving
	}
	for _, i := range m.Report.Instances {
		if i.ID == b.ID {
			return i.State == assignment.Running && !i.Up.IsZero() && i.UpFor+in.Now.Sub(m.Reported) >= in.Settings.MinReady
		}
	}
	return false
}

// checkEnds looks at every instance that begins or goes on to end in this step.
func (w *world) checkEnds(in reconcile.Input, p reconcile.Plan) {
	wanted := map[string]string{} // hash by slot
	for _, x := range p.State.Accepted.Pods {
		wanted["/"+x.Name] = effective(p.State, x.Key(), x.Spec.Hash())
	}
	for _, r := range p.State.Accepted.ReplicationControllers {
		for _, pod := range replicas(p.State, r.Name) {
			wanted[r.Name+"/"+pod] = effective(p.State, r.Key(), r.Spec.Template.Spec.Hash())
		}
	}
	crowded := map[string]bool{} // controllers with more instances, or more replicas with two, than they may have from now on
	for _, r := range p.State.Accepted.ReplicationControllers {
		surge, _, _ := bounds(r)
		runs, doubled, of := 0, 0, map[string]int{}
		for b := range in.State.Bindings.All() {
			if b.Controller == r.Name && b.Phase == assignment.Run {
				runs++
				if of[b.Pod]++; of[b.Pod] == 2 {
					doubled++
				}
			}
		}
		crowded[r.Name] = runs > own(p.State, r)+surge || doubled > surge // the latter where another replica is missing
	}
	slots := map[string][]reconcile.Binding{}
	for b := range p.State.Bindings.All() {
		slots[b.Controller+"/"+b.Pod] = append(slots[b.Controller+"/"+b.Pod], *b)
	}
	for id, b := range p.State.Bindings.ByID() {
		old := bindingOf(in.State, id)
		slot := b.Controller + "/" + b.Pod
		lost := !p.State.Minions[b.Minion].Lost.IsZero()
		ends := old.Phase == assignment.Run && (b.Phase == assignment.Drain || b.Phase == assignment.Stop)
		sibling := func(is func(reconcile.Binding) bool) bool {
			return slices.ContainsFunc(slots[slot], func(o reconcile.Binding) bool { return o.ID != id && is(o) })
		}
		if ends && w.displaced(b) {
			continue
		}
		// Mutant: active does not look at what is report-only.
		if o := declaredAs(p.State, b); ends && o != nil && o.Metadata().Annotations[schema.AnnotationReportOnly] != "" {
			w.t.Fatalf("%s ends though it is report-only: %s", id, b.Reason)
		}
		// Mutant: decidePod compares revisions, not hashes.
		if ends && !crowded[b.Controller] && wanted[slot] == b.Hash && !lost && !sibling(func(o reconcile.Binding) bool {
			return o.Hash == b.Hash && (o.Phase == assignment.Run || o.Phase == assignment.Prepare)
		}) {
			w.t.Fatalf("%s ends though it is as declared: %s", id, b.Reason)
		}
		// Mutant: follow drains the old instance without waiting for the new one to be ready.
		if ends && b.Controller != "" && wanted[slot] != "" && !lost && ready(in, old) && !sibling(func(o reconcile.Binding) bool {
			return o.Phase == assignment.Run && ready(in, o) || o.Phase == assignment.Prepare
		}) {
			w.t.Fatalf("%s was ready and drains, and no other instance of it is ready: %s", id, b.Reason)
		}
		if b.Phase == assignment.Stop && old.Phase != assignment.Stop && old.Phase != assignment.Prepare {
			w.checkWithdrawn(in, p, old, b)
		}
	}
}

// Mutants: withdraw does not ask the leased minions; it asks for the table before the last; Withdrawn is the table before.
func (w *world) checkWithdrawn(in reconcile.Input, p reconcile.Plan, old, b reconcile.Binding) {
	if !in.Now.Before(old.Since.Add(in.Settings.DrainTimeout)) && old.Phase == assignment.Drain {
		return
	}
	for name, m := range in.Minions {
		if !m.Connected && in.Now.Sub(m.LastSeen) >= in.Settings.LostAfter || !p.State.Minions[name].Lost.IsZero() {
			continue
		}
		if last, ok := w.before[b.ID]; ok && w.agents[name].routes.Generation.Compare(last) <= 0 {
			continue // it was away for so long that it routes to who had the address before
		}
		for _, s := range w.agents[name].routes.Services {
			for _, e := range s.Endpoints {
				if e.Addr() == b.Address {
					w.t.Fatalf("%s stops while minion %s still routes to it", b.ID, name)
				}
			}
		}
	}
}

// Mutants: withdraw stops what its minion never listed; release looks at no report; release does not look whether the
// instance is reported.
func (w *world) checkGone(in reconcile.Input, p reconcile.Plan) {
	for name, a := range w.agents {
		for id, r := range a.has {
			ok := p.State.Bindings.Get(id) != nil
			if ok {
				delete(w.unknown, id)
			}
			if !ok && !r.prepared && !w.unknown[id] {
				w.t.Fatalf("%s runs on %s and no binding knows it", id, name)
			}
		}
	}
}

// brief is every binding with its phase.
func brief(s reconcile.State) string {
	var out []string
	for _, id := range s.Bindings.IDs() {
		b := s.Bindings.Get(id)
		out = append(out, fmt.Sprintf("%s@%s:%s:%.4s:%t", id, b.Minion, b.Phase, b.Hash, b.Serving))
	}
	return strings.Join(out, " ")
}

// bindingOf is the binding of an instance, the zero value if it has none.
func bindingOf(s reconcile.State, id string) reconcile.Binding {
	if b := s.Bindings.Get(id); b != nil {
		return *b
	}
	return reconcile.Binding{Spec: &schema.PodSpec{}}
}
