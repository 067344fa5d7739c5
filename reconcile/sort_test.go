package reconcile

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
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
