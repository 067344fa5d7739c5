package main

import (
	"fmt"
	"os"

	"reconciler/schema"
	"reconciler/schema/load"
)

// loadPolicies reads the server's own policies, which no push can weaken: a folder of nothing but them. "" is none.
func loadPolicies(dir string) ([]*schema.Policy, error) {
	if dir == "" {
		return nil, nil
	}
	if i, err := os.Stat(dir); err != nil { // never a revision of that name
		return nil, fmt.Errorf("find policies: %w", err)
	} else if !i.IsDir() {
		return nil, fmt.Errorf("find policies: %q is no folder", dir)
	}
	set, _, err := check(dir, load.Config{})
	if err != nil {
		return nil, fmt.Errorf("load policies of %s: %w", dir, err)
	}
	for o := range set.Objects() {
		if o.Key().Kind != schema.KindPolicy {
			return nil, fmt.Errorf("load policies of %s: %s at %s is no policy", dir, o.Key(), set.Positions[o.Key().String()])
		}
	}
	if len(set.Policies) == 0 {
		return nil, hinted{fmt.Errorf("load policies of %s: there is none", dir), "leave --policies out if none is meant"}
	}
	return set.Policies, nil
}
