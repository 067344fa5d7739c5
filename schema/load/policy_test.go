package load_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"reconciler/schema"
	"reconciler/schema/load"
)

// TestPolicyExample: the example is right by its own policies and the server's.
func TestPolicyExample(t *testing.T) {
	own, err := newLoader(t, "").Tree(os.DirFS("../../examples/policies/server"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := load.New(load.Config{Evaluate: evaluate, Policies: own.Set.Policies})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Tree(os.DirFS("../../examples/policies"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Set.Policies) != 5 || r.Set.Cluster() == nil || len(r.Set.Services) != 1 {
		t.Errorf("loaded %d objects", r.Set.Len())
	}
}

const imagePolicy = "apiVersion: reconciler/v1\nkind: Policy\nmetadata: {name: p}\nspec: {cue: 'pod: spec: containers: [...{image: =~\"^%\"}]'}\n"

// TestPoliciesAreKept: an object is judged again if it or a policy changed, and not otherwise.
// Killed: verdicts that are not of the policies at hand.
func TestPoliciesAreKept(t *testing.T) {
	children := 0
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd {
		children++
		return evaluate(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(pod, "name: a", "name: b", 1)
	i, q := strings.Replace(imagePolicy, "%", "i:", 1), strings.Replace(imagePolicy, "%", "q:", 1)
	for _, c := range []struct {
		name     string
		files    []string
		errors   int
		children int
	}{
		{"at first", []string{"p.yaml", i, "a.yaml", pod}, 0, 1},
		{"again", []string{"p.yaml", i, "a.yaml", pod}, 0, 1},
		{"one more", []string{"p.yaml", i, "a.yaml", pod, "b.yaml", other}, 0, 2},
		{"another policy", []string{"p.yaml", q, "a.yaml", pod, "b.yaml", other}, 2, 3},
		{"still", []string{"p.yaml", q, "a.yaml", pod, "b.yaml", other}, 2, 3},
		{"the first policy", []string{"p.yaml", i, "a.yaml", pod, "b.yaml", other}, 0, 4},
		{"a rule that is wrong", []string{"p.yaml", strings.Replace(imagePolicy, "pod:", "pop:", 1), "a.yaml", pod}, 1, 5},
		{"still wrong", []string{"p.yaml", strings.Replace(imagePolicy, "pod:", "pop:", 1), "a.yaml", pod}, 1, 6},
		{"no policy", []string{"a.yaml", pod}, 0, 6},
	} {
		_, err := l.Tree(tree(c.files...))
		n := 0
		if err != nil {
			n = len(err.(load.Errors))
		}
		if n != c.errors || children != c.children {
			t.Errorf("%s: %d errors, %d children: %v", c.name, n, children, err)
		}
	}
}

// TestServerPolicies: a tree cannot weaken them, by a policy of the same name neither.
func TestServerPolicies(t *testing.T) {
	server := func(s schema.PolicySpec) *schema.Policy {
		return &schema.Policy{Meta: schema.Meta{Name: "base"}, Spec: s}
	}
	own := []*schema.Policy{server(schema.PolicySpec{RequireLabels: []string{"team"}}), server(schema.PolicySpec{CUE: "pod: spec: hostname!: string"})}
	l, err := load.New(load.Config{Evaluate: evaluate, Policies: own})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Tree(tree("a.yaml", pod, "p.yaml", "apiVersion: reconciler/v1\nkind: Policy\nmetadata: {name: base}\nspec: {match: {kinds: [Node]}, requireLabels: [x]}\n"))
	want := `a.yaml:3:1: Pod/a: metadata.labels: server's policy "base": the label "team" is missing
a.yaml:4:1: Pod/a: spec.hostname: server's policy "base": field is required but not present`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestRulesNeedAChild: without a way to evaluate them, rules are an error and never met.
func TestRulesNeedAChild(t *testing.T) {
	l, err := load.New(load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(tree("p.yaml", imagePolicy)); err == nil || !strings.Contains(err.Error(), "rules in CUE are not evaluated here") {
		t.Error(err)
	}
}

// TestJudgedAgainAfterFailure: objects that a child did not get to are judged when one does. Killed: verdicts that are kept
// all the same.
func TestJudgedAgainAfterFailure(t *testing.T) {
	fail := true
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd {
		if fail {
			return exec.CommandContext(ctx, "false")
		}
		return evaluate(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	in := tree("a.yaml", pod, "p.yaml", strings.Replace(imagePolicy, "%", "q:", 1))
	for _, want := range []string{"was not evaluated: ", "invalid value"} {
		if _, err := l.Tree(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
		fail = false
	}
}

// TestEndlessRule: a rule without end is an error at its policy, and the others are obeyed.
func TestEndlessRule(t *testing.T) {
	endless := `apiVersion: reconciler/v1
kind: Policy
metadata: {name: endless}
spec: {cue: "import \"list\"\npod: spec: n: len(list.Range(0, 50000000, 1))"}
`
	_, err := newLoader(t, "").Tree(tree("a.yaml", pod, "e.yaml", endless, "p.yaml", strings.Replace(imagePolicy, "%", "q:", 1)))
	if err == nil || !strings.Contains(err.Error(), "e.yaml:4:13: Policy/endless: spec.cue: was not evaluated: ") || !strings.Contains(err.Error(), "a.yaml:4:38: Pod/a: spec.containers[0].image: policy \"p\": ") {
		t.Error(err)
	}
}

// TestUnjudged: what only reads objects is not held to policies.
func TestUnjudged(t *testing.T) {
	l, err := load.New(load.Config{Unjudged: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(tree("a.yaml", pod, "p.yaml", strings.Replace(imagePolicy, "%", "q:", 1))); err != nil {
		t.Error(err)
	}
}

// TestJudgedByOwnPolicies: a tree of other policies that is loaded meanwhile does not change what a tree's own say. Killed:
// verdicts that are looked up after the rules were evaluated.
func TestJudgedByOwnPolicies(t *testing.T) {
	other := tree("a.yaml", pod, "q.yaml", "apiVersion: reconciler/v1\nkind: Policy\nmetadata: {name: q}\nspec: {match: {kinds: [Node]}, requireLabels: [x]}\n")
	meanwhile := func() {}
	var l *load.Loader
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd {
		meanwhile()
		return evaluate(ctx)
	}})
	if err != nil {
		t.Fatal(err)
	}
	rules := "apiVersion: reconciler/v1\nkind: Policy\nmetadata: {name: p}\nspec: {match: {kinds: [Pod]}, requireLabels: [team]}\n---\n" +
		strings.Replace(strings.Replace(imagePolicy, "%", "i:", 1), "name: p", "name: r", 1)
	files := []string{"p.yaml", rules, "a.yaml", pod}
	if _, err := l.Tree(tree(files...)); err == nil || !strings.Contains(err.Error(), `"team" is missing`) {
		t.Fatal(err)
	}
	meanwhile = func() {
		if _, err := l.Tree(other); err != nil {
			t.Error(err)
		}
	}
	if _, err := l.Tree(tree(append(files, "b.yaml", strings.Replace(pod, "{name: a", "{name: b, labels: {team: x}", 1))...)); err == nil || !strings.Contains(err.Error(), `"team" is missing`) {
		t.Errorf("the tree is taken: %v", err)
	}
}
