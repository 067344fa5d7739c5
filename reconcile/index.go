package reconcile

import (
	"slices"

	"reconciler/schema"
)

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
	number sharded[K, int32]
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
	if i, ok := g.number.get(key); ok {
		return g.lists[i]
	}
	return nil
}

// numberOf is the number of a key, -1 if it has none. maybe is it, as far as is known.
func (g *index[K]) numberOf(key K, maybe int32) int32 {
	if g.is(key, maybe) {
		return maybe
	}
	if i, ok := g.number.get(key); ok {
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
	i, ok := maybe, g.is(key, maybe)
	if !ok {
		i, ok = g.number.get(key)
	}
	g.last = i
	if !ok {
		if last := len(g.free) - 1; last >= 0 {
			i, g.free = g.free[last], g.free[:last]
			g.keys[i] = key
		} else {
			i = int32(len(g.keys))
			g.keys, g.lists = append(g.keys, key), append(g.lists, nil)
		}
		g.lists[i], g.last = nil, i
		own.take(i)
		g.number.set(key, i)
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
	i, _ := g.number.get(key)
	list := g.lists[i]
	if own.take(i) {
		list = slices.Clone(list)
	}
	at := slices.Index(list, n)
	g.lists[i] = slices.Delete(list, at, at+1)
	if len(g.lists[i]) > 0 {
		return
	}
	g.number.remove(key)
	g.free = append(g.free, i)
	if g.sorted != nil {
		at := slices.Index(g.sorted, i)
		g.sorted = slices.Delete(g.sorted, at, at+1)
	}
}

// shards is how many maps a sharded one has: what is changed in a large one is to be copied with a small part of it only.
const shards = 2048

// sharded is a map that can be copied in small parts. hash chooses the part.
type sharded[K comparable, V any] struct {
	hash func(K) uint32
	part [shards]map[K]V
	own  *[shards]bool // nil: none
}

func (s *sharded[K, V]) get(k K) (V, bool) {
	v, ok := s.part[s.hash(k)%shards][k]
	return v, ok
}

func (s *sharded[K, V]) edit() sharded[K, V] {
	out := *s
	out.own = nil
	return out
}

// mine is the part of a key, that may be changed.
func (s *sharded[K, V]) mine(k K) map[K]V {
	if s.own == nil {
		s.own = new([shards]bool)
	}
	i := s.hash(k) % shards
	if !s.own[i] {
		m := make(map[K]V, len(s.part[i])+1)
		for k, v := range s.part[i] {
			m[k] = v
		}
		s.part[i], s.own[i] = m, true
	}
	return s.part[i]
}

func (s *sharded[K, V]) set(k K, v V) { s.mine(k)[k] = v }

func (s *sharded[K, V]) remove(k K) { delete(s.mine(k), k) }

// hashString is FNV-1a.
func hashString(s string) uint32 { return hashOn(2166136261, s) }

func hashKey(k schema.Key) uint32 { return hashOn(hashOn(2166136261, k.Namespace), k.Name) }

func hashOn(h uint32, s string) uint32 {
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}
