package kernel

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"reconciler/netproxy"
)

// table is our table as it was read from the kernel. The zero value is a table that is not there.
type table struct {
	exists  bool
	foreign string             // why it cannot be kept, "" if it can
	chains  int                // highest number of a balancing chain
	broken  map[string]bool    // chains of the layout that are missing (true) or have other rules (false)
	balance map[int]bool       // balancing elements that are missing (false) or lead elsewhere (true)
	extra   [][]byte           // keys of balancing elements that are not ours
	content netproxy.Content   // what fits together
	strays  []netproxy.Element // what does not
}

// readAttempts is how often a table that others change meanwhile is read before the last reading is taken; their changes
// are notified, so that it is read again.
const readAttempts = 3

// read reads our table in full.
func read(conn *nftables.Conn, name string) (table, error) {
	var t table
	for range readAttempts {
		before, err := conn.GetGen()
		if err != nil {
			return table{}, fmt.Errorf("read generation: %w", err)
		}
		t, err = readOnce(conn, name)
		after, genErr := conn.GetGen()
		if genErr != nil {
			return table{}, fmt.Errorf("read generation: %w", genErr)
		}
		if before.ID != after.ID {
			continue
		}
		return t, err
	}
	return readOnce(conn, name)
}

func readOnce(conn *nftables.Conn, name string) (table, error) {
	t := table{broken: map[string]bool{}, balance: map[int]bool{}}
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return t, fmt.Errorf("list tables: %w", err)
	}
	i := slices.IndexFunc(tables, func(x *nftables.Table) bool { return x.Name == name })
	if i < 0 {
		return table{}, nil
	}
	t.exists = true
	ours := tables[i]
	if ours.Flags&nftables.TableFlagDormant != 0 {
		t.foreign = "it is dormant"
		return t, nil
	}
	sets, err := conn.GetSets(ours)
	if err != nil {
		return t, fmt.Errorf("list sets: %w", err)
	}
	found := make(map[string]*nftables.Set, len(sets))
	for _, s := range sets {
		found[s.Name] = s
	}
	for _, name := range setNames {
		want := newSets(ours)[name]
		if got := found[name]; got == nil || got.KeyType.Name != want.KeyType.Name || got.IsMap != want.IsMap ||
			got.Interval != want.Interval || want.IsMap && got.DataType.Name != want.DataType.Name || got.Comment != want.Comment {
			t.foreign = fmt.Sprintf("set %q is not of this layout", name)
			return t, nil
		}
	}
	if err := t.readChains(conn, ours); err != nil || t.foreign != "" {
		return t, err
	}
	return t, t.readElements(conn, found)
}

func (t *table) readChains(conn *nftables.Conn, ours *nftables.Table) error {
	all, err := conn.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list chains: %w", err)
	}
	found := map[string]*nftables.Chain{}
	for _, c := range all {
		if c.Table.Name == ours.Name {
			found[c.Name] = c
			t.chains = max(t.chains, min(balanceNumber(c.Name), netproxy.MaxEndpoints))
		}
	}
	for _, want := range chains(t.chains) {
		got := found[want.name]
		if got == nil {
			t.broken[want.name] = true
			continue
		}
		if !sameHook(got, want) {
			t.foreign = fmt.Sprintf("chain %q is not of this layout", want.name)
			return nil
		}
		rules, err := conn.GetRules(ours, got)
		if err != nil {
			return fmt.Errorf("list rules of chain %q: %w", want.name, err)
		}
		same, err := sameRules(rules, want.rules)
		if err != nil {
			return err
		}
		if !same {
			t.broken[want.name] = false
		}
	}
	return nil
}

func sameHook(got *nftables.Chain, want chain) bool {
	if want.hook == nil {
		return got.Hooknum == nil
	}
	return got.Hooknum != nil && got.Priority != nil && *got.Hooknum == *want.hook && *got.Priority == *want.priority &&
		got.Type == want.kind && (got.Policy == nil || *got.Policy == nftables.ChainPolicyAccept)
}

func sameRules(got []*nftables.Rule, want []rule) (bool, error) {
	if len(got) != len(want) {
		return false, nil
	}
	for i := range want {
		a, err := encoded(got[i].UserData, got[i].Exprs)
		if err != nil {
			return false, nil // an expression that this library cannot encode is not one of ours
		}
		b, err := encoded(want[i].userData(), want[i].exprs)
		if err != nil {
			return false, err
		}
		if a != b {
			return false, nil
		}
	}
	return true, nil
}

func (t *table) readElements(conn *nftables.Conn, sets map[string]*nftables.Set) error {
	var elements []netproxy.Element
	for _, name := range setNames {
		raw, err := conn.GetSetElements(sets[name])
		if err != nil {
			return fmt.Errorf("list elements of %q: %w", name, err)
		}
		if name == setBalance {
			t.readBalance(raw)
			continue
		}
		list, err := decode(netproxy.Map(name), raw)
		if err != nil {
			t.foreign = err.Error()
			return nil
		}
		elements = append(elements, list...)
	}
	t.content, t.strays = netproxy.FromElements(elements)
	return nil
}

func (t *table) readBalance(raw []nftables.SetElement) {
	for n := 1; n <= t.chains; n++ {
		t.balance[n] = false
	}
	for _, e := range raw {
		n := 0
		if len(e.Key) == 4 {
			n = int(binaryutil.NativeEndian.Uint32(e.Key))
		}
		switch {
		case n < 1 || n > t.chains:
			t.extra = append(t.extra, e.Key)
		case bytes.Contains(e.Val, append([]byte(balanceName(n)), 0)):
			delete(t.balance, n)
		default:
			t.balance[n] = true
		}
	}
}

// whole tells whether the layout is there and complete.
func (t table) whole() bool {
	return t.exists && t.foreign == "" && len(t.broken) == 0 && len(t.balance) == 0 && len(t.extra) == 0
}

// repair queues what makes the layout whole with n balancing chains, and returns what the maps hold after it.
func (t table) repair(conn *nftables.Conn, name string, n int) (netproxy.Content, []netproxy.Element, error) {
	ours := &nftables.Table{Name: name, Family: nftables.TableFamilyIPv4}
	if !t.exists || t.foreign != "" {
		if t.exists {
			conn.DelTable(ours)
		}
		t = table{}
		conn.AddTable(ours)
		sets := newSets(ours)
		for _, set := range setNames {
			if err := conn.AddSet(sets[set], nil); err != nil {
				return netproxy.Content{}, nil, fmt.Errorf("add set %q: %w", set, err)
			}
		}
	}
	var list []chain
	for _, c := range chains(max(n, t.chains)) {
		missing, broken := t.broken[c.name]
		if k := balanceNumber(c.name); k > t.chains || !t.exists {
			missing, broken = true, true
		}
		if !broken {
			continue
		}
		made := &nftables.Chain{Name: c.name, Table: ours, Type: c.kind, Hooknum: c.hook, Priority: c.priority}
		if missing {
			conn.AddChain(made)
		} else {
			conn.FlushChain(made)
		}
		list = append(list, c)
	}
	for _, c := range list {
		for _, r := range c.rules {
			conn.AddRule(&nftables.Rule{Table: ours, Chain: &nftables.Chain{Name: c.name, Table: ours}, Exprs: r.exprs, UserData: r.userData()})
		}
	}
	return t.content, t.strays, t.repairBalance(conn, newSets(ours)[setBalance], n)
}

func (t table) repairBalance(conn *nftables.Conn, set *nftables.Set, n int) error {
	var remove, add []nftables.SetElement
	for _, key := range t.extra {
		remove = append(remove, nftables.SetElement{Key: key})
	}
	for _, k := range slices.Sorted(maps.Keys(t.balance)) {
		if t.balance[k] {
			remove = append(remove, nftables.SetElement{Key: native(uint32(k))})
		}
		add = append(add, balanceElement(k))
	}
	for k := t.chains + 1; k <= n; k++ {
		add = append(add, balanceElement(k))
	}
	if err := conn.SetDeleteElements(set, remove); err != nil {
		return fmt.Errorf("delete elements of %q: %w", set.Name, err)
	}
	if err := conn.SetAddElements(set, add); err != nil {
		return fmt.Errorf("add elements of %q: %w", set.Name, err)
	}
	return nil
}

func balanceElement(n int) nftables.SetElement {
	return nftables.SetElement{Key: native(uint32(n)), VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: balanceName(n)}}
}

// queue queues the changes of elements, deletions first.
func queue(conn *nftables.Conn, name string, ch netproxy.Changes) error {
	sets := newSets(&nftables.Table{Name: name, Family: nftables.TableFamilyIPv4})
	for _, half := range []struct {
		verb     string
		elements []netproxy.Element
		do       func(*nftables.Set, []nftables.SetElement) error
	}{{"delete", ch.Delete, conn.SetDeleteElements}, {"add", ch.Add, conn.SetAddElements}} {
		grouped := map[netproxy.Map][]nftables.SetElement{}
		for _, e := range half.elements {
			grouped[e.Map] = append(grouped[e.Map], encode(e)...)
		}
		for _, set := range setNames {
			for part := range slices.Chunk(grouped[netproxy.Map(set)], elementsPerMessage) {
				if half.verb == "delete" {
					for i := range part {
						part[i].Val = nil // a deletion names the key only
					}
				}
				if err := half.do(sets[set], part); err != nil {
					return fmt.Errorf("%s elements of %q: %w", half.verb, strings.TrimSpace(set), err)
				}
			}
		}
	}
	return nil
}

// elementsPerMessage keeps a message's element list well below the 64 KiB that a netlink attribute can hold.
const elementsPerMessage = 500
