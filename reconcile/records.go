package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"reconciler/schema"
)

// putRecord decides about an object.
func (c *step) putRecord(key string, r Record) {
	c.editObjects()[key] = r
	c.touched[key] = true
}

// editObjects are the records, for this step to change.
func (c *step) editObjects() map[string]Record {
	if !c.ownObjects {
		c.st.Objects, c.ownObjects = maps.Clone(c.st.Objects), true
	}
	return c.st.Objects
}

// dropRecord forgets an object.
func (c *step) dropRecord(key string) {
	delete(c.editObjects(), key)
	c.touched[key] = true
}

// recorded tells whether the records that there were before this step are those of all that was declared then, and of nothing else.
func (c *step) recorded() bool {
	was := c.in.State.sight
	return was != nil && was.recorded && was.of == c.was && oneMap(was.records, c.in.State.Objects)
}

// decideRecords gives every declared object its record, and services their portal IPs.
func (c *step) decideRecords() {
	offers := c.of.offers
	if !c.recorded() {
		c.changeRecords()
	} else {
		if c.was != c.of {
			c.noteDifference()
		}
		if c.in.State.sight.quiet {
			offers = c.diff.offered // the others are as they were
		}
	}
	c.sight.recorded = true
	said := len(c.plan.Changes) + len(c.plan.Warnings)
	for _, o := range offers {
		k, s := o.name, o.service
		r := c.st.Objects[k]
		if r.Kept != nil {
			c.sayService(s)
			if s = c.inForce(s); s == nil {
				continue
			}
		}
		if s.Spec.ClusterIP == schema.Headless {
			if r.Portal.IsValid() {
				c.rest(r.Portal)
				r.Portal = netip.Addr{}
				c.putRecord(k, r)
				c.portalsToken = new(token)
			}
			continue
		}
		if !r.Portal.IsValid() {
			if r.Portal = c.choosePortal(s); r.Portal.IsValid() {
				c.putRecord(k, r)
				c.portalsToken = new(token)
			}
		} else if s.Spec.ClusterIP != "" {
			if want, err := netip.ParseAddr(s.Spec.ClusterIP); err == nil && want != r.Portal {
				c.change(Change{Verb: Update, Object: s.Key(), Reason: fmt.Sprintf("portal IP: %s -> %s", r.Portal, want), Blocked: true,
					Waiting: "the portal IP cannot change while the service exists; delete it, then declare it anew"})
			}
		}
	}
	c.sight.quiet = said == len(c.plan.Changes)+len(c.plan.Warnings)
}

// noteDifference forgets the records of what is not declared any more, and notes what is new or changed.
func (c *step) noteDifference() {
	for _, w := range c.diff.gone {
		if c.of.by.get(w.key) == nil {
			c.forget(w.name)
		}
	}
	for _, o := range c.diff.withdrawn { // first, so that a service may ask for the portal IP of one that went
		if c.of.service(o.key) == nil {
			c.forget(o.name)
		}
	}
	c.record(c.diff.came, c.diff.offered)
}

// forget forgets the record of an object, if it has one still.
func (c *step) forget(name string) {
	r, ok := c.st.Objects[name]
	if !ok {
		return
	}
	if r.Portal.IsValid() {
		c.rest(r.Portal)
	}
	c.dropRecord(name)
}

// changeRecords is noteDifference where nobody knows of what there are records.
func (c *step) changeRecords() {
	declared := make(map[string]bool, len(c.of.offers))
	for _, o := range c.of.offers {
		declared[o.name] = true
	}
	for k := range c.st.Objects {
		if !declared[k] && c.of.named.get(k) == nil {
			c.forget(k)
		}
	}
	c.record(slices.Concat(c.of.pods, c.of.rcs), c.of.offers) // in the order of a difference
}

// record notes that workloads and services are declared as they are.
func (c *step) record(workloads []*workload, offers []*offer) {
	for _, w := range workloads {
		c.recordOne(w.name, w.object)
	}
	for _, o := range offers {
		c.recordOne(o.name, o.service)
	}
}

// recordOne notes that an object is declared as it is.
func (c *step) recordOne(name string, object schema.Object) {
	r, ok := c.st.Objects[name]
	b, err := json.Marshal(object)
	if err != nil {
		panic("reconcile: marshal object: " + err.Error())
	}
	if !ok {
		r = Record{UID: c.uid(), Created: c.now}
	}
	if h := schema.HashBytes(b); h != r.Hash {
		r.Hash = h
		r.Version = c.next()
		c.blameRecord(&r, object)
	} else if ok {
		return
	}
	c.putRecord(name, r)
}
