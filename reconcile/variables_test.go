package reconcile_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// one is the input of a fleet of one minion that runs a pod "a" and has these services.
func one(services ...*schema.Service) reconcile.Input {
	now := time.Date(2014, 12, 16, 9, 0, 0, 0, time.UTC)
	p := &schema.Pod{Meta: schema.Meta{Name: "a", Namespace: "default"}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i:1"}}}}
	return reconcile.Input{
		Now: now, Revision: reconcile.Revision{Hash: fmt.Sprint(len(services))}, Set: &schema.Set{Pods: []*schema.Pod{p}, Services: services},
		Settings: reconcile.DefaultSettings(), State: reconcile.State{Fleet: "f", Epoch: 1},
		Minions: map[string]reconcile.Minion{"m1": {Connected: true, LastSeen: now, Reported: now, Report: &assignment.Report{
			Minion: "m1", Address: netip.MustParseAddr("10.245.2.2"), Capacity: assignment.Capacity{MilliCPU: 1000, Memory: 1 << 30, Pods: 10}}}},
	}
}

func svc(name string) *schema.Service {
	return &schema.Service{Meta: schema.Meta{Name: name, Namespace: "default"}, Spec: schema.ServiceSpec{Selector: map[string]string{"a": "b"}, Ports: []schema.ServicePort{{Port: 80}}}}
}

// What an agent is given of an instance never changes. Mutant: assign gives the variables of now.
func TestVariablesAreFixedInTheAssignment(t *testing.T) {
	in := one(svc("db"))
	first := reconcile.Compute(in)
	before := first.Assignments["m1"].Instances[0].Env
	if len(before) == 0 {
		t.Fatal("no variables")
	}
	in = one(svc("db"), svc("msg"))
	in.State = first.State
	second := reconcile.Compute(in)
	if after := second.Assignments["m1"].Instances[0].Env; fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the variables of an instance changed:\n%v\n%v", before, after)
	}
}

// Mutant: the check left out.
func TestTooManyVariablesBlockThePod(t *testing.T) {
	var many []*schema.Service
	for i := range 6000 {
		many = append(many, svc(fmt.Sprintf("service-with-a-name-%d", i)))
	}
	p := reconcile.Compute(one(many...))
	if n := len(p.Assignments["m1"].Instances); n != 0 {
		t.Errorf("%d instances were bound", n)
	}
	for _, c := range p.Changes {
		if c.Verb == reconcile.Create {
			if !c.Blocked || !strings.Contains(c.Waiting, "service variables") {
				t.Errorf("the change says %+v", c)
			}
			return
		}
	}
	t.Error("no change speaks of the pod")
}

// So many services in so small a net that probes collide. Mutant: choosePortal does not note what it gave.
func TestNoPortalIPTwice(t *testing.T) {
	var many []*schema.Service
	for i := range 250 {
		many = append(many, svc(fmt.Sprintf("s%d", i)))
	}
	in := one(many...)
	in.Settings.PortalNet = netip.MustParsePrefix("10.0.0.0/24")
	p := reconcile.Compute(in)
	seen := map[netip.Addr]string{}
	for k, r := range p.State.Objects {
		if !r.Portal.IsValid() {
			continue
		}
		if other, twice := seen[r.Portal]; twice {
			t.Errorf("%s and %s both have %s", k, other, r.Portal)
		}
		seen[r.Portal] = k
	}
	if len(seen) != 250 {
		t.Errorf("%d of 250 services have a portal IP", len(seen))
	}
}
