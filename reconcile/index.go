package reconcile

import "slices"

// index is numbers of bindings by something that they have in common. What has none left is forgotten.
type index[K comparable] struct {
	number  numbers
	hash    func(K) uint64
	buckets []bucket[K]
	free    []int32
	sorted  []int32 // numbers of buckets that have bindings, in the order of the keys; nil if that is not kept
	last    int32   // number of the bucket that something was added to last
	turn    uint32  // another after each copy, and each share
}

// bucket is the bindings that have one key.
type bucket[K comparable] struct {
	key  K
	list []int32
	turn uint32 // of the index when the list became its own; it is still if that is its turn now
}

// take makes the list of a bucket the index's own, to be changed.
func (g *index[K]) take(i int32) *bucket[K] {
	x := &g.buckets[i]
	if x.turn != g.turn {
		x.list, x.turn = slices.Clone(x.list), g.turn
	}
	return x
}

func (g *index[K]) edit() index[K] {
	out := *g
	out.number = g.number.edit()
	out.buckets, out.free, out.sorted = slices.Clone(g.buckets), slices.Clone(g.free), slices.Clone(g.sorted)
	out.turn++
	return out
}

func (g *index[K]) of(key K) []int32 {
	if i := g.numberOf(key, -1); i >= 0 {
		return g.buckets[i].list
	}
	return nil
}

// numberOf is the number of a key, -1 if it has none. maybe is it, as far as is known.
func (g *index[K]) numberOf(key K, maybe int32) int32 {
	if g.is(key, maybe) {
		return maybe
	}
	if i, ok := g.number.find(g.hash(key), func(i int32) bool { return g.buckets[i].key == key }); ok {
		return i
	}
	return -1
}

// is tells whether a key has a number.
func (g *index[K]) is(key K, i int32) bool {
	return 0 <= i && int(i) < len(g.buckets) && g.buckets[i].key == key && len(g.buckets[i].list) > 0
}

// add puts number n into the list of a key and returns the key's number. maybe is that, as far as is known. Lists are sorted by
// order, and keys by keys, unless that is nil.
func (g *index[K]) add(key K, maybe, n int32, order func(x, y int32) int, keys func(x, y K) int) int32 {
	i := g.numberOf(key, maybe)
	if i < 0 {
		empty := bucket[K]{key: key, turn: g.turn}
		if last := len(g.free) - 1; last >= 0 {
			i, g.free = g.free[last], g.free[:last]
			g.buckets[i] = empty
		} else {
			i = int32(len(g.buckets))
			g.buckets = append(g.buckets, empty)
		}
		g.number.add(g.hash(key), i)
		if keys != nil {
			at, _ := slices.BinarySearchFunc(g.sorted, key, func(j int32, k K) int { return keys(g.buckets[j].key, k) })
			g.sorted = slices.Insert(g.sorted, at, i)
		}
	}
	g.last = i
	x := g.take(i)
	at := len(x.list)
	if at > 0 && order(x.list[at-1], n) > 0 {
		at, _ = slices.BinarySearchFunc(x.list, n, order)
	}
	x.list = slices.Insert(x.list, at, n)
	return i
}

// share tells that somebody notes lists, to see later by their identity whether they are the same still: what changes from here on are
// copies of them.
func (g *index[K]) share() { g.turn++ }

// touch makes the list of a key another than it was when the index was copied or shared last, with the same in it.
func (g *index[K]) touch(i int32) { g.take(i) }

func (g *index[K]) remove(i, n int32) {
	x := g.take(i)
	at := slices.Index(x.list, n)
	x.list = slices.Delete(x.list, at, at+1)
	if len(x.list) > 0 {
		return
	}
	g.number.remove(g.hash(x.key), func(j int32) bool { return j == i })
	g.free = append(g.free, i)
	if g.sorted != nil {
		at := slices.Index(g.sorted, i)
		g.sorted = slices.Delete(g.sorted, at, at+1)
	}
}
