package schema

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Policy is what every object that it matches must be like.
type Policy struct {
	Meta `json:"metadata"`
	Spec PolicySpec `json:"spec"`
}

// PolicySpec is the rules of a policy; a rule that is zero asks for nothing.
type PolicySpec struct {
	Match                PolicyMatch `json:"match,omitzero"`
	Registries           []string    `json:"registries,omitempty"` // that every image is of one of
	RequireLabels        []string    `json:"requireLabels,omitempty"`
	ForbidPrivileged     bool        `json:"forbidPrivileged,omitempty"`
	ForbidHostNamespaces bool        `json:"forbidHostNamespaces,omitempty"`
	ForbidHostPath       bool        `json:"forbidHostPath,omitempty"`
	RequireLimits        []string    `json:"requireLimits,omitempty"` // cpu, memory
	Namespaces           []string    `json:"namespaces,omitempty"`    // that the objects are in one of
	CUE                  string      `json:"cue,omitempty"`           // see schema/load
	Message              string      `json:"message,omitempty"`       // for people
}

// PolicyMatch is which objects are meant: those that all its fields match. Zero: all but Clusters and Policies.
type PolicyMatch struct {
	Kinds            []Kind   `json:"kinds,omitempty"`
	Namespaces       []string `json:"namespaces,omitempty"`
	ExceptNamespaces []string `json:"exceptNamespaces,omitempty"`
	Files            []string `json:"files,omitempty"` // patterns as in .gitignore; reading them is schema/load's
}

// Key of the policy.
func (p *Policy) Key() Key { return Key{KindPolicy, "", p.Name} }

// Hash is as [Pod.Hash].
func (p *Policy) Hash() string { return hashObject(p) }

// Canonical is as [Pod.Canonical].
func (p *Policy) Canonical() *Policy {
	s := p.Spec
	m := &s.Match
	m.Kinds, m.Namespaces, m.ExceptNamespaces, m.Files = cloneList(m.Kinds), cloneList(m.Namespaces), cloneList(m.ExceptNamespaces), cloneList(m.Files)
	s.Registries, s.RequireLabels, s.RequireLimits, s.Namespaces = cloneList(s.Registries), cloneList(s.RequireLabels), cloneList(s.RequireLimits), cloneList(s.Namespaces)
	return &Policy{Meta: clusterMeta(p.Meta), Spec: s}
}

// Matches tells whether an object is meant, as far as its kind and namespace say. An object that is in no namespace is in
// none that a policy names, but a Namespace is in itself.
func (p *Policy) Matches(o Object) bool {
	m, k := &p.Spec.Match, o.Key()
	namespace := k.Namespace
	if k.Kind == KindNamespace {
		namespace = k.Name
	}
	switch {
	case len(m.Kinds) == 0 && (k.Kind == KindCluster || k.Kind == KindPolicy):
		return false
	case len(m.Kinds) > 0 && !slices.Contains(m.Kinds, k.Kind):
		return false
	case len(m.Namespaces) > 0 && !slices.Contains(m.Namespaces, namespace):
		return false
	}
	return !slices.Contains(m.ExceptNamespaces, namespace)
}

// Violations is what of an object that p matches is against its rules, but that of CUE. Paths are those of core/v1.
func (p *Policy) Violations(o Object) []Problem {
	c := &checker{}
	s := &p.Spec
	for _, l := range s.RequireLabels {
		if o.Metadata().Labels[l] == "" {
			c.label([]string{"metadata", "labels"}, l)
		}
	}
	k := o.Key()
	if name := k.Namespace; len(s.Namespaces) > 0 {
		path := []string{"metadata", "namespace"}
		if k.Kind == KindNamespace {
			name, path = k.Name, []string{"metadata", "name"}
		}
		if !slices.Contains(s.Namespaces, name) && (name != "" || !k.Kind.Namespaced()) {
			c.add(path, "", "namespace %q is not one of %s", name, strings.Join(s.Namespaces, ", "))
		}
	}
	switch o := o.(type) {
	case *Pod:
		c.podPolicy([]string{"spec"}, &o.Spec, s)
	case *ReplicationController:
		template := []string{"spec", "template"}
		for _, l := range s.RequireLabels {
			if o.Spec.Template.Labels[l] == "" {
				c.label(at(template, "metadata", "labels"), l)
			}
		}
		c.podPolicy(at(template, "spec"), &o.Spec.Template.Spec, s)
	}
	return c.problems
}

func (c *checker) label(path []string, key string) {
	c.add(path, "", "the label %q is missing", key).because(at(path, key))
}

func (c *checker) podPolicy(path []string, p *PodSpec, s *PolicySpec) {
	if s.ForbidHostNamespaces {
		for _, x := range []struct {
			field string
			used  bool
		}{{"hostNetwork", p.HostNetwork}, {"hostPID", p.HostPID}, {"hostIPC", p.HostIPC}} {
			if x.used {
				c.add(at(path, x.field), "", "the namespaces of the minion are not allowed")
			}
		}
	}
	for i, v := range p.Volumes {
		if s.ForbidHostPath && v.HostPath != nil {
			p := at(path, "volumes", strconv.Itoa(i), "hostPath")
			c.add(p, "", "directories of the minion are not allowed").because(something(p))
		}
		if v.Image != nil {
			c.registry(at(path, "volumes", strconv.Itoa(i), "image", "reference"), v.Image.Reference, s.Registries)
		}
	}
	for i := range p.InitContainers {
		c.containerPolicy(at(path, "initContainers", strconv.Itoa(i)), &p.InitContainers[i], s)
	}
	for i := range p.Containers {
		c.containerPolicy(at(path, "containers", strconv.Itoa(i)), &p.Containers[i], s)
	}
}

func (c *checker) containerPolicy(path []string, k *Container, s *PolicySpec) {
	c.registry(at(path, "image"), k.Image, s.Registries)
	if s.ForbidPrivileged && k.SecurityContext != nil && k.SecurityContext.Privileged {
		c.add(at(path, "securityContext", "privileged"), "", "privileged containers are not allowed")
	}
	for _, r := range s.RequireLimits {
		if r == "cpu" && k.Resources.MilliCPU == 0 || r == "memory" && k.Resources.Memory == 0 {
			c.add(at(path, "resources", "limits", r), "", "a limit of %s is required", r)
		}
	}
}

func (c *checker) registry(path []string, image string, allowed []string) {
	if len(allowed) > 0 && !slices.ContainsFunc(allowed, func(r string) bool { return imageOf(WholeImage(image), r) }) {
		c.add(path, "", "%q is of none of %s", image, strings.Join(allowed, ", "))
	}
}

// WholeImage is an image's name with the registry that short names are of, as Docker reads them.
func WholeImage(image string) string {
	first, rest, slash := strings.Cut(image, "/")
	switch {
	case slash && first == "index.docker.io":
		first = "docker.io"
	case slash && (strings.ContainsAny(first, ".:") || first == "localhost"):
	case slash:
		return "docker.io/" + image
	default:
		return "docker.io/library/" + image
	}
	if first == "docker.io" && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	return first + "/" + rest
}

// imageOf tells whether an image is of a registry, or of the names below one of it. A host ends at a slash: that of
// example.com:5000 or example.com.test is another.
func imageOf(image, registry string) bool {
	registry = strings.TrimSuffix(registry, "/")
	rest, ok := strings.CutPrefix(image, registry)
	if !ok {
		return false
	}
	ends := "/"
	if strings.Contains(registry, "/") {
		ends = "/:@"
	}
	return rest == "" || strings.ContainsAny(rest[:1], ends)
}

// Check is as [Pod.Check].
func (p *Policy) Check() []Problem {
	c := &checker{}
	c.meta(&p.Meta)
	s, m := &p.Spec, &p.Spec.Match
	spec := []string{"spec"}
	kinds := make([]string, len(m.Kinds))
	for i, k := range m.Kinds {
		kinds[i] = string(k)
	}
	c.each(at(spec, "match", "kinds"), kinds, policyKind, "a kind, as Pod")
	const label = "a DNS label: lower-case letters, digits and '-', at most 63"
	c.each(at(spec, "match", "namespaces"), m.Namespaces, isLabel, label)
	c.each(at(spec, "match", "exceptNamespaces"), m.ExceptNamespaces, isLabel, label)
	c.each(at(spec, "match", "files"), m.Files, isPattern, "a pattern as in .gitignore that begins with neither ! nor #")
	c.each(at(spec, "registries"), s.Registries, registryName.MatchString, "the host of a registry, as docker.io, and the beginning of names there if need be, as docker.io/library")
	c.each(at(spec, "requireLabels"), s.RequireLabels, labelKey.MatchString, "the key of a label")
	c.each(at(spec, "requireLimits"), s.RequireLimits, func(r string) bool { return r == "cpu" || r == "memory" }, "cpu or memory")
	c.each(at(spec, "namespaces"), s.Namespaces, isLabel, label)
	if len(s.Registries)+len(s.RequireLabels)+len(s.RequireLimits)+len(s.Namespaces) == 0 && !s.ForbidPrivileged && !s.ForbidHostNamespaces && !s.ForbidHostPath && strings.TrimSpace(s.CUE) == "" {
		c.add(spec, "", "the policy has no rule").because(at(spec, "registries"), at(spec, "requireLabels"), at(spec, "requireLimits"), at(spec, "namespaces"),
			at(spec, "forbidPrivileged"), at(spec, "forbidHostNamespaces"), at(spec, "forbidHostPath"), at(spec, "cue"))
	}
	return c.problems
}

func (c *checker) each(path, values []string, right func(string) bool, want string) {
	for i, v := range values {
		if !right(v) {
			c.add(at(path, strconv.Itoa(i)), "", "got %s, want %s", strconv.Quote(v), want)
		}
	}
}

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	// registryName is a host with a dot or a port, since what has neither is a name on docker.io, and names there.
	registryName = regexp.MustCompile(`^(localhost|[a-z0-9][-a-z0-9]*(\.[-a-z0-9]+)+(:[0-9]{1,5})?|[a-z0-9][-a-z0-9]*:[0-9]{1,5})(/[-._a-z0-9]+)*/?$`)
)

func isLabel(s string) bool { return dnsLabel.MatchString(s) }

func policyKind(k string) bool {
	return slices.Contains([]Kind{KindPod, KindService, KindReplicationController, KindEndpoints, KindConfigMap, KindSecret, KindNamespace, KindNode, KindCluster, KindPolicy}, Kind(k))
}

func isPattern(s string) bool {
	return strings.TrimSpace(s) != "" && !strings.HasPrefix(s, "!") && !strings.HasPrefix(s, "#") && !strings.ContainsAny(s, "\n\r") &&
		!slices.ContainsFunc(strings.Split(s, "/"), func(part string) bool {
			_, err := path.Match(part, "")
			return err != nil || strings.Contains(part, "**") && part != "**"
		})
}
