package reconcile

import "maps"

// layered is a map of pointers that is never changed: with returns another, and copies only what few changes were made since the
// last that copied all.
type layered[K comparable, V any] struct{ all, since map[K]*V }

// get is what stands under a key, nil if nothing does.
func (l layered[K, V]) get(k K) *V {
	if len(l.since) > 0 {
		if v, ok := l.since[k]; ok {
			return v
		}
	}
	return l.all[k]
}

// with has something else under some keys; nil is nothing.
func (l layered[K, V]) with(changes map[K]*V) layered[K, V] {
	if len(changes) == 0 {
		return l
	}
	if len(l.since)+len(changes) <= len(l.all)/8 {
		since := make(map[K]*V, len(l.since)+len(changes))
		maps.Copy(since, l.since)
		maps.Copy(since, changes)
		return layered[K, V]{l.all, since}
	}
	all := make(map[K]*V, len(l.all)+len(changes))
	maps.Copy(all, l.all)
	for _, from := range []map[K]*V{l.since, changes} {
		for k, v := range from {
			if v == nil {
				delete(all, k)
			} else {
				all[k] = v
			}
		}
	}
	return layered[K, V]{all: all}
}
