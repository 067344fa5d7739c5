package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"

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
}

// changeRecords forgets the records of what is not declared any more, and notes what is new or changed.
func (c *step) changeRecords() {
	for _, k := range c.gone() { // first, so that a service may ask for the portal IP of one that went
		if r := c.st.Objects[k]; r.Portal.IsValid() {
			c.rest(r.Portal)
		}
		delete(c.editObjects(), k)
	}
	record := func(k string, same bool, object schema.Object) {
		r, ok := c.st.Objects[k]
		if same && ok {
			return
		}
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
		c.putRecord(k, r)
	}
	known := c.in.State.derived != nil // else its objects may have been noted or not
	of := func(k schema.Key) {
		w := c.of.by[k]
		record(w.name, known && c.was.by[k] == w, w.object)
	}
	for _, p := range c.set.Pods {
		of(p.Key())
	}
	for _, r := range c.set.ReplicationControllers {
		of(r.Key())
	}
	for _, o := range c.of.offers {
		record(o.name, known && c.was.services[o.key] == o.service, o.service)
	}
}

// gone are the names of records of what is not declared.
func (c *step) gone() (out []string) {
	left := len(c.st.Objects)
	for _, w := range c.of.workloads {
		if _, ok := c.st.Objects[w.name]; ok {
			left--
		}
	}
	for _, o := range c.of.offers {
		if _, ok := c.st.Objects[o.name]; ok {
			left--
		}
	}
	if left == 0 {
		return nil
	}
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
