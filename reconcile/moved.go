package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Names are what a pod is called besides its namespace, which it never leaves.
type Names struct {
	Pod        string `json:"pod"`
	Controller string `json:"controller,omitempty"`
}

// Known is the names by which an instance's agent knows it: those that it was started with, which are its host name too. They
// stay when the instance becomes one of another object.
func (b *Binding) Known() Names {
	if b.Started != nil {
		return *b.Started
	}
	return Names{b.Pod, b.Controller}
}

// pasts are the objects that a set declares anew and says to have been others before, by what they were. What is known already
// by its new name, and what is declared by its old one, was moved before or is not to be: such a hint does nothing.
func pasts(known map[string]Record, next *schema.Set) map[schema.Key]schema.Key {
	return pastsOf(known, next, func(note func(schema.Object)) { workloadsAndServices(next, note) })
}

// pastsOf is pasts where only some of the objects can be new.
func pastsOf(known map[string]Record, next *schema.Set, some func(note func(schema.Object))) map[schema.Key]schema.Key {
	var out map[schema.Key]schema.Key
	some(func(o schema.Object) {
		was, ok := schema.MovedFrom(o)
		if !ok {
			return
		}
		_, there := known[o.Key().String()]
		_, taken := out[was]
		if there || taken || (was.Kind == schema.KindService) != (o.Key().Kind == schema.KindService) {
			return
		}
		if out == nil {
			out = map[schema.Key]schema.Key{}
		}
		out[was] = o.Key()
	})
	if out != nil {
		workloadsAndServices(next, func(o schema.Object) { delete(out, o.Key()) })
	}
	return out
}

// workloadsAndServices goes through the objects of a set that have a record.
func workloadsAndServices(s *schema.Set, f func(schema.Object)) {
	if s == nil {
		return
	}
	for _, p := range s.Pods {
		f(p)
	}
	for _, r := range s.ReplicationControllers {
		f(r)
	}
	for _, v := range s.Services {
		f(v)
	}
}

// earlier is the key by which an object was known before this step.
func (c *step) earlier(k schema.Key) schema.Key {
	for was, now := range c.renamed {
		if now == k {
			return was
		}
	}
	return k
}

// becomeDeclared lets what is there become what a set about to come into force says that it is now: by a hint, or because
// it is what another object needs, see handOver. Nothing of it is stopped or started.
func (c *step) becomeDeclared(next *schema.Set, diff *difference) {
	if c.recorded() {
		c.renamed = pastsOf(c.st.Objects, next, diff.each)
	} else {
		c.renamed = pasts(c.st.Objects, next)
	}
	for _, was := range slices.SortedFunc(maps.Keys(c.renamed), schema.Key.Compare) {
		c.rename(was, c.renamed[was], next)
	}
	c.handOver(next)
}

// rename lets an object go on under another key: its record, its instances, its routes.
func (c *step) rename(was, now schema.Key, next *schema.Set) {
	if c.has(now) { // what had the name before is not gone yet
		delete(c.renamed, was)
		return
	}
	r, known := c.st.Objects[was.String()]
	if was.Kind == schema.KindService && (!known || asksForAnother(next, now, r.Portal)) {
		return
	}
	if known {
		c.dropRecord(was.String())
		c.putRecord(now.String(), r)
	}
	if s, ok := c.st.Suspensions[was.String()]; ok {
		c.st.Suspensions = maps.Clone(c.st.Suspensions)
		delete(c.st.Suspensions, was.String())
		c.st.Suspensions[now.String()] = s
	}
	if was.Kind == schema.KindService {
		c.renameRoutes(was, now, r.Portal)
		return
	}
	var ids []string
	names := c.newNames(was, now)
	for b := range c.st.Bindings.Of(was) {
		if names(b) != (Names{}) {
			ids = append(ids, b.ID)
		}
	}
	runs := 0
	for _, id := range ids {
		b := c.binding(id)
		if b.Phase == assignment.Run {
			runs++
		}
		c.put(*b.as(names(&b)))
	}
	if len(ids) > 0 {
		c.change(Change{Verb: Update, Object: now, Code: CodeMoved, Reason: fmt.Sprintf("it was %s: %d %s", was, runs, plural(runs, "instance goes on", "instances go on"))})
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// as is a binding under other names.
func (b *Binding) as(n Names) *Binding {
	out := *b
	known := b.Known()
	out.Pod, out.Controller, out.Started = n.Pod, n.Controller, &known
	if known == n {
		out.Started = nil
	}
	return &out
}

// newNames is what the instances of an object are called from now on, the zero value for those that do not go on. Replicas
// keep their numbers. Of a controller that becomes one pod, the best instance does.
func (c *step) newNames(was, now schema.Key) func(*Binding) Names {
	if was.Kind == schema.KindReplicationController && now.Kind == schema.KindPod {
		var best *Binding
		for b := range c.st.Bindings.Of(was) {
			if b.Phase == assignment.Run && (best == nil || c.betterToKeep(b, best)) {
				best = b
			}
		}
		return func(b *Binding) Names {
			if best == nil || b.ID != best.ID {
				return Names{}
			}
			return Names{Pod: now.Name}
		}
	}
	return func(b *Binding) Names { return renamed(was, now, b.Pod) }
}

// renamed is what a pod of an object is called when that is another one.
func renamed(was, now schema.Key, pod string) Names {
	if now.Kind == schema.KindPod {
		return Names{Pod: now.Name}
	}
	n := 0
	if was.Kind == schema.KindReplicationController {
		if n = number(was.Name, pod); n < 0 {
			return Names{}
		}
	}
	return Names{podName(now.Name, n), now.Name}
}

// betterToKeep tells whether of two instances of one controller a goes on rather than b.
func (c *step) betterToKeep(a, b *Binding) bool {
	worth := func(x *Binding) int {
		switch {
		case !c.st.Minions[x.Minion].Lost.IsZero():
			return 0
		case x.Serving:
			return 2
		}
		return 1
	}
	return cmp.Or(cmp.Compare(worth(b), worth(a)), cmp.Compare(number(a.Controller, a.Pod), number(b.Controller, b.Pod)), a.compareAge(b)) < 0
}

// asksForAnother tells whether a service asks for another portal IP than this: it then is another service.
func asksForAnother(set *schema.Set, k schema.Key, portal netip.Addr) bool {
	i, ok := find(set.Services, k)
	return ok && portal.IsValid() && set.Services[i].Spec.ClusterIP != "" && set.Services[i].Spec.ClusterIP != portal.String()
}

// renameRoutes lets the routes of a service be those of another, so that nothing of them changes by its name alone.
func (c *step) renameRoutes(was, now schema.Key, portal netip.Addr) {
	c.st.Routes = slices.Clone(c.st.Routes)
	for i := range c.st.Routes {
		if s := &c.st.Routes[i]; !s.HostPort && s.Namespace == was.Namespace && s.Name == was.Name {
			s.Name = now.Name
		}
	}
	reason := fmt.Sprintf("it was %s", was)
	if portal.IsValid() {
		reason += fmt.Sprintf(", and keeps the portal IP %s", portal)
	}
	c.change(Change{Verb: Update, Object: now, Code: CodeMoved, Reason: reason})
}

// recogniseStrays gives what was found the names that it has now, by the hints of what is declared.
func (c *step) recogniseStrays() {
	if len(c.strays) == 0 || c.set == nil {
		return
	}
	now := pasts(nil, c.set)
	for i := range c.strays {
		s := &c.strays[i]
		was := owner(s.status.Namespace, s.status.Pod, s.status.Controller)
		k, ok := now[was]
		if !ok {
			continue
		}
		if n := renamed(was, k, s.status.Pod); n != (Names{}) {
			s.started = &Names{s.status.Pod, s.status.Controller}
			s.status.Pod, s.status.Controller = n.Pod, n.Controller
		}
	}
}
