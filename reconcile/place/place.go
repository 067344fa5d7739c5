package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/schema"
)

// Minion is what one minion has left. Ports are the host ports in use, as "TCP/80"; Groups counts the pods of each group.
type Minion struct {
	Name     string
	Labels   map[string]string
	MilliCPU int64
	Memory   int64
	Storage  int64 // bytes of ephemeral storage; 0 at first = not known, so that it keeps nothing off
	Pods     int
	Ports    map[string]bool
	Groups   map[string]int
	Features map[schema.Feature]bool // what its agent can do
	Closed   bool                    // it gets no new pods (cordon)
	Taints   []schema.Taint

	capCPU, capMemory int64
	capPods           int
	measured          bool // Storage is known
}

// Demand is what one pod needs. Group is what its copies have in common, so that they are spread; Prefer is the minion that
// it should stay on if it fits there. Pods of one group with one Hash have the same rules.
type Demand struct {
	MilliCPU int64
	Memory   int64
	Storage  int64
	Ports    []string
	Selector map[string]string
	Needs    []schema.Feature // what its agent must be able to do
	Tolerate []schema.Toleration
	Name     string // the only minion that is wanted, "" for any
	Group    string
	Prefer   string

	Namespace string
	Labels    map[string]string
	Hash      string
	Affinity  *schema.Affinity
	Spread    []schema.TopologySpread
	Priority  int32
	Leaving   bool  // it is there and about to go: topology spread does not count it
	Replaces  *Spot // what gives way to it; nil = nothing
}

// Spot is a pod where it is.
type Spot struct {
	Minion string
	Demand Demand
}

// Fleet is the minions that pods may be put on. It is made by New and used by one caller at a time.
type Fleet struct {
	minions []Minion
	index   map[string]int
	next    int // where the next sample begins
	pods    *pods
}

// sample is how many minions that a pod fits on are compared. Fleets of up to that many are looked at as a whole.
const sample = 128

// wideSample is the same for pods that prefer some minions.
const wideSample = 1024

// hostname is a label that every minion has, if no other value is given: its name.
const hostname = "kubernetes.io/hostname"

// New takes minions over, sorted by name.
func New(minions []Minion) *Fleet {
	slices.SortFunc(minions, func(a, b Minion) int { return strings.Compare(a.Name, b.Name) })
	f := &Fleet{minions: minions, index: map[string]int{}}
	for i := range f.minions {
		m := &f.minions[i]
		m.capCPU, m.capMemory, m.capPods = max(m.MilliCPU, 1), max(m.Memory, 1), max(m.Pods, 1)
		m.measured = m.Storage > 0
		f.index[m.Name] = i
	}
	return f
}

// Track lets the fleet know which pods are on it by their labels. It is to be called before the first Take if any pod has
// affinities or is to be spread; without it, a fleet pays nothing for them.
func (f *Fleet) Track() { f.pods = newPods() }

// Has tells whether a minion is one that pods may be put on.
func (f *Fleet) Has(minion string) bool {
	_, ok := f.index[minion]
	return ok
}

// Take reserves what a pod needs on a minion, whether it fits or not; a minion that is not there is ignored.
func (f *Fleet) Take(minion string, d Demand) {
	i, ok := f.index[minion]
	if !ok {
		return
	}
	m := &f.minions[i]
	m.MilliCPU -= d.MilliCPU
	m.Memory -= d.Memory
	m.Storage -= d.Storage
	m.Pods--
	for _, p := range d.Ports {
		m.Ports[p] = true
	}
	m.Groups[d.Group]++
	if f.pods != nil {
		tracked := d // so that d costs no allocation on fleets that track nothing
		f.pods.take(i, m, &tracked)
	}
}

// Choose finds the best minion for a pod: the one it prefers if it fits there, else of a sample the one that it stands highest
// on, then the one with the fewest of its group, then with the largest share left. why says for each constraint how many
// minions it excluded, if none is left.
func (f *Fleet) Choose(d Demand) (minion, why string) {
	if d.ruled() && f.pods == nil {
		panic("place: a pod with rules on a fleet that does not track pods")
	}
	t := f.trial(&d, nil)
	for _, name := range []string{d.Prefer, d.Name} {
		if i, ok := f.index[name]; ok && f.minions[i].excludes(&t) == "" {
			return name, ""
		}
	}
	if best := f.best(&t); best >= 0 {
		return f.minions[best].Name, ""
	}
	return "", f.explain(&t)
}

// best is the best minion of a sample, -1 if the pod fits nowhere.
func (f *Fleet) best(t *trial) int {
	size := sample
	if t.rules.prefers() {
		size = wideSample
	}
	best, found := -1, 0
	var high standing
	for n := 0; n < len(f.minions) && found < size; n++ {
		i := (f.next + n) % len(f.minions)
		m := &f.minions[i]
		if m.excludes(t) != "" {
			continue
		}
		found++
		s := t.standing(m)
		above, differ := s.over(high)
		if best < 0 || above || !differ && better(m, &f.minions[best], t.Group) {
			best, high = i, s
		}
	}
	if best >= 0 && len(f.minions) > sample { // the next sample begins elsewhere
		f.next = (f.next + sample) % len(f.minions)
	}
	return best
}

// explain says for each constraint how many minions it excludes, the most first.
func (f *Fleet) explain(d *trial) string {
	if len(f.minions) == 0 {
		return "there is no minion that reports"
	}
	excluded := map[string]int{}
	for i := range f.minions {
		excluded[f.minions[i].excludes(d)]++
	}
	reasons := slices.SortedFunc(maps.Keys(excluded), func(a, b string) int {
		return cmp.Or(cmp.Compare(excluded[b], excluded[a]), strings.Compare(a, b))
	})
	for i, r := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", excluded[r], r)
	}
	minions := "minions"
	if len(f.minions) == 1 {
		minions = "minion"
	}
	return fmt.Sprintf("fits on none of %d %s: %s", len(f.minions), minions, strings.Join(reasons, ", "))
}

// better compares two minions that both fit.
func better(a, b *Minion, group string) bool {
	if x, y := a.Groups[group], b.Groups[group]; x != y {
		return x < y
	}
	share := func(m *Minion) float64 {
		return float64(m.MilliCPU)/float64(m.capCPU) + float64(m.Memory)/float64(m.capMemory) + float64(m.Pods)/float64(m.capPods)
	}
	if x, y := share(a), share(b); x != y {
		return x > y
	}
	return a.Pods > b.Pods
}

// label is the value of a label of the minion, and whether there is one.
func (m *Minion) label(key string) (string, bool) {
	v, ok := m.Labels[key]
	if !ok && key == hostname {
		return m.Name, true
	}
	return v, ok
}

// selected tells whether the minion has all labels of a nodeSelector.
func (m *Minion) selected(selector map[string]string) bool {
	for k, v := range selector {
		if has, _ := m.label(k); has != v {
			return false
		}
	}
	return true
}

// tolerates tells whether a pod may be put on minions with a taint. One that may stay only for a time does not go there.
func (d *Demand) tolerates(t schema.Taint) bool {
	i := slices.IndexFunc(d.Tolerate, func(x schema.Toleration) bool { return x.Tolerates(t) })
	return i >= 0 && (t.Effect != schema.NoExecute || d.Tolerate[i].TolerationSeconds == nil)
}

// excludes says which constraint keeps a pod off the minion, "" if none.
func (m *Minion) excludes(d *trial) string {
	if d.Name != "" && d.Name != m.Name {
		return fmt.Sprintf("not the one that nodeName %q wants", d.Name)
	}
	if !m.selected(d.Selector) {
		return "without the labels of nodeSelector"
	}
	if m.Closed {
		return "cordoned"
	}
	for _, t := range m.Taints {
		if t.Effect != schema.PreferNoSchedule && !d.tolerates(t) {
			return fmt.Sprintf("with the taint %s, which it does not tolerate", t)
		}
	}
	for _, n := range d.Needs {
		if !m.Features[n] {
			return fmt.Sprintf("cannot do %s yet", n)
		}
	}
	if why := d.refused(m); why != "" {
		return why
	}
	return m.lacks(d.Demand)
}

// lacks says what of resources and host ports a minion has too little of for a pod, "" if nothing.
func (m *Minion) lacks(d *Demand) string {
	for _, p := range d.Ports {
		if m.Ports[p] {
			return "host port " + p + " taken"
		}
	}
	switch {
	case m.Pods < 1:
		return "full of pods"
	case d.MilliCPU > m.MilliCPU:
		return fmt.Sprintf("lack cpu (need %dm)", d.MilliCPU)
	case d.Memory > m.Memory:
		return fmt.Sprintf("lack memory (need %d MiB)", d.Memory>>20)
	case m.measured && d.Storage > m.Storage:
		return fmt.Sprintf("lack ephemeral storage (need %d MiB)", d.Storage>>20)
	}
	return ""
}

// FitsInstead tells whether a pod fits on a minion once another that is there has given back what it holds and is gone.
func (f *Fleet) FitsInstead(minion string, d, back Demand) bool {
	i, ok := f.index[minion]
	if !ok {
		return false
	}
	m := f.minions[i].without(back)
	t := f.trial(&d, f.departed(minion, &back))
	return m.excludes(&t) == ""
}

// FitsWithout tells whether a pod fits on a minion once others that are there have given back their resources and host
// ports. Its rules it must meet beside all of them.
func (f *Fleet) FitsWithout(minion string, d Demand, back ...Demand) bool {
	i, ok := f.index[minion]
	if !ok {
		return false
	}
	m := f.minions[i].without(back...)
	t := f.trial(&d, nil)
	return m.excludes(&t) == ""
}

// without is a minion to which pods have given back what they hold.
func (m Minion) without(back ...Demand) *Minion {
	ports := map[string]bool{}
	for p, taken := range m.Ports {
		ports[p] = taken
	}
	m.Ports = ports
	for i := range back {
		m.MilliCPU += back[i].MilliCPU
		m.Memory += back[i].Memory
		m.Storage += back[i].Storage
		m.Pods++
		for _, p := range back[i].Ports {
			m.Ports[p] = false
		}
	}
	return &m
}
