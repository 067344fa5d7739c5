package kernel

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"

	"reconciler/netproxy"
)

// listing is our table as nft prints it.
func listing(s *space) string { return s.nft("list", "table", "ip", "reconciler") }

func TestHandMadeChangesAreRepaired(t *testing.T) {
	services := []netproxy.Service{
		service("s", "10.0.0.1:80", []string{"192.0.2.1"}, podA, podB), service("none", "10.0.0.2:80", nil)}
	for _, c := range []struct {
		name string
		harm []string // nft's words
	}{
		{"table deleted", []string{"delete table ip reconciler"}},
		{"ruleset flushed", []string{"flush ruleset"}},
		{"all rules flushed", []string{"flush table ip reconciler"}},
		{"rule deleted", []string{"flush chain ip reconciler postrouting"}},
		{"balancing rule deleted", []string{"flush chain ip reconciler lb-2"}},
		{"base chain deleted", []string{"flush chain ip reconciler prerouting", "delete chain ip reconciler prerouting"}},
		{"balancing chain deleted", []string{"delete element ip reconciler lb { 3 }", "flush chain ip reconciler lb-3", "delete chain ip reconciler lb-3"}},
		{"foreign rule in our chain", []string{"insert rule ip reconciler prerouting drop"}},
		{"rule replaced", []string{"flush chain ip reconciler output", "add rule ip reconciler output drop"}},
		{"foreign rule behind ours", []string{"add rule ip reconciler prerouting drop"}},
		{"count deleted", []string{"flush map ip reconciler cnt"}},
		{"endpoints deleted", []string{"flush map ip reconciler ep"}},
		{"refusal deleted", []string{"flush set ip reconciler noep"}},
		{"refusal added", []string{"add element ip reconciler noep { 10.0.0.1 . tcp . 80 }"}},
		{"hairpin added", []string{"add element ip reconciler hairpin { 10.244.1.9 . 10.244.1.9 }"}},
		{"network added", []string{"add element ip reconciler local { 10.99.0.0/16 }"}},
		{"network deleted", []string{"flush set ip reconciler local"}},
		{"balance redirected", []string{"delete element ip reconciler lb { 2 }", "add element ip reconciler lb { 2 : goto lb-1 }"}},
		{"balance for a number without chain", []string{"add element ip reconciler lb { 100 : goto lb-1 }"}},
		{"balance deleted", []string{"flush map ip reconciler lb"}},
		{"count of another service", []string{"add element ip reconciler cnt { 10.0.0.7 . tcp . 80 : 5 }"}},
		{"refused address that is neither network nor one host", []string{"add element ip reconciler hairpin { 10.0.0.7 . 10.0.0.8 }"}},
		{"table put to sleep", []string{"add table ip reconciler { flags dormant; }"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t, "m")
			r := newRouter(s)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- r.Run(ctx) }()
			apply(s, r, local1, services...)
			before := sorted(listing(s))
			s.nft(strings.Join(c.harm, "; "))
			eventually(t, "repaired", func() bool {
				select {
				case <-r.Changed():
					apply(s, r, local1, services...)
				default:
				}
				return exists(s) && sorted(listing(s)) == before
			})
			// A repair is no news.
			gen := generation(s, r)
			apply(s, r, local1, services...)
			if after := generation(s, r); after != gen {
				t.Errorf("repaired again: generation was %d, is %d", gen, after)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("run: %v", err)
			}
		})
	}
}

func exists(s *space) bool {
	return strings.Contains(s.nft("list", "tables"), "table ip reconciler\n")
}

// sorted orders a listing's lines: elements and remade chains come in no fixed order.
func sorted(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == ',' })
	for i := range lines {
		lines[i] = strings.Trim(strings.TrimPrefix(strings.TrimSpace(lines[i]), "elements = {"), " {}")
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestRestartRepairsTooWithoutNotice(t *testing.T) {
	s := newSpace(t, "m")
	r := newRouter(s)
	apply(s, r, local1, service("s", "10.0.0.1:80", nil, podA, podB))
	before := sorted(listing(s))
	s.nft("flush chain ip reconciler output; flush map ip reconciler cnt")
	apply(s, newRouter(s), local1, service("s", "10.0.0.1:80", nil, podA, podB))
	if after := sorted(listing(s)); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

func TestTableOfAnotherLayoutIsReplacedInOneTransaction(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"empty table", "table ip reconciler { }"},
		{"somebody else's", "table ip reconciler {\nchain prerouting {\ntype filter hook prerouting priority 0\ntcp dport 80 drop\n}\n}"},
		{"same sets without version", "table ip reconciler {\nmap cnt {\ntype ipv4_addr . inet_proto . inet_service : mark\n}\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSpace(t, "m")
			services := many(3, 2)
			r := newRouter(s)
			apply(s, r, local1, services...)
			want := sorted(listing(s))
			s.must("remove", func() error { return r.Remove(t.Context()) })
			s.nft(c.text)
			gen := generation(s, r)
			apply(s, newRouter(s), local1, services...)
			if got := sorted(listing(s)); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if after := generation(s, r); after != gen+1 {
				t.Errorf("generation was %d, is %d", gen, after)
			}
		})
	}
}

func TestTableOfAnOlderVersionIsReplaced(t *testing.T) {
	s := newSpace(t, "m")
	r := newRouter(s)
	apply(s, r, local1, many(3, 2)...)
	want := sorted(listing(s))
	s.must("remove", func() error { return r.Remove(t.Context()) })
	s.must("make the older one", func() error {
		old := r.conn.AddTable(&nftables.Table{Name: r.name, Family: nftables.TableFamilyIPv4})
		for _, set := range newSets(old) {
			if set.Comment != "" {
				set.Comment = "older"
			}
			if err := r.conn.AddSet(set, nil); err != nil {
				return err
			}
		}
		return r.conn.Flush()
	})
	apply(s, newRouter(s), local1, many(3, 2)...)
	if got := sorted(listing(s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestChainsGrowWithTheWidestService(t *testing.T) {
	s := newSpace(t, "m")
	r := newRouter(s)
	wide := func(n int) netproxy.Service {
		w := many(1, 0)[0]
		for i := range n {
			w.Endpoints = append(w.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)}), 80))
		}
		return w
	}
	for _, n := range []int{64, 65, 300, 3} {
		apply(s, r, local1, wide(n))
		var state table
		s.must("read", func() (err error) {
			state, err = read(r.conn, r.name)
			return err
		})
		if !state.whole() || len(state.content.Slots[netproxy.Key{Address: netip.MustParseAddr("10.0.0.0"), Protocol: netproxy.TCP, Port: 80}]) != n {
			t.Errorf("%d endpoints: %+v", n, state)
		}
		if state.chains < n || state.chains < 64 {
			t.Errorf("%d chains for %d endpoints", state.chains, n)
		}
	}
}

func TestPodNetworkChanges(t *testing.T) {
	s := newSpace(t, "m")
	r := newRouter(s)
	for _, network := range []string{"10.244.1.0/24", "10.244.0.0/16", "10.244.0.0/24", "10.244.0.0/25", "", "223.255.255.0/24", "1.0.0.0/8", "10.244.0.0/24"} {
		local, _ := netip.ParsePrefix(network)
		for _, router := range []*Router{r, newRouter(s)} {
			apply(s, router, local, many(2, 2)...)
			var state table
			s.must("read", func() (err error) {
				state, err = read(r.conn, r.name)
				return err
			})
			if !state.whole() || state.content.Local != local {
				t.Errorf("network is %v, want %v; %q", state.content.Local, local, state.foreign)
			}
		}
	}
}

func TestLostNotificationIsAChange(t *testing.T) {
	s := newSpace(t, "m")
	r := newRouter(s)
	apply(s, r, local1, many(10, 2)...)
	if err := r.events.SetReceiveBufferSize(1, false); err != nil { // the kernel's least
		t.Fatal(err)
	}
	s.must("foreign load", func() error { // another table: only the loss can be noticed
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		table := conn.AddTable(&nftables.Table{Name: "theirs", Family: nftables.TableFamilyIPv4})
		set := &nftables.Set{Table: table, Name: "x", KeyType: nftables.TypeIPAddr}
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
		for i := range 100 {
			var list []nftables.SetElement
			for j := range 200 {
				list = append(list, nftables.SetElement{Key: []byte{1, 2, byte(i), byte(j)}})
			}
			if err := conn.SetAddElements(set, list); err != nil {
				return err
			}
		}
		return conn.Flush()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	eventually(t, "change noticed", func() bool {
		select {
		case <-r.Changed():
			return true
		default:
			return false
		}
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}
