package schema

import (
	"maps"
	"slices"
)

// Canonical is the pod without the defaults that were written out. It shares nothing with p that either could change.
func (p *Pod) Canonical() *Pod {
	return &Pod{Meta: canonicalMeta(p.Meta), Spec: canonicalPodSpec(p.Spec)}
}

// Canonical is as [Pod.Canonical]. A selector that equals the template's labels is a default.
func (r *ReplicationController) Canonical() *ReplicationController {
	c := &ReplicationController{Meta: canonicalMeta(r.Meta), Spec: ControllerSpec{
		MinReadySeconds: r.Spec.MinReadySeconds,
		Selector:        clone(r.Spec.Selector),
		Template: Template{
			Labels:      clone(r.Spec.Template.Labels),
			Annotations: clone(r.Spec.Template.Annotations),
			Spec:        canonicalPodSpec(r.Spec.Template.Spec),
		},
	}}
	if maps.Equal(c.Spec.Selector, c.Spec.Template.Labels) {
		c.Spec.Selector = nil
	}
	if n := r.Spec.Count(); n != 1 {
		c.Spec.Replicas = &n
	}
	return c
}

// Canonical is as [Pod.Canonical]. A target port that equals the port is a default.
func (s *Service) Canonical() *Service {
	c := &Service{Meta: canonicalMeta(s.Meta), Spec: ServiceSpec{
		Type:                     unless(s.Spec.Type, ServiceClusterIP),
		Selector:                 clone(s.Spec.Selector),
		ClusterIP:                s.Spec.ClusterIP,
		SessionAffinity:          unless(s.Spec.SessionAffinity, AffineNone),
		SessionTimeoutSeconds:    unless(s.Spec.SessionTimeoutSeconds, DefaultSessionTimeout),
		InternalTrafficPolicy:    unless(s.Spec.InternalTrafficPolicy, TrafficCluster),
		ExternalTrafficPolicy:    unless(s.Spec.ExternalTrafficPolicy, TrafficCluster),
		PublishNotReadyAddresses: s.Spec.PublishNotReadyAddresses,
	}}
	for _, p := range s.Spec.Ports {
		p.Protocol = unless(p.Protocol, TCP)
		if t := p.TargetPort; t != nil {
			if t.Name == "" && t.Number == p.Port {
				p.TargetPort = nil
			} else {
				v := *t
				p.TargetPort = &v
			}
		}
		c.Spec.Ports = append(c.Spec.Ports, p)
	}
	if len(s.Spec.ExternalIPs) > 0 {
		c.Spec.ExternalIPs = slices.Clone(s.Spec.ExternalIPs)
	}
	return c
}

func canonicalMeta(m Meta) Meta {
	if m.Namespace == "" {
		m.Namespace = DefaultNamespace
	}
	m.Labels, m.Annotations = clone(m.Labels), clone(m.Annotations)
	return m
}

// unless is v, or the zero value if v is what that stands for.
func unless[T comparable](v, standard T) T {
	var zero T
	if v == standard {
		return zero
	}
	return v
}

func clone(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return maps.Clone(m)
}

func cloneList[T any](l []T) []T {
	if len(l) == 0 {
		return nil
	}
	return slices.Clone(l)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
