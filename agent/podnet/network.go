package podnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Protocol is the number by which our routes are told from others' (rtm_protocol of rtnetlink(7); "R").
const Protocol netlink.RouteProtocol = 0x52

const (
	linkPrefix  = "rc"
	aliasPrefix = "reconciler instance "
	podLink     = "eth0"
)

// Config is what [New] needs.
type Config struct {
	// Log takes what was changed; nil discards it.
	Log *slog.Logger
}

// Network links pods and minions. Its methods may be called concurrently, one call at a time for each instance.
type Network struct {
	log     *slog.Logger
	kernel  *netlink.Handle
	events  *nl.NetlinkSocket
	changed chan struct{} // room for one
}

// New opens its sockets in the network namespace of the calling thread and changes nothing.
func New(c Config) (*Network, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	events, err := subscribe()
	if err != nil {
		kernel.Close()
		return nil, fmt.Errorf("subscribe to links and routes: %w", err)
	}
	return &Network{log: c.Log, kernel: kernel, events: events, changed: make(chan struct{}, 1)}, nil
}

// Changed receives when somebody else may have changed our links or routes, while [Network.Run] runs; it has room for one.
func (n *Network) Changed() <-chan struct{} { return n.changed }

// linkName fits the kernel's 15 characters. 48 bits of hash tell apart the instances that one minion ever has at a time;
// should two clash all the same, the alias shows it.
func linkName(id string) string {
	sum := sha256.Sum256([]byte(id))
	return linkPrefix + hex.EncodeToString(sum[:6])
}

// mac is derived from the address, so that a neighbour entry that outlives a pod is right for the next one there. The
// first byte marks it as locally administered.
func mac(a netip.Addr) net.HardwareAddr {
	ip := a.As4()
	return net.HardwareAddr{0x02, 0xfd, ip[0], ip[1], ip[2], ip[3]}
}

// Attach links the network namespace at path to the minion and gives it address; gateway is the minion's end. Called again
// it repairs what is missing or different, and it makes the link anew if the namespace is another one.
func (n *Network) Attach(ctx context.Context, id, path string, address, gateway netip.Addr) error {
	if err := n.attach(ctx, id, path, address, gateway); err != nil {
		return fmt.Errorf("attach instance %q: %w", id, err)
	}
	return nil
}

func (n *Network) attach(ctx context.Context, id, path string, address, gateway netip.Addr) error {
	if !address.Is4() || !gateway.Is4() {
		return fmt.Errorf("address %v by gateway %v: only IPv4 is supported", address, gateway)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := forward(); err != nil {
		return err
	}
	space, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %q: %w", path, err)
	}
	defer space.Close()
	pod, err := netlink.NewHandleAt(space, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink in %q: %w", path, err)
	}
	defer pod.Close()

	host, err := n.find(id)
	if err != nil {
		return err
	}
	if host != nil && !n.joined(host, pod, space) {
		if err := n.kernel.LinkDel(host); err != nil {
			return fmt.Errorf("delete link %q: %w", host.Attrs().Name, err)
		}
		host = nil
	}
	if host == nil {
		if host, err = n.make(id, space, address, gateway); err != nil {
			return err
		}
		n.log.Info("pod linked", "instance", id, "link", host.Attrs().Name, "address", address)
	}
	if err := podEnd(pod, address, gateway); err != nil {
		return fmt.Errorf("set up %s in the pod: %w", podLink, err)
	}
	if err := n.hostEnd(id, host, address, gateway); err != nil {
		return fmt.Errorf("set up link %q: %w", host.Attrs().Name, err)
	}
	return nil
}

// find is the minion's end of an instance's link, nil if it is not there.
func (n *Network) find(id string) (netlink.Link, error) {
	name := linkName(id)
	l, err := n.kernel.LinkByName(name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find link %q: %w", name, err)
	}
	// Without an alias it is one that we were about to label when we were killed.
	if alias := l.Attrs().Alias; l.Type() != "veth" || alias != "" && alias != aliasPrefix+id {
		return nil, fmt.Errorf("link %q is not ours: type %s, alias %q", name, l.Type(), alias)
	}
	return l, nil
}

// joined tells whether host's other end is the pod's eth0.
func (n *Network) joined(host netlink.Link, pod *netlink.Handle, space netns.NsHandle) bool {
	eth, err := pod.LinkByName(podLink)
	if err != nil || eth.Attrs().ParentIndex != host.Attrs().Index || host.Attrs().ParentIndex != eth.Attrs().Index {
		return false
	}
	id, err := n.kernel.GetNetNsIdByFd(int(space))
	return err == nil && id == host.Attrs().NetNsID
}

// make makes both ends at once; the pod's is born in its namespace.
func (n *Network) make(id string, space netns.NsHandle, address, gateway netip.Addr) (netlink.Link, error) {
	name := linkName(id)
	err := n.kernel.LinkAdd(&netlink.Veth{
		LinkAttrs:        netlink.LinkAttrs{Name: name, HardwareAddr: mac(gateway)},
		PeerName:         podLink,
		PeerHardwareAddr: mac(address),
		PeerNamespace:    netlink.NsFd(space),
	})
	if err != nil {
		return nil, fmt.Errorf("add link %q: %w", name, err)
	}
	l, err := n.kernel.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find link %q: %w", name, err)
	}
	return l, nil
}

// podEnd gives the pod its address and its way out.
func podEnd(pod *netlink.Handle, address, gateway netip.Addr) error {
	lo, err := pod.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := pod.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	eth, err := pod.LinkByName(podLink)
	if err != nil {
		return fmt.Errorf("find link: %w", err)
	}
	if err := end(pod, eth, address, mac(address)); err != nil {
		return err
	}
	err = pod.RouteReplace(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: prefix(netip.MustParsePrefix("0.0.0.0/0")),
		Gw: gateway.AsSlice(), Flags: int(netlink.FLAG_ONLINK)})
	if err != nil {
		return fmt.Errorf("add default route: %w", err)
	}
	return nil
}

func (n *Network) hostEnd(id string, l netlink.Link, address, gateway netip.Addr) error {
	if l.Attrs().Alias == "" {
		if err := n.kernel.LinkSetAlias(l, aliasPrefix+id); err != nil {
			return fmt.Errorf("set alias: %w", err)
		}
	}
	if err := end(n.kernel, l, gateway, mac(gateway)); err != nil {
		return err
	}
	err := n.kernel.RouteReplace(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: prefix(netip.PrefixFrom(address, 32)),
		Src: gateway.AsSlice(), Scope: netlink.SCOPE_LINK, Protocol: Protocol})
	if err != nil {
		return fmt.Errorf("add route to %v: %w", address, err)
	}
	return nil
}

// end makes a link have the address and no other, and be up.
func end(h *netlink.Handle, l netlink.Link, address netip.Addr, hardware net.HardwareAddr) error {
	if !bytes.Equal(l.Attrs().HardwareAddr, hardware) {
		if err := h.LinkSetHardwareAddr(l, hardware); err != nil {
			return fmt.Errorf("set MAC: %w", err)
		}
	}
	want := prefix(netip.PrefixFrom(address, 32))
	found, err := whole(func() ([]netlink.Addr, error) { return h.AddrList(l, netlink.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	there := false
	for _, a := range found {
		if a.IPNet.String() == want.String() {
			there = true
		} else if err := h.AddrDel(l, &a); err != nil {
			return fmt.Errorf("delete address %v: %w", a.IPNet, err)
		}
	}
	if !there {
		if err := h.AddrAdd(l, &netlink.Addr{IPNet: want}); err != nil {
			return fmt.Errorf("add address %v: %w", address, err)
		}
	}
	if l.Attrs().Flags&net.FlagUp == 0 {
		if err := h.LinkSetUp(l); err != nil {
			return fmt.Errorf("set up: %w", err)
		}
	}
	return nil
}

// Detach removes an instance's link with its addresses and routes, at both ends. It does nothing if it is not there.
func (n *Network) Detach(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("detach instance %q: %w", id, err)
	}
	l, err := n.find(id)
	if err != nil {
		return fmt.Errorf("detach instance %q: %w", id, err)
	}
	if l == nil {
		return nil
	}
	// The namespace may end at the same moment and take the link with it.
	err = n.kernel.LinkDel(l)
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("detach instance %q: delete link %q: %w", id, l.Attrs().Name, err)
	}
	n.log.Info("pod unlinked", "instance", id, "link", l.Attrs().Name)
	return nil
}

func prefix(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// dumpAttempts is how often a listing is read that others change meanwhile.
const dumpAttempts = 5

// whole repeats a listing that the kernel says was interrupted by a change.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	var found []T
	var err error
	for range dumpAttempts {
		if found, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return found, err
}

// forwarding is relative to the calling thread's network namespace, like everything under /proc/sys/net.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

func forward() error {
	if now, err := os.ReadFile(forwarding); err == nil && strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	if err := os.WriteFile(forwarding, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("turn on forwarding: %w", err)
	}
	return nil
}
