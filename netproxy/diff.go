package netproxy

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Changes leads from one content to another, to be done in one transaction: first Delete, then Add. A key whose value
// changes is in both. Both are sorted.
type Changes struct {
	Delete []Element
	Add    []Element
}

// Empty tells whether there is nothing to do.
func (c Changes) Empty() bool { return len(c.Delete) == 0 && len(c.Add) == 0 }

// String is the changes for people, one element a line behind "-" or "+".
func (c Changes) String() string {
	var b strings.Builder
	for _, e := range c.Delete {
		b.WriteString("- " + e.String() + "\n")
	}
	for _, e := range c.Add {
		b.WriteString("+ " + e.String() + "\n")
	}
	return b.String()
}

// Diff gives the changes from old to want, and the content that the kernel holds after them. That content routes the same
// as want, and an endpoint that stays keeps its slot where it can, so that the number of changes depends on what changed
// and not on how many endpoints a service has. It shares slices with old and want, and changes neither.
func Diff(old, want Content) (Changes, Content) {
	var ch Changes
	after := Content{Slots: make(map[Key][]netip.AddrPort, len(want.Slots)), Hairpin: maps.Clone(want.Hairpin), Local: want.Local}
	for key, endpoints := range want.Slots {
		before, ok := old.Slots[key]
		switch {
		case !ok:
			ch.Add = appendEntry(ch.Add, key, endpoints)
			after.Slots[key] = endpoints
		case slices.Equal(before, endpoints):
			after.Slots[key] = before
		default:
			after.Slots[key] = ch.entry(key, before, place(before, endpoints))
		}
	}
	for key, endpoints := range old.Slots {
		if _, ok := want.Slots[key]; !ok {
			ch.Delete = appendEntry(ch.Delete, key, endpoints)
		}
	}
	for address := range want.Hairpin {
		if !old.Hairpin[address] {
			ch.Add = append(ch.Add, hairpin(address))
		}
	}
	for address := range old.Hairpin {
		if !want.Hairpin[address] {
			ch.Delete = append(ch.Delete, hairpin(address))
		}
	}
	if old.Local != want.Local {
		if old.Local.IsValid() {
			ch.Delete = append(ch.Delete, Element{Map: MapLocal, Prefix: old.Local})
		}
		if want.Local.IsValid() {
			ch.Add = append(ch.Add, Element{Map: MapLocal, Prefix: want.Local})
		}
	}
	slices.SortFunc(ch.Delete, Element.compare)
	slices.SortFunc(ch.Add, Element.compare)
	return ch, after
}

// place gives want's endpoints their slots: one that has a slot below the new count keeps it, the others fill the gaps.
func place(before, want []netip.AddrPort) []netip.AddrPort {
	left := make(map[netip.AddrPort]bool, len(want))
	for _, endpoint := range want {
		left[endpoint] = true
	}
	slots := make([]netip.AddrPort, len(want))
	for i := range min(len(before), len(slots)) {
		if left[before[i]] {
			slots[i] = before[i]
			delete(left, before[i])
		}
	}
	gap := 0
	for _, endpoint := range want {
		if !left[endpoint] {
			continue
		}
		for slots[gap].IsValid() {
			gap++
		}
		slots[gap] = endpoint
	}
	return slots
}

// entry adds the changes of one address from before to now, both by slot, and returns now.
func (c *Changes) entry(key Key, before, now []netip.AddrPort) []netip.AddrPort {
	if len(before) == 0 || len(now) == 0 {
		c.Delete = appendEntry(c.Delete, key, before)
		c.Add = appendEntry(c.Add, key, now)
		return now
	}
	if len(before) != len(now) {
		c.Delete = append(c.Delete, Element{Map: MapCount, Key: key, Count: uint32(len(before))})
		c.Add = append(c.Add, Element{Map: MapCount, Key: key, Count: uint32(len(now))})
	}
	for i := range max(len(before), len(now)) {
		if i < len(before) && i < len(now) && before[i] == now[i] {
			continue
		}
		if i < len(before) {
			c.Delete = append(c.Delete, Element{Map: MapEndpoint, Key: key, Slot: uint32(i), Endpoint: before[i]})
		}
		if i < len(now) {
			c.Add = append(c.Add, Element{Map: MapEndpoint, Key: key, Slot: uint32(i), Endpoint: now[i]})
		}
	}
	return now
}
