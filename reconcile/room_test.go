package reconcile

import (
	"testing"

	"pgregory.net/rapid"

	"reconciler/reconcile/place"
	"reconciler/schema"
)

// TestHeldIsTaken: what bindings hold from before a step leaves as much room as if they had been bound in it. Mutants: Held.Add or
// newLeft leaves out any one of what is counted, or add of specs does.
func TestHeldIsTaken(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := func(name string) int64 { return rapid.SampledFrom([]int64{0, 0, 1, 2, 3}).Draw(t, name) }
		spec := func() *schema.PodSpec {
			return &schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "web:1",
				Resources: schema.Resources{MilliCPU: amount("cpu"), Memory: amount("memory"), Storage: amount("storage"), PIDs: amount("pids")},
				Ports:     []schema.Port{{ContainerPort: 80, Protocol: "TCP", HostPort: uint16(amount("port"))}}}}}
		}
		m := place.Minion{Name: "m1", MilliCPU: 5, Memory: 5, Storage: 5, PIDs: 5, Pods: rapid.IntRange(1, 4).Draw(t, "pods"), Features: []schema.Feature{schema.FeaturePIDLimit, schema.FeatureStorageLimit}}
		taken := place.New([]place.Minion{m})
		var h hold
		s := &specs{all: map[*schema.PodSpec]*ofSpec{}}
		for range rapid.IntRange(0, 3).Draw(t, "bindings") {
			b := &Binding{Spec: spec(), Pod: "p"}
			h.add(s.of(&bound{Binding: b}))
			taken.Take("m1", held(b))
		}
		m.Held = h.Held
		before := place.New([]place.Minion{m})
		d := demand(spec(), "default", "p", "")
		on, why := before.Choose(d)
		if x, y := taken.Choose(d); x != on || y != why {
			t.Fatalf("with what was held %q %q, with the same taken %q %q", on, why, x, y)
		}
	})
}
