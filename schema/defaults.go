package schema

import (
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

// Limits is the sum of the containers' limits.
func (s *PodSpec) Limits() Resources {
	var r Resources
	for i := range s.Containers {
		r.MilliCPU += s.Containers[i].Resources.MilliCPU
		r.Memory += s.Containers[i].Resources.Memory
	}
	return r
}

// PullPolicy is the image pull policy with its default: Always for an image that is tagged latest or not at all and has no
// digest, else IfNotPresent.
func (c *Container) PullPolicy() PullPolicy {
	if c.ImagePullPolicy != "" {
		return c.ImagePullPolicy
	}
	if strings.Contains(c.Image, "@") {
		return PullIfNotPresent
	}
	_, tag, ok := strings.Cut(c.Image[strings.LastIndexByte(c.Image, '/')+1:], ":")
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
