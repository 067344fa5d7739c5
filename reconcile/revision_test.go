package reconcile

import (
	"testing"
	"time"

	"reconciler/schema"
)

// TestSameCommitReadOtherwise: a commit in force is taken into force again if the server reads it from another folder or with
// other tags. Mutant: same that compares the hash alone.
func TestSameCommitReadOtherwise(t *testing.T) {
	set := func(name string) *schema.Set {
		p := &schema.Pod{Meta: schema.Meta{Name: name, Namespace: "default"}}
		p.Spec.Containers = []schema.Container{{Name: "c", Image: "i:1"}}
		return &schema.Set{Pods: []*schema.Pod{p}}
	}
	in := Input{Now: time.Unix(1e9, 0), Settings: DefaultSettings(), State: State{Fleet: "f", Epoch: 1}, Revision: Revision{Hash: "c1", Path: "a", Tags: []string{"site=eu"}}, Set: set("first")}
	in.State = Compute(in).State
	for _, c := range []struct {
		name     string
		revision Revision
		want     string
	}{
		{"as before", Revision{Hash: "c1", Path: "a", Tags: []string{"site=eu"}}, "first"},
		{"another folder", Revision{Hash: "c1", Path: "b", Tags: []string{"site=eu"}}, "second"},
		{"another tag", Revision{Hash: "c1", Path: "a", Tags: []string{"site=us"}}, "second"},
		{"no tag", Revision{Hash: "c1", Path: "a"}, "second"},
	} {
		next := in
		next.Revision, next.Set = c.revision, set("second")
		if got := Compute(next).State.Accepted.Pods[0].Name; got != c.want {
			t.Errorf("%s: %s is in force", c.name, got)
		}
	}
}
