package reconcile

import (
	"fmt"
	"strings"

	"reconciler/reconcile/assignment"
)

// withdraw moves draining instances on: it notes the first table without them, and lets them stop once every minion that
// holds a lease has acknowledged that table, or after the drain timeout.
func (c *step) withdraw() {
	ids := c.leavingIDs()
	if len(ids) == 0 {
		return
	}
	var leased []int
	oldest := c.st.Table
	for i := range c.roster.minions { // one that has not reported yet may route all the same
		if m := &c.roster.minions[i]; c.seen(m) && c.roster.nodes[i].Lost.IsZero() {
			leased = append(leased, i)
			if m.Table.Compare(oldest) < 0 {
				oldest = m.Table
			}
		}
	}
	behind := map[assignment.Generation][]string{} // by table, those that have an older one
	for _, id := range ids {
		b := c.binding(id)
		if b.Phase != assignment.Drain {
			continue
		}
		if b.Withdrawn.IsZero() {
			b.Withdrawn = c.st.Table
		}
		var missing []string
		if b.Routed && oldest.Compare(b.Withdrawn) < 0 {
			var known bool
			if missing, known = behind[b.Withdrawn]; !known {
				for _, i := range leased {
					if c.roster.minions[i].Table.Compare(b.Withdrawn) < 0 {
						missing = append(missing, c.roster.names[i])
					}
				}
				behind[b.Withdrawn] = missing
			}
		}
		timeout := b.Since.Add(c.in.Settings.DrainTimeout)
		switch {
		case c.observedOf(id) == nil:
			// Its minion may not have been told of it yet. Only once it lists it does a later report without it mean that it is
			// gone, and only then may release believe it.
		case len(missing) == 0:
			b.Phase, b.Since, b.Version = assignment.Stop, c.now, c.next()
		case !timeout.After(c.now):
			b.Phase, b.Since, b.Version = assignment.Stop, c.now, c.next()
			b.Reason = fmt.Sprintf("%s; stopped after the drain timeout of %s without the acknowledgement of %s", b.Reason, c.in.Settings.DrainTimeout, some(missing))
			c.warn("%s is stopped without the acknowledgement of %s: the drain timeout of %s is over", id, some(missing), c.in.Settings.DrainTimeout)
		default:
			c.wakeAt(timeout)
			c.missing[id] = missing
		}
		c.put(b)
	}
}

// release forgets instances that were to stop and that their minion does not report any more. An agent lists what it was
// assigned until everything of it is removed, and withdraw stops only what its minion has listed: so a report without it says
// that it is gone, and not that the agent has not heard of it. What never left Prepare never ran. Addresses rest, so that a
// packet or a report that was already on its way does no harm.
func (c *step) release() {
	for _, id := range c.leavingIDs() {
		b := c.binding(id)
		m := c.in.Minions[b.Minion]
		if b.Phase != assignment.Stop || c.before(id).Phase != assignment.Stop || m.Report == nil || m.Reported.Before(b.Since) || c.observedOf(id) != nil {
			continue
		}
		if b.Address.IsValid() {
			c.rest(b.Address)
		}
		c.drop(id)
	}
}

// some names minions, of many only the first.
func some(minions []string) string {
	const most = 5
	if len(minions) <= most+1 {
		return strings.Join(minions, ", ")
	}
	return fmt.Sprintf("%s and %d more minions", strings.Join(minions[:most], ", "), len(minions)-most)
}
