package reconciletest

import (
	"maps"
	"slices"
	"time"

	"reconciler/reconcile"
	"reconciler/schema"
)

// badImage cannot be pulled before all faults end.
const badImage = "bad:1"

// settings are those of a server: an update that gets nowhere has soon failed, and when the faults have ended, no more.
func (s *sim) settings() reconcile.Settings {
	x := reconcile.DefaultSettings()
	if x.Progress = 20 * time.Second; s.healed {
		x.Progress = 24 * time.Hour
	}
	return x
}

// grow lets a fleet become what its first commit declares before anything goes wrong, so that it has something to go back to, and
// then changes all of it.
func (s *sim) grow() {
	s.healed = true
	for range 12 {
		s.round()
		s.now = s.now.Add(2 * time.Second)
	}
	s.healed = false
	s.repo.renew = true
	s.commit()
	s.repo.renew = false
}

// lift pushes a change of every object that has failed, and lets all be done.
func (s *sim) lift() {
	var objects []schema.Object
	changed := false
	for o := range s.repo.set().Objects() {
		if still(o.Metadata()) {
			o, changed = clone(o), true
			delete(o.Metadata().Annotations, schema.AnnotationReportOnly)
		}
		q := s.watch.state.Objects[o.Key().String()].Quarantine
		switch x := o.(type) {
		case *schema.Pod:
			if q != nil {
				p := *x
				p.Spec = other(x.Spec)
				o, changed = &p, true
			}
		case *schema.ReplicationController:
			if q != nil {
				r := *x
				r.Spec.Template.Spec = other(x.Spec.Template.Spec)
				o, changed = &r, true
			}
		}
		objects = append(objects, o)
	}
	if changed {
		s.repo.sets = append(s.repo.sets, schema.NewSet(objects, nil))
		s.say("commit %s: %s", s.repo.head(), words(s.repo.set()))
	}
}

// other is a spec that nothing was declared with.
func other(p schema.PodSpec) schema.PodSpec {
	c := p.Containers[0]
	c.Image = "web:9"
	p.Containers = []schema.Container{c}
	return p
}

// checkGroups: what is in one group goes back together, and its spec to go back to moves on only when all of it is well.
func (s *sim) checkGroups(was, st reconcile.State) {
	if st.Accepted == nil {
		return
	}
	o := orderOf(st.Accepted)
	group := func(k schema.Key) string {
		if m := o.metas[k]; m != nil {
			return m.Annotations[schema.AnnotationGroup]
		}
		return ""
	}
	failed := map[string]schema.Key{}
	keys := slices.SortedFunc(maps.Keys(o.metas), schema.Key.Compare)
	for _, k := range keys {
		if q := st.Objects[k.String()].Quarantine; q != nil && q.With == "" && group(k) != "" {
			failed[group(k)] = k
		}
	}
	was = renamed(was, st)
	records := map[string]reconcile.Record{} // an object may have become another
	for _, r := range was.Objects {
		records[r.UID] = r
	}
	for _, k := range keys {
		r := st.Objects[k.String()]
		old := records[r.UID]
		first, one := failed[group(k)]
		switch {
		case r.Quarantine != nil && r.Quarantine.With != "" && !one:
			s.fail("%s goes back with %s, and nothing of its group has failed", k, r.Quarantine.With)
		case r.Quarantine == nil && one && !still(o.metas[k]) && r.Healthy != nil && r.Healthy.Hash != o.hashes[k]:
			s.fail("%s does not go back with %s of its group", k, first)
		}
		if group(k) == "" || r.Healthy == nil || old.Healthy != nil && old.Healthy.Hash == r.Healthy.Hash {
			continue
		}
		for _, d := range keys {
			if group(d) == group(k) && !s.well(was, st, o, d) {
				s.fail("%s takes another spec for healthy, and %s of its group is not well", k, d)
			}
		}
	}
}
