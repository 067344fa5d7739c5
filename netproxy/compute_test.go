package netproxy

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The golden files have a section "minion" (local, own, listening), "before" and "after" (one service a line) and what
// comes out of them: "content" of after, "refused", and "changes" from before to after.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			in := map[string]string{}
			for _, f := range archive.Files {
				in[f.Name] = string(f.Data)
			}
			m := parseMinion(in["minion"])
			before, _ := Compute(parseServices(in["before"]), m)
			after, refusals := Compute(parseServices(in["after"]), m)
			_, before = Diff(Content{}, before)
			changes, _ := Diff(before, after)
			var refused strings.Builder
			for _, r := range refusals {
				fmt.Fprintln(&refused, r)
			}
			out := map[string]string{"content": after.String(), "refused": refused.String(), "changes": changes.String()}
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { _, ok := out[f.Name]; return ok })
			for _, name := range []string{"content", "refused", "changes"} {
				archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(out[name])})
			}
			got := txtar.Format(archive)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, data) {
				t.Errorf("got\n%s\nwant\n%s", got, data)
			}
		})
	}
}

// parseServices reads lines of: namespace/name[:port name] protocol port address,... [endpoint,...]
func parseServices(text string) []Service {
	var list []Service
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		var s Service
		s.Namespace, s.Name, _ = strings.Cut(f[0], "/")
		s.Name, s.PortName, _ = strings.Cut(s.Name, ":")
		s.Protocol = f[1]
		fmt.Sscan(f[2], &s.Port)
		for a := range strings.SplitSeq(f[3], ",") {
			s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
		}
		if len(f) > 4 {
			for e := range strings.SplitSeq(f[4], ",") {
				s.Endpoints = append(s.Endpoints, netip.MustParseAddrPort(e))
			}
		}
		list = append(list, s)
	}
	return list
}

func parseMinion(text string) Minion {
	var m Minion
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		switch f[0] {
		case "local":
			m.Local = netip.MustParsePrefix(f[1])
		case "own":
			m.Own = append(m.Own, netip.MustParseAddr(f[1]))
		case "listening":
			m.Listening = append(m.Listening, netip.MustParseAddrPort(f[1]))
		}
	}
	return m
}

// services draws tables whose services often clash and are sometimes invalid.
func services() *rapid.Generator[[]Service] {
	address := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 1).Draw(t, "net")), 0, byte(rapid.IntRange(0, 6).Draw(t, "host"))})
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Service {
		s := Service{
			Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"),
			Name:      rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"),
			Protocol:  rapid.SampledFrom([]string{"TCP", "TCP", "TCP", "UDP"}).Draw(t, "protocol"),
			Port:      uint16(rapid.IntRange(0, 3).Draw(t, "port")),
			Addresses: rapid.SliceOfN(address, 0, 4).Draw(t, "addresses"),
		}
		for range rapid.IntRange(0, 6).Draw(t, "endpoints") {
			s.Endpoints = append(s.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, 0, byte(rapid.IntRange(1, 9).Draw(t, "pod"))}), 80))
		}
		return s
	}), 0, 12)
}

var minion1 = Minion{Local: netip.MustParsePrefix("10.9.0.0/29"), Own: []netip.Addr{netip.MustParseAddr("10.1.0.2")},
	Listening: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:2")}}

func TestContentDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := services().Draw(t, "services")
		want, refused := Compute(list, minion1)
		random := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		mixed := slices.Clone(list)
		for i := range mixed {
			mixed[i].Endpoints = slices.Clone(mixed[i].Endpoints)
			random.Shuffle(len(mixed[i].Endpoints), func(a, b int) {
				e := mixed[i].Endpoints
				e[a], e[b] = e[b], e[a]
			})
			mixed[i].Addresses = slices.Clone(mixed[i].Addresses)
			if len(mixed[i].Addresses) > 2 {
				public := mixed[i].Addresses[1:]
				random.Shuffle(len(public), func(a, b int) { public[a], public[b] = public[b], public[a] })
			}
		}
		random.Shuffle(len(mixed), func(a, b int) { mixed[a], mixed[b] = mixed[b], mixed[a] })
		before := fmt.Sprint(mixed)
		got, again := Compute(mixed, minion1)
		if got.String() != want.String() || !reflect.DeepEqual(again, refused) {
			t.Fatalf("got\n%v%v\nwant\n%v%v", got, again, want, refused)
		}
		if fmt.Sprint(mixed) != before {
			t.Fatal("input changed")
		}
	})
}

// TestComputeKeepsItsRules holds whatever the input: nothing that the kernel would refuse, and no address of one thing
// given to another.
func TestComputeKeepsItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := services().Draw(t, "services")
		c, refused := Compute(list, minion1)
		for key, endpoints := range c.Slots {
			if key.Protocol != TCP || key.Port == 0 || !routable(key.Address) {
				t.Fatalf("routes %v", key)
			}
			if !slices.IsSortedFunc(endpoints, netip.AddrPort.Compare) || len(slices.Compact(slices.Clone(endpoints))) != len(endpoints) {
				t.Fatalf("%v has endpoints %v", key, endpoints)
			}
			portal := slices.ContainsFunc(list, func(s Service) bool {
				return invalid(normal(s)) == "" && s.Addresses[0] == key.Address
			})
			owned := slices.ContainsFunc(list, func(s Service) bool {
				return invalid(normal(s)) == "" && s.Port == key.Port && (s.Addresses[0] == key.Address || !portal && slices.Contains(s.Addresses, key.Address)) &&
					slices.Equal(normal(s).Endpoints, endpoints)
			})
			if !owned {
				t.Fatalf("%v leads to %v, which no service asked for", key, endpoints)
			}
			if !portal && key.Port == 2 && key.Address == minion1.Own[0] {
				t.Fatalf("%v takes the clients of a process", key)
			}
		}
		// Every service is routed at its portal IP or named.
		for _, s := range list {
			named := slices.ContainsFunc(refused, func(r Refusal) bool { return r.Namespace == s.Namespace && r.Name == s.Name })
			routed := false
			if len(s.Addresses) > 0 {
				_, routed = c.Slots[Key{Address: s.Addresses[0], Protocol: TCP, Port: s.Port}]
			}
			if !routed && !named {
				t.Fatalf("service %v is neither routed nor refused", s)
			}
		}
	})
}

// kernel models the maps: a deletion needs the element and an addition its absence, or the transaction fails.
type kernel map[string]Element

func (k kernel) do(ch Changes) error {
	place := func(e Element) string {
		e.Count, e.Endpoint = 0, netip.AddrPort{}
		return e.String()
	}
	for _, e := range ch.Delete {
		if k[place(e)] != e {
			return fmt.Errorf("deletes %v, there is %v", e, k[place(e)])
		}
		delete(k, place(e))
	}
	for _, e := range ch.Add {
		if there, ok := k[place(e)]; ok {
			return fmt.Errorf("adds %v to %v", e, there)
		}
		k[place(e)] = e
	}
	return nil
}

func TestDiffLeadsToTheNewContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := kernel{}
		var have Content
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			m := minion1
			if rapid.Bool().Draw(t, "moved") {
				m.Local = netip.MustParsePrefix("10.9.0.8/29")
			}
			want, _ := Compute(services().Draw(t, "services"), m)
			ch, after := Diff(have, want)
			if err := k.do(ch); err != nil {
				t.Fatal(err)
			}
			var elements []Element
			for _, e := range k {
				elements = append(elements, e)
			}
			read, strays := FromElements(elements)
			if len(strays) != 0 {
				t.Fatalf("does not fit together: %v", strays)
			}
			if read.String() != after.String() {
				t.Fatalf("kernel holds\n%v\nwant\n%v", read, after)
			}
			if canonical(read) != want.String() {
				t.Fatalf("kernel holds\n%v\nwant, in any order of slots,\n%v", read, want)
			}
			if again, _ := Diff(read, want); !again.Empty() {
				t.Fatalf("not done after it was done: %v", again)
			}
			have = after
		}
	})
}

// canonical is a content with each service's endpoints in order.
func canonical(c Content) string {
	sorted := c
	sorted.Slots = map[Key][]netip.AddrPort{}
	for key, endpoints := range c.Slots {
		endpoints = slices.Clone(endpoints)
		slices.SortFunc(endpoints, netip.AddrPort.Compare)
		sorted.Slots[key] = endpoints
	}
	return sorted.String()
}

func TestStraysAreLeftOutWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, _ := Compute(services().Draw(t, "services"), minion1)
		elements := want.Elements()
		if len(elements) == 0 {
			return
		}
		hit := rapid.IntRange(0, len(elements)-1).Draw(t, "lost")
		damaged := slices.Delete(slices.Clone(elements), hit, hit+1)
		read, strays := FromElements(damaged)
		k := kernel{}
		if err := k.do(Changes{Add: damaged}); err != nil {
			t.Fatal(err)
		}
		ch, _ := Diff(read, want)
		ch.Delete = append(strays, ch.Delete...)
		if err := k.do(ch); err != nil {
			t.Fatal(err)
		}
		if len(k) != len(elements) {
			t.Fatalf("%d elements after repair, want %d", len(k), len(elements))
		}
	})
}

func TestOneEndpointIsAFewElements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 200).Draw(t, "endpoints")
		s := Service{Namespace: "a", Name: "x", Protocol: "TCP", Port: 1, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}
		for i := range n {
			s.Endpoints = append(s.Endpoints, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, 0, byte(i)}), 80))
		}
		full, _ := Compute([]Service{s}, Minion{})
		gone := rapid.IntRange(0, n-1).Draw(t, "gone")
		s.Endpoints = slices.Delete(slices.Clone(s.Endpoints), gone, gone+1)
		less, _ := Compute([]Service{s}, Minion{})
		for _, pair := range [][2]Content{{full, less}, {less, full}} {
			ch, _ := Diff(pair[0], pair[1])
			if len(ch.Delete)+len(ch.Add) > 5 {
				t.Fatalf("changes\n%v", ch)
			}
		}
	})
}
