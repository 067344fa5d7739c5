package store

import (
	"testing"

	"reconciler/reconcile/assignment"
)

// Benchmark150000 saves and loads a fleet of 150,000 bindings on 5,000 minions.
func Benchmark150000(b *testing.B) {
	s := openStore(b, b.TempDir())
	load(b, s)
	state := example(150_000, 1)
	b.Run("first save", func(b *testing.B) {
		for b.Loop() {
			state.Sequence++
			s.head, s.cuts = head{}, cuts{} // as if nothing was there
			save(b, s, state)
		}
	})
	b.Run("save one change", func(b *testing.B) {
		for b.Loop() {
			state.Sequence++
			binding := *state.Bindings.Get("web-075000-1")
			binding.Version, binding.Phase = state.Sequence, assignment.Drain
			state.Bindings = state.Bindings.With(binding)
			save(b, s, state)
		}
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			load(b, s)
		}
	})
	if got, _ := load(b, s); text(b, got) != text(b, state) {
		b.Error("loaded another state than was saved")
	}
}

// BenchmarkSave saves a change in a small fleet.
func BenchmarkSave(b *testing.B) {
	s := openStore(b, b.TempDir())
	load(b, s)
	state := example(100, 1)
	for b.Loop() {
		state.Sequence++
		save(b, s, state)
	}
}
