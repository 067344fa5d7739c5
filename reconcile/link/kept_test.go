package link

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/pki/registrytest"
)

// TestKept: agents hand over what they keep to a server that lost it, registry and all, and to no other. Mutants: only the first
// part is sent; a server that does not recover asks, too; the identity is not kept.
func TestKept(t *testing.T) {
	f := newFixture(t, nil)
	work := &assignment.Assignment{Fleet: fleetID, Minion: "m1", Generation: assignment.Generation{Epoch: 7, Counter: 3}, Network: netip.MustParsePrefix("10.244.1.0/24")}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 { // several parts, though they are packed
		work.Instances = append(work.Instances, assignment.Instance{ID: fmt.Sprint(i), UID: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())})
	}
	table := &assignment.Table{Fleet: fleetID, Generation: assignment.Generation{Epoch: 7, Counter: 9}}
	c, stop := f.agent("m1")
	stop()
	c.config.Kept = func() (*assignment.Assignment, *assignment.Table) { return work, table }
	f.run(c)
	f.eventually("m1 is connected", func() bool { return f.Minions()["m1"].Connected })
	raw := f.connect(f.raw("m2"))
	f.SetTable(assignment.Table{Fleet: fleetID, Generation: assignment.Generation{Epoch: 1, Counter: 1}})
	for { // what is asked for comes before tables
		m, err := raw.Recv()
		check(t, err)
		if m.GetKeptRequest() != nil {
			t.Fatal("a server that does not recover asks for what is kept")
		}
		if m.GetTable() != nil {
			break
		}
	}
	f.stop()
	f.registry = &registrytest.Memory{} // lost with the rest
	f.recover = true
	f.start(8, nil)
	f.eventually("m1 hands over what it keeps", func() bool { return len(f.Kept()) == 1 })
	k := f.Kept()["m1"]
	if k.Table.Generation != table.Generation || len(k.Assignment.Instances) != 20_000 || k.Assignment.Instances[19_999].UID != work.Instances[19_999].UID || k.Assignment.Network != work.Network {
		t.Errorf("handed over %+v and %d instances", k.Table, len(k.Assignment.Instances))
	}
	f.stop()
	f.recover = false
	f.start(9, nil) // knows the minion again
	f.eventually("m1 is connected to the next server", func() bool { return f.Minions()["m1"].Connected })
	if k := f.Kept(); len(k) > 0 {
		t.Errorf("handed over %v", k)
	}
}

// TestKeptOfAnotherMinion: a minion speaks for itself alone.
func TestKeptOfAnotherMinion(t *testing.T) {
	f := newFixture(t, nil)
	c, stop := f.agent("m1")
	stop()
	c.config.Kept = func() (*assignment.Assignment, *assignment.Table) {
		return &assignment.Assignment{Fleet: fleetID, Minion: "m2"}, nil
	}
	s := &stream{Client: c}
	if err := s.handOver(); err != nil || len(s.kept) != 1 {
		t.Fatal(err)
	}
	ss := &session{server: f.Server, minion: "m1"}
	if err := ss.takeKept(s.kept[0]); err == nil || !strings.Contains(err.Error(), `minion "m1" hands over the assignment of "m2"`) {
		t.Errorf("taken: %v", err)
	}
}
