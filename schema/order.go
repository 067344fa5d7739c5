package schema

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Annotations that order and group pods and controllers.
const (
	AnnotationWave      = settingPrefix + "wave"       // of pods and controllers: a number; those of a namespace with a lower one come first
	AnnotationDependsOn = settingPrefix + "depends-on" // of pods and controllers: what comes first, see Meta.DependsOn
	AnnotationGroup     = settingPrefix + "group"      // of pods and controllers: a name; what has it in a namespace goes back together
)

var (
	waveNumber = regexp.MustCompile(`^-?[0-9]{1,6}$`)
	objectList = regexp.MustCompile(`\S`) // see order, which says more of it
	groupName  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

	orderSettings = map[string]*regexp.Regexp{AnnotationWave: waveNumber, AnnotationDependsOn: objectList, AnnotationGroup: groupName}
	orderWords    = map[string]string{
		AnnotationWave: `a whole number, as "1"`, AnnotationDependsOn: `objects, as "ReplicationController/db, Service/other-namespace/queue"`,
		AnnotationGroup: "a name: lower-case letters, digits and '-', at most 63",
	}
)

// Wave is the number that orders a pod or a controller among those of its namespace; 0 if it has none.
func (m *Meta) Wave() int {
	n, err := strconv.Atoi(m.Annotations[AnnotationWave])
	if err != nil {
		return 0
	}
	return n
}

// DependsOn is what a pod or a controller names as what it depends on, in the order in which it is written: "Kind/name" in
// its own namespace, or "Kind/namespace/name", separated by commas. The error says what cannot be read.
func (m *Meta) DependsOn() (keys []Key, err error) {
	text := m.Annotations[AnnotationDependsOn]
	if text == "" {
		return nil, nil
	}
	for _, word := range strings.Split(text, ",") {
		word = strings.TrimSpace(word)
		parts := strings.Split(word, "/")
		k := Key{Kind: Kind(parts[0]), Namespace: cmp.Or(m.Namespace, DefaultNamespace), Name: parts[len(parts)-1]}
		if len(parts) == 3 {
			k.Namespace = parts[1]
		}
		switch {
		case len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, ""):
			return keys, fmt.Errorf("%q is no object, as ReplicationController/db or Service/namespace/queue", word)
		case k.Kind != KindPod && k.Kind != KindReplicationController && k.Kind != KindService:
			return keys, fmt.Errorf("%q: what can be depended on is a Pod, a ReplicationController or a Service", word)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// order checks what DependsOn reads.
func (c *checker) order(own Key, m *Meta) {
	keys, err := m.DependsOn()
	path := []string{"metadata", "annotations", AnnotationDependsOn}
	switch {
	case err != nil && objectList.MatchString(m.Annotations[AnnotationDependsOn]):
		c.add(path, "", "%v", err)
	case slices.Contains(keys, own):
		c.add(path, "take it out", "the object depends on itself").also([]string{"metadata", "name"}, []string{"metadata", "namespace"})
	}
}

// ordered is a pod or a controller that may wait for others.
type ordered struct {
	key    Key
	meta   *Meta
	labels map[string]string // of its pods
	pods   int               // that it runs itself
	needs  []Key
}

// order finds what pods and controllers depend on and nothing declares, and those that wait for themselves: by what they name, by
// their waves, or by both. A service waits for one of the pods that it selects.
func (c *setChecker) order() {
	if !slices.ContainsFunc(c.set.Pods, func(p *Pod) bool { return p.orders() }) && !slices.ContainsFunc(c.set.ReplicationControllers, func(r *ReplicationController) bool { return r.orders() }) {
		return // as in most fleets
	}
	var all []ordered
	add := func(k Key, m *Meta, labels map[string]string, pods int) {
		o := ordered{key: k, meta: m, labels: labels, pods: pods}
		o.needs, _ = m.DependsOn() // that it can be read is checked for each object
		all = append(all, o)
	}
	for _, p := range c.set.Pods {
		add(p.Key(), &p.Meta, p.Labels, 1)
	}
	for _, r := range c.set.ReplicationControllers {
		add(r.Key(), &r.Meta, r.Spec.Template.Labels, r.Spec.Count())
	}
	m, counted := NewMatcher(c.set), map[Key]int{}
	for _, p := range c.set.Pods {
		if r := m.Replica(p); r != nil {
			counted[r.Key()]++
		}
	}
	for i := range all { // a controller runs so many fewer
		all[i].pods -= counted[all[i].key]
	}
	g := newOrderGraph(all, c.set.Services)
	for _, o := range all {
		for _, k := range o.needs {
			if _, ok := g.number[k]; ok || k == o.key {
				continue
			}
			p := Problem{Path: []string{"metadata", "annotations", AnnotationDependsOn}, Message: fmt.Sprintf("%s is not there", k), Hint: "declare it, or take it out"}
			p.also([]string{"metadata", "namespace"})
			c.clashes = append(c.clashes, Clash{Key: o.key, Problem: p, Premises: []Premise{{Of: k}}})
		}
	}
	c.clashes = append(c.clashes, g.cycles()...)
}

// orders tells whether the object waits, or may be waited for, by a setting.
func (m *Meta) orders() bool {
	if len(m.Annotations) == 0 {
		return false
	}
	_, depends := m.Annotations[AnnotationDependsOn]
	_, wave := m.Annotations[AnnotationWave]
	return depends || wave
}

// reordered tells whether a change can have made something wait for itself, or for what is not there.
func (c *Change) reordered() (is bool) {
	c.both(func(o, other Object) {
		if k := o.Key().Kind; is || k != KindPod && k != KindReplicationController && k != KindService {
			return
		}
		if is = other == nil; is {
			return
		}
		m, was := o.Metadata(), other.Metadata()
		is = m.Annotations[AnnotationWave] != was.Annotations[AnnotationWave] || m.Annotations[AnnotationDependsOn] != was.Annotations[AnnotationDependsOn]
		switch o := o.(type) {
		case *Pod:
			was := other.(*Pod)
			is = is || !maps.Equal(o.Labels, was.Labels) || o.Spec.Restart() != was.Spec.Restart()
		case *ReplicationController:
			was := other.(*ReplicationController)
			is = is || !maps.Equal(o.Spec.Matches(), was.Spec.Matches()) || !maps.Equal(o.Spec.Template.Labels, was.Spec.Template.Labels) || o.Spec.Count() != was.Spec.Count()
		case *Service:
			is = is || !maps.Equal(o.Spec.Selector, other.(*Service).Spec.Selector)
		}
	})
	return is
}

// orderGraph is who waits for whom. Its nodes are objects, and between two waves of a namespace one that waits for the lower.
type orderGraph struct {
	number map[Key]int // of objects
	nodes  []orderNode
}

type orderNode struct {
	key   Key
	needs []int // that it waits for: all of them, of a service any
	any   bool
}

func newOrderGraph(all []ordered, services []*Service) *orderGraph {
	g := &orderGraph{number: map[Key]int{}}
	add := func(n orderNode) int {
		g.nodes = append(g.nodes, n)
		return len(g.nodes) - 1
	}
	waves := map[string]map[int][]int{} // objects by namespace and wave
	for _, o := range all {
		n := add(orderNode{key: o.key})
		g.number[o.key] = n
		if waves[o.key.Namespace] == nil {
			waves[o.key.Namespace] = map[int][]int{}
		}
		w := o.meta.Wave()
		waves[o.key.Namespace][w] = append(waves[o.key.Namespace][w], n)
	}
	labelled := map[[3]string][]int{}
	for i, o := range all {
		for k, v := range o.labels {
			at := [3]string{o.key.Namespace, k, v}
			labelled[at] = append(labelled[at], i)
		}
	}
	for _, s := range services {
		n := add(orderNode{key: s.Key(), any: true})
		g.number[s.Key()] = n
		for _, k := range slices.Sorted(maps.Keys(s.Spec.Selector)) {
			for _, i := range labelled[[3]string{s.Namespace, k, s.Spec.Selector[k]}] {
				if all[i].pods > 0 && Selects(s.Spec.Selector, all[i].labels) {
					g.nodes[n].needs = append(g.nodes[n].needs, i) // objects have the first numbers
				}
			}
			break // what has all labels has the first
		}
	}
	for i, o := range all {
		for _, k := range o.needs {
			if n, ok := g.number[k]; ok && n != i {
				g.nodes[i].needs = append(g.nodes[i].needs, n)
			}
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(waves)) {
		before := -1
		for _, w := range slices.Sorted(maps.Keys(waves[namespace])) {
			for _, n := range waves[namespace][w] {
				if before >= 0 {
					g.nodes[n].needs = append(g.nodes[n].needs, before)
				}
			}
			before = add(orderNode{needs: waves[namespace][w]}) // which wait for those before them
		}
	}
	return g
}

// cycles finds objects that can never begin, because they wait for themselves: one clash for each cycle, of the first of its
// objects that names what it waits for, as one does in every cycle.
func (g *orderGraph) cycles() (out []Clash) {
	users, open := make([][]int, len(g.nodes)), make([]int, len(g.nodes))
	var free []int
	for i, n := range g.nodes {
		open[i] = len(n.needs)
		if n.any {
			open[i] = min(open[i], 1)
		}
		if open[i] == 0 {
			free = append(free, i)
		}
		for _, d := range n.needs {
			users[d] = append(users[d], i)
		}
	}
	for len(free) > 0 {
		i := free[0]
		free = free[1:]
		for _, u := range users[i] {
			if open[u]--; open[u] == 0 {
				free = append(free, u)
			}
		}
	}
	told := make([]bool, len(g.nodes))
	for i := range g.nodes {
		var way []int
		for n, seen := i, map[int]bool{}; open[n] > 0 && !told[n]; {
			if seen[n] {
				out = append(out, g.cycle(way[slices.Index(way, n):]))
				break
			}
			seen[n] = true
			way = append(way, n)
			n = g.nodes[n].needs[slices.IndexFunc(g.nodes[n].needs, func(d int) bool { return open[d] > 0 })]
		}
		for _, n := range way {
			told[n] = true
		}
	}
	return out
}

// waitsBecause is where it stands who waits for whom, of whatever kind.
var waitsBecause = [][]string{{"metadata", "annotations"}, {"metadata", "namespace"}, {"metadata", "name"}, {"metadata", "labels"}, {"spec", "selector"},
	{"spec", "replicas"}, {"spec", "restartPolicy"}, {"spec", "template", "metadata", "labels"}}

// orderPremises is what is known of the namespaces of a cycle: which pods a service finds, and which wave each is of.
func orderPremises(g *orderGraph, way []int) (out []Premise) {
	var namespaces []string
	for _, n := range way {
		if k := g.nodes[n].key; k != (Key{}) && !slices.Contains(namespaces, k.Namespace) {
			namespaces = append(namespaces, k.Namespace)
		}
	}
	for _, n := range namespaces {
		for _, kind := range []Kind{KindPod, KindReplicationController, KindService} {
			out = append(out, Premise{Key{Kind: kind, Namespace: n}, waitsBecause})
		}
	}
	return out
}

// cycle tells of nodes of which each waits for the next, and the last for the first.
func (g *orderGraph) cycle(way []int) Clash {
	named := func(i int) bool { // what a node waits for is named: no wave is between
		n, next := g.nodes[way[i]], g.nodes[way[(i+1)%len(way)]]
		return n.key != (Key{}) && !n.any && next.key != (Key{})
	}
	first := -1
	for i := range way {
		if named(i) && (first < 0 || g.nodes[way[i]].key.Compare(g.nodes[way[first]].key) < 0) {
			first = i
		}
	}
	way = append(slices.Clone(way[first:]), way[:first]...)
	own := g.nodes[way[0]].key
	c := Clash{Key: own, Problem: Problem{Path: []string{"metadata", "annotations", AnnotationDependsOn},
		Hint: "take out one of " + AnnotationDependsOn + " and " + AnnotationWave}}
	c.because(waitsBecause...)
	names := []string{own.String()}
	c.Premises = orderPremises(g, way)
	for _, n := range way[1:] {
		k := g.nodes[n].key
		if k != (Key{}) {
			names = append(names, k.String())
		}
		if k != (Key{}) && k.Kind != KindService && c.Other == (Key{}) {
			c.Other = k
		}
	}
	c.Message = "the object waits for itself: " + strings.Join(append(names, own.String()), " -> ")
	if c.Other != (Key{}) {
		c.Message += "; look at the settings"
	}
	return c
}
