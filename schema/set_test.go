package schema_test

import (
	"slices"
	"strings"
	"testing"

	"reconciler/schema"
)

func TestSetCheck(t *testing.T) {
	svc := func(namespace, name, clusterIP string, port uint16, public ...string) *schema.Service {
		return &schema.Service{Meta: schema.Meta{Name: name, Namespace: namespace}, Spec: schema.ServiceSpec{
			Ports: []schema.ServicePort{{Port: port}}, ClusterIP: clusterIP, ExternalIPs: public}}
	}
	for name, c := range map[string]struct {
		in   []*schema.Service
		want int
	}{
		"two ids that fold to one prefix":     {[]*schema.Service{svc("a", "db-x", "", 1), svc("a", "db_x", "", 1)}, 1},
		"the same in two namespaces":          {[]*schema.Service{svc("a", "db-x", "", 1), svc("b", "db_x", "", 1)}, 0},
		"one portal IP asked for twice":       {[]*schema.Service{svc("a", "x", "10.0.0.1", 1), svc("b", "y", "10.0.0.1", 2)}, 1},
		"one public address twice":            {[]*schema.Service{svc("a", "x", "", 1, "10.245.2.2"), svc("b", "y", "", 1, "10.245.2.2")}, 1},
		"one public address, different ports": {[]*schema.Service{svc("a", "x", "", 1, "10.245.2.2"), svc("b", "y", "", 2, "10.245.2.2")}, 0},
		"no wishes":                           {[]*schema.Service{svc("a", "x", "", 1), svc("a", "y", "", 1)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&schema.Set{Services: c.in}).Check()
			if len(got) != c.want {
				t.Errorf("got %+v", got)
			}
			if len(got) > 0 && (got[0].Key != c.in[1].Key() || got[0].Other != c.in[0].Key()) {
				t.Errorf("got %v and %v", got[0].Key, got[0].Other)
			}
		})
	}
}

// TestSetReferences: names that DNS does not tell apart, ports of minions asked for twice, and what is not there.
func TestSetReferences(t *testing.T) {
	meta := func(name string) schema.Meta { return schema.Meta{Name: name, Namespace: "default"} }
	pod := func(name string, spec schema.PodSpec) *schema.Pod { return &schema.Pod{Meta: meta(name), Spec: spec} }
	nodePort := func(name string, port uint16, p schema.Protocol) *schema.Service {
		return &schema.Service{Meta: meta(name), Spec: schema.ServiceSpec{Type: schema.ServiceNodePort, Ports: []schema.ServicePort{{Port: 80, NodePort: port, Protocol: p}}}}
	}
	conf := func(namespace string) *schema.ConfigMap {
		return &schema.ConfigMap{Meta: schema.Meta{Name: "conf", Namespace: namespace}, Data: map[string]string{"a": "1"}}
	}
	uses := schema.PodSpec{Volumes: []schema.Volume{{Name: "v", ConfigMap: &schema.ConfigMapFiles{Name: "conf", Items: []schema.KeyPath{{Key: "a"}, {Key: "b"}}}}}}
	for name, c := range map[string]struct {
		in   []schema.Object
		want []string
	}{
		"pods of one DNS name":            {[]schema.Object{pod("Web_1", schema.PodSpec{}), pod("web-1", schema.PodSpec{})}, []string{"its name in DNS (web-1) is that of Pod/Web_1"}},
		"a pod and a service of one name": {[]schema.Object{pod("web", schema.PodSpec{}), nodePort("web", 1, "")}, nil},
		"one port of the minions twice":   {[]schema.Object{nodePort("a", 30000, ""), nodePort("b", 30000, "")}, []string{"asks for the port of the minions of Service/a"}},
		"of two protocols":                {[]schema.Object{nodePort("a", 30000, ""), nodePort("b", 30000, schema.UDP)}, nil},
		"without a wish":                  {[]schema.Object{nodePort("a", 0, ""), nodePort("b", 0, "")}, nil},
		"a key that is not there":         {[]schema.Object{pod("p", uses), conf("default")}, []string{`ConfigMap "conf" has no key "b" of `}},
		"of another namespace":            {[]schema.Object{pod("p", uses), conf("other")}, []string{`ConfigMap "conf" is not there of `}},
		"endpoints of a service that has a selector": {[]schema.Object{&schema.Endpoints{Meta: meta("s")}, &schema.Service{Meta: meta("s"), Spec: schema.ServiceSpec{Selector: map[string]string{"a": "b"}}}},
			[]string{"what is behind the service is found by the selector of Service/s"}},
	} {
		var got []string
		for _, x := range schema.NewSet(c.in, nil).Check() {
			other := ""
			if x.Other != (schema.Key{}) {
				other = x.Other.String()
			}
			got = append(got, x.Message+" of "+other)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q", name, got)
		}
	}
}

// A name that no minion could make a directory of is refused in Git, not on the minion.
func TestNamesFitInAFileName(t *testing.T) {
	for _, n := range []int{230, 231} {
		p := &schema.Pod{Meta: schema.Meta{Name: strings.Repeat("a", n), Namespace: "default"}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i"}}}}
		r := &schema.ReplicationController{Meta: p.Meta, Spec: schema.ControllerSpec{Template: schema.Template{Labels: map[string]string{"a": "b"}, Spec: p.Spec}}}
		for _, problems := range [][]schema.Problem{p.Check(), r.Check()} {
			if refused := len(problems) > 0; refused != (n > 230) {
				t.Errorf("a name of %d characters: %v", n, problems)
			}
		}
	}
}
