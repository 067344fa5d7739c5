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
}

// editObjects are the records, for this step to change.
func (c *step) editObjects() map[string]Record {
	if !c.ownObjects {
		c.st.Objects, c.ownObjects = maps.Clone(c.st.Objects), true
	}
	return c.st.Objects
}

// decideRecords gives every declared object its record, and services their portal IPs.
func (c *step) decideRecords() {
	if c.in.State.derived == nil || c.was != c.of { // else the same set had its records already
		c.changeRecords()
	}
	if was := c.in.State.sight; was != nil && was.quiet && c.recorded() {
		c.sight.quiet = true // as it was
		return
	}
	said, decided := len(c.plan.Changes)+len(c.plan.Warnings), c.ownObjects
	for _, o := range c.of.offers {
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
	c.sight.quiet = !decided && !c.ownObjects && said == len(c.plan.Changes)+len(c.plan.Warnings)
}

// changeRecords forgets the records of what is not declared any more, and notes what is new or changed.
func (c *step) changeRecords() {
	pods, controllers, offers, left := c.unrecorded()
	if left > 0 { // first, so that a service may ask for the portal IP of one that went
		for _, k := range c.gone() {
			if r := c.st.Objects[k]; r.Portal.IsValid() {
				c.rest(r.Portal)
			}
			delete(c.editObjects(), k)
		}
	}
	for _, w := range slices.Concat(pods, controllers) {
		c.record(w.name, w.object)
	}
	for _, o := range offers {
		c.record(o.name, o.service)
	}
}

// unrecorded are the declared objects that are another than in the step before or have no record, and how many records are of
// nothing that is declared.
func (c *step) unrecorded() (pods, controllers []*workload, offers []*offer, left int) {
	var workloads []*workload // of the step before, and its services
	var services []*offer
	if c.in.State.derived != nil { // else its objects may have been noted or not
		workloads, services = c.was.workloads, c.was.offers
	}
	left = len(c.st.Objects)
	for _, w := range c.of.workloads {
		workloads = startAt(workloads, w.key, func(w *workload) schema.Key { return w.key })
		same := len(workloads) > 0 && workloads[0] == w
		if _, ok := c.st.Objects[w.name]; ok {
			if left--; same {
				continue
			}
		}
		if w.controller == "" {
			pods = append(pods, w)
		} else {
			controllers = append(controllers, w)
		}
	}
	for _, o := range c.of.offers {
		services = startAt(services, o.key, func(o *offer) schema.Key { return o.key })
		same := len(services) > 0 && services[0].service == o.service
		if _, ok := c.st.Objects[o.name]; ok {
			if left--; same {
				continue
			}
		}
		offers = append(offers, o)
	}
	return pods, controllers, offers, left
}

// record notes that an object is declared as it is.
func (c *step) record(name string, object schema.Object) {
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

// gone are the names of records of what is not declared.
func (c *step) gone() (out []string) {
	offered := make(map[string]bool, len(c.of.offers))
	for _, o := range c.of.offers {
		offered[o.name] = true
	}
	for k := range c.st.Objects {
		if c.of.named[k] == nil && !offered[k] {
			out = append(out, k)
		}
	}
	return out
}
