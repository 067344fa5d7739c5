package reconciletest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"testing/fstest"

	"reconciler/reconcile"
	"reconciler/reconcile/server"
	"reconciler/schema"
)

// repo models a repository of which one branch is followed.
type repo struct {
	sets []*schema.Set // by commit; nil is one that does not load
	down bool          // it does not answer
	gone bool          // it has no such branch
	bad  bool          // its newest commit does not load

	renew bool // the next commit changes all objects
}

func (r *repo) head() string { return fmt.Sprintf("c%d", len(r.sets)) }

// set is what the newest commit declares.
func (r *repo) set() *schema.Set { return r.sets[len(r.sets)-1] }

// tree is a commit's tree; what it declares is known without reading it.
type tree struct {
	fstest.MapFS
	set *schema.Set
}

var errCut = errors.New("does not answer")

// Head is the interface's.
func (s *serving) Head(context.Context, reconcile.Revision) (reconcile.Revision, error) {
	switch r := &s.sim.repo; {
	case !s.call() || r.down:
		return reconcile.Revision{}, errCut
	case r.gone:
		return reconcile.Revision{}, fmt.Errorf("resolve main: %w", server.ErrNoRevision)
	default:
		return reconcile.Revision{Hash: r.head(), Ref: "main", Trailers: []reconcile.Trailer{{Key: reconcile.TrailerAllowDelete, Value: "all"}}}, nil
	}
}

// Tree is the interface's.
func (s *serving) Tree(context.Context, string) (fs.FS, error) {
	if !s.call() || s.sim.repo.down {
		return nil, errCut
	}
	return tree{set: s.sim.repo.set()}, nil
}

// load is what server.Config.Load does.
func (s *serving) load(t fs.FS) (*schema.Set, []string, error) {
	if s.sim.repo.bad {
		return nil, nil, errors.Join(errors.New("pod.yaml:1: not a pod"), errors.New("pod.yaml:2: nor this"))
	}
	return t.(tree).set, nil, nil
}

// commit pushes a change: to one object more often than to all. Some commits do not load.
func (s *sim) commit() {
	objects := []schema.Object{}
	if s.repo.bad = len(s.repo.sets) > 0 && s.one(8); s.repo.bad {
		s.repo.sets = append(s.repo.sets, s.repo.set())
		s.say("commit %s, which does not load", s.repo.head())
		return
	}
	all := s.one(4) || len(s.repo.sets) == 0 || s.repo.renew
	only := s.rand.IntN(slots)
	for i := range slots {
		was := s.kept(i)
		if all || i == only {
			was = s.newObjects(i)
		}
		objects = append(objects, was...)
	}
	switch s.rand.IntN(6) {
	case 0:
		s.rename(objects)
	case 1:
		s.reconsider(objects)
	}
	s.repo.sets = append(s.repo.sets, schema.NewSet(orderly(objects), nil))
	s.say("commit %s: %s", s.repo.head(), words(s.repo.set()))
}

// rename lets one of the pods or controllers go on under a name that nothing has, and say what it was.
func (s *sim) rename(objects []schema.Object) {
	named := map[schema.Key]bool{}
	for _, o := range objects {
		named[o.Key()] = true
	}
	for i, o := range objects {
		k := o.Key()
		if k.Kind == schema.KindService {
			continue
		}
		to := schema.Key{Kind: schema.KindPod, Namespace: "default", Name: pick(s, slotNames[:4])}
		if k.Kind == schema.KindReplicationController {
			to.Kind, to.Name = k.Kind, pick(s, slotNames[4:6])
		}
		if named[to] || !s.one(2) {
			continue
		}
		objects[i] = clone(o)
		m := objects[i].Metadata()
		m.Name = to.Name
		m.Annotations[schema.AnnotationMovedFrom] = fmt.Sprintf("%s/%s", k.Kind, k.Name)
		return
	}
}

// reconsider changes what becomes of one of the pods or controllers when its minion is lost, and nothing else.
func (s *sim) reconsider(objects []schema.Object) {
	for i, o := range objects {
		if o.Key().Kind != schema.KindService && s.one(2) {
			objects[i] = clone(o)
			objects[i].Metadata().Annotations[schema.AnnotationWhenLost] = pick(s, []string{"keep", "move", "fence", "fence"})
			return
		}
	}
}

// clone is a pod or controller with metadata of its own.
func clone(o schema.Object) schema.Object {
	switch x := o.(type) {
	case *schema.Pod:
		p := *x
		o = &p
	case *schema.ReplicationController:
		r := *x
		o = &r
	}
	m := o.Metadata()
	if m.Annotations = maps.Clone(m.Annotations); m.Annotations == nil {
		m.Annotations = map[string]string{}
	}
	return o
}

// slots is how many things a commit may declare: four bare pods, two controllers, and a service for three of them.
const slots = 9

var slotNames = []string{"p0", "p1", "p2", "p3", "r0", "r1", "p0", "r0", "r1"}

// kept are the objects of a slot in the newest commit.
func (s *sim) kept(slot int) (out []schema.Object) {
	if len(s.repo.sets) == 0 {
		return nil
	}
	for o := range s.repo.set().Objects() {
		if k := o.Key(); k.Name == slotNames[slot] && (k.Kind == schema.KindService) == (slot >= 6) {
			out = append(out, o)
		}
	}
	return out
}

// newObjects makes the objects of a slot anew: none or one.
func (s *sim) newObjects(slot int) []schema.Object {
	name := slotNames[slot]
	meta := schema.Meta{Name: name, Namespace: "default"}
	labels := map[string]string{"name": name}
	if s.one(6) {
		return nil
	}
	if v := pick(s, []string{"", "", "keep", "move", "fence", "fence"}); slot < 6 && v != "" {
		meta.Annotations = map[string]string{schema.AnnotationWhenLost: v}
	}
	c := schema.Container{Name: "c", Image: pick(s, []string{"web:1", "web:1", "web:2", "web:3", badImage}),
		Resources: schema.Resources{Memory: pick(s, []int64{0, 100 << 20, 200 << 20})}}
	if slot < 6 {
		s.order(&meta)
		if len(s.repo.sets) > 0 && s.one(10) {
			if meta.Annotations == nil {
				meta.Annotations = map[string]string{}
			}
			meta.Annotations[schema.AnnotationReportOnly] = "audit"
		}
	}
	switch {
	case slot < 4:
		meta.Labels = labels
		if s.one(4) { // it counts as a replica
			meta.Labels = map[string]string{"name": slotNames[4+slot%2]}
		}
		if slot < 2 && s.one(4) { // there are two minions at least, so that everything that is declared fits
			c.Ports = []schema.Port{{ContainerPort: 80, HostPort: 80}}
		}
		return []schema.Object{(&schema.Pod{Meta: meta, Spec: schema.PodSpec{Containers: []schema.Container{c}}}).Canonical()}
	case slot < 6:
		n := s.rand.IntN(4)
		return []schema.Object{(&schema.ReplicationController{Meta: meta, Spec: schema.ControllerSpec{Replicas: &n,
			Template: schema.Template{Labels: labels, Spec: schema.PodSpec{Containers: []schema.Container{c}}}}}).Canonical()}
	}
	return []schema.Object{(&schema.Service{Meta: meta, Spec: schema.ServiceSpec{Ports: []schema.ServicePort{{Port: 80}}, Selector: labels}}).Canonical()}
}

// declared is how many instances of each slot a set wants.
func declared(set *schema.Set) map[string]int {
	out := map[string]int{}
	for _, p := range set.Pods {
		out["pod "+p.Name] = 1
	}
	for _, r := range set.ReplicationControllers {
		out["controller "+r.Name] += r.Spec.Count()
	}
	m := schema.NewMatcher(set)
	for _, p := range set.Pods {
		if r := m.Replica(p); r != nil {
			out["controller "+r.Name] = max(out["controller "+r.Name]-1, 0)
		}
	}
	return out
}

// words names what a set declares.
func words(set *schema.Set) (out string) {
	for _, p := range set.Pods {
		out += fmt.Sprintf(" %s=%s", p.Name, p.Spec.Hash()[:4])
	}
	for _, r := range set.ReplicationControllers {
		out += fmt.Sprintf(" %s=%dx%s", r.Name, r.Spec.Count(), r.Spec.Template.Spec.Hash()[:4])
	}
	for _, x := range set.Services {
		out += " service/" + x.Name
	}
	return out
}
