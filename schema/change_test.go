package schema_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
)

// TestCheckChange: a set that is changed is the set of its objects, and what is found of the change alone is what is found of the whole, as long as
// nothing clashed before. Mutants that this test has killed: services are not compared when endpoints come; names are not when one is new; references
// are not looked at when a ConfigMap goes, or loses a key; ports are not when a pod goes, a service comes, or labels or ports are others; selectors and
// labels are not when they are others; the order is not when waves, dependencies or selectors are others, or something that was waited for is gone.
func TestCheckChange(t *testing.T) {
	found := map[string]int{} // by the last element of the path
	rapid.Check(t, func(t *rapid.T) {
		now := map[schema.Key]schema.Object{}
		set := func() *schema.Set {
			var all []schema.Object
			for _, o := range now {
				all = append(all, o)
			}
			return schema.NewSet(all, nil)
		}
		was := set()
		for range rapid.IntRange(20, 150).Draw(t, "changes") {
			gone, come := map[schema.Key]schema.Object{}, map[schema.Key]schema.Object{}
			for range rapid.IntRange(1, 2).Draw(t, "objects") {
				o := drawObject(t)
				k := o.Key()
				if old := now[k]; old != nil && gone[k] == nil && come[k] == nil {
					gone[k] = old
				}
				delete(now, k)
				delete(come, k)
				if rapid.IntRange(0, 3).Draw(t, "goes") > 0 {
					now[k], come[k] = o, o
				}
			}
			c := schema.Change{Gone: sorted(gone), Come: sorted(come)}
			is := was.Changed(c, nil)
			if want := set(); !reflect.DeepEqual(is, want) {
				t.Fatalf("got %v, want %v", is, want)
			}
			all := is.Check()
			if got, want := clashes(is.CheckChange(c)), clashes(all); !slices.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			for _, x := range all {
				found[x.Path[len(x.Path)-1]]++
			}
			if len(all) == 0 {
				was = is
				continue
			}
			for k := range come { // go on from before
				delete(now, k)
			}
			for k, o := range gone {
				now[k] = o
			}
		}
	})
	for _, what := range []string{"name", "clusterIP", "targetPort", "key", "labels", "kind", schema.AnnotationDependsOn, schema.AnnotationMovedFrom} {
		if found[what] < 10 {
			t.Errorf("only %d clashes of %s were found", found[what], what)
		}
	}
}

func sorted(objects map[schema.Key]schema.Object) (out []schema.Object) {
	for _, o := range objects {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b schema.Object) int { return a.Key().Compare(b.Key()) })
	return out
}

func clashes(all []schema.Clash) (out []string) {
	for _, c := range all {
		out = append(out, fmt.Sprint(c.Key, c.Other, c.Path, c.Message, c.Hint))
	}
	slices.Sort(out)
	return out
}

// drawObject is one of few names, labels and ports.
func drawObject(t *rapid.T) schema.Object {
	one := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	m := schema.Meta{Name: one("name", "a", "b", "a", "b", "c", "b_c", "b-c"), Namespace: one("namespace", "default", "default", "default", "other")}
	annotate := func() {
		m.Annotations = map[string]string{}
		for name, value := range map[string]string{
			schema.AnnotationWave: one("wave", "", "", "-1", "1"), schema.AnnotationDependsOn: one("on", "", "", "Pod/a", "Service/a", "Service/b", "ReplicationController/b"),
			schema.AnnotationMovedFrom: one("from", "", "", "", "", "Pod/x"),
		} {
			if value != "" {
				m.Annotations[name] = value
			}
		}
	}
	spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: one("image", "i", "j"), Ports: []schema.Port{{Name: one("port", "", "http", "db"), ContainerPort: 80}}}}}
	switch one("refers", "", "", "a", "b") {
	case "a":
		spec.Volumes = []schema.Volume{{Name: "v", ConfigMap: &schema.ConfigMapFiles{Name: "a", Items: []schema.KeyPath{{Key: one("key", "x", "y")}}}}}
	case "b":
		spec.ImagePullSecrets = []schema.LocalReference{{Name: "b"}}
	}
	labels := map[string]string{"app": one("label", "x", "y")}
	switch one("kind", "Pod", "Pod", "RC", "RC", "Service", "Service", "Endpoints", "ConfigMap", "ConfigMap", "Secret", "Cluster", "Namespace") {
	case "Pod":
		annotate()
		m.Labels = labels
		spec.RestartPolicy = schema.RestartPolicy(one("restart", "", "", "Never"))
		return &schema.Pod{Meta: m, Spec: spec}
	case "RC":
		annotate()
		r := &schema.ReplicationController{Meta: m, Spec: schema.ControllerSpec{Template: schema.Template{Labels: labels, Spec: spec}}}
		if one("replicas", "", "0") != "" {
			n := 0
			r.Spec.Replicas = &n
		}
		return r
	case "Service":
		s := &schema.Service{Meta: m, Spec: schema.ServiceSpec{Ports: []schema.ServicePort{{Port: 80}}}}
		if one("selects", "", "yes") == "yes" {
			s.Spec.Selector = labels
		}
		if p := one("target", "", "http", "db"); p != "" {
			s.Spec.Ports[0].TargetPort = &schema.PortOrName{Name: p}
		}
		s.Spec.ClusterIP = one("address", "", "", "", "10.0.0.7")
		return s
	case "Endpoints":
		return &schema.Endpoints{Meta: m}
	case "ConfigMap":
		return &schema.ConfigMap{Meta: m, Data: map[string]string{one("key", "x", "y"): "1", "x": one("value", "1", "2")}}
	case "Secret":
		return &schema.Secret{Meta: m, Data: map[string][]byte{one("key", "x", "y"): nil}}
	case "Cluster":
		return &schema.Cluster{Meta: schema.Meta{Name: m.Name}}
	}
	return &schema.Namespace{Meta: schema.Meta{Name: m.Name}}
}
