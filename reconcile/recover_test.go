package reconcile_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// keptBy is what an agent keeps of one instance and two services.
func keptBy(minion string, epoch uint64) reconcile.Kept {
	spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i"}}}
	public := netip.MustParseAddr("198.51.100.9")
	return reconcile.Kept{
		Assignment: &assignment.Assignment{Fleet: "f1", Minion: minion, Generation: assignment.Generation{Epoch: epoch, Counter: 7}, Network: netip.MustParsePrefix("10.244.1.0/24"),
			Instances: []assignment.Instance{{ID: "a-1", UID: "u1", Namespace: "default", Pod: "a", Hash: spec.Hash(), Spec: spec.CanonicalJSON(), Phase: assignment.Run,
				Address: netip.MustParseAddr("10.244.1.2"), Env: []schema.EnvVar{{Name: "ODD_SERVICE_HOST", Value: "172.16.0.1"}}}}},
		Table: &assignment.Table{Fleet: "f1", Generation: assignment.Generation{Epoch: epoch, Counter: 40}, Services: []netproxy.Service{
			{Namespace: "default", Name: "web", Port: 80, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.9"), public}},
			{Namespace: "default", Name: "bare", Port: 80, Addresses: []netip.Addr{public}},
			{Namespace: "default", Name: "odd", Port: 80, Addresses: []netip.Addr{netip.MustParseAddr("172.16.0.1")}}, // of a network that a lost revision set
		}},
	}
}

// TestRecoverTakesPortalIPsAndNumbers: only portal IPs are taken for such, and no number is given again, however often the same copy is
// recovered. Mutants: the first address is always the portal IP; the sequence goes on where the copy ends.
func TestRecoverTakesPortalIPsAndNumbers(t *testing.T) {
	old := reconcile.State{Fleet: "f1", Epoch: 2, Sequence: 100}
	kept := map[string]reconcile.Kept{"m1": keptBy("m1", 5)}
	before, _ := json.Marshal(old)
	st, notes, err := reconcile.Recover(old, kept, reconcile.DefaultSettings(), time.Unix(1e9, 0))
	if err != nil || len(notes) > 0 {
		t.Fatal(notes, err)
	}
	var portals []string
	for _, k := range []string{"Service/web", "Service/bare", "Service/odd"} {
		portals = append(portals, st.Objects[k].Portal.String())
	}
	if got := strings.Join(portals, " "); got != "10.0.0.9 invalid IP 172.16.0.1" {
		t.Errorf("portal IPs %s", got)
	}
	if st.Epoch != 5 || st.Table.Compare(assignment.Generation{Epoch: 5, Counter: 40}) < 0 || st.Bindings.Len() != 1 || st.Recovered.IsZero() || st.Minions["m1"].Network != kept["m1"].Assignment.Network {
		t.Errorf("recovered %+v", st)
	}
	again, _, err := reconcile.Recover(old, map[string]reconcile.Kept{"m1": keptBy("m1", 6)}, reconcile.DefaultSettings(), time.Unix(1e9, 0))
	if err != nil || again.Sequence <= st.Sequence+1<<31 || again.Sequence >= 1<<53 {
		t.Errorf("the first recovery goes on from %d, the second from %d, %v", st.Sequence, again.Sequence, err)
	}
	if after, _ := json.Marshal(old); string(after) != string(before) {
		t.Error("the copy was changed")
	}
}

func TestRecoverRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*reconcile.Kept)
		want string
	}{
		{"another fleet", func(k *reconcile.Kept) { k.Assignment.Fleet = "f2" }, `minion "m1" is of fleet "f2", not "f1"`},
		{"routes of another fleet", func(k *reconcile.Kept) { k.Table.Fleet = "f2" }, `is of fleet "f2"`},
		{"another minion's", func(k *reconcile.Kept) { k.Assignment.Minion = "m2" }, `hands over the assignment of "m2"`},
		{"an epoch that no server reached", func(k *reconcile.Kept) { k.Table.Generation.Epoch = 1 << 40 }, "no server was started so often"},
		{"a spec that cannot be read", func(k *reconcile.Kept) { k.Assignment.Instances[0].Spec = []byte("{") }, `read spec of instance "a-1" on minion "m1"`},
	} {
		k := keptBy("m1", 5)
		c.edit(&k)
		st, _, err := reconcile.Recover(reconcile.State{Fleet: "f1", Epoch: 2}, map[string]reconcile.Kept{"m1": k}, reconcile.DefaultSettings(), time.Unix(1e9, 0))
		if err == nil || !strings.Contains(err.Error(), c.want) || st.Epoch != 2 {
			t.Errorf("%s: %v, epoch %d", c.name, err, st.Epoch)
		}
	}
}

// TestNeedsRecovery: each sign of an old copy counts, and what a store may have beyond its agents does not.
func TestNeedsRecovery(t *testing.T) {
	b := reconcile.Binding{ID: "a-1", Minion: "m1", Phase: assignment.Run}
	st := reconcile.State{Fleet: "f1", Epoch: 5, Table: assignment.Generation{Epoch: 5, Counter: 40}, Bindings: reconcile.BindingsOf(b)}
	for _, c := range []struct {
		name string
		want bool
		edit func(*reconcile.Kept)
	}{
		{"the same", false, func(*reconcile.Kept) {}},
		{"an agent without anything", false, func(k *reconcile.Kept) { *k = reconcile.Kept{} }},
		{"an agent that is behind", false, func(k *reconcile.Kept) {
			k.Table.Generation, k.Assignment.Generation.Epoch, k.Assignment.Instances = assignment.Generation{Epoch: 2, Counter: 9}, 1, nil
		}},
		{"one that stops and is forgotten already", false, func(k *reconcile.Kept) {
			k.Assignment.Instances[0].ID, k.Assignment.Instances[0].Phase = "b-1", assignment.Stop
		}},
		{"a newer epoch", true, func(k *reconcile.Kept) { k.Assignment.Generation.Epoch = 6 }},
		{"a newer table", true, func(k *reconcile.Kept) { k.Table.Generation.Counter = 41 }},
		{"an instance that is not known", true, func(k *reconcile.Kept) { k.Assignment.Instances[0].ID = "b-1" }},
		{"a later phase", true, func(k *reconcile.Kept) { k.Assignment.Instances[0].Phase = assignment.Drain }},
	} {
		k := keptBy("m1", 5)
		c.edit(&k)
		if got := reconcile.NeedsRecovery(st, map[string]reconcile.Kept{"m1": k}); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
