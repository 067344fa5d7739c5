package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// routed is what the routes of a state were made of, and what was said about them: as long as that is the same, so are they.
type routed struct {
	set      *schema.Set
	bindings *token
	peers    []assignment.Peer
	settings [2]netip.Prefix // portal and pod network
	public   []netip.Prefix
	portals  *token
	warnings []string
	changes  []Change        // services that are not routed
	of       []routedService // in the order of their keys
}

// routedService is what one service's routes were made of, if that is all: its ports stand together in the table.
type routedService struct {
	offer  *offer
	portal netip.Addr
	owners []int32
	lists  [][]int32 // of the bindings of each
	routes []netproxy.Service
}

// unchanged tells whether a service that was routed has the portal IP, the owners of its endpoints and their bindings still.
func unchanged(was *routedService, t *bindingTable, portal netip.Addr, owners []int32) bool {
	return was.portal == portal && slices.Equal(was.owners, owners) &&
		slices.EqualFunc(was.owners, was.lists, func(o int32, list []int32) bool { return oneList(t.owners.buckets[o].list, list) })
}

// same tells whether both are of the same.
func (r *routed) same(o *routed) bool {
	return r != nil && r.set == o.set && r.bindings == o.bindings && r.portals == o.portals && r.alike(o)
}

// alike tells whether services of which nothing else changed are routed alike by both.
func (r *routed) alike(o *routed) bool {
	return r != nil && r.settings == o.settings && slices.Equal(r.public, o.public) && slices.Equal(r.peers, o.peers)
}

// route decides what every minion routes and numbers the table anew if that changed.
func (c *step) route() {
	t := assignment.Table{Fleet: c.st.Fleet}
	peers := c.peers()
	t.Minions = peers.list
	c.unrested(func(n int32, b *Binding) {
		if c.readyAt(n, b) != b.Serving {
			now := *b
			now.Serving, now.Ran = !b.Serving, b.Ran || b.Serving
			c.put(now)
		}
	})
	is := &routed{set: c.set, bindings: c.st.Bindings.token(), peers: t.Minions, settings: [2]netip.Prefix{c.in.Settings.PortalNet, c.in.Settings.PodNet},
		public: c.in.Settings.PublicNets, portals: c.portalsToken}
	if was := c.in.State.routed; was.same(is) {
		is, t.Services = was, c.st.Routes
		c.plan.Warnings, c.plan.Changes = append(c.plan.Warnings, is.warnings...), append(c.plan.Changes, is.changes...)
	} else {
		warned, changed := len(c.plan.Warnings), len(c.plan.Changes)
		t.Services = c.st.Routes // where nobody knows what is declared
		if c.set != nil {
			t.Services = c.routes(is)
		}
		is.warnings, is.changes = slices.Clone(c.plan.Warnings[warned:]), slices.Clone(c.plan.Changes[changed:])
		is.bindings = c.st.Bindings.token() // what was noted of them since makes no difference
	}
	same := sameServices(c.in.State.Routes, t.Services)
	if !same {
		c.routeChanges(t.Services)
	}
	if h := peers.hash; !same || h != c.st.TableHash || c.st.Table.Epoch != c.st.Epoch {
		c.st.TableHash = h
		c.st.Table = assignment.Generation{Epoch: c.st.Epoch, Counter: c.st.Table.Counter + 1}
	}
	c.st.Routes, c.st.routed = t.Services, is
	t.Generation = c.st.Table
	c.plan.Table = t
}

// sameServices tells whether both are routed alike.
func sameServices(x, y []netproxy.Service) bool {
	return oneList(x, y) || slices.EqualFunc(x, y, sameService)
}

func sameService(a, b netproxy.Service) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.PortName == b.PortName && a.Protocol == b.Protocol && a.Port == b.Port &&
		a.HostPort == b.HostPort && (oneList(a.Addresses, b.Addresses) || slices.Equal(a.Addresses, b.Addresses)) && (oneList(a.Endpoints, b.Endpoints) || slices.Equal(a.Endpoints, b.Endpoints))
}

// routes lists every service port with its addresses and ready endpoints.
func (c *step) routes(is *routed) []netproxy.Service {
	t := c.st.Bindings.t
	if t == nil {
		t = (*bindingTable)(nil).edit()
	}
	serving, held := c.serving(t)
	var was []routedService
	if r := c.in.State.routed; r.alike(is) {
		was = r.of
	}
	is.of = make([]routedService, 0, len(c.set.Services))
	out := make([]netproxy.Service, 0, max(len(c.st.Routes), len(c.set.Services)))
	recorded := c.recorded() // so what was routed of a service whose record was not touched has its portal IP
	byHand := map[schema.Key]*schema.Endpoints{}
	for _, e := range c.set.Endpoints {
		byHand[e.Key()] = e
	}
	written := map[netip.Addr]bool{} // endpoints of people
	var enter []int32                // bindings that are endpoints for the first time
	var endpoints, owners []int32
	for i, offer := range c.of.offers {
		was = startAt(was, offer)
		listed := len(was) > 0 && was[0].offer == offer
		var record Record
		if listed && recorded && (len(c.touched) == 0 || !c.touched[offer.name]) {
			record.Portal = was[0].portal
		} else {
			record = c.st.Objects[offer.name]
		}
		s, missing, selected := offer.service, offer.needs, c.of.selected[i]
		if record.Kept != nil {
			if s = kept(s, record.Kept); s == nil {
				continue
			}
			missing, selected = s.Spec.Needs(), c.of.selectedBy(s)
		}
		warned, changed, from := len(c.plan.Warnings), len(c.plan.Changes), len(out)
		if len(missing) > 0 {
			c.change(Change{Verb: Create, Object: s.Key(), Reason: "it is not routed", Waiting: needs(missing) + ", which this release does not route yet", Blocked: true})
			continue
		}
		owners = append(c.resting(owners[:0], selected), serving.of(s.Namespace, s.Spec.Selector)...)
		portal := record.Portal
		if listed && record.Kept == nil && len(selected) > 0 && unchanged(&was[0], t, portal, owners) {
			out, is.of = append(out, was[0].routes...), append(is.of, was[0])
			continue
		}
		if len(s.Spec.Selector) > 0 && len(selected) == 0 {
			c.warn("%s selects %s, which no declared pod has: it refuses connections", s.Key(), pairs(s.Spec.Selector))
		}
		public := c.publicIPs(s)
		endpoints = endpoints[:0]
		for _, o := range owners {
			endpoints = t.selected(endpoints, o, s.Spec.Selector)
		}
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
			if len(endpoints) > 0 {
				r.Endpoints = make([]netip.AddrPort, 0, len(endpoints))
			}
			var spec *schema.PodSpec
			var port uint16
			for _, n := range endpoints {
				b := t.at(n)
				if b.Spec != spec {
					spec, port = b.Spec, targetPort(p, b.Spec)
				}
				if port == 0 {
					c.warn("%s: pod %q has no port for service port %d", s.Key(), b.Pod, p.Port)
					continue
				}
				r.Endpoints = append(r.Endpoints, netip.AddrPortFrom(b.Address, port))
				if !b.Routed && len(r.Addresses) > 0 {
					enter = append(enter, n)
				}
			}
			if e := byHand[schema.Key{Kind: schema.KindEndpoints, Namespace: s.Namespace, Name: s.Name}]; e != nil && len(s.Spec.Selector) == 0 {
				r.Endpoints = handwritten(e, p)
				for _, e := range r.Endpoints {
					written[e.Addr()] = true
				}
			}
			if len(r.Endpoints) == 0 {
				r.Endpoints = nil
			}
			slices.SortFunc(r.Endpoints, netip.AddrPort.Compare)
			r.Endpoints = slices.Compact(r.Endpoints)
			if len(r.Addresses) > 0 {
				out = append(out, r)
			}
		}
		simple := len(s.Spec.Selector) > 0 && len(s.Spec.ExternalIPs) == 0
		if simple && record.Kept == nil && len(c.plan.Warnings) == warned && len(c.plan.Changes) == changed {
			r := routedService{offer: offer, portal: portal, owners: slices.Clone(owners), routes: slices.Clone(out[from:])}
			for _, o := range owners {
				r.lists = append(r.lists, t.owners.buckets[o].list)
			}
			is.of = append(is.of, r)
		}
	}
	if len(written) > 0 {
		for n := range int32(t.bound.n) {
			if b := t.at(n); b != nil && !b.Routed && written[b.Address] {
				enter = append(enter, n)
			}
		}
	}
	for _, n := range enter {
		if b := *t.at(n); !b.Routed { // a table has it as an endpoint
			b.Routed = true
			c.put(b)
		}
	}
	return out
}

// startAt is what is left of routed services from an offer on.
func startAt(was []routedService, o *offer) []routedService {
	for len(was) > 0 && was[0].offer != o && was[0].offer.key.Compare(o.key) < 0 {
		was = was[1:]
	}
	return was
}

// resting appends the numbers that workloads at rest have as owners of bindings.
func (c *step) resting(out, workloads []int32) []int32 {
	for _, i := range workloads {
		if o := c.owners[i]; o >= 0 && c.ownerRests(o) {
			out = append(out, o)
		}
	}
	return out
}

// ownerRests tells whether an owner of bindings, by its number, is a workload at rest.
func (c *step) ownerRests(o int32) bool { return int(o) < len(c.restingOwner) && c.restingOwner[o] }

// serving finds the owners of instances that may be endpoints, by their labels, without workloads at rest; and who holds which
// host ports.
func (c *step) serving(t *bindingTable) (serving selection, held map[netip.AddrPort]string) {
	serving, held = newSelection(), map[netip.AddrPort]string{}
	resting := map[int32]bool{} // that hold ports
	for _, w := range c.of.ported {
		if o := c.owners[w.id]; o >= 0 && c.ownerRests(o) {
			resting[o] = true
		}
	}
	for o := range t.owners.buckets {
		list := t.owners.buckets[o].list
		rests := c.ownerRests(int32(o))
		if len(list) == 0 || rests && !resting[int32(o)] {
			continue
		}
		var labels map[string]string
		var spec *schema.PodSpec
		ports := false
		for i, n := range list {
			b := t.at(n)
			if b.Spec != spec {
				spec, ports = b.Spec, holdsPorts(b.Spec)
			}
			if ports {
				for i := range b.Spec.Containers {
					for _, p := range b.Spec.Containers[i].Ports {
						if p.HostPort != 0 && p.Protocol.Proto() == schema.TCP {
							held[netip.AddrPortFrom(c.st.Minions[b.Minion].Address, p.HostPort)] = b.Pod
						}
					}
				}
			}
			if b.Serving && !rests && (i == 0 || labels == nil || !oneMap(labels, b.Labels)) {
				labels = b.Labels
				serving.add(b.Namespace, b.Labels, int32(o))
			}
		}
	}
	return serving, held
}

// holdsPorts tells whether a pod has host ports.
func holdsPorts(s *schema.PodSpec) bool {
	for i := range s.Containers {
		for _, p := range s.Containers[i].Ports {
			if p.HostPort != 0 {
				return true
			}
		}
	}
	return false
}

// selected appends the instances of an owner that may be endpoints of what has the selector.
func (t *bindingTable) selected(out []int32, o int32, selector map[string]string) []int32 {
	var labels map[string]string
	matches := false
	for _, n := range t.owners.buckets[o].list {
		b := t.at(n)
		if !b.Serving {
			continue
		}
		if labels == nil || !oneMap(labels, b.Labels) {
			labels, matches = b.Labels, schema.Selects(selector, b.Labels)
		}
		if matches {
			out = append(out, n)
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

// publicIPs are those of a service's that may be routed: of an allowed network, or a minion's own; never inside the portal or
// the pod network.
func (c *step) publicIPs(s *schema.Service) []netip.Addr {
	var out []netip.Addr
	for _, text := range s.Spec.ExternalIPs {
		a, err := netip.ParseAddr(text)
		in := func(p netip.Prefix) bool { return p.Contains(a) }
		switch {
		case err != nil:
			c.warn("%s: public IP %q is not an address", s.Key(), text)
		case in(c.in.Settings.PortalNet) || in(c.in.Settings.PodNet):
			c.warn("%s is not reached at public IP %s: it is an address of portals or pods", s.Key(), a)
		case c.minionsByAddress()[a] == "" && !slices.ContainsFunc(c.in.Settings.PublicNets, in):
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
		for q := range s.ServingPorts() {
			if q.Name == t.Name {
				return q.ContainerPort
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
	was := c.st.Routes
	if len(was) == len(now) { // mostly nothing but a few endpoints differ
		var x, y []netproxy.Service
		for i := range now {
			if !sameService(was[i], now[i]) {
				x, y = append(x, was[i]), append(y, now[i])
			}
		}
		was, now = x, y
	}
	before, after := index(was), index(now)
	both := maps.Clone(before)
	maps.Copy(both, after)
	for k := range both {
		x, had := before[k]
		y, has := after[k]
		ch := Change{Verb: Route, Object: schema.Key{Kind: schema.KindService, Namespace: k.namespace, Name: k.name}}
		addresses, endpoints := !slices.Equal(x.Addresses, y.Addresses), !slices.Equal(x.Endpoints, y.Endpoints)
		switch {
		case !had:
			ch.Reason = fmt.Sprintf("port %d is new at %s with %d ready endpoints", k.port, words(y.Addresses), len(y.Endpoints))
		case !has:
			ch.Reason = fmt.Sprintf("port %d goes away", k.port)
		case addresses:
			ch.Reason = fmt.Sprintf("port %d is reached at %s, was %s", k.port, words(y.Addresses), words(x.Addresses))
		case endpoints:
			ch.Code = CodeEndpoints
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
