package reconcile

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// limits bound how a controller's replicas are replaced. Both are numbers of replicas, and never both 0.
type limits struct {
	surge       int  // that may have two instances in Run
	unavailable int  // that may be without a ready instance because of us
	asked       bool // unavailable was asked for; if not, a replica that fits nowhere beside its old instance may be stopped first
}

// limitsOf are the limits of a controller with so many replicas: its own, else the fleet's, else a surge of 1.
func limitsOf(annotations map[string]string, s Settings, replicas int) limits {
	surge := cmp.Or(annotations[schema.AnnotationMaxSurge], s.MaxSurge, defaultSurge)
	unavailable := cmp.Or(annotations[schema.AnnotationMaxUnavailable], s.MaxUnavailable)
	l := limits{amount(surge, replicas, true), amount(unavailable, replicas, false), unavailable != ""}
	if l.surge == 0 && l.unavailable == 0 {
		l.unavailable = 1
	}
	return l
}

// How many pods may be there in addition, and may be missing, if nobody says it.
const (
	defaultSurge       = "1"
	defaultUnavailable = "0"
)

// amount is a number, or a percentage of all that is rounded up or down; 0 for what is neither.
func amount(text string, all int, up bool) int {
	share, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(share)
	if err != nil || n < 0 {
		return 0
	}
	if !percent {
		return n
	}
	n *= all
	if up {
		n += 99
	}
	return n / 100
}

// pods is a set of a controller's replicas by the names of their pods.
type pods map[string]bool

func (p *pods) add(pod string) {
	if *p == nil {
		*p = pods{}
	}
	(*p)[pod] = true
}

// but is how many there are besides one.
func (p pods) but(pod string) int {
	if p[pod] {
		return len(p) - 1
	}
	return len(p)
}

// rollout is how far the replacement of one controller's replicas is, and so what may still be done in this step.
type rollout struct {
	limits
	replicas int
	present  int  // instances that run or may run still, on minions that are not lost
	begun    pods // being replaced
	ending   pods // of them, those of which only an old instance is still to be gone
	doubled  pods // with a second instance in Run
	unready  pods // without a ready instance; of a controller without instances nobody asks
	promised pods // ready, to be stopped as soon as the images of their new instances are there
}

// lookAtRollouts looks at the replicas of some controllers. slots are the bindings by slot.
func (c *step) lookAtRollouts(wants []want, slots map[string][]string) {
	var r *rollout
	var of schema.Key
	for i := range wants { // those of one controller stand together
		w := &wants[i]
		if w.controller == "" {
			continue
		}
		if w.key != of {
			r, of = c.rollouts[w.key], w.key
		}
		if r == nil {
			n := c.of.replicas(w.key)
			r = &rollout{limits: limitsOf(w.rolls, c.in.Settings, n), replicas: n}
			for b := range c.st.Bindings.Of(w.key) {
				if c.mayRun(b) {
					r.present++
				}
			}
			c.rollouts[w.key] = r
		}
		w.roll = r
		if w.asks.none {
			continue // nothing of it can be replaced
		}
		c.lookAt(r, *w, slots[slot(w.key.Namespace, w.pod, w.controller)])
	}
}

// mayRun tells whether an instance runs or may run still: it has left Prepare, and its minion is not lost.
func (c *step) mayRun(b *Binding) bool {
	ran := b.Phase == assignment.Run || b.Phase == assignment.Drain || b.Phase == assignment.Stop && !b.Withdrawn.IsZero()
	return ran && c.st.Minions[b.Minion].Lost.IsZero()
}

// lookAt notes one replica with the bindings ids.
func (c *step) lookAt(r *rollout, w want, ids []string) {
	var live, prepared, leaving int
	fresh, ready := false, false
	for _, id := range ids {
		b := c.binding(id)
		switch {
		case c.lost(id):
		case b.Phase == assignment.Run:
			live++
			fresh = fresh || b.Hash == w.hash && !c.ready(&b)
			ready = ready || c.ready(&b)
		case b.Phase == assignment.Prepare:
			prepared++
		default:
			leaving++
		}
	}
	if !ready {
		r.unready.add(w.pod)
	}
	if live > 1 {
		r.doubled.add(w.pod)
	}
	if prepared > 0 && ready {
		r.promised.add(w.pod)
	}
	switch {
	case live > 1 || prepared > 0 || fresh:
		r.begun.add(w.pod)
	case leaving > 0:
		r.begun.add(w.pod)
		r.ending.add(w.pod)
	}
}

// width is how many replicas may be under replacement at once.
func (r *rollout) width() int { return max(r.surge+r.unavailable, 1) }

// mayBegin tells whether the replacement of one more replica may begin, or of one that was being replaced begin anew. One that
// is not ready does not wait for those that wait for others to be ready before they are stopped: they may wait for this one.
func (r *rollout) mayBegin(pod string, ready bool) bool {
	n := 0
	for p := range r.begun {
		switch {
		case p == pod || !ready && r.promised[p]:
		case r.begun[pod] && r.ending[p] && (!r.ending[pod] || p > pod): // this one goes first
		default:
			n++
		}
	}
	return n < r.width()
}

// mayDouble tells whether a replica's new instance may run beside its old one.
func (r *rollout) mayDouble(pod string) bool { return r.doubled.but(pod) < r.surge }

// mayStop tells whether a replica may be without a ready instance until its new one is: counted are those that already are, and
// with promised those that will be soon. One that is not ready loses nothing. fits says that it fits somewhere beside its old
// instance.
func (r *rollout) mayStop(pod string, fits, promised bool) bool {
	if r.unready[pod] {
		return true
	}
	n := r.unready.but(pod)
	if promised {
		n += r.promised.but(pod)
	}
	most := r.unavailable
	if !r.asked && !fits {
		most = max(most, 1)
	}
	return n < most
}

// full tells whether another instance of a controller without surge would run beside more than its replicas, counting those
// that leave: so that what must not overlap does not.
func (r *rollout) full() bool { return r != nil && r.surge == 0 && r.present >= r.replicas }

// inTurn is what the further replicas of a rollout wait for.
func (r *rollout) inTurn() string {
	if r.width() == 1 {
		return oneAtATime
	}
	return "other replicas to be replaced: at most " + strconv.Itoa(r.width()) + " at a time"
}

// waitsInTurn tells whether something waits for its turn alone.
func waitsInTurn(text string) bool {
	return text == oneAtATime || strings.HasPrefix(text, "other replicas to be replaced: ")
}

// noRoomBeside is why a replica that fits nowhere beside its old instance waits.
func (r *rollout) noRoomBeside(why string) string {
	return why + "; it may not be stopped first (max-unavailable " + strconv.Itoa(r.unavailable) + ")"
}

// trim ends one of two instances of a replica in Run if more replicas than the surge allows have two: the new one, unless
// neither is ready. It returns what is left of both.
func (c *step) trim(w want, match, old []string) ([]string, []string) {
	r := w.roll
	if r == nil || len(match) == 0 || len(old) == 0 || !r.doubled[w.pod] || len(r.doubled) <= r.surge {
		return match, old
	}
	x, y := c.binding(match[0]), c.binding(old[0])
	if x.Phase != assignment.Run || y.Phase != assignment.Run || c.ready(&x) || c.lost(match[0]) || c.lost(old[0]) {
		return match, old
	}
	const why = "more instances than replicas and surge allow"
	delete(r.doubled, w.pod)
	if c.ready(&y) {
		c.goAway(match[0], why)
		return nil, old
	}
	c.goAway(old[0], why)
	return match, nil
}

// broken tells whether no instance of a pod is ready.
func (c *step) broken(ids []string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { b := c.binding(id); return c.ready(&b) })
}
