package reconcile

import (
	"fmt"
	"maps"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// noteTaints remembers since when a minion has its NoExecute taints: tolerations may last only so long.
func (c *step) noteTaints(n, was *Node, taints []schema.Taint) {
	var since map[string]time.Time
	for _, t := range taints {
		if t.Effect != schema.NoExecute {
			continue
		}
		if since == nil {
			since = map[string]time.Time{}
		}
		since[t.String()] = c.now
		if at, ok := was.Tainted[t.String()]; ok {
			since[t.String()] = at
		}
	}
	if n.Tainted = since; maps.Equal(since, was.Tainted) {
		n.Tainted = was.Tainted
	}
}

// expelled says why an instance may not stay on its minion, "" if it may: a NoExecute taint that it does not tolerate, or not
// any longer. What has ended for good stays, or it would run again elsewhere.
func (c *step) expelled(id string) string {
	b := c.binding(id)
	node := c.nodes[b.Minion]
	if node == nil || b.Phase != assignment.Run && b.Phase != assignment.Prepare {
		return ""
	}
	if c.ended(id) {
		return ""
	}
	for _, t := range node.Spec.Taints {
		if t.Effect != schema.NoExecute {
			continue
		}
		switch until, forever := tolerated(b.Spec.Tolerations, t, c.st.Minions[b.Minion].Tainted[t.String()]); {
		case forever:
		case until.After(c.now):
			c.wakeAt(until)
		default:
			return fmt.Sprintf("minion %s has the taint %s", b.Minion, t)
		}
	}
	return ""
}

// tolerated tells until when the first toleration of a taint lets a pod stay with it, the zero time if there is none.
func tolerated(tolerations []schema.Toleration, t schema.Taint, since time.Time) (until time.Time, forever bool) {
	for _, x := range tolerations {
		if !x.Tolerates(t) {
			continue
		}
		if x.TolerationSeconds == nil {
			return time.Time{}, true
		}
		return since.Add(time.Duration(max(*x.TolerationSeconds, 0)) * time.Second), false
	}
	return time.Time{}, false
}
