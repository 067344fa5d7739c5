package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// ordering is which declared objects wait for which: those with an annotation, and in their namespaces all above the lowest wave.
// It depends on the set alone.
type ordering struct {
	named     map[schema.Key][]schema.Key // by reconciler/depends-on
	waves     map[string][]wave           // of namespaces in which an object has a wave, from low to high
	inherited map[schema.Key]inherited    // of those that others wait for
}

// wave is the objects of one namespace with one number.
type wave struct {
	number int
	keys   []schema.Key
}

// orderOf is nil if no object of a set waits for another, as in most fleets.
func orderOf(d *derived) *ordering {
	waves := map[string]bool{}
	o := &ordering{named: map[schema.Key][]schema.Key{}, waves: map[string][]wave{}}
	for _, w := range d.workloads {
		m := w.object.Metadata()
		if len(m.Annotations) == 0 {
			continue
		}
		if _, ok := m.Annotations[schema.AnnotationWave]; ok {
			waves[m.Namespace] = true
		}
		if keys, err := m.DependsOn(); err == nil && len(keys) > 0 {
			o.named[w.key] = keys
		}
	}
	if len(waves) == 0 && len(o.named) == 0 {
		return nil
	}
	numbers := map[string]map[int][]schema.Key{}
	for _, w := range d.workloads {
		n := w.key.Namespace
		if !waves[n] {
			continue
		}
		if numbers[n] == nil {
			numbers[n] = map[int][]schema.Key{}
		}
		number := w.object.Metadata().Wave()
		numbers[n][number] = append(numbers[n][number], w.key)
	}
	for n, by := range numbers {
		for _, number := range slices.Sorted(maps.Keys(by)) {
			o.waves[n] = append(o.waves[n], wave{number, by[number]})
		}
	}
	return o
}

// standings is what was found out in a step of who is as declared and well.
type standings struct {
	well    map[schema.Key]bool
	lower   map[string][][]schema.Key // of a namespace, by wave: those of all lower waves that are not well
	running *pool                     // ready instances; nil until a service was asked for
}

// lower are those of the waves below an object's that are not as declared or not well.
func (c *step) lower(k schema.Key) []schema.Key {
	waves := c.of.order.waves[k.Namespace]
	if len(waves) < 2 {
		return nil
	}
	lower, known := c.standing.lower[k.Namespace]
	if !known {
		lower = make([][]schema.Key, len(waves))
		for i := 1; i < len(waves); i++ {
			lower[i] = slices.Clone(lower[i-1])
			for _, d := range waves[i-1].keys {
				if !c.well(d) {
					lower[i] = append(lower[i], d)
				}
			}
		}
		c.standing.lower[k.Namespace] = lower
	}
	i, ok := slices.BinarySearchFunc(waves, c.of.by.get(k).object.Metadata().Wave(), func(x wave, n int) int { return cmp.Compare(x.number, n) })
	if !ok {
		return nil
	}
	return lower[i]
}

// named are those that an object names and that are not as declared or not well.
func (c *step) named(k schema.Key) (out []schema.Key) {
	for _, d := range c.of.order.named[k] {
		if d != k && !c.well(d) && !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// waits tells whether declared changes of an object wait for others.
func (c *step) waits(k schema.Key) bool {
	if c.of.order == nil || c.of.by.get(k) == nil {
		return false
	}
	if c.standing == nil {
		c.standing = &standings{well: map[schema.Key]bool{}, lower: map[string][][]schema.Key{}}
	}
	return len(c.lower(k)) > 0 || len(c.named(k)) > 0
}

// well tells whether an object is as declared and does what it is for, see asDeclared and serves. What is not known is not well.
func (c *step) well(k schema.Key) bool {
	is, known := c.standing.well[k]
	if !known {
		switch {
		case k.Kind == schema.KindService:
			is = c.serves(c.of.service(k))
		default:
			w := c.of.by.get(k)
			is = w != nil && c.asDeclared(w)
		}
		c.standing.well[k] = is
	}
	return is
}

// asDeclared tells whether all pods of an object are ready with the declared spec; one that is to end has to have ended, and well:
// who waits for a migration does not want to meet it.
func (c *step) asDeclared(w *workload) bool {
	if c.st.Objects[w.name].Quarantine != nil {
		return false
	}
	ends := w.spec.Restart() != schema.RestartAlways
	pods := map[string]bool{}
	for b := range c.st.Bindings.Of(w.key) {
		if b.Hash == w.hash && c.reported(b.ID) && (ends && c.endedWell(b) || !ends && c.ready(b)) {
			pods[b.Pod] = true
		}
	}
	return len(pods) >= w.replicas
}

// endedWell tells whether an instance that is to end has, without an error.
func (c *step) endedWell(b *Binding) bool {
	o := c.observedOf(b.ID)
	return b.Phase == assignment.Run && c.ended(b.ID) && !slices.ContainsFunc(o.Containers, func(k assignment.ContainerStatus) bool { return k.ExitCode != 0 })
}

// serves tells whether a service has a ready endpoint.
func (c *step) serves(s *schema.Service) bool {
	if s != nil {
		s = c.inForce(s)
	}
	switch {
	case s == nil || len(s.Spec.Needs()) > 0 || len(s.Spec.Ports) == 0:
		return false
	case len(s.Spec.Selector) == 0:
		return c.byHand(s) > 0
	}
	if c.standing.running == nil {
		c.standing.running = &pool{}
		for b := range c.st.Bindings.All() {
			if b.Phase == assignment.Run && c.reported(b.ID) && c.ready(b) {
				c.standing.running.add(b)
			}
		}
	}
	return slices.ContainsFunc(c.standing.running.of(s), func(b *Binding) bool { return targetPort(s.Spec.Ports[0], b.Spec) != 0 })
}

// hold is wants as far as they may be done now: what was declared anew of an object waits until all that it waits for is as
// declared and well. What it has goes on as it is, and is put right as it was: its pods keep the spec that they have, and
// one that is gone comes back, as many as were healthy. A pod whose new instance runs, or whose old one is on its way out
// already, goes on. What goes back, because it is quarantined, waits for nobody.
func (c *step) hold(wants []want, slots map[string][]string) []want {
	c.standing = nil // quarantines have been decided since it was asked for
	if c.of.order == nil {
		return wants
	}
	var out []want
	for len(wants) > 0 {
		n := 1
		for n < len(wants) && wants[n].key == wants[0].key { // they are sorted
			n++
		}
		if c.st.Objects[wants[0].key.String()].Quarantine == nil && c.waits(wants[0].key) {
			out = append(out, c.going(wants[:n], slots)...)
		} else {
			out = append(out, wants[:n]...)
		}
		wants = wants[n:]
	}
	return out
}

// going is what may be done for the pods of one object that waits.
func (c *step) going(wants []want, slots map[string][]string) (out []want) {
	healthy := c.st.Objects[wants[0].key.String()].Healthy
	var gone []want
	there := 0
	for _, w := range wants {
		ids := slots[slot(w.key.Namespace, w.pod, w.controller)]
		id, begun := c.current(w, ids)
		if id == "" {
			gone = append(gone, w)
			continue
		}
		there++
		if begun {
			out = append(out, w)
			continue
		}
		b := c.binding(id)
		ch := c.replacement(w, id)
		ch.Minion = b.Minion
		c.wait(ch)
		w.keep(c, b.Spec, b.Hash, b.Annotations)
		out = append(out, w)
	}
	for _, w := range gone {
		if healthy != nil && there < healthy.Replicas {
			there++
			if healthy.Hash != w.hash {
				w.keep(c, &healthy.Spec, healthy.Hash, healthy.Annotations)
			}
			out = append(out, w)
			continue
		}
		c.wait(c.creation(w, len(slots[slot(w.key.Namespace, w.pod, w.controller)]) > 0))
	}
	return out
}

// keep makes it another spec that is wanted.
func (w *want) keep(c *step, spec *schema.PodSpec, hash string, annotations map[string]string) {
	other := *w.common
	other.spec, other.hash, other.annotations, other.asks = spec, hash, annotations, asks{none: w.asks.none}
	other.priority, _ = c.priority(w.key, spec)
	w.common = &other
}

// current is the instance of a pod that is to go on while its object waits, "" if there is none. begun says that it is as
// declared, or that nothing else of the pod runs any more.
func (c *step) current(w want, ids []string) (id string, begun bool) {
	best := -1
	for _, x := range ids {
		b := c.binding(x)
		if b.Phase != assignment.Run && b.Phase != assignment.Prepare {
			continue
		}
		if b.Phase == assignment.Run && b.Hash == w.hash && !c.lost(x) {
			return x, true
		}
		if r := c.rank(x); r > best || r == best && b.Phase == assignment.Run {
			id, best = x, r
		}
	}
	return id, id != "" && c.binding(id).Hash == w.hash
}

// wait adds a change that waits for other objects; what for is said when all has been decided.
func (c *step) wait(ch Change) {
	ch.Waiting, ch.WaitingCode = "other objects", CodeDependency
	c.change(ch)
}

// nameDependencies says of each change that waits for other objects what for. Where waiting alone does not help them, it does
// not help who waits.
func (c *step) nameDependencies() {
	n := naming{step: c, blocked: map[schema.Key]string{}, told: map[schema.Key]unwell{}, waves: map[string]unwell{}}
	waits := false
	for _, ch := range c.plan.Changes {
		switch {
		case ch.WaitingCode == CodeDependency:
			waits = true
		case ch.Blocked && n.blocked[ch.Object] == "":
			n.blocked[ch.Object] = ch.Waiting
		}
	}
	if !waits {
		return
	}
	for i := range c.plan.Changes {
		ch := &c.plan.Changes[i]
		if ch.WaitingCode == CodeDependency {
			why := n.waiting(ch.Object)
			ch.Waiting, ch.Blocked = why.text(), why.blocked
		}
	}
}

// naming finds words for what objects wait for, once for each.
type naming struct {
	*step
	blocked map[schema.Key]string // what is blocked of an object itself
	told    map[schema.Key]unwell // why an object is not well
	waves   map[string]unwell     // what all of a wave wait for, by namespace and wave
}

// unwell is objects that are waited for.
type unwell struct {
	words   []string // of the first of them
	more    int      // others
	blocked bool     // time alone does not help them
}

// reasonsNamed is how many of the objects that are waited for are named.
const reasonsNamed = 3

func (u *unwell) add(o unwell) {
	for _, w := range o.words {
		if len(u.words) < reasonsNamed {
			u.words = append(u.words, w)
		} else {
			u.more++
		}
	}
	u.more, u.blocked = u.more+o.more, u.blocked || o.blocked
}

func (u unwell) text() string {
	text := strings.Join(u.words, ", and ")
	if u.more > 0 {
		text += fmt.Sprintf(", and %d more", u.more)
	}
	return text
}

// waiting is what an object waits for.
func (n *naming) waiting(k schema.Key) (out unwell) {
	named := n.named(k)
	out.add(n.all(named))
	wave := fmt.Sprintf("%s %d", k.Namespace, n.of.by.get(k).object.Metadata().Wave())
	lower, known := n.waves[wave]
	if !known {
		lower = n.all(n.lower(k))
		n.waves[wave] = lower
	}
	if len(named) == 0 || len(lower.words) == 0 {
		out.add(lower)
		return out
	}
	out.add(n.all(slices.DeleteFunc(slices.Clone(n.lower(k)), func(d schema.Key) bool { return slices.Contains(named, d) })))
	return out
}

// all is several objects that are waited for. Those that wait for others are named only if all do.
func (n *naming) all(keys []schema.Key) (out unwell) {
	var rest unwell
	for _, d := range keys {
		if n.waits(d) {
			rest.add(n.why(d))
		} else {
			out.add(n.why(d))
		}
	}
	if len(out.words) == 0 {
		return rest
	}
	out.more, out.blocked = out.more+len(rest.words)+rest.more, out.blocked || rest.blocked
	return out
}

// why says why an object is not as declared, or not well.
func (n *naming) why(k schema.Key) unwell {
	if out, ok := n.told[k]; ok {
		return out
	}
	n.told[k] = unwell{words: []string{k.String()}} // should it wait for itself, which no set does that was loaded
	text, blocked := n.reason(k)
	n.told[k] = unwell{words: []string{k.String() + text}, blocked: blocked}
	return n.told[k]
}

func (n *naming) reason(k schema.Key) (text string, blocked bool) {
	w, s := n.of.by.get(k), n.of.service(k)
	r := n.st.Objects[k.String()]
	suspension, suspended := n.suspended[k]
	switch {
	case w == nil && s == nil:
		return ", which nothing declares", true
	case r.Quarantine != nil && r.Quarantine.With != "":
		return ", which " + quarantined(r), true
	case r.Quarantine != nil:
		return ", which is " + quarantined(r), true
	case suspended:
		return ", which is " + suspension.String(), true
	case n.blocked[k] != "":
		return ", which is blocked: " + n.blocked[k], true
	case s != nil:
		return " to have a ready endpoint", len(s.Spec.Needs()) > 0
	case n.waits(k):
		why := n.waiting(k)
		return ", which waits for " + why.text(), why.blocked
	}
	pods := map[string]bool{}
	for b := range n.st.Bindings.Of(k) {
		switch {
		case b.Phase == assignment.Run && n.ended(b.ID) && !n.endedWell(b):
			return ", which ended with an error", true
		case b.Hash == w.hash && n.ready(b):
			pods[b.Pod] = true
		}
	}
	switch {
	case w.spec.Restart() != schema.RestartAlways:
		return " to end", false
	case k.Kind == schema.KindPod:
		return " to be ready as declared", false
	}
	return fmt.Sprintf(" to be ready as declared (%d of %d pods)", len(pods), w.replicas), false
}

// meanwhile notes what objects that wait may get as they were, before they get what is declared: pods that have to leave their
// minions do so with the spec that they have.
func (f *forecast) meanwhile(p Plan) {
	f.repairs = map[schema.Key]bool{}
	for _, ch := range p.Changes {
		if ch.WaitingCode != CodeDependency || ch.Old == "" {
			continue
		}
		if b := f.binding(ch.Old); f.lost(ch.Old) || f.expires(&b) {
			f.repaired = append(f.repaired, held(&b))
			f.repairs[ch.Object] = true
		}
	}
}
