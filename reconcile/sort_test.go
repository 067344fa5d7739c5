package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
)

// TestSortRuns: it sorts, and equals stay in their order. Mutant: of equals, those of the later run go first.
func TestSortRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type item struct{ key, at int }
		list := make([]item, rapid.IntRange(0, 40).Draw(t, "n"))
		for i := range list {
			list[i] = item{rapid.IntRange(0, 9).Draw(t, "key"), i}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b item) int { return a.key - b.key })
		if got := sortRuns(list, func(a, b *item) int { return a.key - b.key }); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// TestSortChanges: they are sorted by object, then verb, then instance, and equals stay in their order. Mutants: what is put aside is
// not sorted; of one object, what was put aside goes first; an object's changes are taken for sorted when the first two are; that an
// object has changes in several places is not noticed.
func TestSortChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []Change
		for range rapid.IntRange(0, 8).Draw(t, "objects") {
			object := schema.Key{Kind: schema.KindPod, Name: fmt.Sprint("p", rapid.IntRange(0, 5).Draw(t, "object"))}
			drift := rapid.IntRange(0, 9).Draw(t, "drift") == 0
			for range rapid.IntRange(1, 4).Draw(t, "changes") {
				list = append(list, Change{Object: object, Drift: drift, Verb: rapid.SampledFrom([]Verb{Create, Delete}).Draw(t, "verb"),
					Instance: fmt.Sprint("i", rapid.IntRange(0, 3).Draw(t, "instance")), Minion: fmt.Sprint("m", len(list))})
			}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b Change) int {
			return cmp.Or(driftFirst(&a, &b), a.Object.Compare(b.Object), cmp.Compare(a.Verb, b.Verb), cmp.Compare(a.Instance, b.Instance))
		})
		sortChanges(list)
		for i := range list {
			if list[i].Minion != want[i].Minion {
				t.Fatalf("got %+v, want %+v", list, want)
			}
		}
	})
}
