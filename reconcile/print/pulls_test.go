package print_test

import (
	"fmt"
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/print"
	"reconciler/schema"
)

func TestPulls(t *testing.T) {
	var many []reconcile.Pull
	for i := range 20 {
		many = append(many, reconcile.Pull{Minion: fmt.Sprint("m", i/2), Image: fmt.Sprint("web:", i), Size: int64(i) * 1e8, Instances: 1})
	}
	for _, c := range []struct {
		name string
		all  []reconcile.Pull
		want string
	}{
		{"none", nil, ""},
		{"a known and an unknown one", []reconcile.Pull{{Minion: "m1", Image: "mongo:3.2", Size: 412_300_000, Instances: 1}, {Minion: "m2", Image: "new:1", Instances: 3}, {Minion: "m2", Image: "small:1", Size: 2_345_678}},
			"pulls: m1 mongo:3.2 412 MB, m2 new:1 size not known, m2 small:1 2.3 MB\n\n"},
		{"many are folded", many, "pulls: m0 web:0 size not known, m0 web:1 100 MB, m1 web:2 200 MB, m1 web:3 300 MB, m2 web:4 400 MB, m2 web:5 500 MB, m3 web:6 600 MB, m3 web:7 700 MB" +
			" and 12 more; together 19000 MB and 1 of a size not known on 10 minions\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := print.Pulls(&b, c.all); err != nil || b.String() != c.want {
				t.Errorf("%v, got\n%s", err, b.String())
			}
		})
	}
}

// A plan is the same plan wherever its images are. Mutant: pulls are part of the hash.
func TestPullsAreInTheDocumentAndNotInItsHash(t *testing.T) {
	in, p := plan()
	spec := &schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "mongo:3.2"}}}
	p.State.Bindings = reconcile.Bindings{}.With(reconcile.Binding{ID: "db-1", Pod: "db", Namespace: "team", Minion: "m1", Spec: spec, Phase: assignment.Run})
	unknown := reconcile.PlanHash(in.Revision, p.Changes)
	in.Minions = map[string]reconcile.Minion{"m1": {Report: &assignment.Report{Minion: "m1", Images: []assignment.Image{}}}}
	var b strings.Builder
	if err := print.NewDocument(in, p, nil).JSON(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"image": "mongo:3.2"`) {
		t.Errorf("no pulls in\n%s", b.String())
	}
	if got := reconcile.PlanHash(in.Revision, p.Changes); got != unknown || !strings.Contains(b.String(), got) {
		t.Errorf("hash %s, and %s where images are not known", got, unknown)
	}
}
