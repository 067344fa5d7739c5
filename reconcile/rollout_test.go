package reconcile_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// bounds are how many instances more, and ready replicas fewer, a controller may have while it replaces them: computed anew, by
// fractions. loose says that a replica which fits nowhere may be stopped first.
func bounds(r *schema.ReplicationController) (surge, unavailable int, loose bool) {
	of := func(text string, up float64) int {
		n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
		if err != nil {
			panic(err)
		}
		if strings.HasSuffix(text, "%") {
			n = n/100*float64(r.Spec.Count()) + up
		}
		return int(n)
	}
	surge = 1
	if v, ok := r.Annotations[schema.AnnotationMaxSurge]; ok {
		surge = of(v, 0.999)
	}
	v, asked := r.Annotations[schema.AnnotationMaxUnavailable]
	if asked {
		unavailable = of(v, 0)
	}
	if surge+unavailable == 0 {
		unavailable = 1
	}
	return surge, unavailable, !asked
}

// replicas are the pods of a controller that have an instance in Run or Prepare, sorted.
func replicas(s reconcile.State, controller string) []string {
	pods := map[string]bool{}
	for b := range s.Bindings.All() {
		if b.Controller == controller && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			pods[b.Pod] = true
		}
	}
	return slices.Sorted(maps.Keys(pods))
}

// own is how many replicas a controller is to have besides the pods that its selector matches.
func own(s reconcile.State, r *schema.ReplicationController) int {
	n := r.Spec.Count()
	for _, p := range s.Accepted.Pods {
		if schema.Selects(r.Spec.Matches(), p.Labels) {
			n--
		}
	}
	return max(n, 0)
}

// earlier is an object's record before a step in which it perhaps got another name.
func earlier(in reconcile.Input, s reconcile.State, k string) reconcile.Record {
	r, ok := in.State.Objects[k]
	for o := range s.Accepted.Objects() {
		if was, moved := schema.MovedFrom(o); !ok && moved && o.Key().String() == k {
			return in.State.Objects[was.String()]
		}
	}
	return r
}

// effective is the hash that an object's pods are to have.
func effective(s reconcile.State, k schema.Key, declared string) string {
	if r := s.Objects[k.String()]; r.Quarantine != nil {
		return r.Healthy.Hash
	}
	return declared
}

// checkQuarantines looks at every object that is quarantined, or was.
func (w *world) checkQuarantines(in reconcile.Input, p reconcile.Plan) {
	declared, off := map[string]string{}, map[string]bool{}
	for _, x := range p.State.Accepted.Pods {
		declared[x.Key().String()] = x.Spec.Hash()
	}
	for _, r := range p.State.Accepted.ReplicationControllers {
		declared[r.Key().String()] = r.Spec.Template.Spec.Hash()
		off[r.Key().String()] = r.Annotations[schema.AnnotationRollback] == "off"
	}
	quarantined := 0
	for k, r := range p.State.Objects {
		was := earlier(in, p.State, k)
		// Against: an update that could not be undone is remembered.
		if r.Update != nil && (r.Healthy == nil || r.Healthy.Hash == declared[k]) {
			w.t.Fatalf("%s has an update that leads nowhere: %+v", k, r)
		}
		if r.Quarantine == nil {
			continue
		}
		quarantined++
		// Against: the quarantine is not lifted when the spec changes; it holds though rollback is off; the healthy spec is lost.
		if r.Quarantine.Hash != declared[k] || off[k] || r.Healthy == nil || r.Healthy.Hash == declared[k] {
			w.t.Fatalf("%s, declared as %.4s, off %t, is quarantined: %+v, healthy %+v", k, declared[k], off[k], *r.Quarantine, r.Healthy)
		}
		// Against: what was never healthy becomes the healthy spec.
		if was.Quarantine == nil && was.Healthy == nil {
			w.t.Fatalf("%s goes back to what it never was", k)
		}
		// Against: what is known of a quarantined object changes from step to step.
		if was.Quarantine != nil && was.Quarantine.Hash == r.Quarantine.Hash && was.Quarantine.With == r.Quarantine.With && mustJSON(was.Quarantine) != mustJSON(r.Quarantine) {
			w.t.Fatalf("the quarantine of %s changes from %+v to %+v", k, *was.Quarantine, *r.Quarantine)
		}
	}
	w.checkGroups(in, p, declared, off)
	// Against: Summarize does not look at quarantines: it would report success.
	if st := reconcile.Summarize(in, p); st.Except != quarantined || quarantined > 0 && (st.Sync == reconcile.Synced || st.Health != reconcile.Degraded) {
		w.t.Fatalf("%d objects are quarantined, the status says %d, %s, %s", quarantined, st.Except, st.Sync, st.Health)
	}
}

// checkRollouts looks at how many instances of each controller run, are ready and leave.
func (w *world) checkRollouts(in reconcile.Input, p reconcile.Plan) {
	for _, r := range p.State.Accepted.ReplicationControllers {
		if r.Annotations[schema.AnnotationReportOnly] != "" {
			continue // it is not scaled
		}
		surge, unavailable, loose := bounds(r)
		if loose {
			unavailable = max(unavailable, 1)
		}
		n := own(p.State, r)
		runs, present, starts := 0, 0, 0
		before, after := map[string]bool{}, map[string]bool{}
		for id, b := range p.State.Bindings.ByID() {
			if b.Controller != r.Name || !p.State.Minions[b.Minion].Lost.IsZero() {
				continue
			}
			old := in.State.Bindings.Get(id)
			if b.Phase == assignment.Run {
				runs++
				if old == nil || old.Phase != assignment.Run {
					starts++
				}
			}
			if b.Phase == assignment.Run || b.Phase == assignment.Drain || b.Phase == assignment.Stop && !b.Withdrawn.IsZero() {
				present++
			}
			if old != nil && ready(in, *old) {
				before[b.Pod] = true
				after[b.Pod] = after[b.Pod] || b.Phase == assignment.Run || w.displaced(b) // by a pod of higher priority, whatever the rollout
			}
		}
		// Mutants: mayDouble always; trim never; doubled does not count what began in this step.
		if runs > n+surge {
			w.t.Fatalf("controller %s of %d replicas with surge %d has %d instances in Run, before: %s, now: %s", r.Name, n, surge, runs, brief(in.State), brief(p.State))
		}
		// Mutant: full is never true.
		if surge == 0 && starts > 0 && present > n {
			w.t.Fatalf("controller %s of %d replicas without surge starts one beside %d, before: %s, now: %s", r.Name, n, present, brief(in.State), brief(p.State))
		}
		// Mutants: mayStop always; goesBefore takes ready ones first, or the highest numbers.
		left := 0
		for _, is := range after {
			if is {
				left++
			}
		}
		later := 0 // those that wait for other objects are not declared yet
		for _, ch := range p.Changes {
			if ch.Object == r.Key() && ch.Verb == reconcile.Create && ch.WaitingCode == reconcile.CodeDependency {
				later++
			}
		}
		if left < len(before) && left < n-later-unavailable {
			w.t.Fatalf("controller %s of %d replicas, %d of which may be unavailable: %d ready ones become %d, before: %s, now: %s", r.Name, n, unavailable, len(before), left, brief(in.State), brief(p.State))
		}
		// Mutant: chooseNumbers finds one too many.
		if m := len(replicas(p.State, r.Name)); m > n {
			w.t.Fatalf("controller %s of %d replicas has %d, now: %s", r.Name, n, m, brief(p.State))
		}
	}
}
