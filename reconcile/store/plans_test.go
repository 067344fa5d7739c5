package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
)

func TestOutcomesAndPlans(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if all, err := s.Outcomes(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	if b, err := s.Plan(t.Context(), 1); b != nil || err != nil {
		t.Fatalf("%q, %v", b, err)
	}
	noise := make([]byte, 3<<20) // does not compress to one part
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	documents := map[uint64][]byte{2: []byte(`{"a": 1}`), 9: []byte(strings.Repeat("x", 5<<20)), 10: noise}
	for _, n := range []uint64{10, 2, 9} {
		size, err := s.PutPlan(t.Context(), n, noise) // what is there is replaced as a whole
		if err != nil || size < len(noise) {
			t.Fatal(size, err)
		}
		if size, err = s.PutPlan(t.Context(), n, documents[n]); err != nil || size > len(documents[n])+1 {
			t.Fatal(size, err)
		}
		if err := s.PutOutcome(t.Context(), reconcile.Outcome{Number: n, Ending: reconcile.Applying}); err != nil {
			t.Fatal(err)
		}
		if err := s.PutOutcome(t.Context(), reconcile.Outcome{Number: n, Ending: reconcile.Applied, Size: size, Taken: time.Unix(1e9, 0).UTC()}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.PutPlan(t.Context(), 11, bytes.Repeat(noise, 11)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a plan without bound: %v", err)
	}
	s = reopen(t, s, dir)
	all, err := s.Outcomes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, o := range all {
		numbers = append(numbers, fmt.Sprint(o.Number, " ", o.Ending))
		if b, err := s.Plan(t.Context(), o.Number); err != nil || !bytes.Equal(b, documents[o.Number]) {
			t.Errorf("plan %d: %d bytes, %v", o.Number, len(b), err)
		}
	}
	if want := []string{"2 applied", "9 applied", "10 applied"}; !slices.Equal(numbers, want) {
		t.Errorf("outcomes %q, want %q", numbers, want)
	}
	if err := s.DropOutcomes(t.Context(), []uint64{9, 77}); err != nil {
		t.Fatal(err)
	}
	if all, err = s.Outcomes(t.Context()); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	if b, err := s.Plan(t.Context(), 9); b != nil || err != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if b, err := s.Plan(t.Context(), 10); len(b) != len(noise) || err != nil {
		t.Errorf("another plan: %d bytes, %v", len(b), err)
	}
}
