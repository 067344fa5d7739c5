package schema

import (
	"reflect"
	"slices"
)

func canonicalPodSpec(s PodSpec) PodSpec {
	c := s
	c.NodeSelector = clone(s.NodeSelector)
	c.Volumes = each(s.Volumes, canonicalVolume)
	c.InitContainers = each(s.InitContainers, canonicalContainer)
	c.Containers = each(s.Containers, canonicalContainer)
	if s.SecurityContext == nil || !s.SecurityContext.RunAsNonRoot {
		for k := range c.AllContainers() {
			k.SecurityContext = filled(k.SecurityContext, func(x ContainerSecurity) ContainerSecurity {
				x.RunAsNonRoot = unlessPointer(x.RunAsNonRoot, false)
				return x
			})
		}
	}
	c.RestartPolicy = unless(s.RestartPolicy, RestartAlways)
	c.TerminationGracePeriodSeconds = unlessPointer(s.TerminationGracePeriodSeconds, int64(DefaultGrace.Seconds()))
	c.DNSPolicy = unless(s.DNSPolicy, DNSClusterFirst)
	c.DNSConfig = filled(s.DNSConfig, func(d DNSConfig) DNSConfig {
		return DNSConfig{cloneList(d.Nameservers), cloneList(d.Searches), cloneList(d.Options)}
	})
	c.HostAliases = each(s.HostAliases, func(h HostAlias) HostAlias {
		h.Hostnames = cloneList(h.Hostnames)
		return h
	})
	c.EnableServiceLinks = unlessPointer(s.EnableServiceLinks, true)
	c.SecurityContext = filled(s.SecurityContext, canonicalPodSecurity)
	c.ImagePullSecrets = cloneList(s.ImagePullSecrets)
	c.Affinity = filled(s.Affinity, canonicalAffinity)
	c.Tolerations = each(s.Tolerations, func(t Toleration) Toleration {
		t.Operator = unless(t.Operator, OpEqual)
		t.TolerationSeconds = copied(t.TolerationSeconds)
		return t
	})
	c.TopologySpreadConstraints = each(s.TopologySpreadConstraints, func(t TopologySpread) TopologySpread {
		t.Selector = canonicalSelector(t.Selector)
		t.MinDomains = unlessPointer(t.MinDomains, 1)
		return t
	})
	return c
}

func canonicalVolume(v Volume) Volume {
	v.EmptyDir, v.HostPath, v.Image = copied(v.EmptyDir), copied(v.HostPath), copied(v.Image)
	if m := v.ConfigMap; m != nil {
		v.ConfigMap = &ConfigMapFiles{m.Name, each(m.Items, canonicalKeyPath), unlessPointer(m.DefaultMode, DefaultMode), m.Optional}
	}
	if m := v.Secret; m != nil {
		v.Secret = &SecretFiles{m.SecretName, each(m.Items, canonicalKeyPath), unlessPointer(m.DefaultMode, DefaultMode), m.Optional}
	}
	if d := v.DownwardAPI; d != nil {
		v.DownwardAPI = &DownwardFiles{each(d.Items, canonicalDownwardFile), unlessPointer(d.DefaultMode, DefaultMode)}
	}
	if i := v.Image; i != nil {
		i.PullPolicy = unless(i.PullPolicy, pullPolicyOf(i.Reference))
	}
	if v.sources() == 0 {
		v.EmptyDir = &EmptyDir{} // what a volume without a source has always been
	}
	return v
}

// sources is how many sources are set.
func (v *Volume) sources() (n int) {
	for _, set := range []bool{v.EmptyDir != nil, v.HostPath != nil, v.ConfigMap != nil, v.Secret != nil, v.DownwardAPI != nil, v.Image != nil} {
		if set {
			n++
		}
	}
	return n
}

func canonicalKeyPath(k KeyPath) KeyPath {
	k.Mode = copied(k.Mode)
	return k
}

func canonicalDownwardFile(f DownwardFile) DownwardFile {
	f.FieldRef, f.ResourceFieldRef, f.Mode = copied(f.FieldRef), canonicalResource(f.ResourceFieldRef), copied(f.Mode)
	return f
}

func canonicalResource(r *ResourceReference) *ResourceReference {
	if r = copied(r); r != nil {
		r.Divisor = unless(unless(r.Divisor, "1"), "0")
	}
	return r
}

func canonicalContainer(k Container) Container {
	k.Command, k.Args, k.VolumeMounts = cloneList(k.Command), cloneList(k.Args), cloneList(k.VolumeMounts)
	k.Ports = each(k.Ports, func(p Port) Port {
		p.Protocol = unless(p.Protocol, TCP)
		return p
	})
	k.EnvFrom = each(k.EnvFrom, func(e EnvFrom) EnvFrom {
		e.ConfigMapRef, e.SecretRef = copied(e.ConfigMapRef), copied(e.SecretRef)
		return e
	})
	k.Env = each(k.Env, func(e EnvVar) EnvVar {
		if f := e.ValueFrom; f != nil {
			e.ValueFrom = &EnvSource{copied(f.FieldRef), canonicalResource(f.ResourceFieldRef), copied(f.ConfigMapKeyRef), copied(f.SecretKeyRef)}
		}
		return e
	})
	k.Resources = canonicalResources(k.Resources)
	k.StartupProbe, k.ReadinessProbe, k.LivenessProbe = canonicalProbe(k.StartupProbe), canonicalProbe(k.ReadinessProbe), canonicalProbe(k.LivenessProbe)
	k.Lifecycle = filled(k.Lifecycle, func(l Lifecycle) Lifecycle {
		return Lifecycle{canonicalHook(l.PostStart), canonicalHook(l.PreStop)}
	})
	k.SecurityContext = filled(k.SecurityContext, canonicalContainerSecurity)
	written := k.ImagePullPolicy
	k.ImagePullPolicy = ""
	k.ImagePullPolicy = unless(written, k.PullPolicy())
	return k
}

// canonicalResources drops requests that are the limits.
func canonicalResources(r Resources) Resources {
	r.Requests = filled(r.Requests, func(q Requests) Requests {
		return Requests{unlessPointer(q.MilliCPU, r.MilliCPU), unlessPointer(q.Memory, r.Memory), unlessPointer(q.Storage, r.Storage)}
	})
	return r
}

func canonicalProbe(p *Probe) *Probe {
	if p = copied(p); p == nil {
		return nil
	}
	p.Exec, p.HTTPGet, p.TCPSocket, p.GRPC = canonicalExec(p.Exec), canonicalHTTP(p.HTTPGet), copied(p.TCPSocket), copied(p.GRPC)
	p.TimeoutSeconds = unless(p.TimeoutSeconds, DefaultProbeTimeout)
	p.PeriodSeconds = unless(p.PeriodSeconds, DefaultProbePeriod)
	p.SuccessThreshold = unless(p.SuccessThreshold, DefaultProbeSuccess)
	p.FailureThreshold = unless(p.FailureThreshold, DefaultProbeFailures)
	p.TerminationGracePeriodSeconds = copied(p.TerminationGracePeriodSeconds)
	return p
}

func canonicalHook(h *Hook) *Hook {
	if h == nil {
		return nil
	}
	return &Hook{canonicalExec(h.Exec), canonicalHTTP(h.HTTPGet), copied(h.TCPSocket), copied(h.Sleep)}
}

func canonicalExec(e *ExecAction) *ExecAction {
	if e == nil {
		return nil
	}
	return &ExecAction{cloneList(e.Command)}
}

func canonicalHTTP(h *HTTPAction) *HTTPAction {
	if h = copied(h); h != nil {
		h.Path, h.Scheme, h.Headers = unless(h.Path, "/"), unless(h.Scheme, "HTTP"), cloneList(h.Headers)
	}
	return h
}

func canonicalPodSecurity(s PodSecurity) PodSecurity {
	s.RunAsUser, s.RunAsGroup, s.FSGroup = copied(s.RunAsUser), copied(s.RunAsGroup), copied(s.FSGroup)
	s.FSGroupChangePolicy = unless(s.FSGroupChangePolicy, "Always")
	s.SupplementalGroups, s.Sysctls = cloneList(s.SupplementalGroups), cloneList(s.Sysctls)
	s.SeccompProfile = copied(s.SeccompProfile)
	return s
}

func canonicalContainerSecurity(s ContainerSecurity) ContainerSecurity {
	s.RunAsUser, s.RunAsGroup, s.RunAsNonRoot = copied(s.RunAsUser), copied(s.RunAsGroup), copied(s.RunAsNonRoot)
	s.AllowPrivilegeEscalation = unlessPointer(s.AllowPrivilegeEscalation, true)
	s.Capabilities = filled(s.Capabilities, func(c Capabilities) Capabilities {
		return Capabilities{cloneList(c.Add), cloneList(c.Drop)}
	})
	s.SeccompProfile = copied(s.SeccompProfile)
	return s
}

func canonicalAffinity(a Affinity) Affinity {
	return Affinity{
		Node: filled(a.Node, func(n NodeAffinity) NodeAffinity {
			if n.Required != nil {
				n.Required = &NodeSelector{each(n.Required.Terms, canonicalNodeTerm)}
			}
			n.Preferred = each(n.Preferred, func(p PreferredNode) PreferredNode {
				p.Preference = canonicalNodeTerm(p.Preference)
				return p
			})
			return n
		}),
		Pod:     filled(a.Pod, canonicalPodAffinity),
		PodAnti: filled(a.PodAnti, canonicalPodAffinity),
	}
}

func canonicalNodeTerm(t NodeTerm) NodeTerm {
	return NodeTerm{each(t.Expressions, canonicalRequirement), each(t.Fields, canonicalRequirement)}
}

func canonicalPodAffinity(a PodAffinity) PodAffinity {
	return PodAffinity{
		Required: each(a.Required, canonicalPodTerm),
		Preferred: each(a.Preferred, func(p PreferredPod) PreferredPod {
			p.Term = canonicalPodTerm(p.Term)
			return p
		}),
	}
}

func canonicalPodTerm(t PodTerm) PodTerm {
	t.Selector, t.Namespaces = canonicalSelector(t.Selector), cloneList(t.Namespaces)
	return t
}

func canonicalSelector(s *LabelSelector) *LabelSelector {
	if s == nil {
		return nil
	}
	return &LabelSelector{clone(s.Labels), each(s.Expressions, canonicalRequirement)}
}

func canonicalRequirement(r Requirement) Requirement {
	r.Values = cloneList(r.Values)
	return r
}

// each is f of every element, nil of an empty list.
func each[T any](l []T, f func(T) T) []T {
	l = slices.Clone(cloneList(l))
	for i := range l {
		l[i] = f(l[i])
	}
	return l
}

// copied is a pointer to a copy, nil of nil.
func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// unlessPointer is a pointer to a copy, nil of nil and of what that stands for.
func unlessPointer[T comparable](p *T, standard T) *T {
	if p == nil || *p == standard {
		return nil
	}
	return copied(p)
}

// filled is f of what p points to, nil if that says nothing.
func filled[T any](p *T, f func(T) T) *T {
	if p == nil {
		return nil
	}
	v := f(*p)
	if reflect.ValueOf(v).IsZero() {
		return nil
	}
	return &v
}
