package schema

import (
	"iter"
	"math"
	"strings"
	"time"
)

// DefaultGrace is how long a container has between SIGTERM and SIGKILL when its pod does not say.
const DefaultGrace = 30 * time.Second

// Grace is the time between SIGTERM and SIGKILL.
func (s *PodSpec) Grace() time.Duration {
	if s.TerminationGracePeriodSeconds == nil {
		return DefaultGrace
	}
	return time.Duration(*s.TerminationGracePeriodSeconds) * time.Second
}

// Restart is the restart policy with its default.
func (s *PodSpec) Restart() RestartPolicy {
	if s.RestartPolicy == "" {
		return RestartAlways
	}
	return s.RestartPolicy
}

// DefaultMode is the permission bits of files that show a ConfigMap or Secret.
const DefaultMode = 0o644

// AllContainers is the containers that run for the pod's whole life or before it: Containers, then InitContainers.
func (s *PodSpec) AllContainers() iter.Seq[*Container] {
	return func(yield func(*Container) bool) {
		for _, l := range [][]Container{s.Containers, s.InitContainers} {
			for i := range l {
				if !yield(&l[i]) {
					return
				}
			}
		}
	}
}

// Sidecar tells whether an init container goes on beside the others.
func (c *Container) Sidecar() bool { return c.RestartPolicy == RestartAlways }

// ServingPorts is the ports of the containers and sidecars: what a service may lead to.
func (s *PodSpec) ServingPorts() iter.Seq[*Port] {
	return func(yield func(*Port) bool) {
		ports := func(c *Container) bool {
			for i := range c.Ports {
				if !yield(&c.Ports[i]) {
					return false
				}
			}
			return true
		}
		for i := range s.Containers {
			if !ports(&s.Containers[i]) {
				return
			}
		}
		for i := range s.InitContainers {
			if c := &s.InitContainers[i]; c.Sidecar() && !ports(c) {
				return
			}
		}
	}
}

// Reserved is what placement sets aside for a pod: the sum of what its containers and sidecars request, or more if an init
// container needs more while it runs.
func (s *PodSpec) Reserved() Resources {
	var sum, sidecars, peak Resources
	for i := range s.Containers {
		sum = sum.plus(s.Containers[i].Resources.Reserved())
	}
	for i := range s.InitContainers {
		c := &s.InitContainers[i]
		r := c.Resources.Reserved().plus(sidecars)
		if c.Sidecar() {
			sidecars = r
			continue
		}
		peak = peak.max(r)
	}
	return sum.plus(sidecars).max(peak)
}

// Reserved is what placement sets aside: what is requested, or the limit.
func (r Resources) Reserved() Resources {
	out := Resources{MilliCPU: r.MilliCPU, Memory: r.Memory, Storage: r.Storage, PIDs: r.PIDs} // of PIDs there is only the limit
	if q := r.Requests; q != nil {
		for _, x := range []struct{ from, to *int64 }{{q.MilliCPU, &out.MilliCPU}, {q.Memory, &out.Memory}, {q.Storage, &out.Storage}} {
			if x.from != nil {
				*x.to = *x.from
			}
		}
	}
	return out
}

func (r Resources) plus(o Resources) Resources {
	return Resources{MilliCPU: saturated(r.MilliCPU, o.MilliCPU), Memory: saturated(r.Memory, o.Memory), Storage: saturated(r.Storage, o.Storage), PIDs: saturated(r.PIDs, o.PIDs)}
}

func (r Resources) max(o Resources) Resources {
	return Resources{MilliCPU: max(r.MilliCPU, o.MilliCPU), Memory: max(r.Memory, o.Memory), Storage: max(r.Storage, o.Storage), PIDs: max(r.PIDs, o.PIDs)}
}

// saturated is a + b, or the most there is.
func saturated(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// ServiceLinks tells whether the pod is given service variables.
func (s *PodSpec) ServiceLinks() bool { return s.EnableServiceLinks == nil || *s.EnableServiceLinks }

// PullPolicy is the image pull policy with its default: Always for an image that is tagged latest or not at all and has no
// digest, else IfNotPresent.
func (c *Container) PullPolicy() PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	return pullPolicyOf(c.Image)
}

func pullPolicyOf(image string) PullPolicy {
	if strings.Contains(image, "@") {
		return PullIfNotPresent
	}
	_, tag, ok := strings.Cut(image[strings.LastIndexByte(image, '/')+1:], ":")
	if !ok || tag == "latest" {
		return PullAlways
	}
	return PullIfNotPresent
}

// Proto is the protocol with its default, TCP.
func (p Protocol) Proto() Protocol {
	if p == "" {
		return TCP
	}
	return p
}

// Count is the number of replicas with its default, 1.
func (s *ControllerSpec) Count() int {
	if s.Replicas == nil {
		return 1
	}
	return *s.Replicas
}

// Matches is the controller's selector with its default, the template's labels.
func (s *ControllerSpec) Matches() map[string]string {
	if len(s.Selector) == 0 {
		return s.Template.Labels
	}
	return s.Selector
}

// Selects tells whether every pair of selector is among labels. An empty selector selects nothing.
func Selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return len(selector) > 0
}
