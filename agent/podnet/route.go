package podnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"reconciler/reconcile/assignment"
)

// SetRoutes makes the minion's routes to other minions' pods be exactly those of peers. The peer named self, if listed, is
// not routed to: its network becomes unreachable but for the pods that are attached, so that a packet to a pod that has
// gone is answered at once and does not leave the minion. A peer's network takes the way that leads to its address; a peer
// whose address has no way is named in the error, and the others are set all the same.
func (n *Network) SetRoutes(ctx context.Context, self string, peers []assignment.Peer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("set routes: %w", err)
	}
	if err := forward(); err != nil {
		return fmt.Errorf("set routes: %w", err)
	}
	var errs []error
	want := map[netip.Prefix]netlink.Route{}
	keep := map[netip.Prefix]bool{} // no way to the peer now: an older route to it is better than none
	for _, p := range peers {
		if !p.Network.IsValid() || !p.Network.Addr().Is4() {
			errs = append(errs, fmt.Errorf("peer %q: network %v cannot be routed", p.Name, p.Network))
			continue
		}
		to := p.Network.Masked()
		r, err := n.way(p)
		if p.Name == self {
			r, err = netlink.Route{Type: unix.RTN_UNREACHABLE}, nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("peer %q: %w", p.Name, err))
			keep[to] = true
			continue
		}
		r.Dst, r.Protocol, r.Table = prefix(to), Protocol, unix.RT_TABLE_MAIN
		want[to] = r
	}
	found, err := n.routes()
	if err != nil {
		return fmt.Errorf("set routes: %w", errors.Join(append(errs, err)...))
	}
	for _, r := range found {
		to := destination(r)
		if w, ok := want[to]; ok && same(r, w) {
			delete(want, to)
		} else if !ok && !keep[to] {
			if err := n.kernel.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
				errs = append(errs, fmt.Errorf("delete route to %v: %w", to, err))
				continue
			}
			n.log.Info("route deleted", "to", to)
		}
	}
	for to, r := range want {
		if err := n.kernel.RouteReplace(&r); err != nil {
			errs = append(errs, fmt.Errorf("add route to %v: %w", to, err))
			continue
		}
		n.log.Info("route added", "to", to, "via", r.Gw)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set routes: %w", err)
	}
	return nil
}

// way is the route to a peer's address, to be taken by its network too: through the peer if it is on a link of ours, else
// through the router that leads to it, which has to know the network.
func (n *Network) way(p assignment.Peer) (netlink.Route, error) {
	if !p.Address.Is4() {
		return netlink.Route{}, fmt.Errorf("address %v cannot be routed", p.Address)
	}
	ways, err := n.kernel.RouteGet(p.Address.AsSlice())
	if err != nil {
		return netlink.Route{}, fmt.Errorf("find way to %v: %w", p.Address, err)
	}
	if len(ways) == 0 || ways[0].Type != unix.RTN_UNICAST {
		return netlink.Route{}, fmt.Errorf("find way to %v: it is not another host's", p.Address)
	}
	r := netlink.Route{LinkIndex: ways[0].LinkIndex, Gw: ways[0].Gw, Flags: int(netlink.FLAG_ONLINK), Type: unix.RTN_UNICAST}
	if r.Gw == nil {
		r.Gw = p.Address.AsSlice()
	}
	return r, nil
}

// routes lists the routes that SetRoutes made: ours, less those to single pods, which lead straight onto a link.
func (n *Network) routes() ([]netlink.Route, error) {
	all, err := whole(func() ([]netlink.Route, error) {
		return n.kernel.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: Protocol, Table: unix.RT_TABLE_MAIN},
			netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var list []netlink.Route
	for _, r := range all {
		if r.Gw != nil || r.Type == unix.RTN_UNREACHABLE {
			list = append(list, r)
		}
	}
	return list, nil
}

func destination(r netlink.Route) netip.Prefix {
	if r.Dst == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(r.Dst.IP)
	ones, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones)
}

func same(a, b netlink.Route) bool {
	return a.Type == b.Type && a.Gw.Equal(b.Gw) && (a.Type == unix.RTN_UNREACHABLE || a.LinkIndex == b.LinkIndex)
}
