package reconciletest

import (
	"maps"
	"slices"
	"strconv"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// order gives a new pod or controller a wave, a dependency and a group, or none.
func (s *sim) order(m *schema.Meta) {
	set := func(k, v string) {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[k] = v
	}
	if s.one(3) {
		set(schema.AnnotationWave, strconv.Itoa(s.rand.IntN(3)-1))
	}
	if s.one(2) {
		set(schema.AnnotationGroup, pick(s, []string{"g", "g", "h"}))
	}
	if s.one(4) {
		i := s.rand.IntN(slots)
		kind := schema.KindPod
		switch {
		case i >= 6:
			kind = schema.KindService
		case i >= 4:
			kind = schema.KindReplicationController
		}
		set(schema.AnnotationDependsOn, string(kind)+"/"+slotNames[i])
	}
}

// orderly is objects without the waits that no set has that was loaded: for oneself, or for what is not there.
func orderly(objects []schema.Object) []schema.Object {
	bare := func(m *schema.Meta) {
		m.Annotations = maps.Clone(m.Annotations)
		delete(m.Annotations, schema.AnnotationDependsOn)
	}
	for {
		wrong := map[schema.Key]bool{}
		for _, c := range schema.NewSet(objects, nil).Check() {
			wrong[c.Key] = wrong[c.Key] || slices.Contains(c.Path, schema.AnnotationDependsOn)
		}
		for _, o := range objects {
			needs, _ := o.Metadata().DependsOn()
			wrong[o.Key()] = wrong[o.Key()] || slices.ContainsFunc(needs, func(k schema.Key) bool {
				return k == o.Key() || k.Kind == schema.KindService && !selects(objects, k.Name)
			})
		}
		maps.DeleteFunc(wrong, func(_ schema.Key, is bool) bool { return !is })
		if len(wrong) == 0 {
			return objects
		}
		for i, o := range objects {
			if !wrong[o.Key()] {
				continue
			}
			switch o := o.(type) { // other commits have it, too
			case *schema.Pod:
				x := *o
				bare(&x.Meta)
				objects[i] = &x
			case *schema.ReplicationController:
				x := *o
				bare(&x.Meta)
				objects[i] = &x
			}
		}
	}
}

// selects tells whether anything runs behind a service, which selects what has its name.
func selects(objects []schema.Object, name string) bool {
	return slices.ContainsFunc(objects, func(o schema.Object) bool {
		switch o := o.(type) {
		case *schema.Pod:
			return o.Labels["name"] == name
		case *schema.ReplicationController:
			return o.Spec.Template.Labels["name"] == name && o.Spec.Count() > 0
		}
		return false
	})
}

// ordering is what a set says of who comes first.
type ordering struct {
	metas    map[schema.Key]*schema.Meta
	hashes   map[schema.Key]string
	replicas map[schema.Key]int
	services map[schema.Key]*schema.Service
}

func orderOf(set *schema.Set) ordering {
	own := declared(set)
	o := ordering{map[schema.Key]*schema.Meta{}, map[schema.Key]string{}, map[schema.Key]int{}, map[schema.Key]*schema.Service{}}
	for _, p := range set.Pods {
		o.metas[p.Key()], o.hashes[p.Key()], o.replicas[p.Key()] = &p.Meta, p.Spec.Hash(), 1
	}
	for _, r := range set.ReplicationControllers {
		o.metas[r.Key()], o.hashes[r.Key()], o.replicas[r.Key()] = &r.Meta, r.Spec.Template.Spec.Hash(), own["controller "+r.Name]
	}
	for _, x := range set.Services {
		o.services[x.Key()] = x
	}
	return o
}

// ownerOf is the declared object that an instance is of.
func ownerOf(b reconcile.Binding) schema.Key {
	if b.Controller != "" {
		return schema.Key{Kind: schema.KindReplicationController, Namespace: b.Namespace, Name: b.Controller}
	}
	return schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod}
}

// checkOrder: no instance begins for a declared change while something that its object waits for is not as declared and ready,
// as far as the server was told.
func (s *sim) checkOrder(was, st reconcile.State) {
	if st.Accepted == nil {
		return
	}
	o := orderOf(st.Accepted)
	was = renamed(was, st)
	for _, id := range st.Bindings.IDs() {
		b, k := binding(st, id), ownerOf(binding(st, id))
		old := was.Bindings.Get(id)
		if o.metas[k] == nil || st.Objects[k.String()].Quarantine != nil || b.Hash != o.hashes[k] || b.Phase != assignment.Run || old != nil && old.Phase == assignment.Run {
			continue
		}
		var others, moves int // further instances of the pod
		pods := map[string]bool{}
		for x := range was.Bindings.All() {
			lives := x.Phase == assignment.Run || x.Phase == assignment.Prepare
			if ownerOf(*x) == k && lives {
				pods[x.Pod] = true
			}
			if x.ID != id && x.Pod == b.Pod && ownerOf(*x) == k && lives {
				others++
				if x.Hash == b.Hash {
					moves++
				}
			}
		}
		healthy := st.Objects[k.String()].Healthy
		comesBack := others == 0 && healthy != nil && healthy.Hash == b.Hash && len(pods) < healthy.Replicas
		begun := others == 0 && old != nil // its old instance is on its way out
		if found := old == nil && s.reportedBefore(id); moves > 0 || comesBack || begun || found {
			continue
		}
		needs, _ := o.metas[k].DependsOn()
		for d, m := range o.metas {
			if m.Namespace == k.Namespace && m.Wave() < o.metas[k].Wave() {
				needs = append(needs, d)
			}
		}
		slices.SortFunc(needs, schema.Key.Compare)
		for _, d := range needs {
			if !s.well(was, st, o, d) {
				s.fail("%s begins, while %s is not as declared and ready", id, d)
			}
		}
	}
}

// renamed is a state with the names that its bindings have in the next one: an object may have become another.
func renamed(was, st reconcile.State) reconcile.State {
	for b := range was.Bindings.All() {
		if now := st.Bindings.Get(b.ID); now != nil && (now.Pod != b.Pod || now.Controller != b.Controller) {
			x := *b
			x.Pod, x.Controller = now.Pod, now.Controller
			was.Bindings = was.Bindings.With(x)
		}
	}
	return was
}

// reportedBefore tells whether a minion reports an instance: one that no binding knew was found there.
func (s *sim) reportedBefore(id string) bool {
	for _, n := range s.names {
		if r := s.server.minions[n].Report; r != nil && slices.ContainsFunc(r.Instances, func(i assignment.InstanceStatus) bool { return i.ID == id }) {
			return true
		}
	}
	return false
}

// well tells whether an object was as declared and ready when the server decided.
func (s *sim) well(was, st reconcile.State, o ordering, k schema.Key) bool {
	pods := map[string]bool{}
	for b := range was.Bindings.All() {
		switch v := o.services[k]; {
		case v != nil:
			if !schema.Selects(v.Spec.Selector, b.Labels) && !schema.Selects(v.Spec.Selector, binding(st, b.ID).Labels) {
				continue
			}
		case ownerOf(*b) != k || b.Hash != o.hashes[k]:
			continue
		}
		if s.isReady(st, *b) {
			pods[b.Pod] = true
		}
	}
	if o.services[k] != nil {
		return len(pods) > 0
	}
	return st.Objects[k.String()].Quarantine == nil && len(pods) >= o.replicas[k]
}

// isReady tells whether an instance is ready by what its minion reported.
func (s *sim) isReady(st reconcile.State, b reconcile.Binding) bool {
	m := s.server.minions[b.Minion]
	if b.Phase != assignment.Run || m.Report == nil || !st.Minions[b.Minion].Lost.IsZero() {
		return false
	}
	for _, i := range m.Report.Instances {
		if i.ID == b.ID {
			return i.State == assignment.Running && !i.Up.IsZero() && i.UpFor+max(s.serverTime().Sub(m.Reported), 0) >= reconcile.DefaultSettings().MinReady
		}
	}
	return false
}
