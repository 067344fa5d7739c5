package podnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
)

var _ agent.Network = (*Network)(nil)

// patience bounds every wait in the tests.
const patience = 10 * time.Second

// space is a network namespace without a name, and a thread in it.
type space struct {
	t    testing.TB
	fd   int
	jobs chan func()
}

func newSpace(t testing.TB) *space {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := &space{t: t, jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ready <- err
			return
		}
		fd, err := netns.Get()
		s.fd = int(fd)
		ready <- err
		for job := range s.jobs {
			job()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make namespace: %v", err)
	}
	t.Cleanup(func() {
		close(s.jobs)
		_ = unix.Close(s.fd)
	})
	return s
}

func (s *space) path() string { return fmt.Sprintf("/proc/self/fd/%d", s.fd) }

func (s *space) must(what string, f func() error) {
	s.t.Helper()
	if err := s.do(f); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func (s *space) do(f func() error) error {
	done := make(chan error)
	s.jobs <- func() { done <- f() }
	return <-done
}

// reach tells whether a TCP connection can be made from s to a listener in to.
func (s *space) reach(to *space, address string) error {
	var l net.Listener
	to.must("listen", func() (err error) {
		l, err = net.Listen("tcp4", ":0")
		return err
	})
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return s.do(func() error {
		c, err := net.DialTimeout("tcp4", net.JoinHostPort(address, port), patience)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

func newNetwork(s *space) *Network {
	s.t.Helper()
	var n *Network
	s.must("new network", func() (err error) {
		n, err = New(Config{})
		return err
	})
	return n
}

// listing is all links, addresses and routes of the namespace as text, without what a read may change.
func (s *space) listing() string {
	s.t.Helper()
	var b strings.Builder
	s.must("list", func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			a := l.Attrs()
			fmt.Fprintln(&b, a.Index, a.Name, a.Alias, a.HardwareAddr, a.Flags&net.FlagUp)
			addresses, err := netlink.AddrList(l, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			for _, x := range addresses {
				fmt.Fprintln(&b, " ", x.IPNet)
			}
		}
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return err
		}
		for _, r := range routes {
			fmt.Fprintln(&b, r)
		}
		return nil
	})
	return b.String()
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

var (
	gateway = netip.MustParseAddr("10.244.1.1")
	addr1   = netip.MustParseAddr("10.244.1.2")
	addr2   = netip.MustParseAddr("10.244.1.3")
)

func (s *space) attach(n *Network, id string, pod *space, address netip.Addr) {
	s.t.Helper()
	s.must("attach", func() error { return n.Attach(s.t.Context(), id, pod.path(), address, gateway) })
}

func TestAttachGivesPodsTheirWay(t *testing.T) {
	m, a, b := newSpace(t), newSpace(t), newSpace(t)
	n := newNetwork(m)
	m.attach(n, "web-0-1a", a, addr1)
	m.attach(n, "web-1-2b", b, addr2)
	for _, c := range []struct {
		name     string
		from, to *space
		address  netip.Addr
	}{
		{"minion to pod", m, a, addr1}, {"pod to minion", a, m, gateway}, {"pod to pod", a, b, addr2}, {"pod to itself", a, a, addr1},
	} {
		if err := c.from.reach(c.to, c.address.String()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	before := m.listing() + a.listing()
	m.attach(n, "web-0-1a", a, addr1)
	if after := m.listing() + a.listing(); after != before {
		t.Errorf("attached again, was\n%s\nis\n%s", before, after)
	}
	if !strings.Contains(a.listing(), "02:fd:0a:f4:01:02") {
		t.Errorf("pod's MAC is not that of its address:\n%s", a.listing())
	}
}

func TestAttachRepairs(t *testing.T) {
	for _, c := range []struct {
		name  string
		where string // "minion" or "pod"
		harm  func(link netlink.Link) error
	}{
		{"route to the pod deleted", "minion", func(l netlink.Link) error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: prefix(netip.PrefixFrom(addr1, 32)), Scope: netlink.SCOPE_LINK})
		}},
		{"gateway address deleted", "minion", func(l netlink.Link) error {
			return netlink.AddrDel(l, &netlink.Addr{IPNet: prefix(netip.PrefixFrom(gateway, 32))})
		}},
		{"minion's end down", "minion", netlink.LinkSetDown},
		{"minion's end deleted", "minion", netlink.LinkDel},
		{"killed before the label", "minion", func(l netlink.Link) error { return netlink.LinkSetAlias(l, "") }},
		{"pod's end down", "pod", netlink.LinkSetDown},
		{"pod's end deleted", "pod", netlink.LinkDel},
		{"pod's MAC changed", "pod", func(l netlink.Link) error {
			return netlink.LinkSetHardwareAddr(l, net.HardwareAddr{2, 0, 0, 0, 0, 1})
		}},
		{"pod's address changed", "pod", func(l netlink.Link) error {
			if err := netlink.AddrDel(l, &netlink.Addr{IPNet: prefix(netip.PrefixFrom(addr1, 32))}); err != nil {
				return err
			}
			return netlink.AddrAdd(l, &netlink.Addr{IPNet: prefix(netip.PrefixFrom(addr2, 32))})
		}},
		{"pod's default route deleted", "pod", func(l netlink.Link) error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway.AsSlice()})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, pod := newSpace(t), newSpace(t)
			n := newNetwork(m)
			m.attach(n, "web", pod, addr1)
			where, name := m, linkName("web")
			if c.where == "pod" {
				where, name = pod, podLink
			}
			where.must("harm", func() error {
				l, err := netlink.LinkByName(name)
				if err != nil {
					return err
				}
				return c.harm(l)
			})
			m.attach(n, "web", pod, addr1)
			if err := m.reach(pod, addr1.String()); err != nil {
				t.Errorf("minion to pod: %v", err)
			}
			if err := pod.reach(m, gateway.String()); err != nil {
				t.Errorf("pod to minion: %v", err)
			}
			if !strings.Contains(m.listing(), aliasPrefix+"web") {
				t.Errorf("no label:\n%s", m.listing())
			}
			if !strings.Contains(pod.listing(), mac(addr1).String()) {
				t.Errorf("pod's MAC not repaired:\n%s", pod.listing())
			}
		})
	}
}

func TestAttachFollowsANewNamespace(t *testing.T) {
	m, old, fresh := newSpace(t), newSpace(t), newSpace(t)
	n := newNetwork(m)
	m.attach(n, "web", old, addr1)
	m.attach(n, "web", fresh, addr1)
	if err := m.reach(fresh, addr1.String()); err != nil {
		t.Errorf("minion to pod: %v", err)
	}
	if strings.Contains(old.listing(), podLink) {
		t.Errorf("old namespace is still linked:\n%s", old.listing())
	}
}

func TestDetachLeavesNothing(t *testing.T) {
	m, pod := newSpace(t), newSpace(t)
	n := newNetwork(m)
	before := m.listing()
	m.attach(n, "web", pod, addr1)
	for range 2 {
		m.must("detach", func() error { return n.Detach(t.Context(), "web") })
		if after := m.listing(); after != before {
			t.Errorf("was\n%s\nis\n%s", before, after)
		}
	}
}

func TestForeignLinkWithOurNameIsLeftAlone(t *testing.T) {
	m, pod := newSpace(t), newSpace(t)
	n := newNetwork(m)
	m.must("add link", func() error {
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: linkName("web")}, PeerName: "theirs"}); err != nil {
			return err
		}
		l, err := netlink.LinkByName(linkName("web"))
		if err != nil {
			return err
		}
		return netlink.LinkSetAlias(l, "mine")
	})
	before := m.listing()
	if err := m.do(func() error { return n.Attach(t.Context(), "web", pod.path(), addr1, gateway) }); err == nil {
		t.Error("attach took a foreign link")
	}
	if err := n.Detach(t.Context(), "web"); err == nil {
		t.Error("detach took a foreign link")
	}
	if after := m.listing(); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

// uplink gives the minion a link to another one at 10.245.2.3.
func uplink(m, other *space) {
	m.t.Helper()
	m.must("uplink", func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(other.fd)})
		if err != nil {
			return err
		}
		return address("10.245.2.2/24")
	})
	other.must("uplink", func() error { return address("10.245.2.3/24") })
}

func address(cidr string) error {
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return err
	}
	return netlink.LinkSetUp(l)
}

func TestRoutesToPeers(t *testing.T) {
	m, other, pod, far := newSpace(t), newSpace(t), newSpace(t), newSpace(t)
	uplink(m, other)
	n, o := newNetwork(m), newNetwork(other)
	m.must("foreign route", func() error {
		return netlink.RouteAdd(&netlink.Route{Dst: prefix(netip.MustParsePrefix("198.51.100.0/24")), Gw: net.ParseIP("10.245.2.3")})
	})
	before := m.listing()
	peers := []assignment.Peer{
		{Name: "m1", Address: netip.MustParseAddr("10.245.2.2"), Network: netip.MustParsePrefix("10.244.1.0/24")},
		{Name: "m2", Address: netip.MustParseAddr("10.245.2.3"), Network: netip.MustParsePrefix("10.244.2.0/24")},
	}
	farAddress := netip.MustParseAddr("10.244.2.2")
	m.attach(n, "near", pod, addr1)
	other.must("attach", func() error {
		return o.Attach(t.Context(), "far", far.path(), farAddress, netip.MustParseAddr("10.244.2.1"))
	})
	set := func(peers []assignment.Peer) {
		t.Helper()
		m.must("set routes", func() error { return n.SetRoutes(t.Context(), "m1", peers) })
	}
	set(peers)
	other.must("set routes", func() error { return o.SetRoutes(t.Context(), "m2", peers) })
	if err := pod.reach(far, farAddress.String()); err != nil {
		t.Errorf("pod to the other minion's pod: %v", err)
	}
	if err := far.reach(pod, addr1.String()); err != nil {
		t.Errorf("the other minion's pod to pod: %v", err)
	}
	if err := m.reach(m, "10.244.1.77"); !errors.Is(err, unix.EHOSTUNREACH) {
		t.Errorf("to a pod that is not there: %v, want unreachable", err)
	}
	routed := m.listing()
	set(peers)
	if again := m.listing(); again != routed {
		t.Errorf("set again, was\n%s\nis\n%s", routed, again)
	}
	if err := m.do(func() error {
		return n.SetRoutes(t.Context(), "m1", append(peers, assignment.Peer{Name: "m3", Address: netip.MustParseAddr("203.0.113.9"),
			Network: netip.MustParsePrefix("10.244.3.0/24")}))
	}); err == nil || !strings.Contains(err.Error(), `"m3"`) {
		t.Errorf("peer without a way: %v", err)
	}
	if again := m.listing(); again != routed {
		t.Errorf("peer without a way changed others: was\n%s\nis\n%s", routed, again)
	}
	set(nil)
	m.must("detach", func() error { return n.Detach(t.Context(), "near") })
	if after := m.listing(); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

func TestChangedTellsOfLoss(t *testing.T) {
	m, other, pod := newSpace(t), newSpace(t), newSpace(t)
	uplink(m, other)
	n := newNetwork(m)
	m.attach(n, "web", pod, addr1)
	peers := []assignment.Peer{{Name: "m2", Address: netip.MustParseAddr("10.245.2.3"), Network: netip.MustParsePrefix("10.244.2.0/24")}}
	set := func() { m.must("set routes", func() error { return n.SetRoutes(t.Context(), "m1", peers) }) }
	set()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	for _, c := range []struct {
		name string
		harm func() error
	}{
		{"route to a peer deleted", func() error {
			return netlink.RouteDel(&netlink.Route{Dst: prefix(peers[0].Network), Gw: net.ParseIP("10.245.2.3")})
		}},
		{"uplink down and up", func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetDown(l), netlink.LinkSetUp(l))
		}},
		{"pod's link deleted", func() error {
			l, err := netlink.LinkByName(linkName("web"))
			if err != nil {
				return err
			}
			return netlink.LinkDel(l)
		}},
	} {
		before := m.listing()
		m.must(c.name, c.harm)
		eventually(t, c.name+": repaired", func() bool {
			select {
			case <-n.Changed():
			default:
				return false
			}
			set()
			m.attach(n, "web", pod, addr1)
			return strings.Count(m.listing(), "\n") == strings.Count(before, "\n")
		})
		if err := m.reach(pod, addr1.String()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
