package reconcile

import "slices"

// owned tells which lists belong to their only user already.
type owned []bool

// take makes a list its user's own, and tells whether it was not.
func (o *owned) take(i int32) bool {
	for int(i) >= len(*o) {
		*o = append(*o, false)
	}
	was := (*o)[i]
	(*o)[i] = true
	return !was
}

// index is numbers of bindings by something that they have in common. What has none left is forgotten.
type index[K comparable] struct {
	number numbers
	hash   func(K) uint64
	keys   []K
	lists  [][]int32
	free   []int32
	sorted []int32 // numbers of keys that have bindings, in the order of the keys; nil if that is not kept
	last   int32   // number of the key that something was added to last
}

func (g *index[K]) edit() index[K] {
	out := *g
	out.number = g.number.edit()
	out.keys, out.lists, out.free, out.sorted = slices.Clone(g.keys), slices.Clone(g.lists), slices.Clone(g.free), slices.Clone(g.sorted)
	return out
}

func (g *index[K]) of(key K) []int32 {
	if i := g.numberOf(key, -1); i >= 0 {
		return g.lists[i]
	}
	return nil
}

// numberOf is the number of a key, -1 if it has none. maybe is it, as far as is known.
func (g *index[K]) numberOf(key K, maybe int32) int32 {
	if g.is(key, maybe) {
		return maybe
	}
	if i, ok := g.number.find(g.hash(key), func(i int32) bool { return g.keys[i] == key }); ok {
		return i
	}
	return -1
}

// is tells whether a key has a number.
func (g *index[K]) is(key K, i int32) bool {
	return 0 <= i && int(i) < len(g.keys) && g.keys[i] == key && len(g.lists[i]) > 0
}

// add puts number n into the list of a key and returns the key's number. own are the lists that belong to the caller already,
// and maybe is the key's number, as far as is known.
func (g *index[K]) add(key K, maybe, n int32, own *owned, order func(x, y int32) int, keys func(x, y K) int) int32 {
	i := g.numberOf(key, maybe)
	g.last = i
	if i < 0 {
		if last := len(g.free) - 1; last >= 0 {
			i, g.free = g.free[last], g.free[:last]
			g.keys[i] = key
		} else {
			i = int32(len(g.keys))
			g.keys, g.lists = append(g.keys, key), append(g.lists, nil)
		}
		g.lists[i], g.last = nil, i
		own.take(i)
		g.number.add(g.hash(key), i)
		if keys != nil {
			at, _ := slices.BinarySearchFunc(g.sorted, key, func(j int32, k K) int { return keys(g.keys[j], k) })
			g.sorted = slices.Insert(g.sorted, at, i)
		}
	}
	list := g.lists[i]
	if own.take(i) {
		list = slices.Clone(list)
	}
	at := len(list)
	if at > 0 && order(list[at-1], n) > 0 {
		at, _ = slices.BinarySearchFunc(list, n, order)
	}
	g.lists[i] = slices.Insert(list, at, n)
	return i
}

// touch makes the list of a key another, with the same in it.
func (g *index[K]) touch(i int32, own *owned) {
	if own.take(i) {
		g.lists[i] = slices.Clone(g.lists[i])
	}
}

func (g *index[K]) remove(key K, n int32, own *owned) {
	i := g.numberOf(key, -1)
	list := g.lists[i]
	if own.take(i) {
		list = slices.Clone(list)
	}
	at := slices.Index(list, n)
	g.lists[i] = slices.Delete(list, at, at+1)
	if len(g.lists[i]) > 0 {
		return
	}
	g.number.remove(g.hash(key), func(j int32) bool { return j == i })
	g.free = append(g.free, i)
	if g.sorted != nil {
		at := slices.Index(g.sorted, i)
		g.sorted = slices.Delete(g.sorted, at, at+1)
	}
}
