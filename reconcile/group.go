package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// groupOf is the group that a workload is in, by its namespace; "" if it is in none.
func (w *workload) groupOf() string {
	m := w.object.Metadata()
	if name := m.Annotations[schema.AnnotationGroup]; name != "" {
		return m.Namespace + "/" + name
	}
	return ""
}

// groupsOf are the members of each group, in the order of their keys; nil if there is none, as in most fleets.
func groupsOf(d *derived) (out map[string][]*workload) {
	for _, w := range d.workloads {
		if g := w.groupOf(); g != "" {
			if out == nil {
				out = map[string][]*workload{}
			}
			out[g] = append(out[g], w)
		}
	}
	return out
}

// groupWell tells whether all that is in one group with a workload is as declared and well: only then is the spec of each
// one to go back to.
func (c *step) groupWell(w *workload) bool {
	g := w.groupOf()
	if g == "" {
		return true
	}
	if well, known := c.groupsWell[g]; known {
		return well
	}
	well := !slices.ContainsFunc(c.of.groups[g], func(m *workload) bool { return !c.asDeclared(m) })
	if c.groupsWell == nil {
		c.groupsWell = map[string]bool{}
	}
	c.groupsWell[g] = well
	return well
}

// decideGroups lets the members of a group go back with one that failed, and on again when that does.
func (c *step) decideGroups() {
	for _, g := range slices.Sorted(maps.Keys(c.of.groups)) {
		members := c.of.groups[g]
		i := slices.IndexFunc(members, func(m *workload) bool {
			q := c.st.Objects[m.name].Quarantine
			return q != nil && q.With == ""
		})
		for j, m := range members {
			r := c.st.Objects[m.name]
			alone := r.Quarantine == nil || r.Quarantine.With == ""
			switch {
			case i == j || r.Quarantine != nil && alone: // it failed itself
			case i >= 0 && c.goesBack(m, r):
				if alone || r.Quarantine.With != members[i].name || r.Quarantine.Hash != m.hash {
					group := m.object.Metadata().Annotations[schema.AnnotationGroup]
					r.Quarantine, r.Update = &Quarantine{Hash: m.hash, With: members[i].name, Reason: fmt.Sprintf("goes back with %s of group %s", members[i].name, group), Since: c.now}, nil
					c.putRecord(m.name, r)
				}
			case !alone:
				r.Quarantine = nil
				c.putRecord(m.name, c.judge(m, r, c.instancesOf(m.key)))
			}
		}
	}
}

// goesBack tells whether a member goes back with others: it has a spec to go back to, and is not kept from it.
func (c *step) goesBack(w *workload, r Record) bool {
	return !c.halted(w.key) && !c.rollbackOff(w) && w.spec.Restart() == schema.RestartAlways && r.Healthy != nil && r.Healthy.Hash != w.hash
}

// instancesOf are the instances of an object in Run or Prepare, sorted.
func (c *step) instancesOf(k schema.Key) (ids []string) {
	for b := range c.st.Bindings.Of(k) {
		if b.Phase == assignment.Run || b.Phase == assignment.Prepare {
			ids = append(ids, b.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// quarantined says it for people.
func quarantined(r Record) string {
	if q := r.Quarantine; q.With != "" {
		return fmt.Sprintf("%s; stays at %.12s. Next: commit a change of the spec of %s", q.Reason, r.Healthy.Revision, q.With)
	}
	if by := r.Quarantine.Commit.String(); by != "" {
		return fmt.Sprintf("quarantined: %s (%s); stays at %.12s. Next: commit a change of its spec", r.Quarantine.Reason, by, r.Healthy.Revision)
	}
	return fmt.Sprintf("quarantined: %s; stays at %.12s. Next: commit a change of its spec", r.Quarantine.Reason, r.Healthy.Revision)
}
