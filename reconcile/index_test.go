package reconcile

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIndexSharesLists: a list that was noted when an index was shared or copied is never changed, and what is added, removed or touched
// since has another. Mutants: share does nothing; edit does not begin another turn; take does not copy; touch does nothing.
func TestIndexSharesLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type noted struct{ list, copy []int32 }
		g := &index[string]{hash: hashString, sorted: []int32{}}
		var notes []noted
		fresh := map[string]bool{} // keys whose lists are as they were noted last
		model := map[string][]int32{}
		order := func(x, y int32) int { return cmp.Compare(x%5, y%5) }
		next := int32(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				g.add(key, rapid.Int32Range(-1, 3).Draw(t, "maybe"), next, order, cmp.Compare)
				model[key] = append(model[key], next)
				next++
				delete(fresh, key)
			case 2:
				if list := model[key]; len(list) > 0 {
					i := rapid.IntRange(0, len(list)-1).Draw(t, "at")
					g.remove(g.numberOf(key, -1), list[i])
					model[key] = slices.Delete(slices.Clone(list), i, i+1)
					delete(fresh, key)
				}
			case 3:
				if i := g.numberOf(key, -1); i >= 0 {
					g.touch(i)
					delete(fresh, key)
				}
			default:
				if rapid.Bool().Draw(t, "copy") {
					mine := g.edit()
					g = &mine
				} else {
					g.share()
				}
				for k := range model {
					notes = append(notes, noted{g.of(k), slices.Clone(g.of(k))})
					fresh[k] = true
				}
			}
			for k, want := range model {
				got := slices.Sorted(slices.Values(g.of(k)))
				if !slices.Equal(got, want) || !slices.IsSortedFunc(g.of(k), order) {
					t.Fatalf("%s has %v, want %v", k, g.of(k), want)
				}
			}
			for _, n := range notes {
				if !slices.Equal(n.list, n.copy) {
					t.Fatalf("a list that was noted as %v is %v", n.copy, n.list)
				}
				for k := range model {
					if len(n.list) > 0 && !fresh[k] && oneList(g.of(k), n.list) {
						t.Fatalf("%s was changed or touched and has the list that was noted", k)
					}
				}
			}
		}
	})
}
