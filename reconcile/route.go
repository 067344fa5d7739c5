package reconcile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// route decides what every minion routes and numbers the table anew if that changed.
func (c *step) route() {
	t := assignment.Table{Fleet: c.st.Fleet}
	for _, name := range slices.Sorted(maps.Keys(c.st.Minions)) {
		if n := c.st.Minions[name]; n.Address.IsValid() {
			t.Minions = append(t.Minions, assignment.Peer{Name: name, Address: n.Address, Network: n.Network})
		}
	}
	for b := range c.st.Bindings.All() {
		if ready := c.ready(b); ready != b.Serving {
			now := *b
			now.Serving = ready
			c.put(now)
		}
	}
	if c.set != nil {
		t.Services = c.routes()
	}
	b, err := json.Marshal(t)
	if err != nil {
		panic("reconcile: marshal table: " + err.Error())
	}
	c.noteRouted(t.Services)
	c.routeChanges(t.Services)
	if h := schema.HashBytes(b); h != c.st.TableHash || c.st.Table.Epoch != c.st.Epoch {
		c.st.TableHash = h
		c.st.Table = assignment.Generation{Epoch: c.st.Epoch, Counter: c.st.Table.Counter + 1}
	}
	c.st.Routes = t.Services
	t.Generation = c.st.Table
	c.plan.Table = t
}

// noteRouted marks the instances that a table has as endpoints.
func (c *step) noteRouted(services []netproxy.Service) {
	at := map[netip.Addr]bool{}
	for _, s := range services {
		for _, e := range s.Endpoints {
			at[e.Addr()] = true
		}
	}
	for b := range c.st.Bindings.All() {
		if at[b.Address] && !b.Routed {
			now := *b
			now.Routed = true
			c.put(now)
		}
	}
}

// routes lists every service port with its addresses and ready endpoints.
func (c *step) routes() []netproxy.Service {
	pods := selection{} // that may be endpoints
	held := map[netip.AddrPort]string{}
	for b := range c.st.Bindings.All() {
		if b.Serving {
			pods.add(b)
		}
		for i := range b.Spec.Containers {
			for _, p := range b.Spec.Containers[i].Ports {
				if p.HostPort != 0 && p.Protocol.Proto() == schema.TCP {
					held[netip.AddrPortFrom(c.st.Minions[b.Minion].Address, p.HostPort)] = b.Pod
				}
			}
		}
	}
	own := map[netip.Addr]bool{}
	for _, n := range c.st.Minions {
		own[n.Address] = true
	}
	declared := selection{}
	for _, p := range c.set.Pods {
		declared.add(&Binding{Namespace: p.Namespace, Labels: p.Labels})
	}
	for _, r := range c.set.ReplicationControllers {
		declared.add(&Binding{Namespace: r.Namespace, Labels: r.Spec.Template.Labels})
	}
	var out []netproxy.Service
	byHand := map[schema.Key]*schema.Endpoints{}
	for _, e := range c.set.Endpoints {
		byHand[e.Key()] = e
	}
	for _, s := range c.set.Services {
		if missing := s.Spec.Needs(); len(missing) > 0 {
			c.change(Change{Verb: Create, Object: s.Key(), Reason: "it is not routed", Waiting: needs(missing) + ", which this release does not route yet", Blocked: true})
			continue
		}
		if len(s.Spec.Selector) > 0 && len(declared.of(s)) == 0 {
			c.warn("%s selects %s, which no declared pod has: it refuses connections", s.Key(), pairs(s.Spec.Selector))
		}
		portal := c.st.Objects[s.Key().String()].Portal
		public, endpoints := c.publicIPs(s, own), pods.of(s)
		for _, p := range s.Spec.Ports {
			r := netproxy.Service{Namespace: s.Namespace, Name: s.Name, PortName: p.Name, Protocol: string(p.Protocol.Proto()), Port: p.Port}
			if portal.IsValid() {
				r.Addresses = append(r.Addresses, portal)
			}
			for _, a := range public {
				if pod, ok := held[netip.AddrPortFrom(a, p.Port)]; ok {
					c.warn("%s is not reached at %s:%d: pod %q holds that host port", s.Key(), a, p.Port, pod)
					continue
				}
				r.Addresses = append(r.Addresses, a)
			}
			for _, b := range endpoints {
				if port := targetPort(p, b.Spec); port != 0 {
					r.Endpoints = append(r.Endpoints, netip.AddrPortFrom(b.Address, port))
				} else {
					c.warn("%s: pod %q has no port for service port %d", s.Key(), b.Pod, p.Port)
				}
			}
			if e := byHand[schema.Key{Kind: schema.KindEndpoints, Namespace: s.Namespace, Name: s.Name}]; e != nil && len(s.Spec.Selector) == 0 {
				r.Endpoints = handwritten(e, p)
			}
			slices.SortFunc(r.Endpoints, netip.AddrPort.Compare)
			r.Endpoints = slices.Compact(r.Endpoints)
			if len(r.Addresses) > 0 {
				out = append(out, r)
			}
		}
	}
	return out
}

// handwritten is what a service port leads to by the endpoints that people wrote: ports of the same name.
func handwritten(e *schema.Endpoints, p schema.ServicePort) (out []netip.AddrPort) {
	for _, s := range e.Subsets {
		for _, q := range s.Ports {
			if q.Name != p.Name || q.Protocol.Proto() != p.Protocol.Proto() {
				continue
			}
			for _, a := range s.Addresses {
				if ip, err := netip.ParseAddr(a.IP); err == nil {
					out = append(out, netip.AddrPortFrom(ip, q.Port))
				}
			}
		}
	}
	return out
}

// needs are features as people read them.
func needs(f []schema.Feature) string {
	var out []string
	for _, x := range f {
		out = append(out, string(x))
	}
	return "needs " + strings.Join(out, ", ")
}

// selection finds the bindings that a service selects without looking at all: they are listed by namespace and each label.
type selection map[[3]string][]*Binding

func (s selection) add(b *Binding) {
	for k, v := range b.Labels {
		s[[3]string{b.Namespace, k, v}] = append(s[[3]string{b.Namespace, k, v}], b)
	}
}

// of lists them in the order in which they were added.
func (s selection) of(v *schema.Service) (out []*Binding) {
	var fewest []*Binding
	first := true
	for k, value := range v.Spec.Selector {
		if l := s[[3]string{v.Namespace, k, value}]; first || len(l) < len(fewest) {
			fewest, first = l, false
		}
	}
	for _, b := range fewest {
		if schema.Selects(v.Spec.Selector, b.Labels) {
			out = append(out, b)
		}
	}
	return out
}

// publicIPs are those of a service's that may be routed: of an allowed network, or a minion's own; never inside the portal or
// the pod network.
func (c *step) publicIPs(s *schema.Service, own map[netip.Addr]bool) []netip.Addr {
	var out []netip.Addr
	for _, text := range s.Spec.ExternalIPs {
		a, err := netip.ParseAddr(text)
		in := func(p netip.Prefix) bool { return p.Contains(a) }
		switch {
		case err != nil:
			c.warn("%s: public IP %q is not an address", s.Key(), text)
		case in(c.in.Settings.PortalNet) || in(c.in.Settings.PodNet):
			c.warn("%s is not reached at public IP %s: it is an address of portals or pods", s.Key(), a)
		case !own[a] && !slices.ContainsFunc(c.in.Settings.PublicNets, in):
			c.warn("%s is not reached at public IP %s: it is neither a minion's nor of an allowed network", s.Key(), a)
		default:
			out = append(out, a)
		}
	}
	return out
}

// targetPort is the port of a pod that a service port leads to, 0 if the pod has none.
func targetPort(p schema.ServicePort, s *schema.PodSpec) uint16 {
	switch t := p.TargetPort; {
	case t == nil:
		return p.Port
	case t.Name != "":
		for i := range s.Containers {
			for _, q := range s.Containers[i].Ports {
				if q.Name == t.Name {
					return q.ContainerPort
				}
			}
		}
		return 0
	case t.Number != 0:
		return t.Number
	}
	if len(s.Containers) > 0 && len(s.Containers[0].Ports) > 0 {
		return s.Containers[0].Ports[0].ContainerPort
	}
	return 0
}

// routeChanges says how the routes differ from those of the step before.
func (c *step) routeChanges(now []netproxy.Service) {
	type id struct {
		namespace, name string
		port            uint16
	}
	index := func(all []netproxy.Service) map[id]netproxy.Service {
		m := map[id]netproxy.Service{}
		for _, s := range all {
			m[id{s.Namespace, s.Name, s.Port}] = s
		}
		return m
	}
	before, after := index(c.st.Routes), index(now)
	both := maps.Clone(before)
	maps.Copy(both, after)
	for k := range both {
		x, had := before[k]
		y, has := after[k]
		ch := Change{Verb: Route, Object: schema.Key{Kind: schema.KindService, Namespace: k.namespace, Name: k.name}}
		addresses, endpoints := fmt.Sprint(x.Addresses) != fmt.Sprint(y.Addresses), !slices.Equal(x.Endpoints, y.Endpoints)
		switch {
		case !had:
			ch.Reason = fmt.Sprintf("port %d is new at %s with %d ready endpoints", k.port, words(y.Addresses), len(y.Endpoints))
		case !has:
			ch.Reason = fmt.Sprintf("port %d goes away", k.port)
		case addresses:
			ch.Reason = fmt.Sprintf("port %d is reached at %s, was %s", k.port, words(y.Addresses), words(x.Addresses))
		case endpoints:
			ch.Reason = fmt.Sprintf("port %d: %d ready endpoints, were %d", k.port, len(y.Endpoints), len(x.Endpoints))
		default:
			continue
		}
		if endpoints {
			ch.Details = []Detail{{Path: fmt.Sprintf("endpoints[%d]", k.port), From: words(x.Endpoints), To: words(y.Endpoints)}}
		}
		c.change(ch)
	}
}

// pairs are labels as people write them, sorted.
func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return strings.Join(out, ",")
}

// words joins values with spaces; none is "nothing".
func words[T fmt.Stringer](all []T) string {
	var out []string
	for _, v := range all {
		out = append(out, v.String())
	}
	return cmp.Or(strings.Join(out, " "), "nothing")
}

// withdraw moves draining instances on: it notes the first table without them, and lets them stop once every minion that
// holds a lease has acknowledged that table, or after the drain timeout.
func (c *step) withdraw() {
	var leased []string
	for _, name := range slices.Sorted(maps.Keys(c.in.Minions)) { // one that has not reported yet may route all the same
		if c.seen(c.in.Minions[name]) && c.st.Minions[name].Lost.IsZero() {
			leased = append(leased, name)
		}
	}
	oldest := c.st.Table
	for _, name := range leased {
		if t := c.in.Minions[name].Table; t.Compare(oldest) < 0 {
			oldest = t
		}
	}
	for _, id := range c.st.Bindings.IDs() {
		b := c.binding(id)
		if b.Phase != assignment.Drain {
			continue
		}
		if b.Withdrawn.IsZero() {
			b.Withdrawn = c.st.Table
		}
		var missing []string
		if b.Routed && oldest.Compare(b.Withdrawn) < 0 {
			for _, name := range leased {
				if c.in.Minions[name].Table.Compare(b.Withdrawn) < 0 {
					missing = append(missing, name)
				}
			}
		}
		timeout := b.Since.Add(c.in.Settings.DrainTimeout)
		switch {
		case c.observedOf(id) == nil:
			// Its minion may not have been told of it yet. Only once it lists it does a later report without it mean that it is
			// gone, and only then may release believe it.
		case len(missing) == 0:
			b.Phase, b.Since, b.Version = assignment.Stop, c.now, c.next()
		case !timeout.After(c.now):
			b.Phase, b.Since, b.Version = assignment.Stop, c.now, c.next()
			b.Reason = fmt.Sprintf("%s; stopped after the drain timeout of %s without the acknowledgement of %s", b.Reason, c.in.Settings.DrainTimeout, strings.Join(missing, ", "))
			c.warn("%s is stopped without the acknowledgement of %s: the drain timeout of %s is over", id, strings.Join(missing, ", "), c.in.Settings.DrainTimeout)
		default:
			c.wakeAt(timeout)
			c.missing[id] = missing
		}
		c.put(b)
	}
}

// release forgets instances that were to stop and that their minion does not report any more. An agent lists what it was
// assigned until everything of it is removed, and withdraw stops only what its minion has listed: so a report without it says
// that it is gone, and not that the agent has not heard of it. What never left Prepare never ran. Addresses rest, so that a
// packet or a report that was already on its way does no harm.
func (c *step) release() {
	for _, id := range c.st.Bindings.IDs() {
		b := c.binding(id)
		m := c.in.Minions[b.Minion]
		if b.Phase != assignment.Stop || c.before(id).Phase != assignment.Stop || m.Report == nil || m.Reported.Before(b.Since) || c.observedOf(id) != nil {
			continue
		}
		if b.Address.IsValid() {
			c.rest(b.Address)
		}
		c.drop(id)
	}
}

// assign gives every minion what it is to run.
func (c *step) assign() {
	c.plan.Assignments = map[string]assignment.Assignment{}
	for name, n := range c.st.Minions {
		c.plan.Assignments[name] = assignment.Assignment{Fleet: c.st.Fleet, Minion: name, Network: n.Network}
	}
	specs := map[string][]byte{} // by hash, which a found instance need not have of its empty spec
	for _, id := range c.st.Bindings.IDs() {
		b := c.binding(id)
		spec := specs[b.Hash]
		if spec == nil || len(b.Spec.Containers) == 0 {
			spec = b.Spec.CanonicalJSON()
			if len(b.Spec.Containers) > 0 {
				specs[b.Hash] = spec
			}
		}
		a, ok := c.plan.Assignments[b.Minion]
		if !ok {
			continue
		}
		a.Instances = append(a.Instances, assignment.Instance{
			ID: b.ID, UID: b.UID, Namespace: b.Namespace, Pod: b.Pod, Controller: b.Controller, Created: b.Created, Hash: b.Hash,
			Spec: spec, Address: b.Address, Env: b.Env, Phase: b.Phase,
		})
		c.plan.Assignments[b.Minion] = a
	}
}
