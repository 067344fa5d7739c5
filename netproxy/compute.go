package netproxy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Minion is what Compute needs to know of the minion that routes.
type Minion struct {
	Local     netip.Prefix     // its pod network, IPv4 of at least 8 bits; anything else counts as none
	Own       []netip.Addr     // its own addresses
	Listening []netip.AddrPort // where its processes listen; an unspecified address stands for all of Own
}

// Refusal is a service, or one of its addresses, that is not routed, and why. Nothing else is affected.
type Refusal struct {
	Namespace, Name, PortName string
	Address                   netip.AddrPort // invalid if the whole service is refused
	Reason                    string
}

// String is as `service "default/db": public address 10.0.0.9:80: is a portal IP`.
func (r Refusal) String() string {
	name := r.Namespace + "/" + r.Name
	if r.PortName != "" {
		name += ":" + r.PortName
	}
	if !r.Address.IsValid() {
		return fmt.Sprintf("service %q: %s", name, r.Reason)
	}
	return fmt.Sprintf("service %q: address %v: %s", name, r.Address, r.Reason)
}

// Compute gives the content for services on a minion, and what it refuses, sorted as the services. Neither depends on the
// order of services, addresses or endpoints, save that a service's first address is its portal IP.
//
// A service with anything in it that the kernel could not take is refused whole, since it would make the kernel refuse
// every other service's change too. An address and port that several services claim goes to the one that claims it as
// its portal IP, else to the first by namespace, name and port name. A public address is refused if it is a portal IP, a
// pod's address or in the minion's pod network, or if it is one of the minion's own and a process listens there.
func Compute(services []Service, m Minion) (Content, []Refusal) {
	sorted := make([]Service, len(services))
	for i, s := range services {
		sorted[i] = normal(s)
	}
	slices.SortFunc(sorted, compareServices)
	c := Content{Slots: make(map[Key][]netip.AddrPort, len(sorted)), Hairpin: map[netip.Addr]bool{}}
	if local := m.Local.Masked(); routable(local.Addr()) && local.Bits() >= 8 {
		c.Local = local
	}
	var refusals []Refusal
	refuse := func(s Service, address netip.Addr, format string, args ...any) {
		r := Refusal{Namespace: s.Namespace, Name: s.Name, PortName: s.PortName, Reason: fmt.Sprintf(format, args...)}
		if address.IsValid() {
			r.Address = netip.AddrPortFrom(address, s.Port)
		}
		refusals = append(refusals, r)
	}

	portals := map[netip.Addr]bool{}
	claimed := map[netip.Addr]bool{} // public addresses; true once one is known to be a pod's
	for _, s := range sorted {
		if len(s.Addresses) > 0 {
			for _, address := range s.public() {
				claimed[address] = false
			}
		}
	}
	owner := map[Key]int{}
	accepted := make([]bool, len(sorted))
	for i, s := range sorted {
		if reason := invalid(s); reason != "" {
			refuse(s, netip.Addr{}, "%s", reason)
			continue
		}
		accepted[i] = true
		if !s.HostPort {
			portals[s.Addresses[0]] = true
		}
		for _, endpoint := range s.Endpoints {
			if len(claimed) > 0 {
				if _, ok := claimed[endpoint.Addr()]; ok {
					claimed[endpoint.Addr()] = true
				}
			}
			if c.Local.IsValid() && c.Local.Contains(endpoint.Addr()) {
				c.Hairpin[endpoint.Addr()] = true
			}
		}
		if s.HostPort {
			continue
		}
		key := Key{Address: s.Addresses[0], Protocol: TCP, Port: s.Port}
		if first, taken := owner[key]; taken {
			refuse(s, s.Addresses[0], "belongs to service %q", sorted[first].Namespace+"/"+sorted[first].Name)
			continue
		}
		owner[key] = i
		c.Slots[key] = s.Endpoints
	}

	held := m.held()
	for i, s := range sorted {
		if !accepted[i] {
			continue
		}
		for _, address := range s.public() {
			key := Key{Address: address, Protocol: TCP, Port: s.Port}
			first, taken := owner[key]
			switch {
			case portals[address]:
				if address != s.Addresses[0] || s.HostPort {
					refuse(s, address, "is a portal IP")
				}
			case claimed[address] || c.Local.IsValid() && c.Local.Contains(address):
				refuse(s, address, "is an address of pods")
			case taken:
				refuse(s, address, "belongs to service %q", sorted[first].Namespace+"/"+sorted[first].Name)
			case held[netip.AddrPortFrom(address, s.Port)]:
				refuse(s, address, "a process of this minion listens there")
			default:
				owner[key] = i
				c.Slots[key] = s.Endpoints
			}
		}
	}
	slices.SortFunc(refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PortName, b.PortName),
			a.Address.Compare(b.Address), cmp.Compare(a.Reason, b.Reason))
	})
	return c, refusals
}

// held is where the minion's own processes would lose their clients to a public address.
func (m Minion) held() map[netip.AddrPort]bool {
	held := make(map[netip.AddrPort]bool, len(m.Listening))
	for _, at := range m.Listening {
		address := at.Addr().Unmap()
		if !address.IsUnspecified() {
			held[netip.AddrPortFrom(address, at.Port())] = true
			continue
		}
		for _, own := range m.Own {
			held[netip.AddrPortFrom(own.Unmap(), at.Port())] = true
		}
	}
	return held
}

// normal is s with its public addresses and endpoints sorted and none of them twice. It shares what already is so.
func normal(s Service) Service {
	if len(s.Addresses) > 2 {
		s.Addresses = slices.Clone(s.Addresses)
		public := s.Addresses[1:]
		slices.SortFunc(public, netip.Addr.Compare)
		s.Addresses = s.Addresses[:1+len(slices.Compact(public))]
	}
	for i := 1; i < len(s.Endpoints); i++ {
		if s.Endpoints[i-1].Compare(s.Endpoints[i]) >= 0 {
			s.Endpoints = slices.Clone(s.Endpoints)
			slices.SortFunc(s.Endpoints, netip.AddrPort.Compare)
			s.Endpoints = slices.Compact(s.Endpoints)
			break
		}
	}
	return s
}

// invalid is why s cannot be given to the kernel, "" if it can.
func invalid(s Service) string {
	switch {
	case s.Protocol != "TCP":
		return fmt.Sprintf("protocol %q is not routed, only TCP", s.Protocol)
	case s.Port == 0:
		return "has no port"
	case len(s.Addresses) == 0:
		return "has no address"
	case len(s.Endpoints) > MaxEndpoints:
		return fmt.Sprintf("has %d endpoints, more than %d", len(s.Endpoints), MaxEndpoints)
	}
	for _, address := range s.Addresses {
		if !routable(address) {
			return fmt.Sprintf("address %v cannot be routed", address)
		}
	}
	for _, endpoint := range s.Endpoints {
		if !routable(endpoint.Addr()) || endpoint.Port() == 0 {
			return fmt.Sprintf("endpoint %v cannot be routed", endpoint)
		}
	}
	return ""
}

// routable tells whether an address can be that of a service or pod: IPv4, not the host's own loopback, and below the
// multicast and reserved ranges.
func routable(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsLoopback() && a.As4()[0] < 224
}

// compareServices is a total order of everything that the result may depend on.
func compareServices(a, b Service) int {
	return cmp.Or(
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PortName, b.PortName),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol),
		slices.CompareFunc(a.Addresses, b.Addresses, netip.Addr.Compare),
		slices.CompareFunc(a.Endpoints, b.Endpoints, netip.AddrPort.Compare),
	)
}
