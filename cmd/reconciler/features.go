package main

import (
	"fmt"
	"slices"
	"strings"

	"reconciler/schema"
)

// features is what the routes and the agents of this release can do beyond what every release can.
var features []schema.Feature

// unsupported says of each object what it needs and this release cannot do: it is right, and will not run.
func unsupported(set *schema.Set) []string {
	var out []string
	note := func(o schema.Object, needs []schema.Feature, what string) {
		var missing []string
		for _, f := range needs {
			if !slices.Contains(features, f) && !slices.Contains(schema.PlanFeatures, f) {
				missing = append(missing, string(f))
			}
		}
		if len(missing) > 0 {
			out = append(out, fmt.Sprintf("%s: %s needs %s, which this release accepts and cannot do yet: it will not be %s", set.Positions[o.Key().String()], o.Key(), strings.Join(missing, ", "), what))
		}
	}
	for _, p := range set.Pods {
		note(p, p.Spec.Needs(), "started")
	}
	for _, r := range set.ReplicationControllers {
		note(r, r.Spec.Template.Spec.Needs(), "started")
	}
	for _, s := range set.Services {
		note(s, s.Spec.Needs(), "routed")
	}
	return out
}
