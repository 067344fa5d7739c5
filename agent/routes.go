package agent

import (
	"context"
	"net/netip"
	"time"

	"reconciler/reconcile/assignment"
)

// routeRetry is the wait after a table that the kernel did not take.
const routeRetry = time.Second

// routeLoop keeps the kernel's routes as the newest table says and acknowledges each when the kernel has it. It never waits
// for pods.
func (a *Agent) routeLoop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		repair := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-a.routes:
		case <-timer.C:
		case <-a.Router.Changed():
			repair = true
		case <-a.Network.Changed():
			repair = true
			a.keep.repairNetwork()
			poke(a.wake)
		}
		if err := a.route(ctx, repair); err != nil {
			a.Log.Warn("could not apply routes", "err", err)
			timer.Reset(routeRetry)
		}
	}
}

// route takes over a newer table and applies the one in force.
func (a *Agent) route(ctx context.Context, repair bool) error {
	_, table := a.Controller.Latest()
	kept, taken, refused := a.keep.offerTable(table)
	if refused != "" {
		a.Log.Error("refused routes", "minion", a.Minion, "err", refused)
		a.Controller.Ack(assignment.Generation{}, assignment.Generation{}, refused)
	}
	if kept.Table == nil {
		return nil
	}
	var local netip.Prefix
	if kept.Assignment != nil {
		local = kept.Assignment.Network
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := a.Network.SetRoutes(ctx, a.Minion, kept.Table.Minions)
	if err == nil {
		err = a.Router.Apply(ctx, kept.Table.Services, local)
	}
	a.mu.Lock()
	was := a.problem
	a.problem = ""
	if err != nil {
		a.problem = err.Error()
	}
	changed := was != a.problem
	a.mu.Unlock()
	if changed {
		poke(a.wake)
	}
	if err != nil {
		a.Controller.Ack(assignment.Generation{}, assignment.Generation{}, "routes: "+err.Error())
		return err
	}
	if refused == "" {
		a.Controller.Ack(kept.Table.Generation, assignment.Generation{}, "")
	}
	if taken || repair {
		a.Log.Info("applied routes", "generation", kept.Table.Generation.String(), "services", len(kept.Table.Services), "repair", repair,
			"took", time.Since(began).Round(100*time.Microsecond).String())
	}
	return nil
}
