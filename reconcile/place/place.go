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
	Pods     int
	Ports    map[string]bool
	Groups   map[string]int
	Features map[schema.Feature]bool // what its agent can do
	Closed   bool                    // it gets no new pods (cordon)
	Taints   []schema.Taint

	capCPU, capMemory int64
	capPods           int
}

// Demand is what one pod needs. Group is what its copies have in common, so that they are spread; Prefer is the minion that
// it should stay on if it fits there.
type Demand struct {
	MilliCPU int64
	Memory   int64
	Ports    []string
	Selector map[string]string
	Needs    []schema.Feature // what its agent must be able to do
	Tolerate []schema.Toleration
	Name     string // the only minion that is wanted, "" for any
	Group    string
	Prefer   string
}

// Fleet is the minions that pods may be put on. It is made by New and used by one caller at a time.
type Fleet struct {
	minions []Minion
	index   map[string]int
	next    int // where the next sample begins
}

// sample is how many minions that a pod fits on are compared. Fleets of up to that many are looked at as a whole.
const sample = 128

// New takes minions over, sorted by name.
func New(minions []Minion) *Fleet {
	slices.SortFunc(minions, func(a, b Minion) int { return strings.Compare(a.Name, b.Name) })
	f := &Fleet{minions: minions, index: map[string]int{}}
	for i := range f.minions {
		m := &f.minions[i]
		m.capCPU, m.capMemory, m.capPods = max(m.MilliCPU, 1), max(m.Memory, 1), max(m.Pods, 1)
		f.index[m.Name] = i
	}
	return f
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
	m.Pods--
	for _, p := range d.Ports {
		m.Ports[p] = true
	}
	m.Groups[d.Group]++
}

// Choose finds the best minion for a pod: the one it prefers if it fits there, else of a sample the one with the fewest of its
// group, then with the largest share left. why says for each constraint how many minions it excluded, if none is left.
func (f *Fleet) Choose(d Demand) (minion, why string) {
	for _, name := range []string{d.Prefer, d.Name} {
		if i, ok := f.index[name]; ok && f.minions[i].excludes(d) == "" {
			return name, ""
		}
	}
	best, found := -1, 0
	for n := 0; n < len(f.minions) && found < sample; n++ {
		i := (f.next + n) % len(f.minions)
		m := &f.minions[i]
		if m.excludes(d) != "" {
			continue
		}
		if found++; best < 0 || better(m, &f.minions[best], d.Group) {
			best = i
		}
	}
	if best >= 0 {
		if len(f.minions) > sample { // the next sample begins elsewhere
			f.next = (f.next + sample) % len(f.minions)
		}
		return f.minions[best].Name, ""
	}
	return "", f.explain(d)
}

// explain says for each constraint how many minions it excludes, the most first.
func (f *Fleet) explain(d Demand) string {
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

// excludes says which constraint keeps a pod off the minion, "" if none.
func (m *Minion) excludes(d Demand) string {
	if d.Name != "" && d.Name != m.Name {
		return fmt.Sprintf("not the one that nodeName %q wants", d.Name)
	}
	for k, v := range d.Selector {
		if m.Labels[k] != v {
			return "without the labels of nodeSelector"
		}
	}
	if m.Closed {
		return "cordoned"
	}
	for _, t := range m.Taints {
		if t.Effect != schema.PreferNoSchedule && !slices.ContainsFunc(d.Tolerate, func(x schema.Toleration) bool { return x.Tolerates(t) }) {
			return fmt.Sprintf("with the taint %s, which it does not tolerate", t)
		}
	}
	for _, n := range d.Needs {
		if !m.Features[n] {
			return fmt.Sprintf("cannot do %s yet", n)
		}
	}
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
	}
	return ""
}

// FitsInstead tells whether a pod fits on a minion once another that is there has given back what it holds.
func (f *Fleet) FitsInstead(minion string, d, back Demand) bool {
	i, ok := f.index[minion]
	if !ok {
		return false
	}
	m := f.minions[i]
	m.MilliCPU += back.MilliCPU
	m.Memory += back.Memory
	m.Pods++
	ports := map[string]bool{}
	for p := range m.Ports {
		ports[p] = !slices.Contains(back.Ports, p)
	}
	m.Ports = ports
	return m.excludes(d) == ""
}
