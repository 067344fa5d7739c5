package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
)

// sight is what a step saw. The next step looks again only at minions that reported since, whose bindings changed, or where
// time may change something.
type sight struct {
	now         time.Time
	minReady    time.Duration
	seenAt      []int32 // as the step's
	readiness   []readiness
	minions     []look            // by number
	of          *derived          // in force
	records     map[string]Record // after it
	recorded    bool              // they are those of all that is declared, and of nothing else
	ruledBefore bool              // a pod may go back to a spec that asks for something by labels
	quiet       bool              // nothing was said of the records of services
	owners      []int32           // as the step's
	resting     [][]int32         // by number of the owner: the bindings of owners whose workloads are at rest
	roster      *roster
	misplaced   bool // a minion reports an address that it cannot have
	peers       *peers
	env         map[string]variables // of namespaces that were asked for, as services were then
	told        *told
}

// look is one minion as it was seen.
type look struct {
	report   *assignment.Report
	reported time.Time
	list     []int32 // its bindings
	lost     bool
	calm     bool // it is known, not lost, and expels nothing
	settled  bool // neither time nor anything else but the fields above changes what was seen
}

// readiness is what observe found out of an instance in Run.
type readiness int8

const (
	unsure   readiness = iota // nothing
	notReady                  // it is not ready
	isReady                   // it is
)

func readinessOf(ready bool) readiness {
	if ready {
		return isReady
	}
	return notReady
}

// observe joins reports with bindings, and says which instances in Run are ready. Bindings and reports are sorted by id; what is
// out of order is looked up.
func (c *step) observe() {
	t := c.st.Bindings.t
	if t == nil {
		t = (*bindingTable)(nil).edit()
	}
	if t.edition != nil {
		t.minions.share()
		t.owners.share()
	}
	was := c.in.State.sight
	if was == nil || was.now.After(c.now) || was.minReady != c.in.Settings.MinReady {
		was = &sight{}
	}
	c.seenAt, c.readiness, c.looks = carry(was.seenAt, t.bound.n), carry(was.readiness, t.bound.n), carry(was.minions, len(t.minions.buckets))
	c.sight = &sight{now: c.now, minReady: c.in.Settings.MinReady}
	c.changed = make([]bool, len(t.owners.buckets))
	c.roster.renumber(c.st.Bindings.t)
	for at, name := range c.roster.names {
		m := &c.roster.minions[at]
		i := c.roster.numbers[at]
		var list []int32
		bound, lost := i >= 0, !c.roster.calm[at] && !c.roster.nodes[at].Lost.IsZero()
		if bound {
			list = t.minions.buckets[i].list
			l := look{report: m.Report, reported: m.Reported, list: list, lost: lost, calm: c.roster.calm[at]}
			if int(i) < len(was.minions) {
				if x := &was.minions[i]; x.settled && x.report == l.report && x.reported.Equal(l.reported) && x.lost == l.lost && x.calm == l.calm && oneList(x.list, l.list) {
					continue
				}
			}
			l.settled = true
			c.looks.edit()[i] = l
			seenAt, readiness := c.seenAt.edit(), c.readiness.edit()
			for _, n := range list {
				seenAt[n], readiness[n] = 0, unsure
				c.changed[t.bound.at(n).owner] = true
			}
		}
		if m.Report == nil {
			for _, n := range list {
				c.readiness.edit()[n] = readinessOf(t.at(n).Serving && !lost)
				c.looks.edit()[i].settled = false
			}
			continue
		}
		if !c.join(t, name, m, lost, list) && bound {
			c.looks.edit()[i].settled = false
		}
	}
	c.overlook(t)
	slices.SortFunc(c.strays, func(a, b stray) int {
		return cmp.Or(strings.Compare(a.minion, b.minion), strings.Compare(a.status.ID, b.status.ID))
	})
}

// overlook forgets what was seen on minions that have bindings and that this step's input does not have. There are none in a fleet that
// is served.
func (c *step) overlook(t *bindingTable) {
	bound := 0
	for _, m := range c.roster.numbers {
		if m >= 0 {
			bound++
		}
	}
	if bound == len(t.minions.sorted) {
		return
	}
	for _, m := range t.minions.sorted {
		if c.roster.find(t.minions.buckets[m].key) >= 0 {
			continue
		}
		c.looks.edit()[m] = look{}
		for _, n := range t.minions.buckets[m].list {
			c.seenAt.edit()[n], c.readiness.edit()[n] = 0, unsure
			c.changed[t.bound.at(n).owner] = true
		}
	}
}

// join joins a minion's report with its bindings, by list. It tells whether all is bound, and all in Run is ready.
func (c *step) join(t *bindingTable, name string, m *Minion, lost bool, list []int32) (settled bool) {
	settled = true
	i := 0
	for j := range m.Report.Instances {
		s := &m.Report.Instances[j]
		n, known := int32(0), false
		for ; i < len(list); i++ {
			if order := strings.Compare(t.at(list[i]).ID, s.ID); order >= 0 {
				known = order == 0
				break
			}
		}
		if known {
			n = list[i]
		} else if n, known = t.number(s.ID); !known {
			c.strays = append(c.strays, stray{minion: name, status: *s})
			settled = false
			continue
		}
		if b := t.at(n); b.Minion == name {
			c.seenAt.edit()[n] = int32(j + 1)
			if b.Phase == assignment.Run {
				ready := !lost && c.upLongEnough(b, s, m.Reported)
				c.readiness.edit()[n] = readinessOf(ready)
				settled = settled && ready
			}
		} else {
			settled = false
		}
	}
	return settled
}
