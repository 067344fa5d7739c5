package reconcile

import (
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// workload is a declared pod or controller, with what is worked out of it once.
type workload struct {
	key         schema.Key
	name        string        // key as text
	object      schema.Object // as it is declared
	spec        *schema.PodSpec
	hash        string // of spec
	labels      map[string]string
	annotations map[string]string // of its pods
	controller  string            // its name; "" for a pod
	rolls       map[string]string // annotations of the controller
	replicas    int
	rollback    string // what its annotations say
	onLoss      whenLost
	ruled       bool // see ruled
	odd         bool // an annotation is to be warned of in every step
	held        bool // an annotation may have nothing done for it
}

// offer is a declared service, with what is worked out of it once.
type offer struct {
	key     schema.Key
	name    string // key as text
	service *schema.Service
	needs   []schema.Feature // that no router has
}

// derived is what is worked out of a set once, for all steps in which that is in force.
type derived struct {
	set       *schema.Set
	workloads []*workload // in the order of their keys
	by        map[schema.Key]*workload
	named     map[string]*workload // by the text of the key
	offers    []*offer             // in the order of their keys
	services  map[schema.Key]*schema.Service
	serviced  map[string][]*schema.Service // by namespace
	matcher   schema.Matcher               // nil: nobody needed it
	selects   selection                    // what is declared, by labels
	selected  [][]int32                    // by number of the offer: the workloads that it selects
	fenced    []schema.Key
	held      []*workload                  // for which nothing may be to be done
	ruled     bool                         // a pod asks for something by labels
	counted   map[schema.Key][]*schema.Pod // see counted
	order     *ordering                    // nil: nobody waits for another
	groups    map[string][]*workload
}

// derive looks at a set. What another has the same, as what did not change in Git, is taken from before.
func derive(set *schema.Set, before *derived) *derived {
	if before != nil && before.set == set {
		return before
	}
	if before == nil {
		before = &derived{}
	}
	d := &derived{set: set, by: make(map[schema.Key]*workload, set.Len()), named: make(map[string]*workload, set.Len())}
	if set == nil {
		return d
	}
	d.workloads = make([]*workload, 0, len(set.Pods)+len(set.ReplicationControllers))
	add := func(o schema.Object, make func() *workload) {
		w := before.by[o.Key()]
		if w == nil || w.object != o {
			w = make()
			w.key, w.object = o.Key(), o
			w.name, w.hash, w.onLoss, w.ruled = w.key.String(), w.spec.Hash(), whenLostOf(o), ruled(w.spec)
			v, ok := w.annotations[AnnotationMinReady]
			w.odd = ok && !validMinReady(v)
			_, suspended := o.Metadata().Annotations[schema.AnnotationSuspend]
			_, reportOnly := o.Metadata().Annotations[schema.AnnotationReportOnly]
			w.held = suspended || reportOnly
		}
		d.workloads, d.by[w.key], d.named[w.name] = append(d.workloads, w), w, w
		d.ruled = d.ruled || w.ruled
	}
	for _, p := range set.Pods {
		add(p, func() *workload {
			return &workload{spec: &p.Spec, labels: p.Labels, annotations: p.Annotations, replicas: 1, rollback: p.Annotations[schema.AnnotationRollback]}
		})
	}
	for _, r := range set.ReplicationControllers {
		add(r, func() *workload {
			t := &r.Spec.Template
			return &workload{spec: &t.Spec, labels: t.Labels, annotations: withMinReady(t.Annotations, r.Spec.MinReadySeconds), controller: r.Name,
				rolls: r.Annotations, replicas: r.Spec.Count(), rollback: r.Annotations[schema.AnnotationRollback]}
		})
	}
	slices.SortStableFunc(d.workloads, func(a, b *workload) int { return a.key.Compare(b.key) })
	d.counted = d.count(before)
	for i, w := range d.workloads {
		if n := d.own(w); n != w.replicas { // of w there may be an earlier set
			other := *w
			other.replicas = n
			w = &other
			d.workloads[i], d.by[w.key], d.named[w.name] = w, w, w
		}
		if w.held {
			d.held = append(d.held, w)
		}
		if w.onLoss == fence {
			d.fenced = append(d.fenced, w.key)
		}
	}
	d.offer(before)
	d.choose(before)
	d.order, d.groups = orderOf(d), groupsOf(d)
	if d.order != nil {
		d.order.inherited = d.inherit()
	}
	return d
}

// offer looks at the services of its set.
func (d *derived) offer(before *derived) {
	if before.set != nil && oneList(before.set.Services, d.set.Services) {
		d.offers, d.services, d.serviced = before.offers, before.services, before.serviced
		return
	}
	d.offers = make([]*offer, 0, len(d.set.Services))
	d.services, d.serviced = make(map[schema.Key]*schema.Service, len(d.set.Services)), map[string][]*schema.Service{}
	known := before.offers
	for _, s := range d.set.Services {
		k := s.Key()
		known = startAt(known, k, func(o *offer) schema.Key { return o.key })
		var o *offer
		if len(known) > 0 && known[0].service == s {
			o = known[0]
		} else {
			o = &offer{k, k.String(), s, s.Spec.Needs()}
		}
		d.offers = append(d.offers, o)
		d.services[k] = s
		d.serviced[s.Namespace] = append(d.serviced[s.Namespace], s)
	}
}

// startAt is what is left of a sorted list from a key on.
func startAt[T any](sorted []T, k schema.Key, key func(T) schema.Key) []T {
	for len(sorted) > 0 && key(sorted[0]).Compare(k) < 0 {
		sorted = sorted[1:]
	}
	return sorted
}

// choose finds out which workloads services select.
func (d *derived) choose(before *derived) {
	same := slices.EqualFunc(d.workloads, before.workloads, func(a, b *workload) bool { return a == b || a.key == b.key && sameMap(a.labels, b.labels) })
	if same && before.selects != nil {
		d.selects = before.selects
		if oneList(d.offers, before.offers) {
			d.selected = before.selected
			return
		}
	} else {
		d.selects = selection{}
		for i, w := range d.workloads {
			d.selects.add(w.key.Namespace, w.labels, int32(i))
		}
	}
	d.selected = make([][]int32, len(d.offers))
	for i, o := range d.offers {
		d.selected[i] = d.selectedBy(o.service)
	}
}

// selectedBy are the numbers of the workloads that a service selects.
func (d *derived) selectedBy(s *schema.Service) (out []int32) {
	all := d.selects.of(s.Namespace, s.Spec.Selector)
	for n, i := range all {
		if schema.Selects(s.Spec.Selector, d.workloads[i].labels) {
			if out != nil {
				out = append(out, i)
			}
			continue
		}
		if out == nil { // not all of them
			out = slices.Grow(make([]int32, 0), len(all)-1)
			out = append(out, all[:n]...)
		}
	}
	if out == nil {
		return all
	}
	return out
}

// own is how many instances a workload is to have itself: other pods may count as its replicas.
func (d *derived) own(w *workload) int {
	if r, ok := w.object.(*schema.ReplicationController); ok {
		return max(r.Spec.Count()-len(d.counted[w.key]), 0)
	}
	return 1
}

// replicas are the declared number of pods of a controller, without those that count as such, 0 if it is not declared.
func (d *derived) replicas(k schema.Key) int {
	if w := d.by[k]; w != nil && w.controller != "" {
		return w.replicas
	}
	return 0
}

// findBusy finds the workloads for which there may be something to do. The others are at rest: they have just the instances that
// are declared, ready and in the routes, and nothing is noted of them that is to change. Most of a large fleet is, in most
// steps, and nothing more is asked of it.
func (c *step) findBusy() {
	t := c.st.Bindings.t
	c.moving = map[schema.Key]bool{}
	c.busy, c.owners = nil, make([]int32, len(c.of.workloads))
	if t != nil {
		c.restingOwner, c.sight.resting = make([]bool, len(t.owners.keys)), make([][]int32, len(t.owners.keys))
	}
	odd := map[schema.Key]bool{} // of which something was found that nobody knows
	for _, s := range c.strays {
		odd[owner(s.status.Namespace, s.status.Pod, s.status.Controller)] = true
	}
	was := c.in.State.sight
	known := c.recorded() && len(was.owners) == len(c.of.workloads)
	for i, w := range c.of.workloads {
		if known && t != nil && !c.halted(w.key) && (len(odd) == 0 || !odd[w.key]) {
			if o := was.owners[i]; t.owners.is(w.key, o) && c.restedSo(o, t.owners.lists[o]) {
				c.owners[i], c.restingOwner[o], c.sight.resting[o] = o, true, t.owners.lists[o]
				continue // nothing that counts is another than it was
			}
		}
		o := int32(-1)
		if t != nil {
			if n, ok := t.owners.number.get(w.key); ok {
				o = n
			}
		}
		c.owners[i] = o
		if !c.halted(w.key) && !w.odd && (len(odd) == 0 || !odd[w.key]) && c.restsInRecord(w) && c.restsInFleet(w, o) {
			if o >= 0 {
				c.restingOwner[o] = true
				c.sight.resting[o] = t.owners.lists[o]
			}
			continue
		}
		c.busy, c.moving[w.key] = append(c.busy, w), true
	}
}

// recorded tells whether what is declared and its records are those that the step before ended with.
func (c *step) recorded() bool {
	was := c.in.State.sight
	return was != nil && was.of == c.of && oneMap(was.records, c.st.Objects)
}

// halted tells whether nothing is to be done for an object.
func (c *step) halted(k schema.Key) bool {
	if len(c.suspended) == 0 {
		return false
	}
	_, ok := c.suspended[k]
	return ok
}

// rests tells whether a declared pod or controller is at rest.
func (c *step) rests(k schema.Key) bool { return c.moving != nil && !c.moving[k] && c.of.by[k] != nil }

// restsInRecord tells whether nothing is to be noted of a workload whose pods are all there and ready.
func (c *step) restsInRecord(w *workload) bool {
	r := c.st.Objects[w.name]
	if r.UID == "" || r.Update != nil || r.Quarantine != nil {
		return false
	}
	if w.replicas == 0 {
		return r.Healthy == nil || r.Healthy.Replicas == 0
	}
	return r.Healthy != nil && r.Healthy.Hash == w.hash && r.Healthy.Replicas == w.replicas && sameMap(r.Healthy.Annotations, w.annotations)
}

// restedSo tells whether a workload was at rest in the step before with these bindings, and nobody reported anything of them since. o
// is its number as an owner. A list whose bindings change in more than what routes say of them is another.
func (c *step) restedSo(o int32, list []int32) bool {
	was := c.in.State.sight
	return was != nil && len(list) > 0 && !c.changed[o] && int(o) < len(was.resting) && oneList(was.resting[o], list)
}

// restsInFleet tells whether a workload has all its instances, and each as it is to be. o is its number as an owner, -1 if it
// has none.
func (c *step) restsInFleet(w *workload, o int32) bool {
	if o < 0 {
		return w.replicas == 0
	}
	t := c.st.Bindings.t
	list := t.owners.lists[o]
	if len(list) != w.replicas {
		return false
	}
	if c.was.by[w.key] == w && c.restedSo(o, list) {
		return true
	}
	width := 2*w.replicas + 64
	if w.controller != "" {
		words := (width + 63) / 64
		if cap(c.numbersSeen) < words {
			c.numbersSeen = make([]uint64, words)
		}
		c.numbersSeen = c.numbersSeen[:words]
		clear(c.numbersSeen)
	}
	for _, n := range list {
		b := t.all[n]
		if b.Phase != assignment.Run || !b.Serving || b.Hash != w.hash || !c.sight.minions[t.minion[n]].calm || !sameMap(b.Labels, w.labels) || !sameMap(b.Annotations, w.annotations) || !c.readyAt(n, b) {
			return false
		}
		if w.controller == "" {
			continue
		}
		i := number(w.controller, b.Pod)
		if i < 0 || i >= width || c.numbersSeen[i/64]&(1<<(i%64)) != 0 {
			return false
		}
		c.numbersSeen[i/64] |= 1 << (i % 64)
	}
	return true
}

// rouse makes a workload that is at rest busy, before something of it is changed: what follows from that is decided when its
// turn comes.
func (c *step) rouse(k schema.Key) {
	if !c.rests(k) {
		return
	}
	w := c.of.by[k]
	c.moving[k] = true
	if n, ok := c.st.Bindings.t.owners.number.get(k); ok {
		c.restingOwner[n] = false
	}
	c.busy = append(c.busy, w)
	slices.SortFunc(c.busy, func(a, b *workload) int { return a.key.Compare(b.key) })
	wants := c.wantsOf(w)
	c.wanted = append(c.wanted, wants...)
	slices.SortStableFunc(c.wanted, func(a, b want) int { return a.key.Compare(b.key) })
	for b := range c.st.Bindings.Of(k) {
		s := slot(b.Namespace, b.Pod, b.Controller)
		c.slotIDs[s] = append(c.slotIDs[s], b.ID)
	}
	c.slotsWanted = nil
	c.lookAtRollouts(wants, c.slotIDs)
	p := wants[0].priority
	c.queue[p] = append(c.queue[p], wants...)
}

// isWanted tells whether the pod that an instance is of is declared.
func (c *step) isWanted(b *Binding) bool {
	k := owner(b.Namespace, b.Pod, b.Controller)
	if c.rests(k) {
		return true
	}
	if c.of.by[k] == nil {
		return false
	}
	return c.declared()[slot(b.Namespace, b.Pod, b.Controller)]
}

// leavingIDs are the instances that drain or stop, sorted.
func (c *step) leavingIDs() []string {
	t := c.st.Bindings.t
	if t == nil || len(t.leaving) == 0 {
		return nil
	}
	ids := make([]string, 0, len(t.leaving))
	for n := range t.leaving {
		ids = append(ids, t.all[n].ID)
	}
	slices.SortFunc(ids, strings.Compare)
	return ids
}
