package schema

import (
	"fmt"
	"strings"
)

// MovedFrom is what an object says that it was before, by its annotation, and false if it says nothing. It was in the same
// namespace, as no object leaves the one that it is in.
func MovedFrom(o Object) (Key, bool) {
	kind, name, ok := strings.Cut(o.Metadata().Annotations[AnnotationMovedFrom], "/")
	return Key{Kind(kind), o.Key().Namespace, name}, ok
}

// pasts finds two objects that say to have been the same one.
func (c *setChecker) pasts() {
	seen := map[Key]Key{}
	note := func(o Object) {
		was, ok := MovedFrom(o)
		if !ok {
			return
		}
		if other, again := seen[was]; again {
			c.clashes = append(c.clashes, Clash{Key: o.Key(), Other: other, Problem: Problem{Path: []string{"metadata", "annotations", AnnotationMovedFrom},
				Message: fmt.Sprintf("its moved-from (%s) is that", was), Hint: "one object becomes one other: leave out one of the two"}})
			return
		}
		seen[was] = o.Key()
	}
	for _, p := range c.set.Pods {
		note(p)
	}
	for _, r := range c.set.ReplicationControllers {
		note(r)
	}
	for _, s := range c.set.Services {
		note(s)
	}
}
