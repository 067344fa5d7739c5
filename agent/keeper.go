package agent

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// keeper holds what is kept for both loops, and decodes each spec once.
type keeper struct {
	disk     Disk
	features []schema.Feature // what the agent can do

	mu      sync.Mutex // protects the fields below; held while the file is written, so that the file is never older than an acknowledgement
	kept    kept
	decoded map[string]decoded // by instance id
	repair  bool               // the network is to be attached again everywhere
}

// decoded is an instance's spec, or why it is refused.
type decoded struct {
	raw     []byte
	spec    schema.PodSpec
	refused string
}

// offerAssignment takes a over if it is to be taken, and has it on disk before it returns. taken is false if nothing changed.
func (k *keeper) offerAssignment(a *assignment.Assignment, minion string) (now kept, taken bool, refused string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a == nil || a == k.kept.Assignment {
		return k.kept, false, ""
	}
	next := k.kept
	if refused = next.takeAssignment(a, minion); refused == "" {
		refused = k.replace(next)
	}
	return k.kept, refused == "", refused
}

// offerTable is offerAssignment for the table.
func (k *keeper) offerTable(t *assignment.Table) (now kept, taken bool, refused string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if t == nil || t == k.kept.Table {
		return k.kept, false, ""
	}
	next := k.kept
	if refused = next.takeTable(t); refused == "" {
		refused = k.replace(next)
	}
	return k.kept, refused == "", refused
}

// assignment is the one in force, nil before the first.
func (k *keeper) assignment() *assignment.Assignment {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kept.Assignment
}

// Kept is the assignment and the table that are in force here, and on disk; nil where there is none. They are not changed.
func (a *Agent) Kept() (*assignment.Assignment, *assignment.Table) {
	a.keep.mu.Lock()
	defer a.keep.mu.Unlock()
	return a.keep.kept.Assignment, a.keep.kept.Table
}

// replace saves next and makes it the kept one.
func (k *keeper) replace(next kept) (problem string) {
	if err := next.save(k.disk); err != nil {
		return err.Error()
	}
	k.kept = next
	return ""
}

// decode is the instance with its spec, decoded strictly and checked against its hash.
func (k *keeper) decode(i assignment.Instance) Desired {
	k.mu.Lock()
	defer k.mu.Unlock()
	d, ok := k.decoded[i.ID]
	if !ok || !bytes.Equal(d.raw, i.Spec) {
		d = decoded{raw: i.Spec}
		spec, err := schema.DecodePodSpec(i.Spec)
		switch {
		case err != nil:
			d.refused = "this agent cannot run the spec as written: " + err.Error()
		case len(k.lacks(&spec)) > 0:
			d.refused = fmt.Sprintf("this agent cannot do %v yet", k.lacks(&spec))
		case schema.HashBytes(i.Spec) != i.Hash:
			d.refused = "the spec does not have its hash"
		default:
			d.spec = spec
		}
		if k.decoded == nil {
			k.decoded = map[string]decoded{}
		}
		k.decoded[i.ID] = d
	}
	return Desired{Instance: i, PodSpec: d.spec, Refused: d.refused}
}

// lacks is what a spec needs and this agent cannot do: to leave a probe or a user out would not be the pod that was written.
func (k *keeper) lacks(s *schema.PodSpec) []schema.Feature {
	return slices.DeleteFunc(s.Needs(), func(f schema.Feature) bool {
		return slices.Contains(k.features, f) || slices.Contains(schema.PlanFeatures, f)
	})
}

// forget drops decoded specs of instances that are not in use.
func (k *keeper) forget(used map[string]bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.decoded {
		if !used[id] {
			delete(k.decoded, id)
		}
	}
}

// repairNetwork asks for every pod's network to be checked again; takeRepair answers once.
func (k *keeper) repairNetwork() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.repair = true
}

func (k *keeper) takeRepair() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was := k.repair
	k.repair = false
	return was
}
