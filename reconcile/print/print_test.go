package print_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/print"
	"reconciler/schema"
)

// What is printed of whole plans is in the scenarios of package reconcile.

func plan() (reconcile.Input, reconcile.Plan) {
	key := schema.Key{Kind: schema.KindPod, Namespace: "team", Name: "db"}
	in := reconcile.Input{Revision: reconcile.Revision{Hash: "c2", Ref: "main"}, State: reconcile.State{Applied: reconcile.Revision{Hash: "c1"}}}
	return in, reconcile.Plan{
		Changes: []reconcile.Change{
			{Verb: reconcile.Create, Object: key, Instance: "db-1", Minion: "m1", Reason: "new in Git"},
			{Verb: reconcile.Replace, Object: key, Instance: "db-2", Old: "db-1", Minion: "m1", Reason: "2 fields of the spec change", How: "stop-first", Waiting: "a < b", Blocked: true,
				Details: []reconcile.Detail{{Path: "spec.x", From: "", To: "1"}, {Path: "spec.y", From: "2", To: ""}}},
		},
		Warnings: []string{"odd"},
	}
}

func TestPlan(t *testing.T) {
	in, p := plan()
	var plain, coloured bytes.Buffer
	if err := print.Plan(&plain, in, p, false); err != nil {
		t.Fatal(err)
	}
	want := `  + create Pod/team/db db-1 on m1
      new in Git
-/+ replace Pod/team/db db-1 by db-2 on m1
      2 fields of the spec change (stop-first)
      spec.x: (none) -> 1
      spec.y: 2 -> (none)
      blocked: a < b
warning: odd

Plan: 1 to create, 1 to replace stop-first; 1 blocked. 0 objects unchanged.
`
	if plain.String() != want {
		t.Errorf("got:\n%s", plain.String())
	}
	if err := print.Plan(&coloured, in, p, true); err != nil {
		t.Fatal(err)
	}
	checkColour(t, plain.String(), coloured.String())
}

// checkColour: colour only adds escape sequences, and each line ends without one.
// Mutant: paint ignores whether colour is on.
func checkColour(t *testing.T, plain, coloured string) {
	t.Helper()
	if strings.Contains(plain, "\x1b") {
		t.Errorf("colour where none was asked for: %q", plain)
	}
	stripped := coloured
	for _, c := range []string{"31", "32", "33", "36", "1", "0"} {
		stripped = strings.ReplaceAll(stripped, "\x1b["+c+"m", "")
	}
	if coloured == plain || stripped != plain {
		t.Errorf("without its colours it is %q, want %q", stripped, plain)
	}
	for _, line := range strings.Split(coloured, "\n") {
		if strings.Count(line, "\x1b[0m")*2 != strings.Count(line, "\x1b[") {
			t.Errorf("line leaves a colour on: %q", line)
		}
	}
}

func TestPlanJSON(t *testing.T) {
	in, p := plan()
	var b bytes.Buffer
	if err := print.PlanJSON(&b, in, p, nil); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "\\u003c") {
		t.Error("text is escaped for HTML")
	}
	var d struct {
		FormatVersion string           `json:"format_version"`
		Hash          string           `json:"hash"`
		Summary       map[string]int   `json:"summary"`
		Revision      map[string]any   `json:"revision"`
		Applied       map[string]any   `json:"applied"`
		Changes       []map[string]any `json:"changes"`
		Warnings      []string         `json:"warnings"`
	}
	e := json.NewDecoder(&b)
	e.DisallowUnknownFields()
	if err := e.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if d.FormatVersion != "2" || d.Revision["hash"] != "c2" || d.Applied["hash"] != "c1" || len(d.Changes) != 2 || len(d.Warnings) != 1 ||
		d.Hash != reconcile.PlanHash(in.Revision, p.Changes) || d.Summary["create"] != 1 || d.Summary["replaceStopFirst"] != 1 || d.Summary["blocked"] != 1 {
		t.Errorf("got %+v", d)
	}
	c := d.Changes[1]
	object, _ := c["object"].(map[string]any)
	if c["verb"] != "replace" || object["namespace"] != "team" || c["old"] != "db-1" || c["instance"] != "db-2" || c["how"] != "stop-first" || c["blocked"] != true {
		t.Errorf("got %+v", c)
	}
}

func TestPlanJSONOfNoChangesIsAnEmptyList(t *testing.T) {
	var b bytes.Buffer
	if err := print.PlanJSON(&b, reconcile.Input{}, reconcile.Plan{}, nil); err != nil || !strings.Contains(b.String(), `"changes": []`) {
		t.Errorf("got %s, %v", b.String(), err)
	}
}

func TestStatus(t *testing.T) {
	s := reconcile.Status{
		Sync: reconcile.OutOfSync, Health: reconcile.Degraded, Applied: reconcile.Revision{Hash: "0123456789abcdef", Ref: "main", Subject: "one", Author: "Ada"},
		Attempted: reconcile.Revision{Hash: "fedcba9876543210", Ref: "main"}, Errors: []string{"a.json:1:2: odd"}, Warnings: []string{"careful"},
		Objects:   []reconcile.ObjectStatus{{Key: schema.Key{Kind: schema.KindPod, Namespace: "default", Name: "a"}, Sync: reconcile.Synced, Health: reconcile.Healthy, Desired: 1, Ready: 1}},
		Instances: []reconcile.InstanceStatus{{Binding: reconcile.Binding{ID: "a-1", Phase: assignment.Drain}, Minion: "m1", Reason: "scaled to 0"}},
		Minions: []reconcile.MinionStatus{
			{Name: "m1", Health: reconcile.Healthy, Capacity: assignment.Capacity{MilliCPU: 2000, Memory: 1 << 30, Pods: 110}, Reserved: assignment.Capacity{Pods: 1, MilliCPU: 100}},
			{Name: "m2", Health: reconcile.Unknown, Reason: "has not reported since the server started"},
		},
	}
	var plain, coloured bytes.Buffer
	if err := print.Status(&plain, s, false); err != nil {
		t.Fatal(err)
	}
	want := `Fleet:      OutOfSync, Degraded
Applied:    main@0123456789ab "one" by Ada
Attempted:  main@fedcba987654
  a.json:1:2: odd
  The applied revision stays in force until a commit is accepted.
  warning: careful

OBJECT  SYNC    HEALTH   READY  REASON
Pod/a   Synced  Healthy  1/1

LEAVING  MINION  PHASE  REASON
a-1      m1      drain  scaled to 0

MINION  HEALTH   PODS   CPU         MEMORY    REASON
m1      Healthy  1/110  100m/2000m  0Mi/1024Mi
m2      Unknown  0/-    -           -         has not reported since the server started
`
	if got := plain.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("got:\n%s", got)
	}
	if err := print.Status(&coloured, s, true); err != nil {
		t.Fatal(err)
	}
	checkColour(t, plain.String(), coloured.String())
}

func TestDisruptionsAndSteps(t *testing.T) {
	var b bytes.Buffer
	service := func(name string) schema.Key {
		return schema.Key{Kind: schema.KindService, Namespace: "default", Name: name}
	}
	all := []reconcile.Disruption{{Service: service("a"), Now: 3, Lowest: 2}, {Service: service("long"), Now: 1, None: true}, {Service: service("x"), Now: 1, None: true, Gone: true}}
	if err := print.Disruptions(&b, all, false); err != nil {
		t.Fatal(err)
	}
	p := reconcile.Plan{Changes: []reconcile.Change{{Blocked: true, WaitingCode: reconcile.CodeNoRoom}, {Blocked: true, WaitingCode: reconcile.CodeNoRoom}, {WaitingCode: reconcile.CodeInTurn}}}
	if err := print.Steps(&b, p); err != nil {
		t.Fatal(err)
	}
	want := `SERVICE       READY  LOWEST  ON THE WAY
Service/a     3      2       never fewer than 2
Service/long  1      0       perhaps no endpoint for a moment
Service/x     1      0       the service or a port of it goes away

2 blocked (no-room): give pods less to reserve, or add a minion: ` + "`diff --add-minion`" + ` tells whether that helps
`
	if b.String() != want {
		t.Errorf("got:\n%s", b.String())
	}
	b.Reset()
	if err := print.Disruptions(&b, nil, true); err != nil || b.Len() > 0 {
		t.Errorf("%q, %v", b.String(), err)
	}
}
