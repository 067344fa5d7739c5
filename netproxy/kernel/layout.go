package kernel

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"

	"reconciler/netproxy"
)

// version is written into the table. It changes whenever layout does, so that a new release replaces an old one's table.
const version = "reconciler service routes, layout 1"

// setBalance maps a number of endpoints to its chain. Unlike the other sets it is part of the layout, not of the content.
const setBalance = "lb"

// chain is a chain of the layout with its rules.
type chain struct {
	name     string
	kind     nftables.ChainType // base chains only
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	rules    []rule
}

type rule struct {
	comment string
	exprs   []expr.Any
}

// The layout's sets, by name. Slots and counts are in the host's byte order, as numgen gives them.
func newSets(table *nftables.Table) map[string]*nftables.Set {
	address, service := nftables.TypeIPAddr, []nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService}
	key := nftables.MustConcatSetType(service...)
	sets := []*nftables.Set{
		{Name: string(netproxy.MapCount), IsMap: true, KeyType: key, DataType: nftables.TypeMark, Comment: version},
		{Name: string(netproxy.MapEndpoint), IsMap: true, KeyType: nftables.MustConcatSetType(append(service, nftables.TypeMark)...),
			DataType: nftables.MustConcatSetType(address, nftables.TypeInetService)},
		{Name: string(netproxy.MapRouted), KeyType: key},
		{Name: string(netproxy.MapEmpty), KeyType: key},
		{Name: string(netproxy.MapHairpin), KeyType: nftables.MustConcatSetType(address, address)},
		{Name: string(netproxy.MapLocal), KeyType: address, Interval: true},
		{Name: setBalance, IsMap: true, KeyType: nftables.TypeMark, DataType: nftables.TypeVerdict,
			KeyByteOrder: binaryutil.NativeEndian},
	}
	byName := make(map[string]*nftables.Set, len(sets))
	for _, s := range sets {
		s.Table = table
		byName[s.Name] = s
	}
	return byName
}

// setNames is the order in which sets are made.
var setNames = []string{string(netproxy.MapCount), string(netproxy.MapEndpoint), string(netproxy.MapRouted),
	string(netproxy.MapEmpty), string(netproxy.MapHairpin), string(netproxy.MapLocal), setBalance}

// Registers: 1 is the first 16-byte register, 9 to 11 its second to fourth 4-byte parts, so that 1, 9, 10, 11 make up one
// concatenated key.
const (
	r0 = 1
	r1 = unix.NFT_REG32_01
	r2 = unix.NFT_REG32_02
	r3 = unix.NFT_REG32_03
)

// chains is the layout's chains with n balancing chains, each after those it leads to.
func chains(n int) []chain {
	var list []chain
	for i := 1; i <= n; i++ {
		list = append(list, balance(i))
	}
	newState := []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: r0},
		&expr.Bitwise{SourceRegister: r0, DestRegister: r0, Len: 4, Mask: native(expr.CtStateBitNEW), Xor: native(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: r0, Data: native(0)},
	}
	refuse := rule{"service without endpoints", join(newState, loadService(), []expr.Any{
		&expr.Lookup{SourceRegister: r0, SetName: string(netproxy.MapEmpty)}, verdict(expr.VerdictGoto, "refuse")})}
	services := []rule{{"service address", []expr.Any{verdict(expr.VerdictJump, "services")}}}
	return append(list,
		// The count passes from rule to rule in the packet's priority, which balance resets: nft cannot print a lookup of
		// a lookup's result, and the priority, unlike the mark, has no part in routing and is set anew on forwarding.
		chain{name: "services", rules: []rule{
			{"number of endpoints", join(loadService(), []expr.Any{
				&expr.Lookup{SourceRegister: r0, DestRegister: r0, IsDestRegSet: true, SetName: string(netproxy.MapCount)},
				&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: r0},
				&expr.Meta{Key: expr.MetaKeyPRIORITY, Register: r0},
				&expr.Lookup{SourceRegister: r0, IsDestRegSet: true, SetName: setBalance},
			})},
		}},
		chain{name: "refuse", rules: []rule{
			{"at once", []expr.Any{
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: r0},
				&expr.Cmp{Op: expr.CmpOpEq, Register: r0, Data: []byte{netproxy.TCP}},
				&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
			}},
			{"not TCP", []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: 3}}},
		}},
		chain{name: "source", rules: masquerade()},
		// Refusal comes before rewriting, in prerouting and not in input and forward: it needs no route to the address then.
		chain{name: "refuse-prerouting", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityRef(-110), rules: []rule{refuse}},
		chain{name: "refuse-output", kind: nftables.ChainTypeFilter, hook: nftables.ChainHookOutput,
			priority: nftables.ChainPriorityRef(-110), rules: []rule{refuse}},
		chain{name: "prerouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPrerouting,
			priority: nftables.ChainPriorityNATDest, rules: services},
		chain{name: "output", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookOutput,
			priority: nftables.ChainPriorityNATDest, rules: services},
		chain{name: "postrouting", kind: nftables.ChainTypeNAT, hook: nftables.ChainHookPostrouting,
			priority: nftables.ChainPriorityNATSource, rules: []rule{{"rewritten here", []expr.Any{
				&expr.Ct{Key: expr.CtKeySTATUS, Register: r0},
				&expr.Bitwise{SourceRegister: r0, DestRegister: r0, Len: 4, Mask: native(statusDNAT), Xor: native(0)},
				&expr.Cmp{Op: expr.CmpOpNeq, Register: r0, Data: native(0)},
				&expr.Ct{Key: expr.CtKeyDSTIP, Register: r0, OptDirection: true, Direction: expr.CtDirOriginal},
				&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: r1},
				&expr.Ct{Key: expr.CtKeyPROTODST, Register: r2, OptDirection: true, Direction: expr.CtDirOriginal},
				&expr.Lookup{SourceRegister: r0, SetName: string(netproxy.MapRouted)},
				verdict(expr.VerdictGoto, "source"),
			}}}},
	)
}

// statusDNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h.
const statusDNAT = 1 << 5

// balance is the chain for n endpoints. A packet may see the count of one transaction and the endpoints of the next; then
// its slot may be gone. Slot 0 is tried, and with none left the packet is dropped, so that no connection is tracked as not
// rewritten: the client's next attempt finds the new state.
func balance(n int) chain {
	to := func(slots int) []expr.Any {
		return join(loadService(), []expr.Any{
			&expr.Numgen{Register: r3, Modulus: uint32(slots), Type: unix.NFT_NG_RANDOM},
			&expr.Lookup{SourceRegister: r0, DestRegister: r0, IsDestRegSet: true, SetName: string(netproxy.MapEndpoint)},
			// The upper ends and the flag are what the kernel adds by itself; given here so that the rule reads back equal.
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: r0, RegAddrMax: r0,
				RegProtoMin: r1, RegProtoMax: r1, Specified: true},
		})
	}
	return chain{name: balanceName(n), rules: []rule{
		{"count passed on", []expr.Any{
			&expr.Immediate{Register: r0, Data: native(0)},
			&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: r0},
		}},
		{"any slot", to(n)},
		{"slot has just gone", to(1)},
		{"service has just gone", []expr.Any{verdict(expr.VerdictDrop, "")}},
	}}
}

const balancePrefix = "lb-"

func balanceName(n int) string { return balancePrefix + strconv.Itoa(n) }

// balanceNumber is the inverse of balanceName, 0 for the name of another chain.
func balanceNumber(name string) int {
	digits, ok := strings.CutPrefix(name, balancePrefix)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || balanceName(n) != name {
		return 0
	}
	return n
}

// masquerade is the rules for the first packet of a connection that was rewritten here. Where the replies come back
// through this minion anyway the client's address is left as it is.
func masquerade() []rule {
	source := &expr.Payload{OperationType: expr.PayloadLoad, DestRegister: r0, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
	destination := &expr.Payload{OperationType: expr.PayloadLoad, DestRegister: r0, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	second := *destination
	second.DestRegister = r1
	local := &expr.Lookup{SourceRegister: r0, SetName: string(netproxy.MapLocal)}
	masq := &expr.Masq{FullyRandom: true}
	loopback := make([]byte, unix.IFNAMSIZ)
	copy(loopback, "lo")
	return []rule{
		{"a pod reached itself", []expr.Any{source, &second,
			&expr.Lookup{SourceRegister: r0, SetName: string(netproxy.MapHairpin)}, masq}},
		{"stays on the minion", []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: r0},
			&expr.Cmp{Op: expr.CmpOpEq, Register: r0, Data: loopback}, verdict(expr.VerdictReturn, "")}},
		{"the minion's own process", []expr.Any{&expr.Fib{Register: r0, FlagSADDR: true, ResultADDRTYPE: true},
			&expr.Cmp{Op: expr.CmpOpEq, Register: r0, Data: native(unix.RTN_LOCAL)}, masq}},
		{"from a pod here", []expr.Any{source, local, verdict(expr.VerdictReturn, "")}},
		{"to a pod here", []expr.Any{destination, local, verdict(expr.VerdictReturn, "")}},
		{"from elsewhere to elsewhere", []expr.Any{masq}},
	}
}

// loadService puts destination address, protocol and destination port into the registers as a service's key.
func loadService() []expr.Any {
	return []expr.Any{
		&expr.Payload{OperationType: expr.PayloadLoad, DestRegister: r0, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: r1},
		&expr.Payload{OperationType: expr.PayloadLoad, DestRegister: r2, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
	}
}

func verdict(kind expr.VerdictKind, to string) expr.Any { return &expr.Verdict{Kind: kind, Chain: to} }

func native(n uint32) []byte { return binaryutil.NativeEndian.PutUint32(n) }

func join(parts ...[]expr.Any) []expr.Any {
	var all []expr.Any
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

// comment is the userdata that nft shows as the rule's comment.
func (r rule) userData() []byte { return userdata.AppendString(nil, userdata.TypeComment, r.comment) }

// encoded is the rule as bytes that are equal if and only if the rules are.
func encoded(comment []byte, exprs []expr.Any) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", comment)
	for _, e := range exprs {
		if l, ok := e.(*expr.Lookup); ok {
			plain := *l
			plain.SetID = 0 // means something only within a transaction
			e = &plain
		}
		data, err := expr.Marshal(unix.NFPROTO_IPV4, e)
		if err != nil {
			return "", fmt.Errorf("encode rule: %w", err)
		}
		fmt.Fprintf(&b, " %x", data)
	}
	return b.String(), nil
}
