package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/reconcile/print"
)

var updatePlan = flag.Bool("update-plan", false, "rewrite the JSON of docs/plan.md")

// TestPlanDocument: the JSON of docs/plan.md is what is printed, and its tables have every code. With -update-plan the JSON is
// written anew.
func TestPlanDocument(t *testing.T) {
	in, _, err := reconcile.Settle(declaring(t, fleetOf("m1", "m2"), "4f2a", 2, "web:1"))
	if err != nil {
		t.Fatal(err)
	}
	in = declaring(t, in, "90c1", 2, "web:2")
	in.Revision.Ref, in.Revision.Author, in.Revision.Subject = "main", "Ada", "New web"
	p, d, err := compute(in)
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := print.PlanJSON(&want, in, p, d); err != nil {
		t.Fatal(err)
	}
	const file = "../../docs/plan.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), "```json\n")
	got, after, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("docs/plan.md has no JSON")
	}
	if *updatePlan {
		if err := os.WriteFile(file, []byte(before+"```json\n"+want.String()+"```\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != want.String() {
		t.Errorf("docs/plan.md differs; run with -update-plan and review. Printed is\n%s", want.String())
	}
	source, err := os.ReadFile("../../reconcile/reason.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code += "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 20 {
		t.Fatalf("found %d codes", len(codes))
	}
	for _, c := range codes {
		if !strings.Contains(after, "| `"+c[1]+"` |") {
			t.Errorf("docs/plan.md does not tell of the code %q", c[1])
		}
	}
}
