package store

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/schema"
)

// TestCutAsRemembered: a state is cut in the same chunks whether or not it is remembered how the one before was. Mutants: a chunk that
// was cut because there was no more is taken although there is; chunks are compared by the keys of their items alone.
func TestCutAsRemembered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state := example(300, 1)
		var was cuts
		for n := range rapid.IntRange(1, 5).Draw(t, "saves") {
			for range rapid.IntRange(0, 4).Draw(t, "changes") {
				i := rapid.IntRange(0, 320).Draw(t, "item")
				id := fmt.Sprintf("web-%06d-1", i)
				switch rapid.IntRange(0, 3).Draw(t, "change") {
				case 0:
					state.Bindings = state.Bindings.Without(id)
				case 1:
					b := reconcile.Binding{ID: id, Pod: "p", Minion: fmt.Sprintf("minion-%04d", i/30), Version: uint64(n)}
					state.Bindings = state.Bindings.With(b)
				case 2:
					state.Objects = maps.Clone(state.Objects)
					k := fmt.Sprintf("Pod/web-%06d", i)
					r := state.Objects[k]
					r.Version++
					state.Objects[k] = r
				default:
					set := *state.Accepted
					set.Pods = slices.Clone(set.Pods)
					if i >= len(set.Pods) {
						set.Pods = append(set.Pods, &schema.Pod{Meta: schema.Meta{Name: fmt.Sprintf("web-%06d-%d", len(set.Pods), n), Namespace: "default"}})
					} else if rapid.Bool().Draw(t, "goes") {
						set.Pods = slices.Delete(set.Pods, i, i+1)
					} else {
						p := *set.Pods[i]
						p.Labels = map[string]string{"n": fmt.Sprint(n)}
						set.Pods[i] = &p
					}
					state.Accepted = &set
				}
			}
			got, is, err := cut(state, was)
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := cut(state, cuts{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, want, func(a, b plain) bool { return a.section == b.section && a.hash == b.hash }) {
				t.Fatalf("save %d has other chunks", n)
			}
			was = is
		}
	})
}
