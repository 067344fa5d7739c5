package place

import (
	"maps"
	"slices"
	"strings"

	"reconciler/schema"
)

// kind is pods that are alike, and how many of them are on which minion.
type kind struct {
	namespace string
	labels    map[string]string
	hash      string
	leaving   bool
	on        map[int]int // by minion
	guards    []*count    // of its own required anti-affinity
}

// count is how many of some pods are in each domain: the minions that have one value of a label.
type count struct {
	label string
	why   string // what a minion is on which it keeps a pod off
	has   func(*kind) bool
	on    func(*Minion) bool // nil: every minion
	in    map[string]int     // by value of the label
	total int
}

func (c *count) add(m *Minion, n int) {
	if v, ok := m.label(c.label); ok && (c.on == nil || c.on(m)) {
		c.in[v] += n
		c.total += n
	}
}

// guard keeps pods away that the required anti-affinity of others is about.
type guard struct {
	*count
	about func(namespace string, labels map[string]string) bool
}

// pods is what a fleet knows of the pods on it, once their labels matter.
type pods struct {
	kinds  map[string][]*kind // by group
	labels map[string][]*kind // by "key=value", of those that have the label
	counts map[string][]*count
	guards map[string][]guard
	seen   int // guards ever made: what was worked out before the last is worked out anew
	rules  map[string]*rules
}

// general is where counts and guards are kept that no label of a pod leads to. No label has this name.
const general = ""

func newPods() *pods {
	return &pods{kinds: map[string][]*kind{}, labels: map[string][]*kind{}, counts: map[string][]*count{}, guards: map[string][]guard{}, rules: map[string]*rules{}}
}

// find is the kind of a pod, nil if there was none yet.
func (p *pods) find(d *Demand) *kind {
	for _, k := range p.kinds[d.Group] {
		if k.hash == d.Hash && k.leaving == d.Leaving && k.namespace == d.Namespace && maps.Equal(k.labels, d.Labels) {
			return k
		}
	}
	return nil
}

// take notes that a pod is on a minion.
func (p *pods) take(i int, m *Minion, d *Demand) {
	k := p.find(d)
	if k == nil {
		k = p.newKind(d)
	}
	k.on[i]++
	for _, c := range k.guards {
		c.add(m, 1)
	}
	note := func(counts []*count) {
		for _, c := range counts {
			if c.has(k) {
				c.add(m, 1)
			}
		}
	}
	note(p.counts[general])
	for key, v := range k.labels {
		note(p.counts[key+"="+v])
	}
}

func (p *pods) newKind(d *Demand) *kind {
	k := &kind{namespace: d.Namespace, labels: d.Labels, hash: d.Hash, leaving: d.Leaving, on: map[int]int{}}
	p.kinds[d.Group] = append(p.kinds[d.Group], k)
	p.labels[general] = append(p.labels[general], k)
	for key, v := range d.Labels {
		p.labels[key+"="+v] = append(p.labels[key+"="+v], k)
	}
	if a := d.Affinity; a != nil && a.PodAnti != nil {
		for i := range a.PodAnti.Required {
			t := &a.PodAnti.Required[i]
			c := &count{label: t.TopologyKey, has: func(o *kind) bool { return o == k }, in: map[string]int{},
				why: "near a pod whose podAntiAffinity keeps it off (by " + t.TopologyKey + ")"}
			k.guards = append(k.guards, c)
			at := handle(t.Selector)
			p.guards[at] = append(p.guards[at], guard{c, about(t, d.Namespace)})
			p.seen++
		}
	}
	return k
}

// newCount counts the pods that has is about, all of which have the label at (see handle), and goes on with it.
func (f *Fleet) newCount(label, at string, on func(*Minion) bool, has func(*kind) bool) *count {
	c := &count{label: label, has: has, on: on, in: map[string]int{}}
	for _, k := range f.pods.labels[at] {
		if has(k) {
			for i, n := range k.on {
				c.add(&f.minions[i], n)
			}
		}
	}
	f.pods.counts[at] = append(f.pods.counts[at], c)
	return c
}

// guardsOf are the counts of pods that keep this one away.
func (p *pods) guardsOf(d *Demand) (out []*count) {
	look := func(guards []guard) {
		for _, g := range guards {
			if g.about(d.Namespace, d.Labels) {
				out = append(out, g.count)
			}
		}
	}
	look(p.guards[general])
	for _, key := range slices.Sorted(maps.Keys(d.Labels)) {
		look(p.guards[key+"="+d.Labels[key]])
	}
	slices.SortFunc(out, func(a, b *count) int { return strings.Compare(a.label, b.label) }) // of several, one is named as the reason
	return out
}

// handle is a label, as "key=value", that all pods have which a selector matches, so that few are looked at; general if it
// wants none for certain.
func handle(s *schema.LabelSelector) string {
	if s == nil {
		return general
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		return key + "=" + s.Labels[key]
	}
	for _, r := range s.Expressions {
		if r.Operator == schema.OpIn && len(r.Values) == 1 {
			return r.Key + "=" + r.Values[0]
		}
	}
	return general
}

// about tells which pods a term of a pod in a namespace means.
func about(t *schema.PodTerm, own string) func(namespace string, labels map[string]string) bool {
	return func(namespace string, labels map[string]string) bool {
		if len(t.Namespaces) == 0 && namespace != own || len(t.Namespaces) > 0 && !slices.Contains(t.Namespaces, namespace) {
			return false
		}
		return t.Selector.Matches(labels)
	}
}
