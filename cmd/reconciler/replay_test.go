package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/print"
	"reconciler/schema"
)

// replicas is a controller with a service, as people write them.
func replicas(n int, image string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ReplicationController
metadata: {name: web}
spec:
  replicas: %d
  selector: {name: web}
  template: {metadata: {labels: {name: web}}, spec: {containers: [{name: c, image: %q}]}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {name: web}, ports: [{port: 80}]}
`, n, image)
}

// fleetOf is a fleet of minions with a name, on which nothing runs yet.
func fleetOf(names ...string) reconcile.Input {
	in := reconcile.Input{Now: time.Unix(1e9, 0).UTC(), Settings: reconcile.DefaultSettings(), State: reconcile.State{Fleet: "f", Epoch: 1}, Minions: map[string]reconcile.Minion{}}
	for i, name := range names {
		in.Minions[name] = reconcile.Minion{Connected: true, LastSeen: in.Now, Reported: in.Now, Report: &assignment.Report{
			Minion: name, Address: netip.AddrFrom4([4]byte{10, 245, 2, byte(i + 2)}), Capacity: assignment.Capacity{MilliCPU: 4000, Memory: 8 << 30, Pods: 110}}}
	}
	return in
}

// whatIfRepository is a repository with three commits, tagged v1 to v3, and a snapshot of a fleet without anything.
func whatIfRepository(t *testing.T) string {
	t.Helper()
	r := newRepository(t)
	for i, text := range []string{replicas(2, "web:1"), replicas(2, "web:2"), replicas(3, "web:2")} {
		r.put(t, files{"web.yaml": text})
		r.push(t)
		r.git(t, "tag", fmt.Sprintf("v%d", i+1))
	}
	if err := saveSnapshot(filepath.Join(r.work, "fleet.json"), fleetOf("m1", "m2", "m3"), nil); err != nil {
		t.Fatal(err)
	}
	return r.work
}

func TestDiffAgainstASnapshot(t *testing.T) {
	dir := whatIfRepository(t)
	for _, c := range []struct {
		name, args string
		code       int
		out, errs  string
	}{
		{"a revision", "v1", 1, "Plan: 2 to create", ""},
		{"between two revisions", "v1..v2", 1, "image: web:1 -> web:2 (start-first)", ""},
		{"the forecast between two revisions", "v1..v2", 1, "Service/web  2      2       never fewer than 2", ""},
		{"replicas between two revisions", "v2..v3", 1, "scaled from 2 to 3", ""},
		{"nothing between a revision and itself", "v2..v2", 0, "Plan: nothing to do", ""},
		{"changes that are no failure", "--exit-code=false v1..v2", 0, "image: web:1 -> web:2", ""},
		{"a minion is lost", "--without m1 v1..v1", 1, "minion m1 is lost since", ""},
		{"a minion is drained", "--drain m1 v1..v1", 1, "minion m1 has the taint reconciler/drain:NoExecute", ""},
		{"a minion is new", "--without m1 --without m2 --without m3 --add-minion name=m9,cpu=64,memory=64Gi v1..v1", 1, "on m9", ""},
		{"a minion that is not there", "--without m9 v1..v1", 2, "", `the fleet has no minion "m9": it has m1, m2, m3`},
		{"a minion of which not all is said", "--add-minion name=m9 v1", 2, "", "name, cpu and memory are required"},
		{"a minion that has its pids and storage", "--without m1 --without m2 --without m3 --add-minion name=m9,cpu=64,memory=64Gi,pids=32768,storage=100Gi v1..v1", 1, "on m9", ""},
		{"a minion with less than nothing", "--add-minion name=m9,cpu=64,memory=64Gi,pids=-1 v1", 2, "", "nothing below 0"},
		{"a range without an end", "v1..", 2, "", "is not A..B"},
		{"a range of three dots", "v1...v2", 2, "", "is not A..B"},
		{"as JSON", "--json v1..v2", 1, `"code": "spec-changed"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := offline(t, dir, append([]string{"diff", "--snapshot", "fleet.json"}, strings.Fields(c.args)...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
				t.Errorf("exit %d, want %d\nstdout %s\nwant %q\nstderr %q, want %q", code, c.code, out, c.out, errs, c.errs)
			}
		})
	}
}

// TestReplay: what diff said is said again of the file that it saved, to the byte. Mutant: saveSnapshot forgets the revision.
func TestReplay(t *testing.T) {
	dir := whatIfRepository(t)
	for _, format := range [][]string{nil, {"-o", "json"}} {
		said, errs, code := offline(t, dir, append([]string{"diff", "--snapshot", "fleet.json", "--save", "plan.json", "--without", "m2", "v1..v3"}, format...)...)
		if code != exitChanges {
			t.Fatalf("exit %d: %s", code, errs)
		}
		again, errs, code := offline(t, dir, append([]string{"replay", "plan.json"}, format...)...)
		if code != 0 || again != said {
			t.Errorf("exit %d %s: replay says\n%s\nafter\n%s", code, errs, again, said)
		}
	}
}

// TestPlanIsTheSameAnywhere: neither repetition, nor the number of processors, nor a way through JSON changes a byte.
// Mutant: an address in memory stands in the document.
func TestPlanIsTheSameAnywhere(t *testing.T) {
	in, _, err := reconcile.Settle(declaring(t, fleetOf("m1", "m2", "m3"), "c1", 4, "web:1"))
	if err != nil {
		t.Fatal(err)
	}
	in = declaring(t, in, "c2", 3, "web:2")
	render := func(in reconcile.Input) string {
		p, d, err := compute(in)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := print.PlanJSON(&b, in, p, d); err != nil {
			t.Fatal(err)
		}
		if err := print.Plan(&b, in, p, false); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := render(in)
	if !strings.Contains(want, `"hash": "sha256:`) || !strings.Contains(want, `"disruptions"`) {
		t.Fatal(want)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for i := range 20 {
		runtime.GOMAXPROCS(1 + i%4)
		b, err := encodeSnapshot(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if in, _, err = readSnapshot(b); err != nil {
			t.Fatal(err)
		}
		if got := render(in); got != want {
			t.Fatalf("time %d:\n%s\nwant\n%s", i, got, want)
		}
	}
}

// declaring is the input with these replicas as its revision.
func declaring(t *testing.T, in reconcile.Input, hash string, n int, image string) reconcile.Input {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(replicas(n, image)), 0o644); err != nil {
		t.Fatal(err)
	}
	o := diffOptions{}
	if err := o.revise(t.Context(), &in, []string{dir}); err != nil {
		t.Fatal(err)
	}
	in.Revision = reconcile.Revision{Hash: hash}
	return in
}

// TestSnapshotMasksSecrets: no value is in the file, and only what differs differs. Mutants: Accepted is not masked; the mask
// leaves the value out.
func TestSnapshotMasksSecrets(t *testing.T) {
	secret := func(v string) *schema.Set {
		return &schema.Set{Secrets: []*schema.Secret{{Meta: schema.Meta{Name: "s", Namespace: "default"}, Data: map[string][]byte{"a": []byte(v), "b": []byte("same-word")}}}}
	}
	in := fleetOf("m1")
	in.Set, in.State.Accepted = secret("new-word"), secret("old-word")
	b, err := encodeSnapshot(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(in)
	if err != nil || !strings.Contains(string(plain), "bmV3LXdvcmQ") { // the base64 of what is looked for
		t.Fatal(err, string(plain))
	}
	for _, v := range []string{"bmV3LXdvcmQ", "b2xkLXdvcmQ", "c2FtZS13b3Jk", "-word"} {
		if strings.Contains(string(b), v) {
			t.Errorf("%s is in the file", v)
		}
	}
	out, salt, err := readSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	x, y := out.Set.Secrets[0].Data, out.State.Accepted.Secrets[0].Data
	if string(x["a"]) == string(y["a"]) || string(x["b"]) != string(y["b"]) || string(x["a"]) == string(x["b"]) {
		t.Errorf("what changed does not show: %s, %s", x, y)
	}
	if here := masked(secret("new-word"), salt).Secrets[0].Data; string(here["a"]) != string(x["a"]) {
		t.Error("a tree that is masked with the salt of the file differs from it")
	}
	if string(in.Set.Secrets[0].Data["a"]) != "new-word" {
		t.Error("the input was changed")
	}
}
