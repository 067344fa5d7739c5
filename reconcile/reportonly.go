package reconcile

import (
	"encoding/json"
	"maps"
	"slices"

	"reconciler/schema"
)

// KeptService is the spec that stays in force for a service for which what differs is only said: the last one that was, or
// nil if it was declared so from the beginning, and is not routed.
type KeptService struct {
	Spec *schema.ServiceSpec `json:"spec,omitempty"`
}

// inForce is a service as it is routed, nil if it is not to be. It is the declared one but for those for which what differs is
// only said.
func (c *step) inForce(s *schema.Service) *schema.Service {
	return kept(s, c.st.Objects[s.Key().String()].Kept)
}

// kept is a service with what is kept of it, nil if it is not in force.
func kept(s *schema.Service, kept *KeptService) *schema.Service {
	if kept == nil {
		return s
	}
	if kept.Spec == nil {
		return nil
	}
	out := *s
	out.Spec = *kept.Spec
	return &out
}

// keepServices notes what stays in force of the services of a set that has just come into force.
func (c *step) keepServices() {
	offers := c.of.offers
	if c.recorded() {
		offers = c.diff.offered // of the others it is noted
	}
	for _, o := range offers {
		k, s := o.key, o.service
		_, only := s.Annotations[schema.AnnotationReportOnly]
		r, known := c.st.Objects[o.name]
		switch {
		case !only && r.Kept != nil:
			r.Kept = nil
		case only && !known:
			r = Record{UID: c.uid(), Created: c.now, Kept: &KeptService{}}
		case only && r.Kept == nil:
			r.Kept = &KeptService{}
			if !c.in.State.Recovered.IsZero() { // it is routed, and nobody knows by which spec
				r.Kept.Spec = &s.Spec
			}
			if was := c.was.service(c.earlier(k)); was != nil {
				r.Kept.Spec = &was.Spec
			}
		default:
			continue
		}
		c.putRecord(o.name, r)
	}
}

// sayService says what would be changed of a service for which it is only said.
func (c *step) sayService(s *schema.Service) {
	kept := c.st.Objects[s.Key().String()].Kept
	if kept == nil {
		return
	}
	only := Suspension{Reason: s.Annotations[schema.AnnotationReportOnly], ReportOnly: true}
	ch := Change{Verb: Create, Object: s.Key(), Code: CodeNew, Reason: "new in Git, and not routed", Waiting: only.String(), WaitingCode: only.code(), Blocked: true}
	if kept.Spec != nil {
		ch.Verb, ch.Code, ch.Reason = Update, CodeSpecChanged, "the declared spec is not in force"
		if ch.Details = diffService(kept.Spec, &s.Spec); len(ch.Details) == 0 {
			return
		}
	}
	c.change(ch)
}

// diffService lists the fields in which two specs of a service differ, as diffSpec does.
func diffService(from, to *schema.ServiceSpec) []Detail {
	flat := func(s *schema.ServiceSpec) map[string]string {
		b, err := json.Marshal(s)
		var v any
		if err == nil {
			err = json.Unmarshal(b, &v)
		}
		if err != nil {
			panic("reconcile: decode service: " + err.Error())
		}
		out := map[string]string{}
		flatten("spec", v, out)
		return out
	}
	return diffMap("", flat(from), flat(to))
}

// sayHeld says what would be done for a pod for which nothing is to be done, and has an instance.
func (c *step) sayHeld(w want, id string, s Suspension) {
	b := c.binding(id)
	ch := Change{Verb: Update, Object: w.key, Instance: id, Minion: b.Minion}
	was, is := unheld(b.Annotations), unheld(w.annotations)
	lost := !c.st.Minions[b.Minion].Lost.IsZero()
	if !lost && c.reported(id) && c.ran(&b) && !c.ready(&b) && !c.ended(id) {
		c.change(c.drifted(w, &b, c.observedOf(id)))
	}
	switch {
	case b.Hash != w.hash:
		ch = c.replacement(w, id)
		ch.Minion = b.Minion
	case lost && !c.barred(&b):
		ch.Instance, ch.Old = "", id
		c.moveOff(&ch, w, &b)
	case c.expelled(id) != "":
		ch = Change{Verb: Move, Object: w.key, Old: id, Minion: b.Minion, Reason: c.expelled(id)}
	case !maps.Equal(b.Labels, w.labels) || !maps.Equal(was, is):
		ch.Reason = "labels or annotations change, without a restart"
		ch.Details = slices.Concat(diffMap("labels", b.Labels, w.labels), diffMap("annotations", was, is))
	default:
		return
	}
	ch.Waiting, ch.WaitingCode, ch.Blocked = s.String(), s.code(), true
	c.change(ch)
}

// unheld is annotations without those that say that nothing is to be done.
func unheld(m map[string]string) map[string]string {
	out := maps.Clone(m)
	for _, k := range []string{schema.AnnotationSuspend, schema.AnnotationSuspendUntil, schema.AnnotationReportOnly} {
		delete(out, k)
	}
	return out
}
