package reconcile

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// TestNumbersAgainstMaps: numbers are found by keys as in a map to which the same was done, where many keys have one hash, too, and an
// earlier version does not change. Mutants: remove leaves a gap before what follows; a part is changed without being copied.
func TestNumbersAgainstMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hashes := rapid.SampledFrom([]uint64{1, 3, 1 << 40}).Draw(t, "hashes")
		hash := func(key int32) uint64 {
			h := uint64(key) % hashes
			return h%2<<56 | h<<3 // two parts, and slots that are next to each other once there are more
		}
		var n numbers
		model := map[int32]bool{}
		check := func(n *numbers, model map[int32]bool) {
			for key := range int32(40) {
				if got, ok := n.find(hash(key), func(i int32) bool { return i == key }); ok != model[key] || ok && got != key {
					t.Fatalf("%d is found: %v, and %v", key, ok, got)
				}
			}
		}
		for range rapid.IntRange(0, 120).Draw(t, "steps") {
			key := rapid.Int32Range(0, 39).Draw(t, "key")
			before, was := n, maps.Clone(model)
			if rapid.IntRange(0, 2).Draw(t, "edit") == 0 {
				n = n.edit()
			}
			edited := n.own == nil
			if model[key] {
				n.remove(hash(key), func(i int32) bool { return i == key })
				delete(model, key)
			} else {
				n.add(hash(key), key)
				model[key] = true
			}
			if check(&n, model); edited {
				check(&before, was)
			}
		}
	})
}
