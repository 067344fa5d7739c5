package v1

import (
	"slices"

	"reconciler/schema"
)

// Resolve is s with the port that v1beta1 left to the pods written out: the first port of the first container of every pod
// that s selects among pods and the templates of controllers. It is s itself, and false, if there is nothing to resolve, or
// none to resolve it by, or those disagree.
func Resolve(s *schema.Service, set *schema.Set) (*schema.Service, bool) {
	open := func(p schema.ServicePort) bool { return p.TargetPort != nil && *p.TargetPort == (schema.PortOrName{}) }
	if !slices.ContainsFunc(s.Spec.Ports, open) {
		return s, false
	}
	first, found := uint16(0), false
	look := func(namespace string, labels map[string]string, spec *schema.PodSpec) bool {
		if namespace != s.Namespace || !schema.Selects(s.Spec.Selector, labels) {
			return true
		}
		if len(spec.Containers) == 0 || len(spec.Containers[0].Ports) == 0 {
			return false
		}
		p := spec.Containers[0].Ports[0].ContainerPort
		if found && p != first {
			return false
		}
		first, found = p, true
		return true
	}
	for _, p := range set.Pods {
		if !look(p.Namespace, p.Labels, &p.Spec) {
			return s, false
		}
	}
	for _, r := range set.ReplicationControllers {
		if !look(r.Namespace, r.Spec.Template.Labels, &r.Spec.Template.Spec) {
			return s, false
		}
	}
	if !found {
		return s, false
	}
	c := *s
	c.Spec.Ports = slices.Clone(s.Spec.Ports)
	for i := range c.Spec.Ports {
		if open(c.Spec.Ports[i]) {
			c.Spec.Ports[i].TargetPort = &schema.PortOrName{Number: first}
		}
	}
	return c.Canonical(), true
}
