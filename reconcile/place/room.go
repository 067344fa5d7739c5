package place

import (
	"encoding/json"
	"fmt"

	"reconciler/schema"
)

// room is what a minion has left of what every pod takes. It is small, as many are looked at for each pod.
type room struct {
	cpu, memory, pods int64
	share             float64 // of all that there was
}

// stock is the rest of it: what few pods take, and what there was.
type stock struct {
	storage, pids       int64
	measured, counted   bool // storage, pids are known
	cpus, memories, all float64
}

// left is all that a minion has left.
type left struct {
	room
	stock
}

func newLeft(m *Minion) left {
	l := left{room{cpu: m.MilliCPU, memory: m.Memory, pods: int64(m.Pods)}, stock{storage: m.Storage, pids: m.PIDs, measured: m.Storage > 0, counted: m.PIDs > 0,
		cpus: float64(max(m.MilliCPU, 1)), memories: float64(max(m.Memory, 1)), all: float64(max(m.Pods, 1))}}
	l.cpu -= m.Held.MilliCPU
	l.memory -= m.Held.Memory
	l.storage -= m.Held.Storage
	l.pids -= m.Held.PIDs
	l.pods -= int64(m.Held.Pods)
	l.weigh(&l.stock)
	return l
}

// Held is what pods hold together.
type Held struct {
	MilliCPU int64
	Memory   int64
	Storage  int64
	PIDs     int64
	Pods     int
	Ports    []string
}

// Add adds what others hold.
func (h *Held) Add(o *Held) {
	h.MilliCPU += o.MilliCPU
	h.Memory += o.Memory
	h.Storage += o.Storage
	h.PIDs += o.PIDs
	h.Pods += o.Pods
	h.Ports = append(h.Ports, o.Ports...)
}

// weigh works out how much is left of all that there was.
func (r *room) weigh(of *stock) {
	r.share = float64(r.cpu)/of.cpus + float64(r.memory)/of.memories + float64(r.pods)/of.all
}

// take takes what a pod needs, times as often: -1 gives it back.
func (r *room) take(of *stock, d *Demand, times int64) {
	r.cpu -= times * d.MilliCPU
	r.memory -= times * d.Memory
	r.pods -= times
	of.storage -= times * d.Storage
	of.pids -= times * d.PIDs
	r.weigh(of)
}

// has tells whether there is enough for a pod, of what every pod takes.
func (r *room) has(d *Demand) bool {
	return r.pods > 0 && enough(d.MilliCPU, r.cpu) && enough(d.Memory, r.memory)
}

// enough tells whether there is enough of something. Who needs none of it does not mind that more is taken than there is.
func enough(need, left int64) bool { return need == 0 || need <= left }

// has is the same of what few pods take.
func (s *stock) has(d *Demand) bool {
	return (!s.measured || enough(d.Storage, s.storage)) && (!s.counted || enough(d.PIDs, s.pids))
}

// giveBack gives back what a pod holds, for another in its place: that has at least as much as this had, even where more is taken
// than there is, as on a minion that became smaller.
func (l *left) giveBack(d *Demand) {
	l.take(&l.stock, d, -1)
	l.cpu, l.memory, l.pods = max(l.cpu, d.MilliCPU), max(l.memory, d.Memory), max(l.pods, 1)
	l.storage, l.pids = max(l.storage, d.Storage), max(l.pids, d.PIDs)
}

// lacks says of what there is too little for a pod, "" if of nothing.
func (l *left) lacks(d *Demand) string {
	switch {
	case l.pods < 1:
		return "full of pods"
	case !enough(d.MilliCPU, l.cpu):
		return fmt.Sprintf("lack cpu (need %dm)", d.MilliCPU)
	case !enough(d.Memory, l.memory):
		return fmt.Sprintf("lack memory (need %d MiB)", d.Memory>>20)
	case l.measured && !enough(d.Storage, l.storage):
		return fmt.Sprintf("lack ephemeral storage (need %d MiB)", d.Storage>>20)
	case l.counted && !enough(d.PIDs, l.pids):
		return fmt.Sprintf("lack processes (need %d)", d.PIDs)
	}
	return ""
}

// Memo keeps what a fleet works out of a demand. The zero value keeps nothing yet.
type Memo struct {
	fleet *Fleet
	class *class
	crowd *crowd
}

// of is the memo of a demand for this fleet, nil if it has none.
func (f *Fleet) memo(d *Demand) *Memo {
	m := d.Memo
	if m != nil && m.fleet != f {
		*m = Memo{fleet: f}
	}
	return m
}

// class is the minions that pods may be put on which ask for the same of a minion itself.
type class struct {
	may  []bool
	soft bool // one of them has a taint that they would rather avoid
}

// class is that of a demand.
func (f *Fleet) class(d *Demand) *class {
	memo := f.memo(d)
	if memo != nil && memo.class != nil {
		return memo.class
	}
	key := d.classKey()
	k := f.classes[key]
	if k == nil {
		k = &class{may: make([]bool, len(f.minions))}
		for i := range f.minions {
			m := &f.minions[i]
			k.may[i] = m.closed(d) == ""
			for _, t := range m.Taints {
				k.soft = k.soft || t.Effect == schema.PreferNoSchedule
			}
		}
		f.classes[key] = k
	}
	if memo != nil {
		memo.class = k
	}
	return k
}

// classKey is the same for demands that ask for the same of a minion itself.
func (d *Demand) classKey() string {
	if d.Name == "" && len(d.Selector)+len(d.Needs)+len(d.Tolerate) == 0 {
		return ""
	}
	b, err := json.Marshal([]any{d.Name, d.Selector, d.Needs, d.Tolerate})
	if err != nil {
		panic("place: encode class: " + err.Error())
	}
	return string(b)
}

// crowd is how many pods of a group are on which minion: a list while that is short.
type crowd struct {
	list  []atMinion
	large map[int32]int32
}

type atMinion struct{ minion, n int32 }

// crowdList is how long a list of a crowd may be.
const crowdList = 64

func (c *crowd) add(minion, n int32) {
	if c.large != nil {
		c.large[minion] += n
		return
	}
	for i := range c.list {
		if c.list[i].minion == minion {
			c.list[i].n += n
			return
		}
	}
	if len(c.list) < crowdList {
		c.list = append(c.list, atMinion{minion, n})
		return
	}
	c.large = map[int32]int32{minion: n}
	for _, x := range c.list {
		c.large[x.minion] += x.n
	}
	c.list = nil
}

func (c *crowd) each(do func(minion, n int32)) {
	for _, x := range c.list {
		do(x.minion, x.n)
	}
	for m, n := range c.large {
		do(m, n)
	}
}

// crowd is that of a demand's group.
func (f *Fleet) crowd(d *Demand) *crowd {
	memo := f.memo(d)
	if memo != nil && memo.crowd != nil {
		return memo.crowd
	}
	g := f.groups[d.Group]
	if g == nil {
		g = &crowd{}
		f.groups[d.Group] = g
		if f.Seed != nil {
			f.Seed(d.Group, func(minion string) {
				if i := f.Index(minion); i >= 0 {
					g.add(int32(i), 1)
				}
			})
		}
	}
	if memo != nil {
		memo.crowd = g
	}
	return g
}

// count lays out a group by minion.
func (f *Fleet) count(g *crowd) {
	if g == f.open {
		return
	}
	if f.open != nil {
		f.open.each(func(m, _ int32) { f.crowded[m] = 0 })
	}
	g.each(func(m, n int32) { f.crowded[m] = n })
	f.open = g
}
