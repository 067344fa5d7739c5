package reconcile

import (
	"crypto/sha256"
	"fmt"
	"net/netip"

	"reconciler/schema"
)

// freeNetwork is the first /24 of the pod network that no minion has.
func (c *step) freeNetwork() (netip.Prefix, bool) {
	if c.networks == nil {
		c.networks = map[netip.Addr]bool{}
		for _, n := range c.st.Minions {
			c.networks[n.Network.Addr()] = true
		}
	}
	net := c.in.Settings.PodNet
	first := c.nextNetwork // none before it is free
	if !net.Contains(first) {
		first = net.Masked().Addr()
	}
	for a := first; net.Contains(a); {
		four := a.As4()
		// The first /24 is left out, so that minion n has network n as in 2014.
		if a != net.Masked().Addr() && !c.networks[a] {
			c.networks[a], c.nextNetwork = true, a
			return netip.PrefixFrom(a, 24), true
		}
		if four[2]++; four[2] == 0 {
			if four[1]++; four[1] == 0 {
				break
			}
		}
		a = netip.AddrFrom4(four)
	}
	return netip.Prefix{}, false
}

// choosePortal gives a service the portal IP it asks for, or one that is probed from the hash of its name; the zero address if
// it cannot have one, which is warned of.
func (c *step) choosePortal(s *schema.Service) netip.Addr {
	net := c.in.Settings.PortalNet.Masked()
	if c.portals == nil {
		c.portals = map[netip.Addr]bool{}
		for _, r := range c.st.Objects {
			c.portals[r.Portal] = true
		}
	}
	usable := func(a netip.Addr) bool {
		return net.Contains(a) && a != net.Addr() && net.Contains(a.Next()) && !c.portals[a]
	}
	refuse := func(format string, args ...any) netip.Addr {
		c.change(Change{Verb: Create, Object: s.Key(), Reason: "it has no portal IP", Waiting: fmt.Sprintf(format, args...), Blocked: true})
		return netip.Addr{}
	}
	if s.Spec.ClusterIP != "" {
		a, err := netip.ParseAddr(s.Spec.ClusterIP)
		switch {
		case err != nil || !net.Contains(a):
			return refuse("portal IP %q is not in %s", s.Spec.ClusterIP, net)
		case !usable(a):
			return refuse("portal IP %s is taken", a)
		}
		c.portals[a] = true
		return a
	}
	h := sha256.Sum256([]byte(s.Namespace + "/" + s.Name))
	size := uint64(1) << (32 - net.Bits())
	base := uint64(beUint32(net.Addr()))
	start := (uint64(h[0])<<24 | uint64(h[1])<<16 | uint64(h[2])<<8 | uint64(h[3])) % size
	for _, resting := range []bool{false, true} { // a resting address is better than none
		for i := range size {
			a := fromUint32(uint32(base + (start+i)%size))
			if _, rests := c.st.Resting[a]; usable(a) && (resting || !rests) {
				c.portals[a] = true
				return a
			}
		}
	}
	return refuse("%s is used up", net)
}

func beUint32(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

func fromUint32(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// site is a minion that instances are bound to, with the addresses of its pod network, a /24, that bindings have.
type site struct {
	minion string
	net    netip.Prefix
	taken  [4]uint64 // a bit for each last byte
	next   uint8     // none before it is free
	number int32     // of the minion in the table of bindings, -1: not known
}

// has tells whether the address with a last byte is taken.
func (s *site) has(n uint8) bool { return s.taken[n/64]&(1<<(n%64)) != 0 }

func (s *site) take(n uint8) { s.taken[n/64] |= 1 << (n % 64) }

// site is that of a minion.
func (c *step) site(minion string) *site {
	s := c.sites[minion]
	if s == nil {
		s = &site{minion: minion, net: c.st.Minions[minion].Network, next: 2, number: -1}
		if c.sites == nil {
			c.sites = make(map[string]*site, min(len(c.roster.names), len(c.wanted)))
		}
		c.sites[minion] = s
		for b := range c.st.Bindings.On(minion) {
			c.takeAddress(minion, b.Address)
		}
	}
	return s
}

// siteAt is that of a minion by its number in the room.
func (c *step) siteAt(on int) *site {
	if c.sitesAt == nil {
		c.sitesAt = make([]*site, c.room().Len())
	}
	if c.sitesAt[on] == nil {
		c.sitesAt[on] = c.site(c.room().Name(on))
	}
	return c.sitesAt[on]
}

// podAddress is the lowest free address of a minion's pod network, from .2 on: .1 is the minion's own end.
func (c *step) podAddress(s *site) (netip.Addr, bool) {
	for ; s.next < 255; s.next++ {
		n := s.next
		if s.has(n) {
			continue
		}
		a := s.net.Addr().As4()
		a[3] += n
		if address := netip.AddrFrom4(a); s.net.Contains(address.Next()) {
			if len(c.st.Resting) > 0 {
				if _, rests := c.st.Resting[address]; rests {
					continue
				}
			}
			s.take(n)
			return address, true
		}
	}
	return netip.Addr{}, false
}

// takeAddress notes that a binding on a minion has an address. One that is not of its pod network is nobody's.
func (c *step) takeAddress(minion string, a netip.Addr) {
	if n := c.st.Minions[minion].Network; n.Contains(a) && a.Is4() {
		c.site(minion).take(a.As4()[3])
	}
}

// isTaken tells whether a binding has an address of a minion's pod network.
func (c *step) isTaken(minion string, a netip.Addr) bool {
	return c.st.Minions[minion].Network.Contains(a) && a.Is4() && c.site(minion).has(a.As4()[3])
}

// rest keeps a freed address from being given again at once.
func (c *step) rest(a netip.Addr) { c.st.Resting[a] = c.now.Add(c.in.Settings.Rest) }
