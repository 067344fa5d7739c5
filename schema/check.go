package schema

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with an object, at a path of it: field names and list indexes as decimal numbers.
type Problem struct {
	Path    []string
	Message string // what is wrong, as a sentence part: lower case, no full stop
	Hint    string // what to do, or ""
}

// NotYet ends the message of a Problem whose object is right but uses what this release cannot do.
const NotYet = "not supported yet"

// Check finds what the fields of one canonical object contradict in each other, in the order of the Go types. Paths are those of core/v1.
// That each field by itself is well-formed is the business of the CUE definitions.
func (p *Pod) Check() []Problem {
	c := &checker{}
	c.meta(&p.Meta)
	c.short(p.Name)
	c.labels([]string{"spec", "nodeSelector"}, p.Spec.NodeSelector, true)
	c.podSpec([]string{"spec"}, &p.Spec)
	return c.problems
}

// nameMax is how long the name of what runs may be in bytes: with a replica's number and an instance's digits behind it, it is
// a file name on its minion, which ends at 255.
const nameMax = 230

func (c *checker) short(name string) {
	if len(name) > nameMax {
		c.add([]string{"metadata", "name"}, "choose a shorter name", "the name has %d characters, more than %d", len(name), nameMax)
	}
}

// Check is as [Pod.Check].
func (r *ReplicationController) Check() []Problem {
	c := &checker{}
	c.meta(&r.Meta)
	c.short(r.Name)
	c.labels([]string{"spec", "selector"}, r.Spec.Selector, true)
	tmpl := []string{"spec", "template"}
	c.labels(at(tmpl, "metadata", "labels"), r.Spec.Template.Labels, true)
	c.annotations(at(tmpl, "metadata", "annotations"), r.Spec.Template.Annotations)
	switch {
	case len(r.Spec.Matches()) == 0:
		c.add(at(tmpl, "metadata", "labels"), "give the template at least one label", "the template has no labels, and without a selector nothing would tell this controller's pods from others")
	case !Selects(r.Spec.Matches(), r.Spec.Template.Labels):
		c.add([]string{"spec", "selector"}, "give the template every label that the selector names",
			"the selector %s does not match the template's labels %s", pairs(r.Spec.Selector), pairs(r.Spec.Template.Labels))
	}
	if r.Spec.Template.Spec.Restart() != RestartAlways {
		c.add(at(tmpl, "spec", "restartPolicy"), "leave it out", "the restart policy of a controller's pods must be Always")
	}
	c.labels(at(tmpl, "spec", "nodeSelector"), r.Spec.Template.Spec.NodeSelector, true)
	c.podSpec(at(tmpl, "spec"), &r.Spec.Template.Spec)
	return c.problems
}

// Check is as [Pod.Check].
func (s *Service) Check() []Problem {
	c := &checker{}
	c.meta(&s.Meta)
	spec := []string{"spec"}
	if len(s.Spec.Ports) == 0 {
		c.add(at(spec, "ports"), "", "a service needs at least one port")
	}
	names, numbers := map[string]bool{}, map[string]bool{}
	for i, p := range s.Spec.Ports {
		path := at(spec, "ports", strconv.Itoa(i))
		if p.Name == "" && len(s.Spec.Ports) > 1 {
			c.add(at(path, "name"), "", "every port of a service with several ports needs a name")
		}
		if p.Name != "" && names[p.Name] {
			c.add(at(path, "name"), "", "a second port of this service is named %q", p.Name)
		}
		names[p.Name] = true
		if n := fmt.Sprintf("%d/%s", p.Port, p.Protocol.Proto()); numbers[n] {
			c.add(at(path, "port"), "", "port %s is listed twice", n)
		} else {
			numbers[n] = true
		}
		if p.Protocol.Proto() != TCP {
			c.add(at(path, "protocol"), "", "%s services are %s", p.Protocol, NotYet)
		}
	}
	c.labels(at(spec, "selector"), s.Spec.Selector, true)
	if len(s.Spec.Selector) == 0 {
		c.add(at(spec, "selector"), "", "a service without a selector is %s", NotYet)
	}
	switch ip := s.Spec.ClusterIP; {
	case ip == "":
	case ip == "None":
		c.add(at(spec, "clusterIP"), "", "a service without an address (None) is %s", NotYet)
	default:
		c.address(at(spec, "clusterIP"), ip)
	}
	seen := map[string]bool{}
	for i, ip := range s.Spec.ExternalIPs {
		path := at(spec, "externalIPs", strconv.Itoa(i))
		if c.address(path, ip) && seen[ip] {
			c.add(path, "", "%s is listed twice", ip)
		}
		seen[ip] = true
	}
	return c.problems
}

type checker struct{ problems []Problem }

func at(path []string, more ...string) []string {
	return append(path[:len(path):len(path)], more...)
}

func (c *checker) add(path []string, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}

// The rules of labels: Kubernetes, "Labels and Selectors". Values have been checked since v1 only, and the ids that people
// wrote into labels in 2014 keep the same rule.
var (
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
)

// maxAnnotations is the most that an object's annotations may hold, keys and values together, in bytes: the limit of
// Kubernetes, so that what was written for it fits.
const maxAnnotations = 256 << 10

func (c *checker) meta(m *Meta) {
	c.labels([]string{"metadata", "labels"}, m.Labels, true)
	c.annotations([]string{"metadata", "annotations"}, m.Annotations)
}

func (c *checker) annotations(path []string, m map[string]string) {
	lower := make(map[string]string, len(m))
	size := 0
	for k, v := range m {
		lower[strings.ToLower(k)] = ""
		size += len(k) + len(v)
	}
	c.labels(path, lower, false)
	if size > maxAnnotations {
		c.add(path, "", "the annotations hold %d bytes, more than %d", size, maxAnnotations)
	}
}

func (c *checker) labels(path []string, m map[string]string, values bool) {
	for _, k := range sortedKeys(m) {
		prefix, _, slash := strings.Cut(k, "/")
		if !labelKey.MatchString(k) || slash && len(prefix) > 253 {
			c.add(at(path, k), "at most 63 letters, digits, '-', '_' and '.', with a DNS name and '/' before them if need be", "the key %q is not well-formed", k)
		}
		if values && !labelValue.MatchString(m[k]) {
			c.add(at(path, k), "at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit", "the value %q is not well-formed", m[k])
		}
	}
}

func (c *checker) address(path []string, ip string) bool {
	a, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		c.add(path, "", "%q is not an IP address", ip)
	case !a.Is4():
		c.add(path, "", "the IPv6 address %s is %s", ip, NotYet)
	case !a.IsGlobalUnicast():
		c.add(path, "", "%s is not an address that a service can have", ip)
	default:
		return true
	}
	return false
}

func (c *checker) podSpec(path []string, s *PodSpec) {
	volumes := map[string]bool{}
	for i, v := range s.Volumes {
		p := at(path, "volumes", strconv.Itoa(i))
		if volumes[v.Name] {
			c.add(at(p, "name"), "", "a second volume of this pod is named %q", v.Name)
		}
		volumes[v.Name] = true
		if v.EmptyDir != nil && v.HostPath != nil {
			c.add(p, "make two volumes of it", "volume %q has two sources", v.Name)
		}
	}
	if len(s.Containers) == 0 {
		c.add(at(path, "containers"), "", "a pod needs at least one container")
	}
	names, hostPorts := map[string]bool{}, map[string]string{}
	portNames := map[string]string{}
	for i := range s.Containers {
		k := &s.Containers[i]
		p := at(path, "containers", strconv.Itoa(i))
		if names[k.Name] {
			c.add(at(p, "name"), "", "a second container of this pod is named %q", k.Name)
		}
		names[k.Name] = true
		c.ports(p, k, portNames, hostPorts)
		mounts := map[string]bool{}
		for j, m := range k.VolumeMounts {
			q := at(p, "volumeMounts", strconv.Itoa(j))
			if !volumes[m.Name] {
				c.add(at(q, "name"), "add it to the pod's volumes", "the pod has no volume %q", m.Name)
			}
			if mounts[m.MountPath] {
				c.add(at(q, "mountPath"), "", "a second volume is mounted at %q", m.MountPath)
			}
			mounts[m.MountPath] = true
		}
	}
}

func (c *checker) ports(path []string, k *Container, names, hostPorts map[string]string) {
	inside := map[string]bool{}
	for j, port := range k.Ports {
		p := at(path, "ports", strconv.Itoa(j))
		if port.Name != "" {
			if inside[port.Name] {
				c.add(at(p, "name"), "", "a second port of this container is named %q", port.Name)
			} else if o, ok := names[port.Name]; ok {
				c.add(at(p, "name"), "", "container %q has a port named %q too, so that a service could not tell them apart", o, port.Name)
			} else {
				names[port.Name] = k.Name
			}
			inside[port.Name] = true
		}
		if port.HostPort == 0 {
			continue
		}
		if port.Protocol.Proto() == UDP {
			c.add(at(p, "hostPort"), "", "host ports of UDP are %s", NotYet)
		}
		n := fmt.Sprintf("%d/%s", port.HostPort, port.Protocol.Proto())
		if o, ok := hostPorts[n]; ok {
			c.add(at(p, "hostPort"), "", "container %q has host port %s already", o, n)
			continue
		}
		hostPorts[n] = k.Name
	}
}

func pairs(m map[string]string) string {
	if len(m) == 0 {
		return "(none)"
	}
	var b strings.Builder
	for i, k := range sortedKeys(m) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "=" + m[k])
	}
	return b.String()
}
