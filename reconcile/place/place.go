package place

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"reconciler/schema"
)

// Minion is what one minion has left before anything is taken. Ports are the host ports in use, as "TCP/80"; Groups counts the
// pods of each group. Both may be nil, and belong to the fleet from then on.
type Minion struct {
	Name     string
	Labels   map[string]string
	MilliCPU int64
	Memory   int64
	Storage  int64 // bytes of ephemeral storage; 0 at first = not known, so that it keeps nothing off
	PIDs     int64 // processes and threads; 0 at first likewise
	Pods     int
	Ports    map[string]bool
	Groups   map[string]int
	Features []schema.Feature // what its agent can do
	Closed   bool             // it gets no new pods (cordon)
	Taints   []schema.Taint
	Held     Held // of what it has, by pods that are there
}

// Demand is what one pod needs. Group is what its copies have in common, so that they are spread; Prefer is the minion that
// it should stay on if it fits there. Pods of one group with one Hash have the same rules.
type Demand struct {
	MilliCPU int64
	Memory   int64
	Storage  int64
	PIDs     int64
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
	Leaving   bool  // it is there and about to go: topology spread does not count it
	Replaces  *Spot // what gives way to it; nil = nothing

	// Memo, if not nil, keeps what one fleet works out of the fields that name minions and the group, for all copies of the
	// demand, in which those must be the same.
	Memo *Memo
}

// Spot is a pod where it is.
type Spot struct {
	Minion string
	Demand Demand
}

// Fleet is the minions that pods may be put on. It is made by New and used by one caller at a time.
type Fleet struct {
	minions []Minion // sorted by name
	free    []room   // of each
	stocks  []stock  // of each
	next    int      // where the next sample begins
	pods    *pods
	classes map[string]*class
	groups  map[string]*crowd
	// Seed, if not nil, tells for each pod of a group that was there before the first Take which minion it is on. It is asked
	// when the first pod of the group is placed.
	Seed func(group string, on func(minion string))

	open    *crowd  // the group whose pods are counted in crowded
	crowded []int32 // by minion
}

// sample is how many minions that a pod fits on are compared, in fleets of more than whole. From 48 on, the fullest and the emptiest of
// 5,000 minions differ no more than with 128.
const (
	sample = 64
	whole  = 128
)

// wideSample is the same for pods that prefer some minions.
const wideSample = 1024

// hostname is a label that every minion has, if no other value is given: its name.
const hostname = "kubernetes.io/hostname"

// New takes minions over.
func New(minions []Minion) *Fleet {
	slices.SortFunc(minions, func(a, b Minion) int { return strings.Compare(a.Name, b.Name) })
	f := &Fleet{minions: minions, free: make([]room, len(minions)), stocks: make([]stock, len(minions)), classes: map[string]*class{}, groups: map[string]*crowd{}, crowded: make([]int32, len(minions))}
	for i := range f.minions {
		m := &f.minions[i]
		l := newLeft(m)
		f.free[i], f.stocks[i] = l.room, l.stock
		for _, p := range m.Held.Ports {
			if m.Ports == nil {
				m.Ports = map[string]bool{}
			}
			m.Ports[p] = true
		}
		for g, n := range m.Groups {
			f.crowd(&Demand{Group: g}).add(int32(i), int32(n))
		}
	}
	return f
}

// Track lets the fleet know which pods are on it by their labels. It is to be called before the first Take if any pod has
// affinities or is to be spread; without it, a fleet pays nothing for them.
func (f *Fleet) Track() { f.pods = newPods() }

// Has tells whether a minion is one that pods may be put on.
func (f *Fleet) Has(minion string) bool {
	return f.Index(minion) >= 0
}

// Index is the number of a minion for TakeAt, -1 if it is not there.
func (f *Fleet) Index(minion string) int {
	i, ok := slices.BinarySearchFunc(f.minions, minion, func(m Minion, name string) int { return strings.Compare(m.Name, name) })
	if !ok {
		return -1
	}
	return i
}

// Take reserves what a pod needs on a minion, whether it fits or not; a minion that is not there is ignored.
func (f *Fleet) Take(minion string, d Demand) {
	if i := f.Index(minion); i >= 0 {
		f.TakeAt(i, &d)
	}
}

// TakeAt is Take by the number of the minion.
func (f *Fleet) TakeAt(i int, d *Demand) {
	s := &f.stocks[i]
	f.free[i].take(s, d, 1)
	if len(d.Ports) > 0 {
		m := &f.minions[i]
		if m.Ports == nil {
			m.Ports = map[string]bool{}
		}
		for _, p := range d.Ports {
			m.Ports[p] = true
		}
	}
	g := f.crowd(d)
	g.add(int32(i), 1)
	if g == f.open {
		f.crowded[i]++
	}
	if f.pods != nil {
		tracked := *d // so that d costs no allocation on fleets that track nothing
		f.pods.take(i, &f.minions[i], &tracked)
	}
}

// Choose finds the best minion for a pod: the one it prefers if it fits there, else of a sample the one that it stands highest
// on, then the one with the fewest of its group, then with the largest share left. why says for each constraint how many
// minions it excluded, if none is left.
func (f *Fleet) Choose(d Demand) (minion, why string) {
	i, why := f.ChooseAt(&d)
	if i < 0 {
		return "", why
	}
	return f.minions[i].Name, ""
}

// ChooseAt is Choose by the number of the minion, -1 if none is left.
func (f *Fleet) ChooseAt(d *Demand) (i int, why string) {
	if d.ruled() && f.pods == nil {
		panic("place: a pod with rules on a fleet that does not track pods")
	}
	t := f.trial(d, nil)
	if d.Prefer != "" || d.Name != "" {
		for _, name := range []string{d.Prefer, d.Name} {
			if i := f.Index(name); i >= 0 && f.excludes(i, &t) == "" {
				return i, ""
			}
		}
	}
	if best := f.best(&t); best >= 0 {
		return best, ""
	}
	return -1, f.explain(&t)
}

// Len is how many minions there are; their numbers are below it.
func (f *Fleet) Len() int { return len(f.minions) }

// Name is that of the minion with a number.
func (f *Fleet) Name(i int) string { return f.minions[i].Name }

// best is the best minion of a sample, -1 if the pod fits nowhere.
func (f *Fleet) best(t *trial) int {
	k := f.class(t.Demand)
	f.count(f.crowd(t.Demand))
	var best int
	if k.soft || t.rules != nil || len(t.Ports) > 0 || t.Storage > 0 || t.PIDs > 0 {
		best = f.search(t, k)
	} else {
		best = f.searchPlain(t.Demand, k)
	}
	if best >= 0 && len(f.minions) > whole { // the next sample begins elsewhere
		f.next = (f.next + sample) % len(f.minions)
	}
	return best
}

// sample is how many minions that a pod fits on are compared.
func (f *Fleet) sample() int {
	if len(f.minions) <= whole {
		return whole
	}
	return sample
}

// search looks for the best minion of a sample.
func (f *Fleet) search(t *trial, k *class) int {
	size := f.sample()
	if t.rules.prefers() {
		size = wideSample
	}
	best, found := -1, 0
	var high standing
	i := f.next
	for range f.minions {
		if i >= len(f.minions) {
			i = 0
		}
		if k.may[i] && f.free[i].has(t.Demand) && f.stocks[i].has(t.Demand) && (len(t.Ports) == 0 || f.lacksPort(i, t.Demand) == "") && (t.rules == nil || t.refused(&f.minions[i]) == "") {
			found++
			above, differ := false, false
			if k.soft || t.rules != nil {
				s := t.standing(&f.minions[i])
				if above, differ = s.over(high); best < 0 || above {
					high = s
				}
			}
			if best < 0 || above || !differ && f.better(i, best) {
				best = i
			}
			if found == size {
				break
			}
		}
		i++
	}
	return best
}

// searchPlain is search for a pod that asks for nothing but room, as most do.
func (f *Fleet) searchPlain(d *Demand, k *class) int {
	best, found, size := -1, 0, f.sample()
	for _, part := range [2][2]int{{f.next, len(f.minions)}, {0, f.next}} {
		for i := part[0]; i < part[1]; i++ {
			if !k.may[i] || !f.free[i].has(d) {
				continue
			}
			if best < 0 || f.better(i, best) {
				best = i
			}
			if found++; found == size {
				return best
			}
		}
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
		excluded[f.excludes(i, d)]++
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

// better compares two minions that both fit, for a pod of the group that is counted.
func (f *Fleet) better(i, j int) bool {
	if x, y := f.crowded[i], f.crowded[j]; x != y {
		return x < y
	}
	a, b := &f.free[i], &f.free[j]
	if a.share != b.share {
		return a.share > b.share
	}
	return a.pods > b.pods
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

// excludes says which constraint keeps a pod off a minion, "" if none.
func (f *Fleet) excludes(i int, d *trial) string {
	return f.excludesWith(i, &left{f.free[i], f.stocks[i]}, nil, d)
}

// excludesWith is excludes with another room and with host ports that are free.
func (f *Fleet) excludesWith(i int, r *left, ports []string, d *trial) string {
	m := &f.minions[i]
	if why := m.closed(d.Demand); why != "" {
		return why
	}
	if why := d.refused(m); why != "" {
		return why
	}
	for _, p := range d.Ports {
		if m.Ports[p] && !slices.Contains(ports, p) {
			return "host port " + p + " taken"
		}
	}
	return r.lacks(d.Demand)
}

// closed says what of a minion itself keeps a pod off, "" if nothing.
func (m *Minion) closed(d *Demand) string {
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
		if !slices.Contains(m.Features, n) {
			return fmt.Sprintf("cannot do %s yet", n)
		}
	}
	return ""
}

// lacksPort is a host port of a pod that is taken on a minion, "" if none is.
func (f *Fleet) lacksPort(i int, d *Demand) string {
	for _, p := range d.Ports {
		if f.minions[i].Ports[p] {
			return p
		}
	}
	return ""
}

// FitsInstead tells whether a pod fits on a minion once another that is there has given back what it holds and is gone.
func (f *Fleet) FitsInstead(minion string, d, back Demand) bool {
	i := f.Index(minion)
	if i < 0 {
		return false
	}
	r := left{f.free[i], f.stocks[i]}
	r.giveBack(&back)
	t := f.trial(&d, f.departed(minion, &back))
	return f.excludesWith(i, &r, back.Ports, &t) == ""
}

// FitsWithout tells whether a pod fits on a minion once others that are there have given back their resources and host
// ports. Its rules it must meet beside all of them.
func (f *Fleet) FitsWithout(minion string, d Demand, back ...Demand) bool {
	i := f.Index(minion)
	if i < 0 {
		return false
	}
	r := left{f.free[i], f.stocks[i]}
	var ports []string
	for j := range back {
		r.take(&r.stock, &back[j], -1)
		ports = append(ports, back[j].Ports...)
	}
	t := f.trial(&d, nil)
	return f.excludesWith(i, &r, ports, &t) == ""
}
