package kernel

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"

	"reconciler/netproxy"
)

// keySize is that of a service address: address, protocol and port, each filled up to 4 bytes.
const keySize = 12

func encodeKey(k netproxy.Key) []byte {
	b := make([]byte, keySize, keySize+4)
	a := k.Address.As4()
	copy(b, a[:])
	b[4] = k.Protocol
	b[8], b[9] = byte(k.Port>>8), byte(k.Port)
	return b
}

func decodeKey(b []byte) netproxy.Key {
	return netproxy.Key{Address: netip.AddrFrom4([4]byte(b)), Protocol: b[4], Port: uint16(b[8])<<8 | uint16(b[9])}
}

// encode is an element as the kernel takes it: one, or the two ends of a range.
func encode(e netproxy.Element) []nftables.SetElement {
	switch e.Map {
	case netproxy.MapCount:
		return []nftables.SetElement{{Key: encodeKey(e.Key), Val: native(e.Count)}}
	case netproxy.MapEndpoint:
		to := encodeKey(netproxy.Key{Address: e.Endpoint.Addr(), Port: e.Endpoint.Port()})
		return []nftables.SetElement{{
			Key: append(encodeKey(e.Key), native(e.Slot)...),
			Val: append(to[:4:4], to[8:12]...),
		}}
	case netproxy.MapRouted, netproxy.MapEmpty:
		return []nftables.SetElement{{Key: encodeKey(e.Key)}}
	case netproxy.MapHairpin:
		a := e.Prefix.Addr().As4()
		return []nftables.SetElement{{Key: append(a[:], a[:]...)}}
	default:
		first := e.Prefix.Masked().Addr().As4()
		n := uint64(first[0])<<24 | uint64(first[1])<<16 | uint64(first[2])<<8 | uint64(first[3])
		n += 1 << (32 - e.Prefix.Bits())
		ends := []nftables.SetElement{{Key: first[:]}}
		if n < 1<<32 {
			ends = append(ends, nftables.SetElement{Key: []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, IntervalEnd: true})
		}
		return ends
	}
}

// decode is the inverse of encode for all elements of one set. An element that encode never makes is an error.
func decode(m netproxy.Map, list []nftables.SetElement) ([]netproxy.Element, error) {
	if m == netproxy.MapLocal {
		return decodeRanges(list)
	}
	elements := make([]netproxy.Element, 0, len(list))
	for _, raw := range list {
		e := netproxy.Element{Map: m}
		switch {
		case m == netproxy.MapCount && len(raw.Key) == keySize && len(raw.Val) == 4:
			e.Key, e.Count = decodeKey(raw.Key), binaryutil.NativeEndian.Uint32(raw.Val)
		case m == netproxy.MapEndpoint && len(raw.Key) == keySize+4 && len(raw.Val) == 8:
			e.Key, e.Slot = decodeKey(raw.Key), binaryutil.NativeEndian.Uint32(raw.Key[keySize:])
			e.Endpoint = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw.Val)), uint16(raw.Val[4])<<8|uint16(raw.Val[5]))
		case (m == netproxy.MapRouted || m == netproxy.MapEmpty) && len(raw.Key) == keySize:
			e.Key = decodeKey(raw.Key)
		case m == netproxy.MapHairpin && len(raw.Key) == 8 && [4]byte(raw.Key) == [4]byte(raw.Key[4:]):
			e.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte(raw.Key)), 32)
		default:
			return nil, fmt.Errorf("set %q has element %x : %x", m, raw.Key, raw.Val)
		}
		elements = append(elements, e)
	}
	return elements, nil
}

// decodeRanges takes the ends in any order; the kernel lists those of one range apart and may add an end at 0.0.0.0.
func decodeRanges(list []nftables.SetElement) ([]netproxy.Element, error) {
	var elements []netproxy.Element
	var starts int
	for bits := range 33 {
		for _, raw := range list {
			if raw.IntervalEnd || len(raw.Key) != 4 {
				continue
			}
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte(raw.Key)), bits)
			if p.Masked() != p {
				continue
			}
			e := netproxy.Element{Map: netproxy.MapLocal, Prefix: p}
			ends := encode(e)
			if len(ends) == 2 && has(list, ends[1]) && !startsWithin(list, p) {
				elements = append(elements, e)
			}
		}
	}
	for _, raw := range list {
		if !raw.IntervalEnd {
			starts++
		}
	}
	if starts != len(elements) {
		return nil, fmt.Errorf("set %q has a range that is no network", netproxy.MapLocal)
	}
	return elements, nil
}

func has(list []nftables.SetElement, end nftables.SetElement) bool {
	for _, raw := range list {
		if raw.IntervalEnd && string(raw.Key) == string(end.Key) {
			return true
		}
	}
	return false
}

// startsWithin tells whether another range starts or ends inside p, so that p is not one range.
func startsWithin(list []nftables.SetElement, p netip.Prefix) bool {
	for _, raw := range list {
		if len(raw.Key) != 4 {
			continue
		}
		a := netip.AddrFrom4([4]byte(raw.Key))
		if a != p.Addr() && p.Contains(a) {
			return true
		}
	}
	return false
}
