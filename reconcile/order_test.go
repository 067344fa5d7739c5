package reconcile_test

import (
	"slices"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// randomOrder gives some pods and controllers waves, dependencies and groups. Each depends only on what its name comes after, and has no lower
// wave, so that nobody waits for itself.
func randomOrder(t *rapid.T, set *schema.Set) {
	var metas []*schema.Meta
	keys := map[*schema.Meta]schema.Key{}
	for _, p := range set.Pods {
		metas, keys[&p.Meta] = append(metas, &p.Meta), p.Key()
	}
	for _, r := range set.ReplicationControllers {
		metas, keys[&r.Meta] = append(metas, &r.Meta), r.Key()
	}
	if rapid.IntRange(0, 2).Draw(t, "ordered") == 0 {
		return
	}
	wave := 0
	for i, m := range metas {
		m.Annotations = clone(m.Annotations)
		if g := rapid.SampledFrom([]string{"", "", "g", "g", "h"}).Draw(t, "group"); g != "" {
			m.Annotations[schema.AnnotationGroup] = g
		}
		if rapid.IntRange(0, 3).Draw(t, "wave") == 0 {
			wave++
		}
		if wave > 0 {
			m.Annotations[schema.AnnotationWave] = string(rune('0' + wave))
		}
		if i > 0 && rapid.IntRange(0, 3).Draw(t, "depends") == 0 {
			m.Annotations[schema.AnnotationDependsOn] = keys[metas[rapid.IntRange(0, i-1).Draw(t, "on")]].String()
		}
	}
}

func clone(m map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// checkOrder looks at every instance that begins for a declared change: a new one that is to run, and an old one that begins to
// give way to a new one. Whatever its object waits for has to be as declared and ready.
//
// Mutants: hold lets everything pass; waves, or names, are not looked at; well does not compare the hash, or counts what is not
// ready; a new replica passes for one that comes back; a new instance that only waits in Prepare passes for one that has begun.
func (w *world) checkOrder(in reconcile.Input, p reconcile.Plan) {
	set := p.State.Accepted
	replicas, hashes := map[schema.Key]int{}, map[schema.Key]string{}
	metas := map[schema.Key]*schema.Meta{}
	for _, x := range set.Pods {
		metas[x.Key()], replicas[x.Key()], hashes[x.Key()] = &x.Meta, 1, x.Spec.Hash()
	}
	for _, r := range set.ReplicationControllers {
		metas[r.Key()], replicas[r.Key()], hashes[r.Key()] = &r.Meta, own(p.State, r), r.Spec.Template.Spec.Hash()
	}
	before := named(in, p)
	well := func(k schema.Key) bool {
		if p.State.Objects[k.String()].Quarantine != nil {
			return false
		}
		pods := map[string]bool{}
		for _, b := range before {
			if declaredBy(b) == k && b.Hash == hashes[k] && p.State.Minions[b.Minion].Lost.IsZero() && in.Minions[b.Minion].Report != nil && ready(in, b) {
				pods[b.Pod] = true
			}
		}
		return len(pods) >= replicas[k]
	}
	waits := func(k schema.Key) schema.Key {
		needs, _ := metas[k].DependsOn()
		for d, m := range metas {
			if (slices.Contains(needs, d) || m.Namespace == k.Namespace && m.Wave() < metas[k].Wave()) && !well(d) {
				return d
			}
		}
		return schema.Key{}
	}
	for id, b := range p.State.Bindings.ByID() {
		old, k := in.State.Bindings.Get(id), declaredBy(b)
		if metas[k] == nil || p.State.Objects[k.String()].Quarantine != nil || b.Hash != hashes[k] {
			continue
		}
		if d := waits(k); b.Phase == assignment.Prepare && d != (schema.Key{}) {
			for o := range p.State.Bindings.All() {
				if was := bindingOf(in.State, o.ID); declaredBy(*o) == k && o.Pod == b.Pod && was.Hash != b.Hash && was.Phase == assignment.Run && o.Phase != assignment.Run && !w.displaced(*o) {
					w.t.Fatalf("%s gives way to %s, while %s is not as declared and ready: before: %s, now: %s", o.ID, id, d, brief(in.State), brief(p.State))
				}
			}
		}
		if b.Phase != assignment.Run || old != nil && old.Phase == assignment.Run {
			continue
		}
		var others, leave, runs int
		for _, o := range before {
			if o.ID == id || o.Pod != b.Pod || o.Controller != b.Controller {
				continue
			}
			switch {
			case o.Hash == b.Hash && o.Phase == assignment.Run: // it moves
				runs++
			case o.Phase == assignment.Drain || o.Phase == assignment.Stop:
				leave++
			default:
				others++
			}
		}
		healthy := p.State.Objects[k.String()].Healthy
		back := healthy != nil && healthy.Hash == b.Hash && others == 0 && had(before, k) < healthy.Replicas
		switch {
		case runs > 0 || back:
		case old != nil && others == 0: // its old instance is on its way out, or gone
		default:
			if d := waits(k); d != (schema.Key{}) {
				w.t.Fatalf("%s begins to run, while %s is not as declared and ready: before: %s, now: %s", id, d, brief(in.State), brief(p.State))
			}
		}
	}
}

// named are the bindings before a step, by the names that they have after it: an object may have become another.
func named(in reconcile.Input, p reconcile.Plan) (out []reconcile.Binding) {
	for b := range in.State.Bindings.All() {
		x := *b
		if now := p.State.Bindings.Get(b.ID); now != nil {
			x.Pod, x.Controller = now.Pod, now.Controller
		}
		out = append(out, x)
	}
	return out
}

// had is how many pods of an object had an instance before a step.
func had(before []reconcile.Binding, k schema.Key) int {
	pods := map[string]bool{}
	for _, b := range before {
		own := k.Kind == schema.KindPod && b.Controller == "" && b.Pod == k.Name || b.Controller == k.Name && k.Kind == schema.KindReplicationController
		if own && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			pods[b.Pod] = true
		}
	}
	return len(pods)
}

// checkGroups looks at every group: who goes back with whom, and when the spec to go back to moves on.
//
// Mutants: nobody goes back with others; they go on going back when what failed has changed; the healthy spec moves on when its
// own object is well; all that were never well with the others go back to nothing.
func (w *world) checkGroups(in reconcile.Input, p reconcile.Plan, declared map[string]string, off map[string]bool) {
	groups, of := map[string][]string{}, map[string]string{}
	counts, still := map[string]int{}, map[string]bool{}
	note := func(k schema.Key, m schema.Meta, n int) {
		counts[k.String()] = n
		_, still[k.String()] = m.Annotations[schema.AnnotationReportOnly]
		if g := m.Annotations[schema.AnnotationGroup]; g != "" {
			of[k.String()] = g
			groups[g] = append(groups[g], k.String())
		}
	}
	for _, x := range p.State.Accepted.Pods {
		note(x.Key(), x.Meta, 1)
	}
	for _, r := range p.State.Accepted.ReplicationControllers {
		note(r.Key(), r.Meta, own(p.State, r))
	}
	well := func(k string) bool {
		pods := map[string]bool{}
		for _, b := range named(in, p) {
			own := "Pod/" + b.Pod
			if b.Controller != "" {
				own = "ReplicationController/" + b.Controller
			}
			if own == k && b.Hash == declared[k] && p.State.Minions[b.Minion].Lost.IsZero() && ready(in, b) {
				pods[b.Pod] = true
			}
		}
		return len(pods) >= counts[k]
	}
	for k, r := range p.State.Objects {
		if q := r.Quarantine; q != nil && q.With != "" {
			if x := p.State.Objects[q.With].Quarantine; x == nil || x.With != "" || of[k] == "" || of[k] != of[q.With] {
				w.t.Fatalf("%s goes back with %s, which did not fail or is in another group: %+v", k, q.With, x)
			}
		}
		was := earlier(in, p.State, k)
		if r.Healthy == nil || was.Healthy != nil && was.Healthy.Hash == r.Healthy.Hash || of[k] == "" {
			continue
		}
		for _, m := range groups[of[k]] {
			if !well(m) {
				w.t.Fatalf("%s takes another spec for healthy, and %s of its group is not well", k, m)
			}
		}
	}
	for _, members := range groups {
		failed := slices.ContainsFunc(members, func(k string) bool {
			q := p.State.Objects[k].Quarantine
			return q != nil && q.With == ""
		})
		for _, k := range members {
			r := p.State.Objects[k]
			if failed && r.Quarantine == nil && !off[k] && !still[k] && r.Healthy != nil && r.Healthy.Hash != declared[k] {
				w.t.Fatalf("%s does not go back with the others of its group", k)
			}
		}
	}
}
