package main

import (
	"cmp"
	"io"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// printObjects prints what get was asked for as the v1beta1 API of 2014 did: one object where a name was given, else a list.
func (v *view) printObjects(w io.Writer, resource, format string) error {
	var object any
	n := 0
	switch resource {
	case "pods":
		vs := v.podViews()
		object, n = v1beta1.PodList(vs), len(vs)
		if v.name != "" && n == 1 {
			object = v1beta1.Pod(vs[0])
		}
	case "services":
		var vs []v1beta1.ServiceView
		for _, s := range v.services() {
			r := v.state.Objects[s.Key().String()]
			p := s.Spec.ClusterIP
			if r.Portal.IsValid() {
				p = r.Portal.String()
			}
			vs = append(vs, v1beta1.ServiceView{Facts: facts(r), Service: s, PortalIP: p})
		}
		object, n = v1beta1.ServiceList(vs), len(vs)
		if v.name != "" && n == 1 {
			object = v1beta1.Service(vs[0])
		}
	case "rc":
		var vs []v1beta1.ControllerView
		for _, c := range v.controllers() {
			vs = append(vs, v1beta1.ControllerView{Facts: facts(v.state.Objects[c.Key().String()]), Controller: c, Replicas: v.copies(c)})
		}
		object, n = v1beta1.ReplicationControllerList(vs), len(vs)
		if v.name != "" && n == 1 {
			object = v1beta1.ReplicationController(vs[0])
		}
	case "minions":
		var vs []v1beta1.MinionView
		for _, m := range v.minions() {
			vs = append(vs, minionView(m))
		}
		object, n = v1beta1.MinionList(vs), len(vs)
		if v.name != "" && n == 1 {
			object = v1beta1.Minion(vs[0])
		}
	}
	if err := v.notFound(resource, n); err != nil {
		return err
	}
	return printJSON(w, object, format)
}

func facts(r reconcile.Record) v1beta1.Facts {
	return v1beta1.Facts{UID: r.UID, Created: r.Created, ResourceVersion: r.Version}
}

// copies is how many instances of a controller there are that are not on their way out.
func (v *view) copies(c *schema.ReplicationController) int {
	n := 0
	for b := range v.state.Bindings.All() {
		if b.Controller == c.Name && b.Namespace == c.Namespace && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			n++
		}
	}
	return n
}

// podViews are the instances, and the declared pods that have none.
func (v *view) podViews() []v1beta1.PodView {
	var out []v1beta1.PodView
	for _, i := range v.instances() {
		out = append(out, podView(i))
	}
	for _, p := range v.unplaced() {
		out = append(out, v1beta1.PodView{Facts: facts(v.state.Objects[p.Key().String()]), Pod: p, Status: "Waiting"})
	}
	return out
}

func podView(i reconcile.InstanceStatus) v1beta1.PodView {
	b := i.Binding
	p := v1beta1.PodView{
		Facts: v1beta1.Facts{UID: b.UID, Created: b.Created, ResourceVersion: b.Version},
		Pod:   &schema.Pod{Meta: schema.Meta{Name: b.Pod, Namespace: b.Namespace, Labels: b.Labels, Annotations: b.Annotations}, Spec: *b.Spec},
		Host:  i.Minion, HostIP: i.HostIP, PodIP: b.Address.String(), Message: i.Reason,
	}
	switch podPhase(i) {
	case "Running":
		p.Status = "Running"
	case "Succeeded", "Failed":
		p.Status = "Terminated"
	default:
		p.Status = "Waiting"
	}
	if i.Observed == nil {
		return p
	}
	p.Message = cmp.Or(i.Observed.Message, p.Message)
	for _, c := range i.Observed.Containers {
		p.Containers = append(p.Containers, v1beta1.ContainerView{
			Name: c.Name, Image: c.Image, ContainerID: c.ID, RestartCount: c.Restarts, State: c.State, Reason: c.Reason,
			Message: c.Message, ExitCode: c.ExitCode, Started: c.StartedAt, Finished: c.FinishedAt,
		})
	}
	return p
}

func minionView(m reconcile.MinionStatus) v1beta1.MinionView {
	v := v1beta1.MinionView{
		Facts: v1beta1.Facts{UID: m.Node.UID, Created: m.Node.Created}, Name: m.Name, MilliCPU: m.Capacity.MilliCPU, Memory: m.Capacity.Memory,
		Labels: m.Labels, Reachable: m.Connected, Ready: m.Health == reconcile.Healthy, Reason: m.Reason, Since: m.LastSeen,
	}
	if m.Node.Address.IsValid() {
		v.HostIP = m.Node.Address.String()
	}
	return v
}
