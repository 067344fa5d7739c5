package schema_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
)

// TestDependsOn reads what people write.
func TestDependsOn(t *testing.T) {
	m := schema.Meta{Name: "a", Namespace: "n", Annotations: map[string]string{schema.AnnotationDependsOn: "Pod/x,ReplicationController/m/y , Service/z", schema.AnnotationWave: "-12"}}
	keys, err := m.DependsOn()
	want := []schema.Key{{Kind: schema.KindPod, Namespace: "n", Name: "x"}, {Kind: schema.KindReplicationController, Namespace: "m", Name: "y"}, {Kind: schema.KindService, Namespace: "n", Name: "z"}}
	if err != nil || !slices.Equal(keys, want) || m.Wave() != -12 {
		t.Errorf("got %v, wave %d, %v", keys, m.Wave(), err)
	}
	for _, text := range []string{"Pod", "Pod/", "/x", "Pod/a/b/c", "Pod//x", "Pod/x,", "pod/x", "Node/x"} {
		m.Annotations[schema.AnnotationDependsOn] = text
		if keys, err := m.DependsOn(); err == nil {
			t.Errorf("%q is read as %v", text, keys)
		}
	}
}

// TestOrderCycles declares random pods with waves and dependencies, and lets them begin one after the other, whenever all that
// each waits for has begun: if some never can, there is an error, and else there is none.
//
// Mutants: waves are not looked at; a service waits for all of its pods; it selects by one of two labels; what waits behind a
// cycle is told as part of it; a cycle is told for each that waits.
func TestOrderCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var objects []schema.Object
		names := []string{"a", "b", "c", "d", "e"}
		for _, n := range names {
			m := schema.Meta{Name: n, Namespace: rapid.SampledFrom([]string{"x", "x", "y"}).Draw(t, "namespace"), Annotations: map[string]string{},
				Labels: map[string]string{"z": rapid.SampledFrom([]string{"p", "q"}).Draw(t, "label"), "t": "u"}}
			if w := rapid.IntRange(-2, 2).Draw(t, "wave"); w != 0 && rapid.Bool().Draw(t, "waits") {
				m.Annotations[schema.AnnotationWave] = fmt.Sprint(w)
			}
			var on []string
			for range rapid.IntRange(0, 2).Draw(t, "needs") {
				on = append(on, rapid.SampledFrom([]string{"Pod/x/a", "Pod/x/b", "Pod/y/c", "Pod/x/d", "Pod/x/e", "Service/x/p", "Service/x/q"}).Draw(t, "on"))
			}
			if len(on) > 0 {
				m.Annotations[schema.AnnotationDependsOn] = strings.Join(on, ", ")
			}
			objects = append(objects, &schema.Pod{Meta: m})
		}
		for _, n := range []string{"p", "q"} {
			objects = append(objects, &schema.Service{Meta: schema.Meta{Name: n, Namespace: "x"}, Spec: schema.ServiceSpec{Selector: map[string]string{"z": n, "t": "u"}, Ports: []schema.ServicePort{{Port: 80}}}})
		}
		set := schema.NewSet(objects, nil)
		began, there := map[schema.Key]bool{}, map[schema.Key]bool{}
		for _, o := range objects {
			there[o.Key()] = true
		}
		may := func(p *schema.Pod) bool {
			needs, _ := p.DependsOn()
			for _, k := range needs {
				if there[k] && k != p.Key() && !began[k] {
					return false
				}
			}
			return !slices.ContainsFunc(set.Pods, func(o *schema.Pod) bool {
				return o.Namespace == p.Namespace && o.Wave() < p.Wave() && !began[o.Key()]
			})
		}
		for range 20 {
			for _, p := range set.Pods {
				began[p.Key()] = began[p.Key()] || may(p)
			}
			for _, s := range set.Services {
				some, any := false, false
				for _, p := range set.Pods {
					if p.Namespace == s.Namespace && schema.Selects(s.Spec.Selector, p.Labels) {
						some, any = true, any || began[p.Key()]
					}
				}
				began[s.Key()] = any || !some
			}
		}
		stuck := false
		for _, p := range set.Pods {
			stuck = stuck || !began[p.Key()]
		}
		var told []string
		for _, c := range set.Check() {
			if strings.Contains(c.Message, "waits for itself") {
				told = append(told, c.Message)
				checkCycle(t, set, c)
			}
		}
		if stuck != (len(told) > 0) {
			t.Fatalf("some can never begin: %t; told are %q", stuck, told)
		}
		slices.Sort(told)
		if len(slices.Compact(slices.Clone(told))) != len(told) {
			t.Fatalf("told twice: %q", told)
		}
	})
}

// checkCycle fails if what is told to be a cycle is none: each has to wait for the next.
func checkCycle(t *rapid.T, set *schema.Set, c schema.Clash) {
	_, text, _ := strings.Cut(c.Message, ": ")
	text, _, _ = strings.Cut(text, ";")
	way := strings.Split(text, " -> ")
	if way[0] != c.Key.String() || way[len(way)-1] != way[0] || len(way) < 3 {
		t.Fatalf("%s: %q is no cycle", c.Key, way)
	}
	waits := map[string]bool{}
	for _, p := range set.Pods {
		needs, _ := p.DependsOn()
		for _, k := range needs {
			waits[p.Key().String()+" "+k.String()] = true
		}
		for _, o := range set.Pods {
			if o.Namespace == p.Namespace && o.Wave() < p.Wave() {
				waits[p.Key().String()+" "+o.Key().String()] = true
			}
		}
		for _, s := range set.Services {
			if s.Namespace == p.Namespace && schema.Selects(s.Spec.Selector, p.Labels) {
				waits[s.Key().String()+" "+p.Key().String()] = true
			}
		}
	}
	for i := range len(way) - 1 {
		if !waits[way[i]+" "+way[i+1]] {
			t.Fatalf("%s does not wait for %s: %s", way[i], way[i+1], c.Message)
		}
	}
}
