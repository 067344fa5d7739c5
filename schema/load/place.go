package load

import "reconciler/schema"

// Place is where a path of an object of the set was written, and that path as it was written there: "spec.args" of a
// canonical object may be "desiredState.command". What was not written has the place of what is around it.
func (r *Result) Place(k schema.Key, path []string) (at schema.Position, field string) {
	o := find(r.objects, k)
	if o == nil {
		return schema.Position{}, dotted(path)
	}
	return o.place(path), dotted(o.written(path))
}
