package agent

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
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
		if err := a.Route(ctx, repair); err != nil {
			a.Log.Warn("could not apply routes", "err", err)
			timer.Reset(routeRetry)
		}
	}
}

// Route takes over a newer table and applies the one in force; repair says that the kernel may have lost it. It may run
// beside Step, one Route at a time.
func (a *Agent) Route(ctx context.Context, repair bool) error {
	_, table := a.Controller.Latest()
	kept, taken, refused := a.keep.offerTable(table)
	if refused != "" {
		a.acknowledge(assignment.Generation{}, assignment.Generation{}, routeErrors, refused)
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
	// A peer that cannot be reached must not keep the services from being routed: only they are acknowledged.
	peers := a.Network.SetRoutes(ctx, a.Minion, kept.Table.Minions)
	err := a.Router.Apply(ctx, append(slices.Clip(kept.Table.Services), a.hostPorts(kept.Assignment)...), local)
	var problems []string
	if peers != nil {
		problems = append(problems, "routes to other minions: "+peers.Error())
	}
	if err != nil {
		problems = append(problems, "service routes: "+err.Error())
	} else {
		problems = append(problems, a.Router.Refused()...)
	}
	a.mu.Lock()
	changed := !slices.Equal(a.problems, problems)
	a.problems = problems
	a.mu.Unlock()
	if changed {
		poke(a.wake)
	}
	if err != nil {
		a.acknowledge(assignment.Generation{}, assignment.Generation{}, routeErrors, "service routes: "+err.Error())
		return errors.Join(err, peers)
	}
	if refused == "" {
		a.acknowledge(kept.Table.Generation, assignment.Generation{}, routeErrors, "")
	}
	if peers != nil {
		return peers
	}
	if taken || repair {
		a.Log.Info("applied routes", "generation", kept.Table.Generation.String(), "services", len(kept.Table.Services), "repair", repair,
			"took", time.Since(began).Round(100*time.Microsecond).String())
	}
	return nil
}

// hostPorts are the ports of this minion that its pods were given. They lead to the pod for as long as it may run.
func (a *Agent) hostPorts(assigned *assignment.Assignment) []netproxy.Service {
	if assigned == nil {
		return nil
	}
	var out []netproxy.Service
	for _, i := range assigned.Instances {
		if i.Phase != assignment.Run && i.Phase != assignment.Drain {
			continue
		}
		d := a.keep.decode(i)
		for n := range d.PodSpec.Containers {
			for _, p := range d.PodSpec.Containers[n].Ports {
				if p.HostPort != 0 && p.Protocol.Proto() == schema.TCP {
					out = append(out, netproxy.Service{Namespace: i.Namespace, Name: i.Pod, PortName: "hostPort", Protocol: string(schema.TCP), Port: p.HostPort,
						Addresses: []netip.Addr{a.Address}, Endpoints: []netip.AddrPort{netip.AddrPortFrom(i.Address, p.ContainerPort)}, HostPort: true})
				}
			}
		}
	}
	return out
}

// Whose error an acknowledgement carries: each loop has its own, and what is said is both.
const (
	podErrors = iota
	routeErrors
	errorKinds
)

// acknowledge tells the controller what is in force, with the errors of both loops. A new error is logged once.
func (a *Agent) acknowledge(table, work assignment.Generation, kind int, problem string) {
	a.mu.Lock()
	changed := a.refusals[kind] != problem
	a.refusals[kind] = problem
	var all []string
	for _, p := range a.refusals {
		if p != "" {
			all = append(all, p)
		}
	}
	a.mu.Unlock()
	if changed && problem != "" {
		a.Log.Error("not in force", "minion", a.Minion, "err", problem)
	}
	a.Controller.Ack(table, work, strings.Join(all, "; "))
}
