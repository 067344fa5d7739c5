package place_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"reconciler/reconcile/place"
	"reconciler/schema"
)

// world is pods where they are, as a fleet should know them.
type world struct {
	labels map[string]map[string]string // by minion, as they count
	pods   []place.Spot
}

func (w *world) in(minion, label, other string) bool {
	v, ok := w.labels[minion][label]
	o, has := w.labels[other][label]
	return ok && has && v == o
}

func means(t schema.PodTerm, own string, d place.Demand) bool {
	in := d.Namespace == own
	if len(t.Namespaces) > 0 {
		in = slices.Contains(t.Namespaces, d.Namespace)
	}
	return in && t.Selector.Matches(d.Labels)
}

// allowed says by the words of the rules, pod by pod, whether d may be on a minion; gone is a pod that does not count.
func (w *world) allowed(d place.Demand, minion string, gone int) bool {
	a := d.Affinity
	if a == nil {
		a = &schema.Affinity{}
	}
	node := func(m string) bool {
		label := func(k string) (string, bool) { v, ok := w.labels[m][k]; return v, ok }
		return a.Node == nil || a.Node.Required == nil || a.Node.Required.Matches(m, label)
	}
	if !node(minion) {
		return false
	}
	var near, anti []schema.PodTerm
	if a.Pod != nil {
		near = a.Pod.Required
	}
	if a.PodAnti != nil {
		anti = a.PodAnti.Required
	}
	for i, p := range w.pods {
		if i == gone {
			continue
		}
		if o := p.Demand.Affinity; o != nil && o.PodAnti != nil {
			for _, t := range o.PodAnti.Required {
				if means(t, p.Demand.Namespace, d) && w.in(minion, t.TopologyKey, p.Minion) {
					return false
				}
			}
		}
		for _, t := range anti {
			if means(t, d.Namespace, p.Demand) && w.in(minion, t.TopologyKey, p.Minion) {
				return false
			}
		}
	}
	all := func(p place.Demand) bool {
		return !slices.ContainsFunc(near, func(t schema.PodTerm) bool { return !means(t, d.Namespace, p) })
	}
	somewhere := false
	for _, t := range near {
		for i, p := range w.pods {
			_, ok := w.labels[p.Minion][t.TopologyKey]
			somewhere = somewhere || ok && i != gone && all(p.Demand)
		}
	}
	for _, t := range near {
		if _, ok := w.labels[minion][t.TopologyKey]; !ok {
			return false
		}
		here := false
		for i, p := range w.pods {
			here = here || i != gone && all(p.Demand) && w.in(minion, t.TopologyKey, p.Minion)
		}
		if !here && (somewhere || !all(d)) {
			return false
		}
	}
	return w.even(d, minion, gone, node)
}

// even tells whether the spread constraints that keep pods off hold if d goes on a minion.
func (w *world) even(d place.Demand, minion string, gone int, node func(string) bool) bool {
	for _, s := range d.Spread {
		if s.WhenUnsatisfiable == "ScheduleAnyway" {
			continue
		}
		eligible := func(m string) bool {
			for _, o := range d.Spread {
				if _, ok := w.labels[m][o.TopologyKey]; !ok {
					return false
				}
			}
			return node(m)
		}
		count := map[string]int{}
		for m := range w.labels {
			if eligible(m) {
				count[w.labels[m][s.TopologyKey]] += 0
			}
		}
		for i, p := range w.pods {
			if i != gone && !p.Demand.Leaving && p.Demand.Namespace == d.Namespace && s.Selector.Matches(p.Demand.Labels) && eligible(p.Minion) {
				count[w.labels[p.Minion][s.TopologyKey]]++
			}
		}
		least := 0
		if n := len(count); n > 0 && (s.MinDomains == nil || n >= int(*s.MinDomains)) {
			least = slices.Min(slices.Collect(maps.Values(count)))
		}
		v, ok := w.labels[minion][s.TopologyKey]
		if s.Selector.Matches(d.Labels) {
			count[v]++
		}
		if !ok || count[v]-least > int(s.MaxSkew) {
			return false
		}
	}
	return true
}

// TestRulesProperties: whatever is on the fleet, a pod goes where its rules and those of the others let it, and fits nowhere
// only if they let it nowhere. The oracle reads the rules pod by pod and counts nothing in advance.
//
// Mutants: guardsOf returns nothing; guards are those known when the pod's rules were worked out first; take does not count
// for guards, or not by label; newCount begins at nothing; handle is a label of the second expression of In with two values;
// about does not look at namespaces; near counts pods that one of the terms means; the first of its kind is nowhere; the
// domains of a spread are all minions'; minDomains, self, or leaving is not looked at; FitsInstead counts what is gone.
func TestRulesProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{labels: map[string]map[string]string{}}
		var minions []place.Minion
		for i := range rapid.IntRange(1, 6).Draw(t, "minions") {
			m := minion(fmt.Sprintf("m%d", i), 1000, 1000, 100)
			for _, k := range []string{"zone", "rack"} {
				if v := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, k); v != "" {
					m.Labels[k] = v
				}
			}
			minions = append(minions, m)
			w.labels[m.Name] = maps.Clone(m.Labels)
			w.labels[m.Name]["kubernetes.io/hostname"] = m.Name
		}
		names := slices.Sorted(maps.Keys(w.labels))
		f := place.New(minions)
		f.Track()
		var alike []place.Demand
		for range rapid.IntRange(1, 5).Draw(t, "kinds") {
			alike = append(alike, randomDemand(t))
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "pods") {
			d := rapid.SampledFrom(alike).Draw(t, "kind")
			if rapid.IntRange(0, 3).Draw(t, "was there") == 0 {
				m := rapid.SampledFrom(names).Draw(t, "where")
				d.Leaving = rapid.Bool().Draw(t, "leaves")
				f.Take(m, d)
				w.pods = append(w.pods, place.Spot{Minion: m, Demand: d})
				continue
			}
			if len(w.pods) > 0 && rapid.IntRange(0, 3).Draw(t, "instead") == 0 {
				gone := rapid.IntRange(0, len(w.pods)-1).Draw(t, "of")
				p := w.pods[gone]
				if got, want := f.FitsInstead(p.Minion, d, p.Demand), w.allowed(d, p.Minion, gone); got != want {
					t.Fatalf("pod %d %+v in place of %+v: got %t, want %t", i, d, p, got, want)
				}
			}
			m, why := f.Choose(d)
			if m == "" {
				for _, n := range names {
					if w.allowed(d, n, -1) {
						t.Fatalf("pod %d %+v may be on %s: %s", i, d, n, why)
					}
				}
				continue
			}
			if !w.allowed(d, m, -1) {
				t.Fatalf("pod %d %+v may not be on %s, with %+v", i, d, m, w.pods)
			}
			f.Take(m, d)
			w.pods = append(w.pods, place.Spot{Minion: m, Demand: d})
		}
	})
}

// randomDemand is a pod with one kind of rules, if any.
func randomDemand(t *rapid.T) place.Demand {
	app := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "app")
	tier := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "tier")
	d := place.Demand{Namespace: rapid.SampledFrom([]string{"one", "one", "two"}).Draw(t, "namespace"), Labels: map[string]string{"app": app, "tier": tier}}
	selector := func() *schema.LabelSelector {
		switch rapid.IntRange(0, 3).Draw(t, "selector") {
		case 0:
			return &schema.LabelSelector{Labels: map[string]string{"app": rapid.SampledFrom([]string{"a", "b", app}).Draw(t, "of")}}
		case 1:
			return &schema.LabelSelector{Expressions: []schema.Requirement{{Key: "app", Operator: schema.OpIn, Values: []string{"a", "c"}}, {Key: "tier", Operator: schema.OpIn, Values: []string{tier}}}}
		case 2:
			return &schema.LabelSelector{Expressions: []schema.Requirement{{Key: "app", Operator: schema.OpNotIn, Values: []string{app}}}}
		}
		return &schema.LabelSelector{Labels: map[string]string{"tier": "x"}}
	}
	key := func() string {
		return rapid.SampledFrom([]string{"zone", "rack", "kubernetes.io/hostname"}).Draw(t, "key")
	}
	terms := func() (out []schema.PodTerm) {
		for range rapid.IntRange(1, 2).Draw(t, "terms") {
			out = append(out, schema.PodTerm{Selector: selector(), TopologyKey: key(), Namespaces: rapid.SampledFrom([][]string{nil, nil, {"one", "two"}}).Draw(t, "namespaces")})
		}
		return out
	}
	rule := rapid.IntRange(0, 6).Draw(t, "rule")
	switch rule {
	case 1:
		d.Affinity = &schema.Affinity{PodAnti: &schema.PodAffinity{Required: terms()}}
	case 2:
		d.Affinity = &schema.Affinity{Pod: &schema.PodAffinity{Required: terms()}}
	case 3:
		d.Affinity = &schema.Affinity{Node: &schema.NodeAffinity{Required: &schema.NodeSelector{Terms: []schema.NodeTerm{{Expressions: []schema.Requirement{{Key: "zone", Operator: schema.OpIn, Values: []string{"a", "b"}}}}}}}}
		fallthrough
	case 4:
		s := schema.TopologySpread{MaxSkew: int32(rapid.IntRange(1, 2).Draw(t, "skew")), TopologyKey: key(), WhenUnsatisfiable: "DoNotSchedule", Selector: selector()}
		if n := int32(rapid.IntRange(0, 3).Draw(t, "domains")); n > 0 {
			s.MinDomains = &n
		}
		d.Spread = []schema.TopologySpread{s}
		if o := key(); o != s.TopologyKey {
			d.Spread = append(d.Spread, schema.TopologySpread{MaxSkew: 1, TopologyKey: o, WhenUnsatisfiable: "ScheduleAnyway", Selector: selector()})
		}
	case 5:
		d.Affinity = &schema.Affinity{PodAnti: &schema.PodAffinity{Preferred: []schema.PreferredPod{{Weight: 5, Term: terms()[0]}}}}
	}
	d.Group = fmt.Sprint(d.Namespace, " ", app)
	d.Hash = ruleText(d)
	return d
}

// ruleText tells demands with other rules apart.
func ruleText(d place.Demand) string {
	var out []string
	if a := d.Affinity; a != nil {
		for _, p := range []*schema.PodAffinity{a.Pod, a.PodAnti} {
			if p != nil {
				for _, t := range p.Required {
					out = append(out, fmt.Sprint(p == a.Pod, t.Selector, t.Namespaces, t.TopologyKey))
				}
				out = append(out, fmt.Sprint(len(p.Preferred)))
			}
		}
		out = append(out, fmt.Sprint(a.Node != nil))
	}
	for _, s := range d.Spread {
		n := int32(0)
		if s.MinDomains != nil {
			n = *s.MinDomains
		}
		out = append(out, fmt.Sprint(s.TopologyKey, s.MaxSkew, s.Selector, s.WhenUnsatisfiable, n))
	}
	return strings.Join(out, ";")
}
