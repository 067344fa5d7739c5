package netproxy

import (
	"cmp"
	"fmt"
	"net/netip"
)

// Map names one of the kernel's sets and maps that hold the content.
type Map string

// The maps, in the order in which they are listed.
const (
	MapCount    Map = "cnt"     // service address -> number of endpoints, for services with at least one
	MapEndpoint Map = "ep"      // service address and slot -> endpoint; the slots of a service are 0 to its count less one
	MapRouted   Map = "svc"     // service addresses with at least one endpoint
	MapEmpty    Map = "noep"    // service addresses without endpoints, refused at once
	MapHairpin  Map = "hairpin" // local endpoints, each of which may be its own client
	MapLocal    Map = "local"   // the minion's pod network
)

// Key is a service address: what a client connects to. Protocol is an IANA protocol number; only [TCP] is routed today.
type Key struct {
	Address  netip.Addr
	Protocol uint8
	Port     uint16
}

// TCP is the protocol number of TCP.
const TCP = 6

// Compare orders by address, protocol, port.
func (k Key) Compare(o Key) int {
	return cmp.Or(k.Address.Compare(o.Address), cmp.Compare(k.Protocol, o.Protocol), cmp.Compare(k.Port, o.Port))
}

// String is as "10.0.0.1 tcp 80".
func (k Key) String() string {
	if k.Protocol == TCP {
		return fmt.Sprintf("%v tcp %d", k.Address, k.Port)
	}
	return fmt.Sprintf("%v %d %d", k.Address, k.Protocol, k.Port)
}

// Element is one element of one map. Which fields count depends on Map; the others are zero. It is comparable.
type Element struct {
	Map      Map
	Key      Key            // MapCount, MapEndpoint, MapRouted, MapEmpty
	Slot     uint32         // MapEndpoint
	Count    uint32         // MapCount
	Endpoint netip.AddrPort // MapEndpoint
	Prefix   netip.Prefix   // MapLocal: the network; MapHairpin: one address with all its bits
}

// String is the element as people read it, as "ep 10.0.0.1 tcp 80 slot 0 : 10.1.0.1:8080".
func (e Element) String() string {
	switch e.Map {
	case MapCount:
		return fmt.Sprintf("%s %v : %d", e.Map, e.Key, e.Count)
	case MapEndpoint:
		return fmt.Sprintf("%s %v slot %d : %v", e.Map, e.Key, e.Slot, e.Endpoint)
	case MapRouted, MapEmpty:
		return fmt.Sprintf("%s %v", e.Map, e.Key)
	case MapHairpin:
		return fmt.Sprintf("%s %v", e.Map, e.Prefix.Addr())
	default:
		return fmt.Sprintf("%s %v", e.Map, e.Prefix)
	}
}

// compare orders by map in the order of listing, then key, slot, prefix, value.
func (e Element) compare(o Element) int {
	return cmp.Or(
		cmp.Compare(e.Map.rank(), o.Map.rank()),
		e.Key.Compare(o.Key),
		cmp.Compare(e.Slot, o.Slot),
		e.Prefix.Addr().Compare(o.Prefix.Addr()),
		cmp.Compare(e.Prefix.Bits(), o.Prefix.Bits()),
		cmp.Compare(e.Count, o.Count),
		e.Endpoint.Compare(o.Endpoint),
	)
}

func (m Map) rank() int {
	switch m {
	case MapCount:
		return 0
	case MapEndpoint:
		return 1
	case MapRouted:
		return 2
	case MapEmpty:
		return 3
	case MapHairpin:
		return 4
	default:
		return 5
	}
}
