package schema_test

import (
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
