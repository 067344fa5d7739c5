package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"reconciler/netproxy"
)

// many is n services with k endpoints each; the endpoints are in nobody's network.
func many(n, k int) []netproxy.Service {
	list := make([]netproxy.Service, n)
	for i := range list {
		s := netproxy.Service{Namespace: "default", Name: fmt.Sprintf("s%05d", i), Protocol: "TCP", Port: 80,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}}
		for j := range k {
			at := netip.AddrFrom4([4]byte{10, 200 + byte(j), byte(i >> 8), byte(i)})
			s.Endpoints = append(s.Endpoints, netip.AddrPortFrom(at, 8080))
		}
		list[i] = s
	}
	return list
}

// generation is the kernel's count of transactions in the namespace.
func generation(s *space, r *Router) uint32 {
	s.t.Helper()
	var id uint32
	s.must("read generation", func() error {
		gen, err := r.conn.GetGen()
		if err == nil {
			id = gen.ID
		}
		return err
	})
	return id
}

func TestScaling(t *testing.T) {
	l := newLab(t)
	r := newRouter(l.m1)
	local := local1
	for _, endpoints := range [][]string{{podA, podB, podC}, {podB, podC}, {podC}, {podA, podB}, {podA}, {podA, podC}} {
		apply(l.m1, r, local, service("s", "10.0.0.1:80", nil, endpoints...))
		want := map[string]bool{}
		for _, e := range endpoints {
			want[map[string]string{podA: "a", podB: "b", podC: "c"}[e]] = true
		}
		got := map[string]bool{}
		for range 60 { // missing one of three has a chance of (2/3)^60
			who, _ := l.client.ask("10.0.0.1:80")
			got[who] = true
			if !want[who] {
				t.Fatalf("%s answered for %v", who, endpoints)
			}
		}
		if len(got) != len(want) {
			t.Errorf("only %v answered for %v", got, endpoints)
		}
	}
}

func TestDistributionIsEven(t *testing.T) {
	l := newLab(t)
	r := newRouter(l.m1)
	apply(l.m1, r, local1, service("s", "10.0.0.1:80", nil, podA, podB, podC))
	const n = 900
	answers := map[string]int{}
	for range n {
		who, _ := l.client.ask("10.0.0.1:80")
		answers[who]++
	}
	for _, who := range []string{"a", "b", "c"} {
		if got := answers[who]; got < n/3-100 || got > n/3+100 { // seven standard deviations
			t.Errorf("%s answered %d of %d", who, got, n)
		}
	}
}

func TestLiveConnectionSurvivesWithdrawal(t *testing.T) {
	l := newLab(t)
	r := newRouter(l.m1)
	apply(l.m1, r, local1, service("s", "10.0.0.1:80", []string{minion1}, podA))
	echo := func(from *space, to string) func() error {
		c, _, _, err := from.dial(to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return func() error {
			if _, err := c.Write([]byte("still\n")); err != nil {
				return err
			}
			b := make([]byte, 6)
			_, err := c.Read(b)
			return err
		}
	}
	live := map[string]func() error{"pod": echo(l.b, "10.0.0.1:80"), "client": echo(l.client, minion1+":80"), "minion": echo(l.m1, "10.0.0.1:80")}
	check := func(when string) {
		t.Helper()
		for from, ask := range live {
			if err := ask(); err != nil {
				t.Errorf("%s, from %s: %v", when, from, err)
			}
		}
	}
	apply(l.m1, r, local1, service("s", "10.0.0.1:80", []string{minion1}, podB))
	check("replaced")
	apply(l.m1, r, local1, service("s", "10.0.0.1:80", []string{minion1}))
	check("no endpoints left")
	apply(l.m1, r, local1)
	check("service gone")
	apply(l.m1, newRouter(l.m1), local1)
	check("router restarted")
	l.m1.nft("add table ip reconciler { flags dormant; }")
	apply(l.m1, newRouter(l.m1), local1)
	check("table replaced")
	l.m1.must("remove", func() error { return r.Remove(t.Context()) })
	apply(l.m1, r, local1)
	check("table deleted and made again")
}

// traffic is what one transaction looks like to a watcher: notifications and the elements in them.
type traffic struct{ messages, elements int }

// watch counts what f changes in the namespace.
func watch(s *space, f func()) traffic {
	s.t.Helper()
	var sock *nl.NetlinkSocket
	s.must("subscribe", func() (err error) {
		sock, err = subscribe()
		return err
	})
	defer sock.Close()
	if err := sock.SetReceiveTimeout(&unix.Timeval{Sec: 10}); err != nil {
		s.t.Fatal(err)
	}
	f()
	var n traffic
	for {
		messages, _, err := sock.Receive()
		if err != nil {
			s.t.Fatalf("watch: %v", err)
		}
		for _, m := range messages {
			switch m.Header.Type & 0xff {
			case unix.NFT_MSG_NEWGEN: // ends a transaction
				return n
			case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
				n.messages++
				n.elements += elements(m.Data[4:])
			default:
				n.messages++
			}
		}
	}
}

// elements counts the elements in an element message.
func elements(b []byte) int {
	n := 0
	for len(b) >= 4 {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED
		if kind == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			for inner := b[4:size]; len(inner) >= 4; n++ {
				inner = inner[min(len(inner), (int(binary.NativeEndian.Uint16(inner))+3)&^3):]
			}
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return n
}

func TestChangeDoesNotDependOnSize(t *testing.T) {
	var seen [2][3]traffic
	for i, size := range []int{10, 1000} {
		s := newSpace(t, "m")
		r := newRouter(s)
		services := many(size, 10)
		apply(s, r, netip.Prefix{}, services...)
		middle := &services[size/2]
		all := middle.Endpoints
		seen[i][0] = watch(s, func() {
			middle.Endpoints = all[1:]
			apply(s, r, netip.Prefix{}, services...)
		})
		seen[i][1] = watch(s, func() {
			middle.Endpoints = all
			apply(s, r, netip.Prefix{}, services...)
		})
		seen[i][2] = watch(s, func() {
			middle.Endpoints = append([]netip.AddrPort{netip.MustParseAddrPort("10.199.0.1:1")}, all[1:]...)
			apply(s, r, netip.Prefix{}, services...)
		})
	}
	if seen[0] != seen[1] {
		t.Errorf("one endpoint less, more, other: %v with 10 services, %v with 1000", seen[0], seen[1])
	}
	// Less: count and the moved last slot, each deleted and added, and the last slot deleted; more: count twice and a slot
	// added; other: a slot twice.
	for i, most := range []int{5, 3, 2} {
		if got := seen[1][i].elements; got == 0 || got > most {
			t.Errorf("change %d has %d elements, want at most %d", i, got, most)
		}
	}
}

func TestRestartChangesNothing(t *testing.T) {
	s := newSpace(t, "m")
	services := append(many(50, 3), service("none", "10.1.0.9:80", nil), service("public", "10.1.0.10:80", []string{"192.0.2.1"}, podA))
	r := newRouter(s)
	apply(s, r, local1, services...)
	services[7].Endpoints = services[7].Endpoints[1:] // leaves the slots in another order than a fresh table
	apply(s, r, local1, services...)
	before, rules := generation(s, r), s.nft("list", "ruleset")
	again := newRouter(s)
	apply(s, again, local1, services...)
	if after := generation(s, r); after != before {
		t.Errorf("generation was %d, is %d", before, after)
	}
	if after := s.nft("list", "ruleset"); after != rules {
		t.Errorf("ruleset was\n%s\nis\n%s", rules, after)
	}
	services[8].Endpoints = nil
	apply(s, again, local1, services...)
	if after := generation(s, r); after != before+1 {
		t.Errorf("one change: generation was %d, is %d", before, after)
	}
}

const foreign = `
table ip theirs {
	set reconciler {
		type ipv4_addr
		elements = { 10.0.0.1 }
	}
	chain post {
		type nat hook postrouting priority 90
		ip daddr 203.0.113.1 masquerade
	}
}
table inet reconciler {
	chain input {
		type filter hook input priority 0
		tcp dport 1 drop
	}
}
table ip6 reconciler {
	chain x {
		accept
	}
}
`

func TestForeignTablesAreLeftAlone(t *testing.T) {
	s := newSpace(t, "m")
	s.nft(foreign)
	before := s.nft("list", "ruleset")
	r := newRouter(s)
	apply(s, r, local1, many(5, 2)...)
	s.nft("add", "rule", "inet", "reconciler", "input", "tcp", "dport", "2", "drop")
	s.nft("delete", "table", "ip6", "reconciler")
	s.nft("add element ip theirs reconciler { 10.0.0.2 }")
	s.nft("delete element ip theirs reconciler { 10.0.0.2 }")
	before = strings.Replace(before, "tcp dport 1 drop", "tcp dport 1 drop\n\t\ttcp dport 2 drop", 1)
	before = before[:strings.Index(before, "table ip6")]
	apply(s, r, local1, many(500, 2)...)
	if after := without(s.nft("list", "ruleset"), "reconciler"); after != before {
		t.Errorf("foreign rules were\n%s\nare\n%s", before, after)
	}
	s.must("remove", func() error { return r.Remove(t.Context()) })
	if after := s.nft("list", "ruleset"); after != before {
		t.Errorf("after removal: rules were\n%s\nare\n%s", before, after)
	}
	// The kernel notifies before it answers, so all of it is in the queue by now.
	if err := r.events.SetReceiveTimeout(&unix.Timeval{Usec: 1000}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		messages, _, err := r.events.Receive()
		if errors.Is(err, unix.EAGAIN) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		n += len(messages)
		for _, m := range messages {
			if r.news(m) {
				t.Errorf("message %#x of port %d taken for a change of our table by somebody else", m.Header.Type, m.Header.Pid)
			}
		}
	}
	if n == 0 {
		t.Error("no notifications")
	}
}
