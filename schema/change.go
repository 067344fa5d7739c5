package schema

import "slices"

// Change is how one set differs from another: objects that are gone, and objects that have come. One that is another than
// before is both. Each is sorted by key.
type Change struct{ Gone, Come []Object }

// Changed is s after a change, with other positions. Every object that is gone is in s, and no key is in it twice afterwards.
func (s *Set) Changed(c Change, positions map[string]Position) *Set {
	return &Set{
		Pods:                   changed(s.Pods, c),
		Services:               changed(s.Services, c),
		ReplicationControllers: changed(s.ReplicationControllers, c),
		Endpoints:              changed(s.Endpoints, c),
		ConfigMaps:             changed(s.ConfigMaps, c),
		Secrets:                changed(s.Secrets, c),
		Namespaces:             changed(s.Namespaces, c),
		Nodes:                  changed(s.Nodes, c),
		Clusters:               changed(s.Clusters, c),
		Policies:               changed(s.Policies, c),
		Positions:              positions,
	}
}

func changed[T Object](l []T, c Change) []T {
	gone, come := of[T](c.Gone), of[T](c.Come)
	if len(gone)+len(come) == 0 {
		return l
	}
	if l = Replace(l, gone, come, func(a, b T) int { return a.Key().Compare(b.Key()) }); len(l) == 0 {
		return nil
	}
	return l
}

// of is those objects that are of one type.
func of[T Object](objects []Object) (out []T) {
	for _, o := range objects {
		if x, ok := o.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

// Replace is a sorted list without what is gone and with what has come, both sorted as the list. What is not changed is not looked at.
func Replace[T any](list, gone, come []T, compare func(a, b T) int) []T {
	out := make([]T, 0, len(list)-len(gone)+len(come))
	for len(gone)+len(come) > 0 {
		next := 0 // of gone and come, the first: -1 is of gone, 1 of come, 0 both
		switch {
		case len(come) == 0:
			next = -1
		case len(gone) == 0:
			next = 1
		default:
			next = compare(gone[0], come[0])
		}
		var x T
		if next <= 0 {
			x, gone = gone[0], gone[1:]
		}
		var y T
		if next >= 0 {
			y, come = come[0], come[1:]
			if next > 0 {
				x = y
			}
		}
		i, _ := slices.BinarySearchFunc(list, x, compare)
		out, list = append(out, list[:i]...), list[i:]
		if next <= 0 {
			list = list[1:]
		}
		if next >= 0 {
			out = append(out, y)
		}
	}
	return append(out, list...)
}

// CheckChange is [Set.Check] of a set that came of a change, if nothing clashed before it: only what the change can have
// brought is looked for.
func (s *Set) CheckChange(c Change) []Clash {
	k := &setChecker{set: s}
	if len(of[*Service](c.Come))+len(of[*Endpoints](c.Come)) > 0 {
		k.services()
	}
	if slices.ContainsFunc(c.Come, func(o Object) bool { return !has(c.Gone, o.Key()) }) {
		k.names()
	}
	if slices.ContainsFunc(c.Gone, func(o Object) bool { return lacks(c.Come, o) }) {
		k.references()
	} else {
		for _, o := range c.Come {
			switch o := o.(type) {
			case *Pod:
				k.podReferences(o.Key(), []string{"spec"}, &o.Spec)
			case *ReplicationController:
				k.podReferences(o.Key(), []string{"spec", "template", "spec"}, &o.Spec.Template.Spec)
			}
		}
	}
	k.targets(&c)
	k.settings()
	if slices.ContainsFunc(c.Come, func(o Object) bool { _, ok := MovedFrom(o); return ok }) {
		k.pasts()
	}
	k.replicasOf(&c)
	if c.reordered() {
		k.order()
	}
	return k.clashes
}

// lacks tells whether something that was in an object, to which others may refer, is not in the object that has come in its place.
func lacks(come []Object, was Object) bool {
	if k := was.Key().Kind; k != KindConfigMap && k != KindSecret {
		return false
	}
	i, ok := search(come, was.Key())
	if !ok {
		return true
	}
	h := come[i].(interface{ Has(string) bool })
	return slices.ContainsFunc(dataKeys(was), func(key string) bool { return !h.Has(key) })
}

// both calls f with each object that has come, and with each that is gone, beside what was or is in its place: nil if nothing.
func (c *Change) both(f func(o, other Object)) {
	for _, l := range [][2][]Object{{c.Gone, c.Come}, {c.Come, c.Gone}} {
		for _, o := range l[0] {
			var other Object
			if i, ok := search(l[1], o.Key()); ok {
				other = l[1][i]
			}
			f(o, other)
		}
	}
}

// search finds a key in objects that are sorted.
func search[T Object](sorted []T, k Key) (int, bool) {
	return slices.BinarySearchFunc(sorted, k, func(o T, k Key) int { return o.Key().Compare(k) })
}

func has(sorted []Object, k Key) bool {
	_, ok := search(sorted, k)
	return ok
}
