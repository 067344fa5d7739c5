package reconcile

import (
	"slices"
	"strings"

	"reconciler/schema"
)

// workload is a declared pod or controller, with what is worked out of it once.
type workload struct {
	id          int32 // its number, as long as its key is declared
	key         schema.Key
	name        string        // key as text
	object      schema.Object // as it is declared
	spec        *schema.PodSpec
	json        []byte // canonical, of spec
	hash        string // of that
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
	ordered     bool // an annotation has it wait for others, or others for it
	grouped     bool // it is in a group
	ported      bool // it has host ports
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
	workloads []*workload // pods and controllers in the order of their keys
	pods      []*workload // of these, likewise
	rcs       []*workload // and controllers
	numbered  []*workload // by id; nil is free
	free      []int32     // ids
	by        layered[schema.Key, workload]
	named     layered[string, workload]   // by the text of the key
	offers    []*offer                    // in the order of their keys
	labelled  layered[[3]string, []int32] // ids of workloads by namespace and label
	selected  [][]int32                   // by number of the offer: the workloads that it selects
	fenced    []schema.Key
	held      []*workload                  // for which nothing may be to be done
	ported    []*workload                  // with host ports
	ruled     bool                         // a pod asks for something by labels
	counted   map[schema.Key][]*schema.Pod // see count
	order     *ordering                    // nil: nobody waits for another
	groups    map[string][]*workload
}

// difference is what a derived has that the one before it had not, and what it has not any more. What stands in both lists under one
// key is another object, or one with another number of replicas of its own. What came is in the order of the keys, pods first, but for
// those of the same object, which stand last.
type difference struct {
	came, gone []*workload
	offered    []*offer
	withdrawn  []*offer
}

// each goes through what came.
func (x *difference) each(do func(schema.Object)) {
	for _, w := range x.came {
		do(w.object)
	}
	for _, o := range x.offered {
		do(o.service)
	}
}

// derive looks at a set, whose lists are sorted. What another has the same, as what did not change in Git, is taken from before.
func derive(set *schema.Set, before *derived) *derived {
	d, _ := deriveFrom(set, before)
	return d
}

// deriveFrom is derive, and tells what is another.
func deriveFrom(set *schema.Set, before *derived) (*derived, *difference) {
	x := &difference{}
	if before == nil {
		before = &derived{}
	}
	if before.set == set {
		return before, x
	}
	d := &derived{set: set}
	if set == nil {
		x.gone, x.withdrawn = before.workloads, before.offers
		return d, x
	}
	d.look(before, x)
	d.count(before, x)
	d.number(before, x)
	d.offer(before, x)
	d.choose(before, x)
	d.list(before, x)
	return d, x
}

// look looks at the pods and controllers.
func (d *derived) look(before *derived, x *difference) {
	note := func(was *workload, o schema.Object, w *workload) *workload {
		w.id, w.key, w.object = -1, o.Key(), o
		if was != nil {
			w.id = was.id
			x.gone = append(x.gone, was)
		}
		x.came = append(x.came, w)
		return w
	}
	left := func(w *workload) { x.gone = append(x.gone, w) }
	d.pods = carryOver(d.set.Pods, before.pods, func(w *workload, p *schema.Pod) bool { return w.object == p },
		func(was *workload, p *schema.Pod) *workload {
			return note(was, p, &workload{spec: &p.Spec, labels: p.Labels, annotations: p.Annotations, replicas: 1, rollback: p.Annotations[schema.AnnotationRollback]})
		}, left)
	d.rcs = carryOver(d.set.ReplicationControllers, before.rcs, func(w *workload, r *schema.ReplicationController) bool { return w.object == r },
		func(was *workload, r *schema.ReplicationController) *workload {
			t := &r.Spec.Template
			return note(was, r, &workload{spec: &t.Spec, labels: t.Labels, annotations: withMinReady(t.Annotations, r.Spec.MinReadySeconds), controller: r.Name,
				rolls: r.Annotations, replicas: r.Spec.Count(), rollback: r.Annotations[schema.AnnotationRollback]})
		}, left)
	for _, w := range x.came {
		w.look()
	}
}

// look works out what is asked of a workload often.
func (w *workload) look() {
	w.name, w.json, w.onLoss, w.ruled = w.key.String(), w.spec.CanonicalJSON(), whenLostOf(w.object), ruled(w.spec)
	w.hash = schema.HashBytes(w.json)
	v, ok := w.annotations[AnnotationMinReady]
	w.odd = ok && !validMinReady(v)
	has := func(annotation string) bool {
		_, ok := w.object.Metadata().Annotations[annotation]
		return ok
	}
	w.held = has(schema.AnnotationSuspend) || has(schema.AnnotationReportOnly)
	w.ordered = has(schema.AnnotationWave) || has(schema.AnnotationDependsOn)
	w.grouped, w.ported = w.groupOf() != "", holdsPorts(w.spec)
}

// carryOver is what is known of sorted objects: what is still so of that which is known, and else what is made of an object and of
// what was known by its key. left is called with what is known of objects that are not there any more.
func carryOver[T schema.Object, W keyed](now []T, known []W, is func(W, T) bool, made func(W, T) W, left func(W)) []W {
	head, most := 0, min(len(now), len(known))
	for head < most && is(known[head], now[head]) {
		head++
	}
	tail := 0
	for tail < most-head && is(known[len(known)-1-tail], now[len(now)-1-tail]) {
		tail++
	}
	out, same := append(make([]W, 0, len(now)), known[:head]...), known[len(known)-tail:]
	known = known[head : len(known)-tail]
	for _, o := range now[head : len(now)-tail] {
		var was W
		k := o.Key()
		for ; len(known) > 0 && known[0].Key().Compare(k) < 0; known = known[1:] {
			left(known[0])
		}
		if len(known) > 0 && known[0].Key() == k {
			was, known = known[0], known[1:]
			if is(was, o) {
				out = append(out, was)
				continue
			}
		}
		out = append(out, made(was, o))
	}
	for _, w := range known {
		left(w)
	}
	return append(out, same...)
}

// keyed is an object, or what is known of one.
type keyed interface{ Key() schema.Key }

// Key is that of the pod or controller.
func (w *workload) Key() schema.Key { return w.key }

// Key is that of the service.
func (o *offer) Key() schema.Key { return o.key }

// find tells where the one with a key stands in a sorted list, or would.
func find[W keyed](sorted []W, k schema.Key) (int, bool) {
	return slices.BinarySearchFunc(sorted, k, func(w W, k schema.Key) int { return w.Key().Compare(k) })
}

// in tells where those of a namespace stand in a sorted list of one kind.
func in[W keyed](sorted []W, namespace string) (from, to int) {
	at := func(w W, n string) int { return strings.Compare(w.Key().Namespace, n) }
	from, _ = slices.BinarySearchFunc(sorted, namespace, at)
	for to = from; to < len(sorted) && at(sorted[to], namespace) == 0; to++ {
	}
	return from, to
}

// within are those of a namespace in a sorted list of one kind.
func within[W keyed](sorted []W, namespace string) []W {
	from, to := in(sorted, namespace)
	return sorted[from:to]
}

// count finds the pods that count as replicas of controllers, which run so many fewer of their own. As in Kubernetes it is the
// selector that counts; here no pod that is declared is ever deleted for it.
func (d *derived) count(before *derived, x *difference) {
	changed := map[string]bool{} // namespaces
	for _, w := range slices.Concat(x.came, x.gone) {
		changed[w.key.Namespace] = true
	}
	recount := map[schema.Key]bool{} // controllers
	d.counted = map[schema.Key][]*schema.Pod{}
	for k, pods := range before.counted {
		if changed[k.Namespace] {
			recount[k] = true
		} else {
			d.counted[k] = pods
		}
	}
	for namespace := range changed {
		pods := within(d.set.Pods, namespace)
		if len(pods) == 0 {
			continue
		}
		m := schema.MatcherOf(within(d.set.ReplicationControllers, namespace))
		for _, p := range pods {
			if r := m.Replica(p); r != nil {
				d.counted[r.Key()] = append(d.counted[r.Key()], p)
				recount[r.Key()] = true
			}
		}
	}
	for k := range recount {
		i, ok := find(d.rcs, k)
		if !ok {
			continue // it is gone
		}
		w := d.rcs[i]
		n := max(w.object.(*schema.ReplicationController).Spec.Count()-len(d.counted[k]), 0)
		if n == w.replicas {
			continue
		}
		if before.by.get(k) == w { // it is not to be changed
			other := *w
			x.gone, x.came = append(x.gone, w), append(x.came, &other)
			w, d.rcs[i] = &other, &other
		}
		w.replicas = n
	}
	if len(d.counted) == 0 {
		d.counted = nil
	}
	d.workloads = merge(d.pods, d.rcs)
}

// merge is two sorted lists as one.
func merge(x, y []*workload) []*workload {
	if len(x) > len(y) {
		x, y = y, x
	}
	if len(x) == 0 {
		return y
	}
	out := make([]*workload, 0, len(x)+len(y))
	for _, w := range x {
		n := 0 // how many of y are before it
		if len(x) < len(y)/16 {
			n, _ = find(y, w.key)
		} else {
			for n < len(y) && y[n].key.Compare(w.key) < 0 {
				n++
			}
		}
		out, y = append(append(out, y[:n]...), w), y[n:]
	}
	return append(out, y...)
}

// number gives those that came their ids, and notes by what they are found.
func (d *derived) number(before *derived, x *difference) {
	d.numbered, d.free = slices.Clone(before.numbered), slices.Clone(before.free)
	by, named := make(map[schema.Key]*workload, len(x.came)), make(map[string]*workload, len(x.came))
	for _, w := range x.gone {
		d.numbered[w.id], by[w.key], named[w.name] = nil, nil, nil
	}
	for _, w := range x.came {
		if w.id < 0 {
			if last := len(d.free) - 1; last >= 0 {
				w.id, d.free = d.free[last], d.free[:last]
			} else {
				w.id, d.numbered = int32(len(d.numbered)), append(d.numbered, nil)
			}
		}
		d.numbered[w.id], by[w.key], named[w.name] = w, w, w
	}
	for _, w := range x.gone {
		if d.numbered[w.id] == nil {
			d.free = append(d.free, w.id)
		}
	}
	d.by, d.named = before.by.with(by), before.named.with(named)
}

// offer looks at the services.
func (d *derived) offer(before *derived, x *difference) {
	d.offers = carryOver(d.set.Services, before.offers, func(o *offer, s *schema.Service) bool { return o.service == s },
		func(was *offer, s *schema.Service) *offer {
			if was != nil {
				x.withdrawn = append(x.withdrawn, was)
			}
			k := s.Key()
			o := &offer{k, k.String(), s, s.Spec.Needs()}
			x.offered = append(x.offered, o)
			return o
		}, func(o *offer) { x.withdrawn = append(x.withdrawn, o) })
}

// service is the declared service with a key, nil if there is none.
func (d *derived) service(k schema.Key) *schema.Service {
	if i, ok := find(d.offers, k); ok {
		return d.offers[i].service
	}
	return nil
}

// choose finds out which workloads services select.
func (d *derived) choose(before *derived, x *difference) {
	changes, namespaces := map[[3]string]*[]int32{}, map[string]bool{}
	list := func(w *workload, change func(list []int32) []int32) {
		namespaces[w.key.Namespace] = true
		for k, v := range w.labels {
			at := [3]string{w.key.Namespace, k, v}
			l, own := changes[at]
			if !own {
				l = new([]int32)
				if was := before.labelled.get(at); was != nil {
					*l = slices.Clone(*was)
				}
				changes[at] = l
			}
			*l = change(*l)
		}
	}
	for _, w := range x.gone {
		if now := d.by.get(w.key); now == nil || !sameMap(now.labels, w.labels) {
			list(w, func(l []int32) []int32 {
				i := slices.Index(l, w.id)
				return slices.Delete(l, i, i+1)
			})
		}
	}
	for _, w := range x.came {
		if was := before.by.get(w.key); was == nil || !sameMap(was.labels, w.labels) {
			list(w, func(l []int32) []int32 { return append(l, w.id) })
		}
	}
	for at, l := range changes {
		if len(*l) == 0 {
			changes[at] = nil
		}
	}
	d.labelled = before.labelled.with(changes)
	d.selected = make([][]int32, len(d.offers))
	fresh := make(map[*offer]bool, len(x.offered))
	for _, o := range x.offered {
		fresh[o] = true
	}
	j := 0
	for i, o := range d.offers {
		if fresh[o] {
			d.selected[i] = d.selectedBy(o.service)
			continue
		}
		for before.offers[j] != o {
			j++
		}
		d.selected[i] = before.selected[j]
		j++
	}
	for n := range namespaces {
		for i, to := in(d.offers, n); i < to; i++ {
			if !fresh[d.offers[i]] {
				d.selected[i] = d.selectedBy(d.offers[i].service)
			}
		}
	}
}

// selectedBy are the workloads that a service selects.
func (d *derived) selectedBy(s *schema.Service) (out []int32) {
	all := fewest(s.Namespace, s.Spec.Selector, func(label [3]string) []int32 {
		if l := d.labelled.get(label); l != nil {
			return *l
		}
		return nil
	})
	for n, i := range all {
		if schema.Selects(s.Spec.Selector, d.numbered[i].labels) {
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

// list lists the workloads of which something is asked for that few have.
func (d *derived) list(before *derived, x *difference) {
	differs := func(is func(*workload) bool) bool {
		return slices.ContainsFunc(x.came, is) || slices.ContainsFunc(x.gone, is)
	}
	d.ruled, d.held, d.ported, d.fenced = before.ruled, before.held, before.ported, before.fenced
	all := func(is func(*workload) bool) (out []*workload) {
		for _, w := range d.workloads {
			if is(w) {
				out = append(out, w)
			}
		}
		return out
	}
	isRuled, isFenced := func(w *workload) bool { return w.ruled }, func(w *workload) bool { return w.onLoss == fence }
	isHeld, isPorted := func(w *workload) bool { return w.held }, func(w *workload) bool { return w.ported }
	if differs(isRuled) {
		d.ruled = slices.ContainsFunc(d.workloads, isRuled)
	}
	if differs(isHeld) {
		d.held = all(isHeld)
	}
	if differs(isPorted) {
		d.ported = all(isPorted)
	}
	if differs(isFenced) {
		d.fenced = nil
		for _, w := range all(isFenced) {
			d.fenced = append(d.fenced, w.key)
		}
	}
	if before.order != nil || differs(func(w *workload) bool { return w.ordered }) {
		if d.order = orderOf(d); d.order != nil {
			d.order.inherited = d.inherit()
		}
	}
	if before.groups != nil || differs(func(w *workload) bool { return w.grouped }) {
		d.groups = groupsOf(d)
	}
}

// replicas are the declared number of pods of a controller, without those that count as such, 0 if it is not declared.
func (d *derived) replicas(k schema.Key) int {
	if w := d.by.get(k); w != nil && w.controller != "" {
		return w.replicas
	}
	return 0
}
