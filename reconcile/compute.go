package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// Compute makes one step: it decides what may be done now for the fleet to become as declared, and says in Changes all that
// is still to be done. It changes nothing in its input, and the same input gives the same plan.
//
// A plan whose Table has no fleet is not to be published: the fleet has heard of a newer server than this one's state.
func Compute(in Input) Plan {
	c := newStep(in)
	if why := c.behind(); why != "" {
		in.State.Superseded = c.st.Superseded
		return Plan{State: in.State, Stalled: why}
	}
	c.was = derive(in.State.Accepted, in.State.derived)
	c.accept()
	if c.of == nil {
		c.of, c.diff = deriveFrom(c.set, c.was)
	}
	c.noteMinions()
	c.observe()
	c.recogniseStrays()
	c.warnSettings()
	c.noteSuspensions()
	c.warnCounted()
	if c.set != nil {
		c.decideRecords()
		c.findBusy()
		c.decideQuarantine()
		c.adopt()
		c.decidePods()
		c.prune()
		c.decideFences()
	}
	c.route()
	c.withdraw()
	c.release()
	c.assign()
	return c.finish()
}

// step is one Compute under way. What it changes is its own copy of the state.
type step struct {
	in            Input    // its Settings are those in force
	base          Settings // as the server was started
	now           time.Time
	st            State
	set           *schema.Set // in force after this step; nil if none ever was
	plan          Plan
	fleet         *place.Fleet          // see room; nil until it was asked for
	misplaced     bool                  // a minion reports an address that it cannot have
	hostAddresses map[netip.Addr]string // minions by their addresses, once somebody asked
	roster        *roster
	ownObjects    bool                                 // st.Objects is this step's own
	ownMinions    bool                                 // and st.Minions
	seenAt        carried[int32]                       // by number of the binding, its place in the report of its own minion, from 1 on; 0: it is in none
	readiness     carried[readiness]                   // by the same number
	looks         carried[look]                        // by number of the minion in the table of bindings
	found         map[int32]*assignment.InstanceStatus // by number of the binding: of strays that have one since this step
	strays        []stray
	wanted        []want                    // see wants; nil until they were asked for
	rollouts      map[schema.Key]*rollout   // by controller
	suspended     map[schema.Key]Suspension // pods and controllers for which nothing is done
	standing      *standings                // see waits; nil until something was asked
	groupsWell    map[string]bool           // see groupWell
	blame         *blame                    // of the revision that came into force in this step, if one did
	was, of       *derived                  // of the sets in force before this step and now
	diff          *difference               // of from was
	ahead         *derived                  // of the set that is about to come into force
	touched       map[string]bool           // names of records that this step changed
	busy          []*workload               // see findBusy; in the order of their keys
	moving        map[schema.Key]bool       // their keys
	owners        []int32                   // by id of the workload, its number as an owner of bindings; -1: it has none
	restingOwner  []bool                    // by that number: of workloads that are at rest
	atRest        carried[[]int32]          // by the same: their bindings
	numbersSeen   []uint64                  // scratch of restsInFleet
	slotIDs       map[string][]string       // see slots
	queue         map[int32][]want          // still to be decided, by priority
	seenSpecs     *specs                    // see specs
	sight         *sight                    // of this step
	changed       []bool                    // by number of the owner: one of its instances is on a minion that was looked at
	portalsToken  *token                    // another if a portal IP changed in this step
	missing       map[string][]string       // minions that have not acknowledged the withdrawal, by draining instance
	sitesAt       []*site                   // by number of the minion in fleet
	sites         map[string]*site          // by minion, of those that were asked for
	portals       map[netip.Addr]bool       // of records
	networks      map[netip.Addr]bool       // pod networks of minions
	nextNetwork   netip.Addr                // see freeNetwork
	services      map[string][]lateService  // by namespace; nil where nobody asked
	nodes         map[string]*schema.Node   // what Git says of minions
	lowest        *int32                    // see lowPriority
	slotsWanted   map[string]bool           // see declared
	renamed       map[schema.Key]schema.Key // objects that are known by another key since this step
	env           map[string]variables      // by namespace, once portal IPs are decided
}

// stray is an instance of ours that a minion reports and that has no binding.
type stray struct {
	minion  string
	status  assignment.InstanceStatus
	started *Names // if it has others now
}

func newStep(in Input) *step {
	base := in.Settings
	in.Settings = base.With(in.State.Accepted.Cluster())
	c := &step{in: in, base: base, portalsToken: in.State.portals(), now: in.Now, st: in.State, missing: map[string][]string{}, env: map[string]variables{}, touched: map[string]bool{}}
	var before *roster
	if in.State.sight != nil {
		before = in.State.sight.roster
	}
	c.roster = newRoster(&in, before)
	c.st.Resting = maps.Clone(in.State.Resting)
	if c.st.Objects == nil {
		n := 0
		if in.Set != nil {
			n = in.Set.Len()
		}
		c.st.Objects, c.ownObjects = make(map[string]Record, n), true
	}
	if c.st.Minions == nil {
		c.st.Minions, c.ownMinions = make(map[string]Node, len(in.Minions)), true
	}
	if c.st.Resting == nil {
		c.st.Resting = map[netip.Addr]time.Time{}
	}
	for a, until := range c.st.Resting {
		if !until.After(c.now) {
			delete(c.st.Resting, a)
		}
	}
	return c
}

// behind tells whether a minion has heard of what this state does not know: then the store is an old copy, and planning from
// it would undo what was decided since. It is noted in the state, because epochs rise with every start and would hide
// it.
func (c *step) behind() string {
	for i := range c.roster.minions {
		m := &c.roster.minions[i]
		if e := max(m.Table.Epoch, m.Work.Epoch); c.st.behindBy(m.Table, m.Work) && e > c.st.Superseded {
			c.st.Superseded = e
		}
	}
	if c.st.Superseded == 0 {
		return ""
	}
	return fmt.Sprintf("a minion has heard of a plan of epoch %d that is not in this server's store: the store is an old copy. Nothing is planned; restore the newer store, or start the server with --recover", c.st.Superseded)
}

// quorate tells whether at least half of the minions are seen, and have been for so long that the others' silence is their
// own. A server that was itself cut off would else take the whole fleet for lost, and move it to the first that returns.
func (c *step) quorate() bool {
	known, seen := 0, 0
	for i := range c.roster.minions {
		if c.roster.known(i) {
			known++
			if c.seen(&c.roster.minions[i]) {
				seen++
			}
		}
	}
	switch {
	case known == 0:
		return false
	case 2*seen < known:
		c.st.Quorate = time.Time{}
		c.warn("%d of %d minions are silent: none of them is declared lost, because it may be this server that is cut off", known-seen, known)
		return false
	case c.st.Quorate.IsZero():
		c.st.Quorate = c.now
	}
	since := c.st.Quorate.Add(c.in.Settings.LostAfter)
	if seen < known {
		c.wakeAt(since)
	}
	return !since.After(c.now)
}

// usable tells whether a minion may be reached at the address that it reports: an IPv4 address of a host, not of portals or
// pods, and no other minion's.
func (c *step) usable(minion string, a netip.Addr) bool {
	if !a.Is4() || !a.IsGlobalUnicast() || c.in.Settings.PortalNet.Contains(a) || c.in.Settings.PodNet.Contains(a) {
		return false
	}
	other, known := c.minionsByAddress()[a]
	return !known || other == minion
}

// minionsByAddress are the names of minions by their addresses.
func (c *step) minionsByAddress() map[netip.Addr]string {
	if c.hostAddresses == nil {
		c.hostAddresses = make(map[netip.Addr]string, len(c.st.Minions))
		for name, n := range c.st.Minions {
			if n.Address.IsValid() {
				c.hostAddresses[n.Address] = name
			}
		}
	}
	return c.hostAddresses
}

// seen tells whether a minion is connected or was heard of lately.
func (c *step) seen(m *Minion) bool {
	return m.Connected || !m.LastSeen.IsZero() && c.now.Sub(m.LastSeen) < c.in.Settings.LostAfter
}

// noteMinions gives new minions a pod network and declares the silent ones lost.
func (c *step) noteMinions() {
	c.nodes = declaredNodes(c.set)
	quorate := c.quorate()
	r := c.roster
	for i, name := range r.names {
		m := &r.minions[i]
		if r.calm[i] && m.Connected && len(c.nodes) == 0 && r.before != nil && r.before[i].Report == m.Report && !c.in.State.sight.misplaced {
			continue // as it was
		}
		n, known := r.nodes[i], r.known(i)
		if !known {
			if m.Report == nil {
				continue
			}
			network, ok := c.freeNetwork()
			if !ok {
				c.warn("minion %s gets no pod network: %s is used up", name, c.in.Settings.PodNet)
				continue
			}
			n = Node{UID: c.uid(), Created: c.now, Network: network}
		}
		if m.Report != nil && m.Report.Address != n.Address {
			if c.usable(name, m.Report.Address) {
				delete(c.hostAddresses, n.Address)
				n.Address = m.Report.Address
				c.hostAddresses[n.Address] = name
			} else {
				c.misplaced = true
				c.warn("minion %s reports the address %s, which it cannot have: its pods are not reached from other minions", name, m.Report.Address)
			}
		}
		switch {
		case c.seen(m):
			if !m.LastSeen.IsZero() && !m.Connected {
				c.wakeAt(m.LastSeen.Add(c.in.Settings.LostAfter))
			}
			if m.Connected {
				n.Lost = time.Time{}
			}
		case quorate && !m.LastSeen.IsZero() && n.Lost.IsZero():
			n.Lost = c.now
		}
		n.Tainted = nil
		if node := c.nodes[name]; node != nil {
			c.noteTaints(&n, &r.nodes[i], node.Spec.Taints)
		}
		if !known || !n.same(&r.nodes[i]) {
			c.putNode(name, n)
		}
	}
}

// same tells whether two nodes say the same.
func (n *Node) same(o *Node) bool {
	return n.UID == o.UID && n.Created.Equal(o.Created) && n.Network == o.Network && n.Address == o.Address && n.Lost.Equal(o.Lost) && maps.Equal(n.Tainted, o.Tainted) && n.Lease == o.Lease
}

// putNode decides about a minion.
func (c *step) putNode(name string, n Node) {
	if !c.ownMinions {
		c.st.Minions, c.ownMinions = maps.Clone(c.st.Minions), true
	}
	r := c.roster
	if !oneMap(r.decided, c.st.Minions) {
		r.nodes, r.calm, r.decided = slices.Clone(r.nodes), slices.Clone(r.calm), c.st.Minions
	}
	c.st.Minions[name] = n
	if i := r.find(name); i >= 0 {
		r.put(i, n)
	}
}

// leaving tells whether an instance is about to go.
func leaving(b *Binding) bool { return b.Phase == assignment.Drain || b.Phase == assignment.Stop }

// sameMap tells whether two maps have the same in them; what is one map is not looked at.
func sameMap(x, y map[string]string) bool { return oneMap(x, y) || maps.Equal(x, y) }

// oneList tells whether two lists, which are not changed, are one.
func oneList[T any](x, y []T) bool {
	return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
}

// oneMap tells whether two maps are one.
func oneMap[V any](x, y map[string]V) bool {
	return reflect.ValueOf(x).UnsafePointer() == reflect.ValueOf(y).UnsafePointer()
}

// declaredNodes is what Git says of minions, by name.
func declaredNodes(set *schema.Set) map[string]*schema.Node {
	out := map[string]*schema.Node{}
	if set != nil {
		for _, n := range set.Nodes {
			out[n.Name] = n
		}
	}
	return out
}

// withLabels is the labels that a minion reports and those that Git gives it, which win.
func withLabels(reported, given map[string]string) map[string]string {
	out := maps.Clone(reported)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, given)
	return out
}

// next is the next number of the fleet's sequence.
func (c *step) next() uint64 {
	c.st.Sequence++
	return c.st.Sequence
}

// uid is a new unique id.
func (c *step) uid() string { return uid(c.st.Fleet, c.next()) }

func (c *step) warn(format string, args ...any) {
	c.plan.Warnings = append(c.plan.Warnings, fmt.Sprintf(format, args...))
}

// wakeAt makes the plan ask to be computed again at t.
func (c *step) wakeAt(t time.Time) {
	if t.After(c.now) && (c.plan.Wake.IsZero() || t.Before(c.plan.Wake)) {
		c.plan.Wake = t
	}
}

// change adds what is still to be done.
func (c *step) change(ch Change) { c.plan.Changes = append(c.plan.Changes, ch) }

// nameWaits says of each change what the instance that goes away waits for, if that began in an earlier step.
func (c *step) nameWaits() {
	for i := range c.plan.Changes {
		ch := &c.plan.Changes[i]
		id := ch.Old
		if ch.Verb == Delete {
			id = ch.Instance
		}
		if id == "" {
			continue
		}
		b := c.st.Bindings.Get(id)
		before := c.before(id).Phase
		switch {
		case b == nil || before != assignment.Drain && before != assignment.Stop:
		case b.Phase == assignment.Stop:
			ch.Waiting = fmt.Sprintf("%s to stop %s", b.Minion, id)
		case len(c.missing[id]) > 0:
			ch.Waiting = fmt.Sprintf("%s to take %s out of the routes, until %s at the latest", some(c.missing[id]), id,
				b.Since.Add(c.in.Settings.DrainTimeout).UTC().Format(time.TimeOnly))
		case b.Phase == assignment.Drain:
			ch.Waiting = fmt.Sprintf("%s to report %s", b.Minion, id)
		}
	}
}

// finish sorts what was said and returns the plan.
func (c *step) finish() Plan {
	c.nameWaits()
	c.nameCodes()
	c.nameCommits()
	slices.Sort(c.plan.Warnings)
	c.plan.Warnings = slices.Compact(c.plan.Warnings)
	sortChanges(c.plan.Changes)
	c.st.derived = c.of
	c.sight.seenAt, c.sight.readiness, c.sight.minions = c.seenAt.list, c.readiness.list, c.looks.list
	c.sight.of, c.sight.owners, c.sight.resting = c.of, c.owners, c.atRest.list
	c.sight.records, c.sight.roster, c.sight.misplaced = c.st.Objects, c.roster, c.misplaced
	c.sight.ruledBefore, c.sight.env = c.ruledBefore(), c.variablesKept()
	c.roster.before = nil
	c.st.sight = c.sight
	if len(c.st.Resting) == 0 {
		c.st.Resting = nil
	}
	c.plan.State = c.sealed()
	return c.plan
}
