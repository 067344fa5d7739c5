package reconcile_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/schema"
)

// TestBindingsAgainstMaps: a collection of bindings has what a map has to which the same was done, in the order that it
// promises, and an earlier one does not change. Mutant: an edited list of a minion is not copied before.
func TestBindingsAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model := map[string]reconcile.Binding{}
		s := reconcile.Bindings{}
		var older []reconcile.Bindings
		var text []string
		at := time.Date(2014, 7, 1, 0, 0, 0, 0, time.UTC)
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			id := fmt.Sprint("pod-", rapid.IntRange(0, 12).Draw(t, "id"))
			if rapid.IntRange(0, 3).Draw(t, "what") == 0 {
				s = s.Without(id)
				delete(model, id)
			} else {
				b := reconcile.Binding{ID: id, Namespace: "default", Pod: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "pod"), Minion: rapid.SampledFrom([]string{"m3", "m1", "m2"}).Draw(t, "minion"),
					Created: at.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "created")) * time.Second), Version: uint64(n), Spec: &schema.PodSpec{}}
				if rapid.Bool().Draw(t, "controlled") {
					b.Controller = "c"
				}
				s = s.With(b)
				model[id] = b
			}
			older, text = append(older, s), append(text, mustJSON(s))
		}
		for i, o := range older {
			if mustJSON(o) != text[i] {
				t.Fatalf("what was %s is %s", text[i], mustJSON(o))
			}
		}
		if s.Len() != len(model) || mustJSON(s.ByID()) != mustJSON(model) || mustJSON(s) != mustJSON(model) && len(model) > 0 {
			t.Fatalf("%s, not %s", mustJSON(s), mustJSON(model))
		}
		list := slices.Collect(maps.Values(model))
		if again := reconcile.BindingsOf(list...); !again.Equal(s) || !s.Equal(again) || mustJSON(again) != mustJSON(s) {
			t.Fatalf("made at once it is %s", mustJSON(again))
		}
		slices.SortFunc(list, func(a, b reconcile.Binding) int { return strings.Compare(a.Minion+" "+a.ID, b.Minion+" "+b.ID) })
		i := 0
		for b := range s.All() {
			if b.ID != list[i].ID {
				t.Fatalf("%s stands where %s should", b.ID, list[i].ID)
			}
			i++
		}
		of := 0
		for _, k := range []schema.Key{{Kind: schema.KindPod, Namespace: "default", Name: "a"}, {Kind: schema.KindPod, Namespace: "default", Name: "b"},
			{Kind: schema.KindReplicationController, Namespace: "default", Name: "c"}} {
			last := reconcile.Binding{}
			for b := range s.Of(k) {
				if b.Created.Before(last.Created) || b.Created.Equal(last.Created) && b.ID < last.ID {
					t.Fatalf("%s stands before %s", last.ID, b.ID)
				}
				last = *b
				of++
			}
		}
		if i != len(model) || of != len(model) {
			t.Fatalf("%d and %d of %d were listed", i, of, len(model))
		}
	})
}

// TestConcurrent: a state is computed from by several at once, as by diffs beside the server; the race detector sees what they
// share. Mutant: the state that was decided is sealed though nothing was edited.
func TestConcurrent(t *testing.T) {
	f := fleetAfter(t, "rc web replicas=3\nsvc web select=name:web")
	in := f.input()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if p := reconcile.Compute(in); len(p.Changes) > 0 {
				t.Errorf("at rest: %+v", p.Changes)
			}
		})
	}
	group.Wait()
}
