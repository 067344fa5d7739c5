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
		Selector: clone(r.Spec.Selector),
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
		Selector:  clone(s.Spec.Selector),
		ClusterIP: s.Spec.ClusterIP,
	}}
	for _, p := range s.Spec.Ports {
		p.Protocol = canonicalProtocol(p.Protocol)
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

func canonicalPodSpec(s PodSpec) PodSpec {
	c := PodSpec{NodeSelector: clone(s.NodeSelector), NodeName: s.NodeName}
	for _, v := range s.Volumes {
		switch {
		case v.HostPath != nil:
			h := *v.HostPath
			v.HostPath = &h
		case v.EmptyDir == nil:
			v.EmptyDir = &EmptyDir{} // what a volume without a source has always been
		}
		c.Volumes = append(c.Volumes, v)
	}
	for _, k := range s.Containers {
		k.Command, k.Args = cloneList(k.Command), cloneList(k.Args)
		k.Env, k.VolumeMounts = cloneList(k.Env), cloneList(k.VolumeMounts)
		k.Ports = cloneList(k.Ports)
		for i := range k.Ports {
			k.Ports[i].Protocol = canonicalProtocol(k.Ports[i].Protocol)
		}
		written := k.ImagePullPolicy
		k.ImagePullPolicy = ""
		if written != k.PullPolicy() {
			k.ImagePullPolicy = written
		}
		c.Containers = append(c.Containers, k)
	}
	if r := s.Restart(); r != RestartAlways {
		c.RestartPolicy = r
	}
	if s.TerminationGracePeriodSeconds != nil && s.Grace() != DefaultGrace {
		g := *s.TerminationGracePeriodSeconds
		c.TerminationGracePeriodSeconds = &g
	}
	return c
}

func canonicalProtocol(p Protocol) Protocol {
	if p == TCP {
		return ""
	}
	return p
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

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
