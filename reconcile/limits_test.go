package reconcile

import (
	"testing"

	"reconciler/schema"
)

// Mutants: the surge is rounded down; unavailable is rounded up; both may be 0; the fleet's wins over the controller's.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name                      string
		replicas                  int
		surge, unavailable        string // of the controller
		fleetSurge, fleetStopping string
		want                      limits
	}{
		{"nobody says anything", 3, "", "", "", "", limits{1, 0, false}},
		{"a share is rounded up, and down", 10, "25%", "25%", "", "", limits{3, 2, true}},
		{"of one replica", 1, "25%", "25%", "", "", limits{1, 0, true}},
		{"never both 0", 3, "0", "10%", "", "", limits{0, 1, true}},
		{"no surge", 3, "0", "", "", "", limits{0, 1, false}},
		{"all at once", 4, "0%", "100%", "", "", limits{0, 4, true}},
		{"the fleet's", 4, "", "", "50%", "1", limits{2, 1, true}},
		{"the controller's before the fleet's", 4, "1", "0", "50%", "1", limits{1, 0, true}},
		{"more than there are", 2, "5", "5", "", "", limits{5, 5, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := map[string]string{}
			if c.surge != "" {
				own[schema.AnnotationMaxSurge] = c.surge
			}
			if c.unavailable != "" {
				own[schema.AnnotationMaxUnavailable] = c.unavailable
			}
			if got := limitsOf(own, Settings{MaxSurge: c.fleetSurge, MaxUnavailable: c.fleetStopping}, c.replicas); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
