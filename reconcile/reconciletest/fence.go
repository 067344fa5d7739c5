package reconciletest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"reconciler/agent"
	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// fences is what an assignment that an agent obeys says of fenced instances.
type fences struct {
	of    []byte // what was kept
	lease time.Duration
	ids   map[string]bool
}

// fences is of what the agent obeys, or will when it is started again.
func (m *minion) fences() fences {
	kept := m.disk
	if m.proc != nil {
		kept = m.proc.obeyed
	}
	if len(kept) == 0 || len(kept) == len(m.fenced.of) && &kept[0] == &m.fenced.of[0] {
		return m.fenced
	}
	var k struct{ Assignment *assignment.Assignment }
	if err := json.Unmarshal(kept, &k); err != nil {
		panic(err)
	}
	f := fences{of: kept, ids: map[string]bool{}}
	if k.Assignment != nil {
		f.lease = k.Assignment.Lease
		for _, i := range k.Assignment.Instances {
			f.ids[i.ID] = i.Fence
			m.everFenced[i.ID] = m.everFenced[i.ID] || i.Fence
		}
	}
	m.fenced = f
	return f
}

// over tells whether no server can have heard of the minion for as long as its lease.
func (m *minion) over() bool {
	f := m.fences()
	return f.lease > 0 && !m.sim.now.Before(m.heard.Add(f.lease))
}

// slow is how long an agent may take to end what is fenced: a grace period, and most of the margin.
const slow = 30*time.Second + assignment.FenceMargin*2/3

// due tells whether something fenced runs here although the lease is over, for as long as that may take.
func (m *minion) due() (id string, due bool) {
	f := m.fences()
	if !m.over() || m.sim.now.Before(m.heard.Add(f.lease+slow)) {
		return "", false
	}
	for _, id := range slices.Sorted(maps.Keys(m.pods)) {
		if m.running(id) && f.ids[id] {
			return id, true
		}
	}
	return "", false
}

// keepFence lets what happens within a lease's margin happen: an agent sees the end of its lease whatever else it has to do,
// tries again what fails, and is started again if it died.
func (m *minion) keepFence() {
	if m.over() {
		m.step()
	}
	for range 20 {
		if _, due := m.due(); !due {
			return
		}
		if m.proc == nil {
			m.boot()
		}
		m.step()
		for m.proc != nil && len(m.proc.workers) > 0 {
			m.work()
		}
		m.sim.now = m.sim.now.Add(time.Second) // its back-off
	}
}

// advance lets time go by for all.
func (s *sim) advance(d time.Duration) {
	s.now = s.now.Add(d)
	for range 3 { // to see to one takes time for the others
		for _, n := range s.names {
			s.minions[n].keepFence()
		}
	}
}

// checkFence: nothing that is fenced runs where no server has heard of the minion for as long as the lease.
func (s *sim) checkFence() {
	for _, n := range s.names {
		s.minions[n].keepFence() // it may be fenced only now
		if id, due := s.minions[n].due(); due {
			s.fail("%s runs on %s, which was heard of last %s ago", id, n, s.now.Sub(s.minions[n].heard))
		}
	}
}

// starts checks what an agent starts: nothing fenced after a reboot without contact.
func (s *sim) starts(m *minion, p agent.Pod) {
	if m.fences().ids[p.ID] && m.heard.Before(m.booted) {
		s.fail("%s starts %s after a reboot, and no server has heard of it since", m.name, p.ID)
	}
}

// halts checks what an agent halts: only what is fenced, or was when that began.
func (s *sim) halts(m *minion, id string) {
	if m.fences(); m.running(id) && !m.everFenced[id] {
		s.fail("%s halts %s, which is not fenced", m.name, id)
	}
}

// onLoss is what is declared to become of an instance when its minion is lost.
func onLoss(st reconcile.State, b *reconcile.Binding) string {
	k, policy := schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod}, "keep"
	if b.Controller != "" {
		k.Kind, k.Name, policy = schema.KindReplicationController, b.Controller, "move"
	}
	for o := range st.Accepted.Objects() {
		if v := o.Metadata().Annotations[schema.AnnotationWhenLost]; v != "" && o.Key() == k {
			return v
		}
	}
	return policy
}

// checkKept looks at what is bound anew: no other of its pod is on a lost minion that keeps it, or runs it still though it is
// fenced. What takes the place of one that was made elsewhere when two were allowed is not looked at.
func (s *sim) checkKept(was, st reconcile.State) {
	for b := range st.Bindings.All() {
		if was.Bindings.Get(b.ID) != nil || s.watch.bound[b.ID] {
			continue
		}
		policy := onLoss(st, b)
		s.watch.loose[b.ID] = policy == "move"
		rolls := false
		for o := range was.Bindings.All() {
			rolls = rolls || slotAndPod(o) == slotAndPod(b) && st.Minions[o.Minion].Lost.IsZero() && o.Phase == assignment.Run
		}
		if b.Phase != assignment.Run || rolls {
			continue
		}
		for o := range st.Bindings.All() {
			ran := o.Phase != assignment.Prepare && (o.Phase != assignment.Stop || !o.Withdrawn.IsZero())
			if o.ID == b.ID || slotAndPod(o) != slotAndPod(b) || st.Minions[o.Minion].Lost.IsZero() || !ran {
				continue
			}
			switch {
			case policy == "keep":
				s.fail("%s is made though %s, which is lost, keeps %s", b.ID, o.Minion, o.ID)
			case policy == "fence" && s.minions[o.Minion].running(o.ID):
				s.fail("%s is made though %s, which is lost, runs %s still", b.ID, o.Minion, o.ID)
			}
		}
	}
}

// slotAndPod tells one pod from others.
func slotAndPod(b *reconcile.Binding) string { return b.Controller + "/" + b.Pod }
