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
	var text [36]byte
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for c := range minions {
		controller := fmt.Sprintf("r%05d", c)
		key := schema.Key{Kind: schema.KindReplicationController, Namespace: "n", Name: controller}
		spec := &schema.PodSpec{}
		d := &place.Demand{MilliCPU: 100, Memory: 128 << 20, Group: controller, Memo: &place.Memo{}}
		for r := range podsPerMinion {
			at, _ := f.ChooseAt(d)
			f.TakeAt(at, d)
			h := sha256.Sum256(strconv.AppendInt(append(text[:0], "f1 "...), int64(c*podsPerMinion+r), 10))
			hex.Encode(text[:], h[:18])
			pod, uid := controller+"-"+strconv.Itoa(r), string(text[:])
			id := pod + "-" + uid[:5]
			addresses[at]++
			b := &reconcile.Binding{ID: id, UID: uid, Namespace: "n", Pod: pod, Controller: controller, Minion: names[at], Hash: controller, Spec: spec,
				Address: netip.AddrFrom4([4]byte{11, byte(at >> 8), byte(at), addresses[at]}), Created: now, Since: now, Phase: assignment.Run}
			out.bound = append(out.bound, b)
			if out.on[at] == nil {
				out.on[at] = make([]assignment.Instance, 0, podsPerMinion)
			}
			out.on[at] = append(out.on[at], assignment.Instance{ID: id, UID: uid, Namespace: b.Namespace, Pod: pod, Controller: controller, Created: now,
				Hash: b.Hash, Address: b.Address, Phase: b.Phase})
			out.changes = append(out.changes, reconcile.Change{Verb: reconcile.Create, Object: key, Instance: id, Minion: b.Minion, Reason: "new in Git"})
		}
	}
	return out
}
