package reconcile

import (
	"cmp"
	"maps"
	"slices"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/place"
	"reconciler/schema"
)

// Disruption is what a plan does to the ready endpoints of a service. Of a service with several ports it is the port that
// comes out worst.
type Disruption struct {
	Service schema.Key `json:"service"`
	Now     int        `json:"now"`    // ready endpoints before the plan
	Lowest  int        `json:"lowest"` // at no moment are there fewer while the plan is executed, unless something fails
	None    bool       `json:"none"`   // there may be a moment without any, and now there are some
	Gone    bool       `json:"gone"`   // the service, or a port of it, is not declared any more
}

// Forecast says for every routed service that a plan touches how few ready endpoints it may have on the way. p is what
// [Compute] made of in.
//
// It is a bound and no guess: as long as no minion and no container fails, and nothing else is pushed, no table in between
// has fewer endpoints. What cannot be told counts as lost: a bare pod that is replaced, an instance on a minion that is not
// connected, and as many replicas of a controller as it may replace at once where it is not certain that each new one fits
// beside the old ones. The order is that of the keys.
func Forecast(in Input, p Plan) []Disruption {
	if p.State.Accepted == nil || p.Table.Fleet == "" {
		return nil
	}
	f := newForecast(in, p)
	worst := map[schema.Key]Disruption{}
	for _, before := range in.State.Routes {
		if before.HostPort { // of a minion, and no service
			continue
		}
		k := schema.Key{Kind: schema.KindService, Namespace: before.Namespace, Name: before.Name}
		if now, ok := f.moved[k]; ok {
			k = now
		}
		d := f.port(k, before)
		if w, ok := worst[k]; !ok || cmp.Or(cmp.Compare(d.Lowest, w.Lowest), cmp.Compare(w.Now, d.Now)) < 0 {
			d.Gone = d.Gone || w.Gone
			worst[k] = d
		} else if d.Gone {
			w.Gone = true
			worst[k] = w
		}
	}
	for k, d := range worst {
		if d.Lowest >= d.Now && !d.Gone && !f.touched[k] {
			delete(worst, k)
		}
	}
	return slices.SortedFunc(maps.Values(worst), func(a, b Disruption) int { return a.Service.Compare(b.Service) })
}

// forecast is one Forecast under way.
type forecast struct {
	*step                              // after the first step of the plan
	moved    map[schema.Key]schema.Key // by what they were before it
	after    []netproxy.Service
	services map[schema.Key]*schema.Service
	wants    map[string]want
	going    map[string]Change // by the instance that gives way or ends
	sure     map[schema.Key]bool
	serving  pool                // what is an endpoint and can stay one
	threat   int32               // instances of a lower priority may be displaced
	touched  map[schema.Key]bool // services of which something changes
	repaired []place.Demand      // see meanwhile
	repairs  map[schema.Key]bool // and of whom
}

func newForecast(in Input, p Plan) *forecast {
	moved := pasts(in.State.Objects, p.State.Accepted)
	in.State, in.Set, in.Revision = p.State, p.State.Accepted, p.State.Applied
	f := &forecast{step: newStep(in), moved: moved, after: p.Table.Services, services: map[schema.Key]*schema.Service{}, wants: map[string]want{},
		going: map[string]Change{}, touched: map[schema.Key]bool{}}
	f.set = p.State.Accepted
	f.of = derive(f.set, p.State.derived)
	f.was, f.busy = f.of, f.of.workloads
	f.noteMinions()
	f.observe()
	for _, s := range f.set.Services {
		if s = f.inForce(s); s != nil {
			f.services[s.Key()] = s
		}
	}
	for _, w := range f.step.wants() {
		f.wants[slot(w.key.Namespace, w.pod, w.controller)] = w
	}
	for _, ch := range p.Changes {
		switch ch.Verb {
		case Replace, Move:
			f.going[ch.Old] = ch
		case Delete:
			f.going[ch.Instance] = ch
		case Route, Update:
			f.touched[ch.Object] = true
		}
	}
	for b := range f.st.Bindings.All() {
		if b.Serving && b.Phase == assignment.Run && in.Minions[b.Minion].Connected {
			f.serving.add(b)
		}
	}
	f.meanwhile(p)
	f.sure = f.fitBeside()
	return f
}

// port bounds the endpoints of one port that is routed now.
func (f *forecast) port(k schema.Key, before netproxy.Service) Disruption {
	d := Disruption{Service: k, Now: len(before.Endpoints)}
	s := f.services[k]
	i := slices.IndexFunc(f.after, func(x netproxy.Service) bool {
		return x.Namespace == k.Namespace && x.Name == k.Name && x.Port == before.Port && x.Protocol == before.Protocol
	})
	switch {
	case s == nil || i < 0:
		d.Gone = true
	case len(s.Spec.Selector) == 0: // written by hand: they change at once
		d.Lowest = min(d.Now, len(f.after[i].Endpoints))
	case !f.st.Objects[k.String()].Portal.IsValid(): // only its public addresses route it, and a host port may take them
	default:
		j := slices.IndexFunc(s.Spec.Ports, func(x schema.ServicePort) bool {
			return x.Port == before.Port && string(x.Protocol.Proto()) == before.Protocol
		})
		if j >= 0 {
			d.Lowest = min(d.Now, f.hold(s, s.Spec.Ports[j]))
		}
	}
	d.None = d.Now > 0 && d.Lowest == 0
	return d
}

// hold is how many endpoints of a service port there are at every moment.
func (f *forecast) hold(s *schema.Service, p schema.ServicePort) int {
	kept, unsure, at := 0, map[schema.Key]int{}, map[schema.Key]int{}
	for _, b := range f.serving.of(s) {
		if targetPort(p, b.Spec) == 0 {
			continue
		}
		w, declared := f.wants[slot(b.Namespace, b.Pod, b.Controller)]
		ch, goes := f.going[b.ID]
		if goes {
			f.touched[s.Key()] = true
		}
		expires := f.expires(b)
		switch {
		case f.priorityOf(b) < f.threat:
		case !declared || (goes || expires) && (ch.Verb == Delete || w.controller == ""):
		case !goes && !expires && b.Hash == w.hash:
			kept++
		case !goes && !expires || !schema.Selects(s.Spec.Selector, w.labels) || targetPort(p, w.spec) == 0:
		case ch.How == startFirst && f.sure[w.key]:
			kept++
		default:
			unsure[w.key]++
			at[w.key] = f.atOnce(w)
		}
	}
	for k, n := range unsure {
		kept += max(n-at[k], 0)
	}
	return kept
}

// expires tells whether an instance tolerates a NoExecute taint of its minion for a while only.
func (f *forecast) expires(b *Binding) bool {
	node := f.nodes[b.Minion]
	if node == nil {
		return false
	}
	for _, t := range node.Spec.Taints {
		if t.Effect == schema.NoExecute {
			if _, forever := tolerated(b.Spec.Tolerations, t, f.now); !forever {
				return true
			}
		}
	}
	return false
}

// limits are those that a controller's replicas are replaced by.
func (f *forecast) limits(w want) limits {
	return limitsOf(w.rolls, f.in.Settings, f.of.replicas(w.key))
}

// atOnce is how many ready replicas of a controller may be without a successor at the same time.
func (f *forecast) atOnce(w want) int {
	l := f.limits(w)
	if !l.asked {
		return max(l.unavailable, 1)
	}
	return l.unavailable
}

// manyFits bounds the work of fitBeside: above it nothing is certain.
const manyFits = 1 << 20

// fitBeside finds the controllers whose new instances certainly fit beside the old ones, whatever else of the plan is placed
// before them: each fits on some minion even if that one gets all pods that are still to be placed, and one more. Where one of
// those may displace others, nothing is certain.
func (f *forecast) fitBeside() map[schema.Key]bool {
	bound := map[string]bool{}
	for b := range f.st.Bindings.All() {
		s := slot(b.Namespace, b.Pod, b.Controller)
		if w, ok := f.wants[s]; ok && b.Hash == w.hash && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			bound[s] = true
		}
	}
	stop := map[schema.Key]bool{} // controllers that replace a replica stop-first already
	for _, ch := range f.going {
		if ch.Verb != Delete && ch.How != startFirst {
			stop[ch.Object] = true
		}
	}
	maps.Copy(stop, f.repairs)
	sure := map[schema.Key]bool{}
	var open []want
	for _, s := range slices.Sorted(maps.Keys(f.wants)) {
		w := f.wants[s]
		if !bound[s] {
			open = append(open, w)
		} else if l := f.limits(w); w.controller != "" && !stop[w.key] && l.surge > 0 && l.unavailable == 0 {
			sure[w.key] = true // nothing of it is to be placed, unless another replica says otherwise below
		}
	}
	f.threat = f.lowPriority()
	if len(open)*len(f.in.Minions) > manyFits {
		for _, w := range open {
			f.threat = max(f.threat, w.priority)
		}
		return nil
	}
	for _, w := range open {
		for name := range f.in.Minions {
			f.room().Take(name, *w.demand())
		}
	}
	for _, d := range f.repaired {
		for name := range f.in.Minions {
			f.fleet.Take(name, d)
		}
	}
	threat := false
	fits := map[schema.Key]bool{}
	for _, w := range open {
		ok, known := fits[w.key]
		if !known {
			minion, _ := f.room().Choose(*w.demand())
			ok = minion != "" && !ruled(w.spec) // what is taken everywhere tells nothing of what is to be near
			fits[w.key] = ok
		}
		l := f.limits(w)
		sure[w.key] = ok && w.controller != "" && !stop[w.key] && l.surge > 0 && l.unavailable == 0
		if !ok && w.priority > f.lowPriority() { // it may displace others, which are then to be placed, too
			threat, f.threat = true, max(f.threat, w.priority)
		}
	}
	if threat {
		return nil
	}
	return sure
}
