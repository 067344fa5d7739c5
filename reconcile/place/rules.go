package place

import (
	"fmt"
	"maps"

	"reconciler/schema"
)

// rules is what a pod asks for by labels of minions and of the pods on them, worked out once for all that are alike.
type rules struct {
	labels map[string]string
	seen   int      // guards that were known then
	guards []*count // pods that keep this one away
	apart  []*count // pods that it must not be near
	near   []*count // pods that it must be near
	first  bool     // it is one of those that it must be near itself
	spread []spread
	nodes  []schema.PreferredNode
	likes  []like
}

// spread is one topology spread constraint.
type spread struct {
	*count
	schema.TopologySpread
	self    int             // 1 if the pod is one of those that are to be spread
	domains map[string]bool // the values that there are
}

// like is a weight for each pod that a pod prefers to be near, negative for those that it prefers to be apart from.
type like struct {
	*count
	weight int
}

// ruled tells whether a pod asks for anything by labels, but for nodeSelector.
func (d *Demand) ruled() bool { return d.Affinity != nil || len(d.Spread) > 0 }

// prefers tells whether minions differ for a pod by more than what they have left.
func (r *rules) prefers() bool {
	if r == nil {
		return false
	}
	soft := false
	for i := range r.spread {
		soft = soft || r.spread[i].soft()
	}
	return soft || len(r.nodes)+len(r.likes) > 0
}

func (s *spread) soft() bool { return s.WhenUnsatisfiable == "ScheduleAnyway" }

// rules are those of a pod; nil if nothing is asked, of it or of the others.
func (f *Fleet) rules(d *Demand) *rules {
	if f.pods == nil || !d.ruled() && f.pods.seen == 0 {
		return nil
	}
	key := d.Group + " " + d.Hash
	r := f.pods.rules[key]
	if r == nil || !maps.Equal(r.labels, d.Labels) {
		r = f.newRules(d)
		f.pods.rules[key] = r
	}
	if r.seen != f.pods.seen {
		r.guards, r.seen = f.pods.guardsOf(d), f.pods.seen
	}
	if !d.ruled() && len(r.guards) == 0 {
		return nil
	}
	return r
}

func (f *Fleet) newRules(d *Demand) *rules {
	r := &rules{labels: d.Labels}
	if a := d.Affinity; a != nil {
		if a.Node != nil {
			r.nodes = a.Node.Preferred
		}
		if a.Pod != nil {
			f.nearRules(r, d, a.Pod.Required)
			r.likes = append(r.likes, f.likes(d, a.Pod.Preferred, 1)...)
		}
		if a.PodAnti != nil {
			for i := range a.PodAnti.Required {
				c := f.termCount(d, &a.PodAnti.Required[i])
				c.why = "near pods of its podAntiAffinity (by " + c.label + ")"
				r.apart = append(r.apart, c)
			}
			r.likes = append(r.likes, f.likes(d, a.PodAnti.Preferred, -1)...)
		}
	}
	for _, s := range d.Spread {
		r.spread = append(r.spread, f.newSpread(d, s))
	}
	return r
}

// termCount counts the pods that a term means.
func (f *Fleet) termCount(d *Demand, t *schema.PodTerm) *count {
	is := about(t, d.Namespace)
	return f.newCount(t.TopologyKey, handle(t.Selector), nil, func(k *kind) bool { return is(k.namespace, k.labels) })
}

// nearRules counts, for each term of a required affinity, the pods that all of its terms mean.
func (f *Fleet) nearRules(r *rules, d *Demand, terms []schema.PodTerm) {
	own := d.Namespace
	all := func(namespace string, labels map[string]string) bool {
		for i := range terms {
			if !about(&terms[i], own)(namespace, labels) {
				return false
			}
		}
		return true
	}
	for i := range terms {
		c := f.newCount(terms[i].TopologyKey, handle(terms[i].Selector), nil, func(k *kind) bool { return all(k.namespace, k.labels) })
		c.why = "not near pods of its podAffinity (by " + c.label + ")"
		r.near = append(r.near, c)
	}
	r.first = all(d.Namespace, d.Labels)
}

func (f *Fleet) likes(d *Demand, terms []schema.PreferredPod, sign int) (out []like) {
	for i := range terms {
		out = append(out, like{f.termCount(d, &terms[i].Term), sign * int(terms[i].Weight)})
	}
	return out
}

// newSpread counts the pods of the same namespace on the minions that the pod may be on by their labels. Those that leave
// do not count.
func (f *Fleet) newSpread(d *Demand, t schema.TopologySpread) spread {
	namespace, selector, node, all := d.Namespace, d.Selector, required(d), d.Spread // not d: it would be allocated for every pod
	may := func(m *Minion) bool {
		for _, o := range all {
			if _, ok := m.label(o.TopologyKey); !ok {
				return false
			}
		}
		return m.selected(selector) && (node == nil || node.Matches(m.Name, m.label))
	}
	s := spread{TopologySpread: t, domains: map[string]bool{}}
	s.count = f.newCount(t.TopologyKey, handle(t.Selector), may, func(k *kind) bool {
		return !k.leaving && k.namespace == namespace && t.Selector.Matches(k.labels)
	})
	s.why = fmt.Sprintf("where topologySpread has too many (by %s, maxSkew %d)", t.TopologyKey, t.MaxSkew)
	for i := range f.minions {
		if m := &f.minions[i]; may(m) {
			v, _ := m.label(t.TopologyKey)
			s.domains[v] = true
		}
	}
	if t.Selector.Matches(d.Labels) {
		s.self = 1
	}
	return s
}

func required(d *Demand) *schema.NodeSelector {
	if d.Affinity == nil || d.Affinity.Node == nil {
		return nil
	}
	return d.Affinity.Node.Required
}

// least is how many pods the domain with the fewest has, 0 if there are fewer domains than there should be. gone is a pod
// that does not count, if it is on one of them.
func (s *spread) least(gone *departed) int {
	if s.MinDomains != nil && len(s.domains) < int(*s.MinDomains) {
		return 0
	}
	low := -1
	for v := range s.domains {
		if n := s.at(v, gone); low < 0 || n < low {
			low = n
		}
	}
	return max(low, 0)
}

// departed is a pod that is taken to have left its minion.
type departed struct {
	*kind
	minion *Minion
}

// at is how many pods are in a domain, without the one that is gone.
func (c *count) at(value string, gone *departed) int {
	n := c.in[value]
	if gone != nil && gone.kind != nil && c.has(gone.kind) && (c.on == nil || c.on(gone.minion)) {
		if v, ok := gone.minion.label(c.label); ok && v == value {
			n--
		}
	}
	return n
}

// trial is one pod that is to be placed.
type trial struct {
	*Demand
	rules    *rules
	gone     *departed // for every rule: nil if it must fit beside all that are there
	replaced *departed // for topology spread: what gives way to it does not count
	least    []int     // of each spread
}

func (f *Fleet) trial(d *Demand, gone *departed) trial {
	t := trial{Demand: d, rules: f.rules(d), gone: gone, replaced: gone}
	if t.rules == nil {
		return t
	}
	if d.Replaces != nil && gone == nil {
		t.replaced = f.departed(d.Replaces.Minion, &d.Replaces.Demand)
	}
	for i := range t.rules.spread {
		t.least = append(t.least, t.rules.spread[i].least(t.replaced))
	}
	return t
}

func (f *Fleet) departed(minion string, d *Demand) *departed {
	i := f.Index(minion)
	if i < 0 || f.pods == nil {
		return nil
	}
	return &departed{f.pods.find(d), &f.minions[i]}
}

// refused says which rule keeps a pod off a minion, "" if none.
func (t *trial) refused(m *Minion) string {
	if n := required(t.Demand); n != nil && !n.Matches(m.Name, m.label) {
		return "outside its nodeAffinity"
	}
	if t.rules == nil {
		return ""
	}
	for _, c := range t.rules.guards {
		if v, ok := m.label(c.label); ok && c.at(v, t.gone) > 0 {
			return c.why
		}
	}
	for _, c := range t.rules.apart {
		if v, ok := m.label(c.label); ok && c.at(v, t.gone) > 0 {
			return c.why
		}
	}
	if why := t.far(m); why != "" {
		return why
	}
	for i := range t.rules.spread {
		s := &t.rules.spread[i]
		if s.soft() {
			continue
		}
		v, ok := m.label(s.TopologyKey)
		if !ok {
			return "without the label " + s.TopologyKey + " of its topologySpread"
		}
		if s.at(v, t.replaced)+s.self-t.least[i] > int(s.MaxSkew) {
			return s.why
		}
	}
	return ""
}

// far says why a minion is not near the pods that it must be near. The first of pods that want to be near each other may be
// anywhere where the labels are.
func (t *trial) far(m *Minion) string {
	near, any := true, false
	for _, c := range t.rules.near {
		v, ok := m.label(c.label)
		if !ok {
			return "without the label " + c.label + " of its podAffinity"
		}
		near, any = near && c.at(v, t.gone) > 0, any || c.others(t.gone) > 0
	}
	if near || t.rules.first && !any {
		return ""
	}
	return t.rules.near[0].why
}

// others is how many pods are in all domains, without the one that is gone.
func (c *count) others(gone *departed) int {
	n := c.total
	if gone != nil {
		if v, ok := gone.minion.label(c.label); ok {
			n += c.at(v, gone) - c.in[v]
		}
	}
	return n
}

// standing is how much a pod wants to be on a minion, by preferences: the first field that differs decides.
type standing struct {
	taints int // with PreferNoSchedule, that it does not tolerate: the fewer the better
	excess int // pods above the skew that it should not go above: the fewer the better
	liking int // weights: the more the better
	crowd  int // pods where it should be spread: the fewer the better
}

// standing of a pod on a minion.
func (t *trial) standing(m *Minion) (s standing) {
	for _, x := range m.Taints {
		if x.Effect == schema.PreferNoSchedule && !t.tolerates(x) {
			s.taints++
		}
	}
	if t.rules == nil {
		return s
	}
	for i := range t.rules.nodes {
		if n := &t.rules.nodes[i]; n.Preference.Matches(m.Name, m.label) {
			s.liking += int(n.Weight)
		}
	}
	for _, l := range t.rules.likes {
		if v, ok := m.label(l.label); ok {
			s.liking += l.weight * l.at(v, t.gone)
		}
	}
	for i := range t.rules.spread {
		p := &t.rules.spread[i]
		if !p.soft() {
			continue
		}
		v, ok := m.label(p.TopologyKey)
		if !ok {
			s.excess += int(p.MaxSkew) + 1
			continue
		}
		n := p.at(v, t.replaced)
		s.crowd += n
		s.excess += max(n+p.self-t.least[i]-int(p.MaxSkew), 0)
	}
	return s
}

// over tells whether a stands above b, and whether they differ.
func (a standing) over(b standing) (above, differ bool) {
	switch {
	case a.taints != b.taints:
		return a.taints < b.taints, true
	case a.excess != b.excess:
		return a.excess < b.excess, true
	case a.liking != b.liking:
		return a.liking > b.liking, true
	}
	return a.crowd < b.crowd, a.crowd != b.crowd
}
