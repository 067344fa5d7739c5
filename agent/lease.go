package agent

import (
	"context"
	"encoding/json"
	"time"

	"golang.org/x/sys/unix"

	"reconciler/reconcile/assignment"
)

// leaseEvery is how often the clock is looked at while there is a lease. A timer alone would be late by as long as the machine
// was suspended, which CLOCK_BOOTTIME counts and timers do not.
const leaseEvery = time.Second

// lease is what fenced instances run by, together with the assignment's Lease: since when contact counts. The zero value is
// none. It is kept on disk, so that it goes on when the agent is restarted; not durably, as the end of a boot ends it.
type lease struct {
	Boot string        `json:"boot"` // id of the boot in which Sent counts
	Sent time.Duration `json:"sent"` // of the newest contact, CLOCK_BOOTTIME
}

// enforced tells whether fenced instances need a lease.
func enforced(a *assignment.Assignment) bool { return a != nil && a.Lease > 0 }

// next is the lease at now, after heard was heard last and with a in force. One that has run out, or is of another boot, is
// over whatever was heard since; a new one begins with an assignment that was decided after the contact began, see
// assignment.Contact.
func (l lease) next(heard assignment.Contact, a *assignment.Assignment, boot string, now time.Duration) lease {
	if l.holds(a, boot, now) {
		l.Sent = max(l.Sent, heard.Sent)
		return l
	}
	begun := lease{Boot: boot, Sent: heard.Sent}
	if heard.Number > 0 && begun.holds(a, boot, now) && heard.Epoch == a.Generation.Epoch && a.Contact >= heard.Number {
		return begun
	}
	return lease{}
}

// holds tells whether fenced instances may run. Without a boot id nobody knows of a reboot, so that nothing holds.
func (l lease) holds(a *assignment.Assignment, boot string, now time.Duration) bool {
	return enforced(a) && boot != "" && l.Boot == boot && l.Sent+a.Lease > now
}

// loadLease reads what an earlier agent kept. What cannot be read is none: its fenced instances end until there is contact.
func loadLease(d Disk) lease {
	var l lease
	b, err := d.Load()
	if err != nil || json.Unmarshal(b, &l) != nil {
		return lease{}
	}
	return l
}

// renew brings the lease up to date and tells whether fenced instances may not run; if they may, end is by the agent's clock
// when they no longer may (zero: never).
func (a *Agent) renew() (over bool, end time.Time) {
	assigned := a.keep.assignment()
	a.leasing.Lock()
	defer a.leasing.Unlock()
	now, was := a.Boottime(), a.lease
	a.lease = was.next(a.Controller.Contact(), assigned, a.BootID, now)
	if a.lease != was && a.lease != (lease{}) { // that one ran out is seen from what is kept
		b, err := json.Marshal(a.lease)
		if err == nil {
			err = a.LeaseDisk.Save(b)
		}
		if err != nil { // an agent after this one believes in an earlier end
			a.Log.Warn("lease was not kept", "minion", a.Minion, "err", err)
		}
	}
	if !enforced(assigned) {
		return false, time.Time{}
	}
	if !a.lease.holds(assigned, a.BootID, now) {
		return true, time.Time{}
	}
	return false, a.Now().Add(a.lease.Sent + assigned.Lease - now)
}

// leaseLoop renews the lease and wakes the pod loop when it begins or ends.
func (a *Agent) leaseLoop(ctx context.Context) error {
	tick := time.NewTicker(leaseEvery)
	defer tick.Stop()
	was := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if over, _ := a.renew(); over != was {
			was = over
			poke(a.wake)
		}
	}
}

// Boottime is CLOCK_BOOTTIME: the time since the machine booted, suspensions included, which nobody can step
// (clock_gettime(2)).
func Boottime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("agent: read CLOCK_BOOTTIME: " + err.Error()) // Linux has had it since 2.6.39
	}
	return time.Duration(t.Nano())
}
