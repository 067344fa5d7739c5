package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// fitsInstead tells whether a pod fits on the minion of an instance in its place.
func (c *step) fitsInstead(old Binding, d *place.Demand) bool {
	return c.room().FitsInstead(old.Minion, *d, held(&old))
}

// create places a pod that has no instance that stays.
func (c *step) create(w want, again bool) {
	ch := c.creation(w, again)
	d := w.demand()
	at, why := c.room().ChooseAt(d)
	if at < 0 {
		ch.Waiting = c.displace(w, d)
		if ch.Blocked = ch.Waiting == ""; ch.Blocked {
			ch.Waiting = why
		}
		c.change(ch)
		return
	}
	ch.Minion = c.siteAt(at).minion
	if ch.Instance = c.bind(w, at, assignment.Run, &ch); ch.Instance != "" {
		w.roll.run()
	}
	c.change(ch)
}

// creation is the change that makes a pod which has no instance that stays; again says that it has others.
func (c *step) creation(w want, again bool) Change {
	if w.asks.code == "" {
		w.asks.code = c.createCode(w.key)
		if w.asks.code == CodeScaled {
			w.asks.scaled = fmt.Sprintf("scaled from %d to %d", c.was.replicas(c.earlier(w.key)), c.of.replicas(w.key))
		}
	}
	ch := Change{Verb: Create, Object: w.key, Reason: "new in Git", Code: w.asks.code}
	switch {
	case ch.Code == CodeScaled:
		ch.Reason = w.asks.scaled
	case again || ch.Code == CodeDeclared:
		ch.Reason = "declared in Git"
	}
	return ch
}

// variablesMax is the size in bytes from which on a block of service variables is refused.
const variablesMax = 1 << 20

// bind decides that a pod lives on a minion, by its number in the room, and returns the new instance, or blocks the change and returns "".
func (c *step) bind(w want, on int, phase assignment.Phase, ch *Change) string {
	var env variables
	if w.spec.ServiceLinks() {
		env = c.variables(w.key.Namespace)
	}
	if env.size > variablesMax {
		ch.Waiting, ch.Blocked = fmt.Sprintf("its service variables are %d bytes, more than %d", env.size, variablesMax), true
		return ""
	}
	at := c.siteAt(on)
	minion := at.minion
	address, ok := c.podAddress(at)
	if !ok {
		ch.Waiting, ch.Blocked = fmt.Sprintf("pod network %s of minion %s is used up", c.st.Minions[minion].Network, minion), true
		return ""
	}
	uid := c.uid()
	id := w.pod + "-" + uid[:5]
	for n := 6; c.st.Bindings.Get(id) != nil; n++ {
		id = w.pod + "-" + strings.ReplaceAll(uid, "-", "")[:n]
	}
	at.number = c.add(&Binding{
		ID: id, UID: uid, Namespace: w.key.Namespace, Pod: w.pod, Controller: w.controller, Minion: minion, Address: address,
		Hash: w.hash, Spec: w.spec, Labels: w.labels, Annotations: w.annotations, Env: env.list,
		Created: c.now, Version: c.next(), Revision: c.st.Applied.Hash, Phase: phase, Since: c.now, Fence: w.fence, Fenced: w.fence,
	}, at.number)
	c.room().TakeAt(on, w.demand())
	return id
}

// agentNeeds is what a pod needs of its minion's agent.
func agentNeeds(s *schema.PodSpec) []schema.Feature {
	return slices.DeleteFunc(s.Needs(), func(f schema.Feature) bool { return slices.Contains(schema.PlanFeatures, f) })
}

// demand is what a declared pod needs of a minion. It is that of all pods of its workload, and not changed.
func (w *want) demand() *place.Demand {
	if w.asks.demand == nil {
		d := demand(w.spec, w.key.Namespace, w.pod, w.controller)
		d.Labels, d.Hash, d.Memo = w.labels, w.hash, &place.Memo{}
		if w.fence {
			d.Needs = append(slices.Clone(d.Needs), schema.FeatureFence)
		}
		w.asks.demand = &d
	}
	return w.asks.demand
}

// asks is what all pods of a workload have in common, once it was asked for.
type asks struct {
	demand *place.Demand
	none   bool   // there is no instance of any of them before this step
	code   Code   // why those are made that are not there
	scaled string // the same for people, where there are more than before
}

// held is what an instance holds on its minion.
func held(b *Binding) place.Demand {
	d := demand(b.Spec, b.Namespace, b.Pod, b.Controller)
	d.Labels, d.Hash, d.Leaving = b.Labels, b.Hash, b.Phase == assignment.Drain || b.Phase == assignment.Stop
	return d
}

// ruled tells whether a pod asks for anything by labels, but for nodeSelector.
func ruled(s *schema.PodSpec) bool { return s.Affinity != nil || len(s.TopologySpreadConstraints) > 0 }

// rules tells whether any pod asks for anything by labels, but for nodeSelector: one that is declared, that is there, or that may
// go back to what it was.
func (c *step) rules() bool {
	if c.of != nil && c.of.ruled {
		return true
	}
	if t := c.in.State.Bindings.t; t != nil {
		for _, m := range t.minions.sorted {
			if c.sum(m).ruled {
				return true
			}
		}
	}
	for b := range c.adopted() {
		if ruled(b.Spec) {
			return true
		}
	}
	return c.ruledBefore()
}

// ruledBefore tells whether a pod may go back to a spec that asks for something by labels.
func (c *step) ruledBefore() bool {
	is := func(r Record) bool { return r.Healthy != nil && ruled(&r.Healthy.Spec) }
	if !c.recorded() || c.in.State.sight.ruledBefore {
		for _, r := range c.st.Objects {
			if is(r) {
				return true
			}
		}
		return false
	}
	for k := range c.touched {
		if is(c.st.Objects[k]) {
			return true
		}
	}
	return false
}

// demand is what a spec needs of a minion, without labels and hash of the pod.
func demand(s *schema.PodSpec, namespace, pod, controller string) place.Demand {
	l := s.Reserved()
	return place.Demand{MilliCPU: l.MilliCPU, Memory: l.Memory, Storage: l.Storage, PIDs: l.PIDs, Selector: s.NodeSelector, Tolerate: s.Tolerations, Needs: agentNeeds(s), Name: s.NodeName,
		Group: owner(namespace, pod, controller).String(), Namespace: namespace, Affinity: s.Affinity, Spread: s.TopologySpreadConstraints, Ports: hostPorts(s)}
}

// hostPorts are those of a pod, as place names them.
func hostPorts(s *schema.PodSpec) (out []string) {
	for i := range s.Containers {
		for _, p := range s.Containers[i].Ports {
			if p.HostPort != 0 {
				out = append(out, fmt.Sprintf("%s/%d", p.Protocol.Proto(), p.HostPort))
			}
		}
	}
	return out
}
