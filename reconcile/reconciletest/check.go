package reconciletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// watch is what the checks remember.
type watch struct {
	state   reconcile.State      // saved last
	loose   map[string]bool      // instances that were made when two of their pod might run
	told    map[string]bool      // instances that some saved state lets stop
	bound   map[string]bool      // instances that some saved state knew
	freed   map[netip.Addr]freed // pod addresses
	table   *assignment.Table    // published last
	started time.Time            // of the running server, by its clock; zero before its first decision
	loaded  reconcile.State      // what it began with
	lost    map[string]bool      // minions that were lost in a state since the last table
}

// freed is which instance had an address that was freed, and when.
type freed struct {
	id string
	at time.Time
}

func newWatch() watch {
	return watch{loose: map[string]bool{}, told: map[string]bool{}, bound: map[string]bool{}, freed: map[netip.Addr]freed{}, lost: map[string]bool{}}
}

func (w *watch) serverStarted(st reconcile.State) { w.started, w.loaded = time.Time{}, st }

// decided checks a state that is being saved against the one before.
func (s *sim) decided(st reconcile.State) {
	was := s.watch.state
	s.watch.state = st
	if s.watch.started.IsZero() {
		s.watch.started = s.serverTime()
	}
	for name, n := range st.Minions {
		if !n.Lost.IsZero() {
			s.watch.lost[name] = true
		}
	}
	s.checkAddresses(was, st)
	s.checkDrained(was, st)
	s.checkUntouched(was, st)
	s.checkStill(was, st)
	s.checkKept(was, st)
	s.checkOrder(was, st)
	s.checkGroups(was, st)
	for id, b := range st.Bindings.ByID() {
		s.watch.bound[id] = true
		if b.Phase == assignment.Stop {
			s.watch.told[id] = true
		}
	}
}

// checkAddresses: no address is given twice, and a freed one rests.
func (s *sim) checkAddresses(was, st reconcile.State) {
	for id, b := range was.Bindings.ByID() {
		if st.Bindings.Get(id) == nil {
			s.watch.freed[b.Address] = freed{id, s.now}
		}
	}
	has := map[netip.Addr]string{}
	for _, id := range st.Bindings.IDs() {
		a := st.Bindings.Get(id).Address
		if other := has[a]; other != "" {
			s.fail("%s and %s have the address %s", id, other, a)
		}
		has[a] = id
		if was.Bindings.Get(id) != nil {
			continue
		}
		// One that is found again has its own address.
		if f, ok := s.watch.freed[a]; ok && f.id != id && s.now.Sub(f.at) < reconcile.DefaultSettings().Rest {
			s.fail("%s gets the address %s, which %s had %s ago", id, a, f.id, s.now.Sub(f.at))
		}
	}
}

// checkDrained: an instance that begins to stop is in no kernel of a minion that the server has a lease of, unless it
// drained for too long; and nothing that runs is forgotten.
func (s *sim) checkDrained(was, st reconcile.State) {
	set := reconcile.DefaultSettings()
	for _, id := range st.Bindings.IDs() {
		b, old := binding(st, id), binding(was, id)
		if b.Phase != assignment.Stop || old.Phase == assignment.Stop || old.Phase == assignment.Prepare || old.Phase == "" {
			continue
		}
		if old.Phase == assignment.Drain && !s.serverTime().Before(old.Since.Add(set.DrainTimeout)) {
			continue
		}
		for _, n := range s.names {
			if !s.leased(st, n) {
				continue
			}
			for _, r := range s.minions[n].routes {
				// A host port leads to its pod for as long as that may run.
				if !r.HostPort && slices.ContainsFunc(r.Endpoints, func(e netip.AddrPort) bool { return e.Addr() == b.Address }) {
					s.fail("%s is to stop while %s still routes to it", id, n)
				}
			}
		}
	}
}

// leased tells whether the server has to wait for a minion.
func (s *sim) leased(st reconcile.State, name string) bool {
	m, ok := s.server.minions[name]
	last := m.LastSeen
	if last.IsZero() {
		last = s.watch.started
	}
	return ok && (m.Connected || s.serverTime().Sub(last) < reconcile.DefaultSettings().LostAfter) && st.Minions[name].Lost.IsZero()
}

// checkUntouched: what is as declared, alone and on a minion that is there goes on, whatever was committed or lost.
func (s *sim) checkUntouched(was, st reconcile.State) {
	if st.Accepted == nil {
		return
	}
	hashes, counts := map[string]string{}, declared(st.Accepted)
	for _, p := range st.Accepted.Pods {
		hashes["pod "+p.Name] = p.Spec.Hash()
	}
	for _, r := range st.Accepted.ReplicationControllers {
		hashes["controller "+r.Name] = r.Spec.Template.Spec.Hash()
	}
	runs := map[string]int{}
	for b := range was.Bindings.All() {
		if b.Phase == assignment.Run || b.Phase == assignment.Prepare {
			runs[slotOf(*b)]++
		}
	}
	for _, id := range was.Bindings.IDs() {
		old, b := binding(was, id), binding(st, id)
		k := slotOf(old)
		if st.Objects[ownerOf(old).String()].Quarantine != nil { // it goes back
			continue
		}
		if old.Phase != assignment.Run || b.Phase == assignment.Run || hashes[k] != old.Hash || runs[k] > counts[k] || !st.Minions[old.Minion].Lost.IsZero() {
			continue
		}
		s.fail("%s ends though it is as declared: %s", id, b.Reason)
	}
}

// still tells whether nothing is to be done for an object but to say what differs.
func still(m *schema.Meta) bool { return m.Annotations[schema.AnnotationReportOnly] != "" }

// checkStill: of what is report-only nothing begins and nothing ends, but what was found.
func (s *sim) checkStill(was, st reconcile.State) {
	if was.Accepted == nil || st.Accepted == nil {
		return
	}
	before, now := orderOf(was.Accepted), orderOf(st.Accepted)
	is := func(b reconcile.Binding) bool {
		k := ownerOf(b)
		return before.metas[k] != nil && now.metas[k] != nil && still(before.metas[k]) && still(now.metas[k])
	}
	for _, id := range st.Bindings.IDs() {
		b, old := binding(st, id), was.Bindings.Get(id)
		switch {
		case !is(b):
		case old == nil && b.Phase == assignment.Run && !s.reportedBefore(id):
			s.fail("%s begins though it is report-only", id)
		case old != nil && ownerOf(*old) == ownerOf(b) && old.Phase == assignment.Run && b.Phase != assignment.Run:
			s.fail("%s ends though it is report-only: %s", id, b.Reason)
		}
	}
}

// published checks a table that is being published against the one before: a minion that has not reported since the server
// started is not an empty one. What was decided before it started, and not published any more, is in what it began with.
func (s *sim) published(t *assignment.Table) {
	was, lost := s.watch.table, s.watch.lost
	s.watch.table, s.watch.lost = t, map[string]bool{}
	if was == nil {
		return
	}
	if t.Generation.Compare(was.Generation) < 0 {
		s.fail("table %s is published after %s", t.Generation, was.Generation)
	}
	still := map[netip.AddrPort]bool{}
	services := map[string]bool{}
	for _, r := range t.Services {
		services[r.Namespace+"/"+r.Name] = true
		for _, e := range r.Endpoints {
			still[e] = true
		}
	}
	for _, r := range was.Services {
		for _, e := range r.Endpoints {
			if still[e] || !services[r.Namespace+"/"+r.Name] {
				continue
			}
			for id, b := range s.watch.state.Bindings.ByID() {
				if !binding(s.watch.loaded, id).Serving {
					continue
				}
				if b.Address == e.Addr() && b.Phase == assignment.Run && b.Labels["name"] == r.Name && s.server.minions[b.Minion].Report == nil && !lost[b.Minion] && s.watch.state.Minions[b.Minion].Lost.IsZero() {
					s.fail("%s is taken out of the routes of %s, and %s has not reported yet", id, r.Name, b.Minion)
				}
			}
		}
	}
}

// keeps checks what an agent puts on its disk: nothing older than what is there.
func (s *sim) keeps(m *minion, was, now []byte) {
	type kept struct {
		Assignment, Table struct{ Generation assignment.Generation }
	}
	var a, b kept
	if was == nil {
		return
	}
	if err := json.Unmarshal(was, &a); err != nil {
		panic(err)
	}
	if err := json.Unmarshal(now, &b); err != nil {
		panic(err)
	}
	if b.Assignment.Generation.Compare(a.Assignment.Generation) < 0 {
		s.fail("%s takes assignment %s for %s", m.name, b.Assignment.Generation, a.Assignment.Generation)
	}
	if b.Table.Generation.Compare(a.Table.Generation) < 0 {
		s.fail("%s takes table %s for %s", m.name, b.Table.Generation, a.Table.Generation)
	}
}

// stops checks what an agent stops: only what was decided, and saved, to stop.
func (s *sim) stops(m *minion, id string) {
	if m.running(id) && !s.watch.told[id] {
		s.fail("%s stops %s, which nobody decided", m.name, id)
	}
}

// check looks at what truly runs.
func (s *sim) check() {
	s.checkFence()
	bare, at := map[string]string{}, map[netip.Addr]string{}
	for _, n := range s.names {
		m := s.minions[n]
		for _, id := range slices.Sorted(maps.Keys(m.pods)) {
			if !m.running(id) {
				continue
			}
			o := m.pods[id]
			if other := at[o.Address]; other != "" {
				s.fail("%s and %s run with the address %s", id, other, o.Address)
			}
			at[o.Address] = id
			b := s.watch.state.Bindings.Get(id)
			if b == nil {
				s.fail("%s runs on %s and no binding knows it (bound before: %t)", id, n, s.watch.bound[id])
			}
			if b.Controller != "" {
				continue
			}
			if other := bare[b.Pod]; other != "" && !s.watch.loose[id] && !s.watch.loose[other] {
				s.fail("%s and %s run at once, and are the same pod", id, other)
			}
			bare[b.Pod] = id
		}
	}
}

// brief is a state whose text is every binding with its phase.
type brief struct{ *reconcile.State }

// String is fmt's: it is called only if the trace is kept.
func (st brief) String() (out string) {
	for _, id := range st.Bindings.IDs() {
		b := st.Bindings.Get(id)
		out += fmt.Sprintf(" %s@%s:%s", id, b.Minion, b.Phase)
	}
	return out
}

// binding is the binding of an instance, the zero value if it has none.
func binding(st reconcile.State, id string) reconcile.Binding {
	if b := st.Bindings.Get(id); b != nil {
		return *b
	}
	return reconcile.Binding{Spec: &schema.PodSpec{}}
}
