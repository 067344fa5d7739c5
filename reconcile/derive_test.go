package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
)

// TestDeriveFromAnother: what is worked out of a set is the same whether it is taken from another set where that has the same or worked
// out of it alone, and what another has is not changed. The difference has all that is another. Mutants: the numbers of what is gone
// stay under its labels; a controller that fewer pods count for keeps its number of replicas; services of a namespace in which
// labels changed are not looked at again.
func TestDeriveFromAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before *derived
		set := &schema.Set{}
		said := describeDerived(before)
		for range rapid.IntRange(1, 6).Draw(t, "commits") {
			set = anotherSet(t, set)
			d, x := deriveFrom(set, before)
			if got, want := describeDerived(d), describeDerived(derive(set, nil)); got != want {
				t.Fatalf("from another it is\n%s\nalone it is\n%s", got, want)
			}
			if was := describeDerived(before); was != said {
				t.Fatalf("what it was taken from was\n%s\nand is\n%s", said, was)
			}
			checkDifference(t, before, d, x)
			before, said = d, describeDerived(d)
		}
	})
}

// anotherSet is a set with a few other objects.
func anotherSet(t *rapid.T, was *schema.Set) *schema.Set {
	objects := map[schema.Key]schema.Object{}
	for o := range was.Objects() {
		objects[o.Key()] = o
	}
	labels := func() map[string]string {
		l := map[string]string{}
		for _, k := range []string{"a", "b"} {
			if v := rapid.IntRange(0, 2).Draw(t, "label"); v > 0 {
				l[k] = fmt.Sprint(v)
			}
		}
		return l
	}
	for range rapid.IntRange(0, 6).Draw(t, "changes") {
		meta := schema.Meta{Name: fmt.Sprintf("o%d", rapid.IntRange(0, 4).Draw(t, "name")), Namespace: rapid.SampledFrom([]string{"m", "n"}).Draw(t, "namespace"), Annotations: map[string]string{}}
		for _, a := range []string{schema.AnnotationWave, schema.AnnotationGroup, schema.AnnotationSuspend} {
			if rapid.IntRange(0, 7).Draw(t, "annotated") == 0 {
				meta.Annotations[a] = "1"
			}
		}
		spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "web:1"}}, Priority: rapid.Int32Range(0, 2).Draw(t, "priority")}
		if rapid.IntRange(0, 4).Draw(t, "ported") == 0 {
			spec.Containers[0].Ports = []schema.Port{{ContainerPort: 80, HostPort: 80}}
		}
		var o schema.Object
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			meta.Labels = labels()
			o = &schema.Pod{Meta: meta, Spec: spec}
		case 1:
			n := rapid.IntRange(0, 3).Draw(t, "replicas")
			o = &schema.ReplicationController{Meta: meta, Spec: schema.ControllerSpec{Replicas: &n, Selector: labels(), Template: schema.Template{Labels: labels(), Spec: spec}}}
		default:
			o = &schema.Service{Meta: meta, Spec: schema.ServiceSpec{Selector: labels(), Ports: []schema.ServicePort{{Port: 80}}}}
		}
		if _, there := objects[o.Key()]; there && rapid.Bool().Draw(t, "goes") {
			delete(objects, o.Key())
		} else {
			objects[o.Key()] = o
		}
	}
	return schema.NewSet(slices.Collect(maps.Values(objects)), nil)
}

// describeDerived tells all that is asked of what was worked out of a set.
func describeDerived(d *derived) (out string) {
	if d == nil {
		return ""
	}
	say := func(format string, args ...any) { out += fmt.Sprintf(format, args...) + "\n" }
	for _, w := range d.workloads {
		say("%s %p %s replicas=%d counted=%d", w.name, w.object, w.hash, w.replicas, len(d.counted[w.key]))
		if d.by.get(w.key) != w || d.named.get(w.name) != w || d.numbered[w.id] != w {
			say("and is not found")
		}
	}
	for i, o := range d.offers {
		var keys []string
		for _, id := range d.selected[i] {
			keys = append(keys, d.numbered[id].name)
		}
		slices.Sort(keys)
		say("%s %p selects %s, %v", o.name, o.service, keys, d.service(o.key) == o.service)
	}
	for _, list := range [][]*workload{d.held, d.ported} {
		for _, w := range list {
			say("listed %s", w.name)
		}
	}
	for _, g := range slices.Sorted(maps.Keys(d.groups)) {
		for _, w := range d.groups[g] {
			say("group %s: %s %v", g, w.name, d.by.get(w.key) == w)
		}
	}
	if d.order != nil {
		say("waves %v, inherited %v", d.order.waves, d.order.inherited)
	}
	say("ruled %v, fenced %v", d.ruled, d.fenced)
	return out
}

func checkDifference(t *rapid.T, before, d *derived, x *difference) {
	if before == nil {
		before = &derived{}
	}
	came, gone := map[*workload]bool{}, map[*workload]bool{}
	for _, w := range x.came {
		came[w] = true
	}
	for _, w := range x.gone {
		gone[w] = true
	}
	for _, w := range d.workloads {
		if came[w] == slices.Contains(before.workloads, w) {
			t.Fatalf("%s came: %v", w.name, came[w])
		}
	}
	for _, w := range before.workloads {
		if gone[w] == slices.Contains(d.workloads, w) {
			t.Fatalf("%s is gone: %v", w.name, gone[w])
		}
	}
	for _, o := range d.offers {
		if slices.Contains(x.offered, o) == slices.Contains(before.offers, o) {
			t.Fatalf("%s came", o.name)
		}
	}
	for _, o := range before.offers {
		if slices.Contains(x.withdrawn, o) == slices.Contains(d.offers, o) {
			t.Fatalf("%s is gone", o.name)
		}
	}
}
