package netproxy

import (
	"net/netip"
	"slices"
	"strings"
)

// Content is what the kernel's maps hold. The zero value is empty.
type Content struct {
	// Slots has an entry for each service address. Its endpoints are in the order of their slots; an address without
	// endpoints is refused. No slice is changed after it was put here.
	Slots map[Key][]netip.AddrPort
	// Hairpin holds the local endpoints' addresses.
	Hairpin map[netip.Addr]bool
	// Local is the minion's pod network, masked; invalid if there is none.
	Local netip.Prefix
}

// Widest is the largest number of endpoints of one address.
func (c Content) Widest() int {
	n := 0
	for _, endpoints := range c.Slots {
		n = max(n, len(endpoints))
	}
	return n
}

// firstChains is how many chains are made ahead: scaling within it changes nothing but map elements. A chain costs the
// kernel about 1 KiB.
const firstChains = 64

// MaxEndpoints is the largest number of endpoints that one service may have.
const MaxEndpoints = 4096

// Chains is how many balancing chains the kernel needs for widest endpoints: a fixed number, doubled until it suffices.
func Chains(widest int) int {
	n := firstChains
	for n < widest {
		n *= 2
	}
	return n
}

// Elements lists the content as elements, sorted by map, key and slot.
func (c Content) Elements() []Element {
	var list []Element
	for key, endpoints := range c.Slots {
		list = appendEntry(list, key, endpoints)
	}
	for address := range c.Hairpin {
		list = append(list, hairpin(address))
	}
	if c.Local.IsValid() {
		list = append(list, Element{Map: MapLocal, Prefix: c.Local})
	}
	slices.SortFunc(list, Element.compare)
	return list
}

// String is the content for people, one element a line.
func (c Content) String() string {
	var b strings.Builder
	for _, e := range c.Elements() {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.String()
}

func appendEntry(list []Element, key Key, endpoints []netip.AddrPort) []Element {
	if len(endpoints) == 0 {
		return append(list, Element{Map: MapEmpty, Key: key})
	}
	list = append(list, Element{Map: MapCount, Key: key, Count: uint32(len(endpoints))})
	list = append(list, Element{Map: MapRouted, Key: key})
	for slot, endpoint := range endpoints {
		list = append(list, Element{Map: MapEndpoint, Key: key, Slot: uint32(slot), Endpoint: endpoint})
	}
	return list
}

func hairpin(address netip.Addr) Element {
	return Element{Map: MapHairpin, Prefix: netip.PrefixFrom(address, address.BitLen())}
}

// FromElements is the inverse of [Content.Elements] for elements that were read from the kernel, in any order. What does
// not fit together (a count without its slots, a slot past the count, an address that is counted and refused, a second
// network) is left out of the content and returned as strays, sorted, which must be deleted before anything is added.
func FromElements(elements []Element) (Content, []Element) {
	c := Content{Slots: map[Key][]netip.AddrPort{}, Hairpin: map[netip.Addr]bool{}}
	entries := map[Key][]Element{}
	var strays []Element
	for _, e := range elements {
		switch {
		case e.Map == MapHairpin && e.Prefix.IsSingleIP():
			c.Hairpin[e.Prefix.Addr()] = true
		case e.Map == MapLocal && !c.Local.IsValid():
			c.Local = e.Prefix
		case e.Map == MapCount || e.Map == MapEndpoint || e.Map == MapRouted || e.Map == MapEmpty:
			entries[e.Key] = append(entries[e.Key], e)
		default:
			strays = append(strays, e)
		}
	}
	for key, entry := range entries {
		slices.SortFunc(entry, Element.compare)
		var endpoints []netip.AddrPort
		for _, e := range entry {
			if e.Map == MapEndpoint {
				endpoints = append(endpoints, e.Endpoint)
			}
		}
		whole := appendEntry(nil, key, endpoints)
		slices.SortFunc(whole, Element.compare)
		if slices.Equal(entry, whole) {
			c.Slots[key] = endpoints
		} else {
			strays = append(strays, entry...)
		}
	}
	slices.SortFunc(strays, Element.compare)
	return c, strays
}
