package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"reconciler/schema"
)

// When an update has failed.
const (
	defaultProgress = 10 * time.Minute // without another ready pod
	imagePatience   = 3 * time.Minute  // for an image that cannot be pulled: registries have short failures
	crashPatience   = 5                // restarts of a container of a new instance
)

// rollbackOff keeps an object from being rolled back.
const rollbackOff = "off"

// effective is the spec that an object is to have, with its hash and annotations: the declared one, or the last healthy one if
// that is quarantined.
func (c *step) effective(w *workload) (spec *schema.PodSpec, hash string, annotations map[string]string) {
	if r := c.st.Objects[w.name]; r.Quarantine != nil && r.Healthy != nil {
		return &r.Healthy.Spec, r.Healthy.Hash, r.Healthy.Annotations
	}
	return w.spec, w.hash, w.annotations
}

// decideQuarantine judges every update that is under way, and notes what is healthy.
func (c *step) decideQuarantine() {
	for _, w := range c.busy {
		was := c.st.Objects[w.name]
		if r := c.judge(w, was, c.instancesOf(w.key)); r != was {
			c.putRecord(w.name, r)
		}
	}
	c.decideGroups()
	for _, w := range c.busy {
		if r := c.st.Objects[w.name]; r.Quarantine != nil {
			c.warn("%s: %s", w.key, quarantined(r))
		}
	}
}

// rollbackOff tells whether a workload is kept from going back.
func (c *step) rollbackOff(w *workload) bool {
	return w.rollback == rollbackOff || w.rollback == "" && c.in.Settings.NoRollback
}

// judge returns the record of a workload with what its instances ids tell of its update.
func (c *step) judge(w *workload, r Record, ids []string) Record {
	if w.spec.Restart() != schema.RestartAlways { // what is to end is not run a second time
		r.Healthy, r.Update, r.Quarantine = nil, nil, nil
		return r
	}
	if r.Healthy != nil && w.replicas < r.Healthy.Replicas { // what is no longer declared is not missing
		fewer := *r.Healthy
		fewer.Replicas, r.Healthy = w.replicas, &fewer
	}
	h := w.hash
	suspended := c.halted(w.key)
	off := c.rollbackOff(w)
	if q := r.Quarantine; q != nil && q.Hash == h && r.Healthy != nil && !off && (q.With == "" || w.groupOf() != "") {
		return r
	}
	r.Quarantine = nil
	fresh := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return c.binding(id).Hash != h })
	ready := c.readyPods(fresh)
	switch {
	case w.replicas > 0 && ready >= w.replicas:
		if other := r.Healthy == nil || r.Healthy.Hash != h; other && !c.groupWell(w) {
			// it is not what all of its group can go back to, yet
		} else if other || r.Healthy.Replicas != w.replicas || !maps.Equal(r.Healthy.Annotations, w.annotations) {
			r.Healthy = &HealthySpec{Hash: h, Spec: *w.spec, Annotations: w.annotations, Replicas: w.replicas, Revision: c.st.Applied.Hash}
		}
		r.Update = nil
	case off || suspended || w.replicas == 0 || r.Healthy == nil || r.Healthy.Hash == h || len(fresh) == 0 && c.waits(w.key):
		r.Update = nil
	default:
		r.Update = c.progress(r.Update, h, ready, c.blind(ids) || c.waits(w.key))
		if why := c.failed(fresh, r.Update, w.replicas); why != "" {
			r.Quarantine, r.Update = &Quarantine{Hash: h, Reason: why, Since: c.now, Commit: r.SpecCommit}, nil
		}
	}
	return r
}

// readyPods is the number of pods of which one of the instances is ready.
func (c *step) readyPods(ids []string) int {
	pods := map[string]bool{}
	for _, id := range ids {
		if b := c.binding(id); c.ready(&b) {
			pods[b.Pod] = true
		}
	}
	return len(pods)
}

// blind tells whether one of some instances is on a minion that is not heard of: then nobody knows how an update goes.
func (c *step) blind(ids []string) bool {
	return slices.ContainsFunc(ids, func(id string) bool {
		m := c.in.Minions[c.binding(id).Minion]
		return m.Report == nil || c.lost(id) || !c.seen(&m)
	})
}

// progress notes that more pods are ready than ever since the update began. An update that nobody sees, and one that a server
// meets when it starts, is given all of its time again; not in every step, as each would be saved.
func (c *step) progress(u *Progress, hash string, ready int, blind bool) *Progress {
	if u != nil && u.Hash == hash && u.Epoch == c.st.Epoch && ready <= u.Ready && !(blind && c.now.Sub(u.Since) > c.patience()/4) {
		return u
	}
	if u != nil && u.Hash == hash {
		ready = max(ready, u.Ready)
	}
	return &Progress{hash, ready, c.now, c.st.Epoch}
}

// failed says why an update to the new instances ids has failed; "" if it has not. Only what a minion that is there reports
// counts.
func (c *step) failed(ids []string, u *Progress, replicas int) string {
	for _, id := range ids {
		b := c.binding(id)
		o := c.observedOf(id)
		if o == nil || c.lost(id) || c.ready(&b) {
			continue
		}
		for _, k := range o.Containers {
			if k.Restarts >= crashPatience {
				return fmt.Sprintf("container %s of %s was restarted %d times", k.Name, id, k.Restarts)
			}
		}
		if slices.Contains(pullReasons, o.Reason) {
			if end := b.Since.Add(imagePatience); end.After(c.now) {
				c.wakeAt(end)
			} else {
				return c.problem(id)
			}
		}
	}
	if end := u.Since.Add(c.patience()); end.After(c.now) {
		c.wakeAt(end)
		return ""
	}
	return fmt.Sprintf("%d of %d pods were ready, and no more for %s", u.Ready, replicas, c.patience())
}

// patience is how long an update may make no progress.
func (c *step) patience() time.Duration { return cmp.Or(c.in.Settings.Progress, defaultProgress) }
