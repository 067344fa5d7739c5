package reconcile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// made is what a plan from scratch gives out for its pods.
type made struct {
	bound   []*reconcile.Binding
	changes []reconcile.Change
	on      [][]assignment.Instance
}

// floor is the peer of a plan from scratch: for each pod the place that package place gives it, a binding, a change and an instance for its
// minion, and nothing decided, checked, found by its id, recorded or sorted.
func floor(minions int) (out made) {
	fleet := make([]place.Minion, minions)
	names := make([]string, minions)
	for i := range fleet {
		names[i] = fmt.Sprintf("m%05d", i)
		fleet[i] = place.Minion{Name: names[i], MilliCPU: 64000, Memory: 256 << 30, Pods: 110}
	}
	f := place.New(fleet)
	pods := minions * podsPerMinion
	out = made{make([]*reconcile.Binding, 0, pods), make([]reconcile.Change, 0, pods), make([][]assignment.Instance, minions)}
	addresses := make([]byte, minions)
	on := make([][]*reconcile.Binding, minions)
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for c := range minions {
		controller := fmt.Sprintf("r%05d", c)
		key := schema.Key{Kind: schema.KindReplicationController, Namespace: "n", Name: controller}
		spec := &schema.PodSpec{}
		d := &place.Demand{MilliCPU: 100, Memory: 128 << 20, Group: controller, Memo: &place.Memo{}}
		for r := range podsPerMinion {
			at, _ := f.ChooseAt(d)
			f.TakeAt(at, d)
			h := sha256.Sum256(strconv.AppendInt([]byte("f1 "), int64(c*podsPerMinion+r), 10))
			pod, uid := controller+"-"+strconv.Itoa(r), hex.EncodeToString(h[:18])
			id := pod + "-" + uid[:5]
			addresses[at]++
			b := &reconcile.Binding{ID: id, UID: uid, Namespace: "n", Pod: pod, Controller: controller, Minion: names[at], Hash: controller, Spec: spec,
				Address: netip.AddrFrom4([4]byte{11, byte(at >> 8), byte(at), addresses[at]}), Created: now, Since: now, Phase: assignment.Run}
			out.bound = append(out.bound, b)
			on[at] = append(on[at], b)
			out.changes = append(out.changes, reconcile.Change{Verb: reconcile.Create, Object: key, Instance: id, Minion: b.Minion, Reason: "new in Git"})
		}
	}
	for m, list := range on {
		for _, b := range list {
			out.on[m] = append(out.on[m], assignment.Instance{ID: b.ID, UID: b.UID, Namespace: b.Namespace, Pod: b.Pod, Controller: b.Controller, Created: b.Created,
				Hash: b.Hash, Address: b.Address, Phase: b.Phase})
		}
	}
	return out
}
