package reconcile

import (
	"fmt"
	"testing"
)

// TestSome: a reason, which is kept, does not name thousands. Mutant: all are named.
func TestSome(t *testing.T) {
	var all []string
	for n := range 6 {
		all = append(all, fmt.Sprintf("m%d", n+1))
	}
	if got := some(all); got != "m1, m2, m3, m4, m5, m6" {
		t.Error(got)
	}
	if got := some(append(all, "m7")); got != "m1, m2, m3, m4, m5 and 2 more minions" {
		t.Error(got)
	}
}
