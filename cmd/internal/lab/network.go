package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// node is a namespace with one link to the hub.
type node struct {
	name    string // of the namespace
	address netip.Prefix
	gateway netip.Addr
	port    string // the hub's end of the link
	segment bool   // the hub's end is a port of the minions' segment
}

// segmentName is the bridge in the hub that joins the minions, as the private network of the virtual machines of 2014 did.
// Minions must reach each other directly: only their agents know which pod network is whose.
const segmentName = "minions"

func nodes(minions int) []node {
	prefix := netip.MustParsePrefix
	out := []node{
		{name: Master, address: prefix(MasterAddress + "/24"), gateway: netip.MustParseAddr("10.245.1.1"), port: "master"},
		{name: Desktop, address: prefix(DesktopAddress + "/24"), gateway: netip.MustParseAddr("10.245.3.1"), port: "desktop"},
	}
	for _, m := range MinionNames(minions) {
		a := netip.MustParseAddr(m)
		out = append(out, node{
			name: m, address: netip.PrefixFrom(a, 24), gateway: segmentGateway.Addr(), segment: true,
			port: fmt.Sprintf("minion-%d", a.As4()[3]),
		})
	}
	return out
}

var segmentGateway = netip.MustParsePrefix("10.245.2.1/24")

// mac is derived from the address, so that a link that was made again is not looked for at an old one.
func mac(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0xfd, b[0], b[1], b[2], b[3]}
}

// network makes what is missing of the lab's namespaces and links.
func (l *Lab) network(minions int) error {
	if err := pinNetNS(l.NetNS(hub)); err != nil {
		return err
	}
	forward := func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }
	if err := within(l.NetNS(hub), forward); err != nil {
		return fmt.Errorf("let hub forward: %w", err)
	}
	h, err := handle(l.NetNS(hub))
	if err != nil {
		return err
	}
	defer h.Close()
	if err := loopback(h); err != nil {
		return err
	}
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: segmentName, HardwareAddr: mac(segmentGateway.Addr())}}
	if err := h.LinkAdd(bridge); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("add segment of minions: %w", err)
	}
	if err := configure(h, segmentName, segmentGateway); err != nil {
		return err
	}
	for _, n := range nodes(minions) {
		if err := l.join(h, n); err != nil {
			return fmt.Errorf("join %q to the lab: %w", n.name, err)
		}
		if n.segment {
			if err := within(l.NetNS(n.name), forward); err != nil {
				return fmt.Errorf("let minion %q forward: %w", n.name, err)
			}
		}
	}
	return nil
}

// join makes the node's namespace and its link to the hub. Both ends are born in their namespaces.
func (l *Lab) join(h *netlink.Handle, n node) error {
	path := l.NetNS(n.name)
	if err := pinNetNS(path); err != nil {
		return err
	}
	inside, err := handle(path)
	if err != nil {
		return err
	}
	defer inside.Close()
	_, err = inside.LinkByName("eth0")
	missing := netlink.LinkNotFoundError{}
	if errors.As(err, &missing) {
		fd, err := netns.GetFromPath(path)
		if err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		defer fd.Close()
		link := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: n.port}, PeerName: "eth0", PeerNamespace: netlink.NsFd(fd),
			PeerHardwareAddr: mac(n.address.Addr()),
		}
		if err := h.LinkAdd(link); err != nil {
			return fmt.Errorf("add link: %w", err)
		}
	} else if err != nil {
		return fmt.Errorf("find link: %w", err)
	}
	if err := loopback(inside); err != nil {
		return err
	}
	if err := configure(inside, "eth0", n.address); err != nil {
		return err
	}
	if n.segment {
		if err := enslave(h, n.port); err != nil {
			return err
		}
	} else if err := configure(h, n.port, netip.PrefixFrom(n.gateway, n.address.Bits())); err != nil {
		return err
	}
	link, err := inside.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find link: %w", err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: n.gateway.AsSlice()}
	if err := inside.RouteReplace(route); err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	return nil
}

func handle(path string) (*netlink.Handle, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %q: %w", path, err)
	}
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		return nil, fmt.Errorf("open netlink in %q: %w", path, err)
	}
	return h, nil
}

func loopback(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}

// configure gives a link its address and sets it up.
func configure(h *netlink.Handle, name string, address netip.Prefix) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %q: %w", name, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), 32)}}
	if err := h.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("set address of link %q: %w", name, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %q up: %w", name, err)
	}
	return nil
}

func enslave(h *netlink.Handle, port string) error {
	link, err := h.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find link %q: %w", port, err)
	}
	segment, err := h.LinkByName(segmentName)
	if err != nil {
		return fmt.Errorf("find segment of minions: %w", err)
	}
	if link.Attrs().MasterIndex != segment.Attrs().Index {
		if err := h.LinkSetMaster(link, segment); err != nil {
			return fmt.Errorf("join link %q to the segment: %w", port, err)
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("set link %q up: %w", port, err)
	}
	return nil
}

// SetLink cuts a namespace's link to the hub, or mends it: a fault to try. Up mends it too.
func (l *Lab) SetLink(namespace string, up bool) error {
	i := slices.IndexFunc(nodes(MaxMinions), func(n node) bool { return n.name == namespace })
	if i < 0 {
		return fmt.Errorf("find %q in the lab: it is neither a minion nor %s nor %s", namespace, Master, Desktop)
	}
	h, err := handle(l.NetNS(hub))
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(nodes(MaxMinions)[i].port)
	if err != nil {
		return fmt.Errorf("find link of %q: %w", namespace, err)
	}
	if up {
		err = h.LinkSetUp(link)
	} else {
		err = h.LinkSetDown(link)
	}
	if err != nil {
		return fmt.Errorf("set link of %q: %w", namespace, err)
	}
	return nil
}
