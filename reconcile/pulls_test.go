package reconcile_test

import (
	"fmt"
	"testing"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// Mutants: what a minion has is pulled; what was bound before counts; names are compared as they are written; what another
// minion has is not looked at.
func TestPulls(t *testing.T) {
	f := newFleet()
	for _, m := range []string{"m1", "m2", "m3"} {
		f.act(f.join(m, assignment.Capacity{MilliCPU: 1000, Memory: 1000 << 20, Pods: 20}, nil))
	}
	declared := func(revision string, lines ...string) reconcile.Input {
		t.Helper()
		set, err := declare(lines)
		if err != nil {
			t.Fatal(err)
		}
		f.set, f.revision = set, reconcile.Revision{Hash: revision}
		return f.input()
	}
	declared("c1", "pod old node=m1 image=old:1")
	f.round()
	in, _, err := reconcile.Settle(f.input())
	if err != nil {
		t.Fatal(err)
	}
	f.state = in.State
	after := declared("c2", "pod old node=m1 image=old:1",
		"pod a node=m1 image=mongo:3.2", "pod b node=m1 image=docker.io/library/mongo:3.2", "pod c node=m2 image=mongo:3.2", "pod d node=m1 image=web",
		"pod e node=m1 image=reg.example.com:5000/new:1", "pod f node=m3 image=mongo:3.2", "pod g node=m2 image=x:1@sha256:0000000000000000000000000000000000000000000000000000000000000000")
	after.State, after.Minions = in.State, in.Minions
	has := func(minion string, images ...assignment.Image) {
		m := after.Minions[minion]
		r := *m.Report
		r.Images = append([]assignment.Image{}, images...)
		m.Report = &r
		after.Minions[minion] = m
	}
	has("m1", assignment.Image{Name: "web:latest", Digest: "sha256:1", Size: 9})
	has("m2", assignment.Image{Name: "mongo:3.2", Digest: "sha256:2", Size: 412}, assignment.Image{Name: "other:1", Size: 7})
	// m3 does not say what it has.
	got := fmt.Sprint(reconcile.Pulls(after, reconcile.Compute(after)))
	want := "[{m1 docker.io/library/mongo:3.2 412 2} {m1 reg.example.com:5000/new:1 0 1} {m2 x:1@sha256:0000000000000000000000000000000000000000000000000000000000000000 0 1}]"
	if got != want {
		t.Errorf("got %s", got)
	}
}
