package schema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// targets finds named ports of services that no pod has which they select. A service that selects nothing may be there for what
// is to come. With a change, only services are looked at that it can have brought a clash to.
func (c *setChecker) targets(change *Change) {
	meant := func(*Service) bool { return true }
	if change != nil {
		meant = change.retargeted()
	}
	var named []*Service
	for _, v := range c.set.Services {
		if len(v.Spec.Selector) > 0 && slices.ContainsFunc(v.Spec.Ports, byName) && meant(v) {
			named = append(named, v)
		}
	}
	if len(named) == 0 {
		return
	}
	found := make([]selected, len(named))
	index := indexOf(named)
	for _, p := range c.set.Pods {
		index.find(p.Namespace, p.Labels, func(i int) { found[i].add(named[i], p.Key(), p.Labels, &p.Spec) })
	}
	for _, r := range c.set.ReplicationControllers {
		t := &r.Spec.Template
		index.find(r.Namespace, t.Labels, func(i int) { found[i].add(named[i], r.Key(), t.Labels, &t.Spec) })
	}
	for i, v := range named {
		c.target(v, &found[i])
	}
}

func byName(p ServicePort) bool { return p.TargetPort != nil && p.TargetPort.Name != "" }

// target checks one service.
func (c *setChecker) target(v *Service, s *selected) {
	if s.pods == 0 {
		return
	}
	for i, p := range v.Spec.Ports {
		if !byName(p) || slices.Contains(s.names, p.TargetPort.Name) {
			continue
		}
		has := "no port has a name there"
		if len(s.names) > 0 {
			has = "there are " + strings.Join(slices.Sorted(slices.Values(s.names)), ", ")
		}
		path := []string{"spec", "ports", strconv.Itoa(i), "targetPort"}
		served := func(spec ...string) [][]string {
			return [][]string{at(spec, "containers", "*", "ports"), at(spec, "initContainers", "*", "ports"), at(spec, "initContainers", "*", "restartPolicy")}
		}
		c.clashes = append(c.clashes, Clash{
			Key: v.Key(),
			Problem: Problem{
				Path: path, Message: fmt.Sprintf("no pod that the service selects has a port named %q; one of them is %s", p.TargetPort.Name, s.first), Hint: has,
				Because: [][]string{path, {"spec", "selector"}, {"metadata", "namespace"}},
			},
			Premises: []Premise{
				{Key{KindPod, v.Namespace, ""}, append(served("spec"), []string{"metadata", "name"}, []string{"metadata", "labels"})},
				{Key{KindReplicationController, v.Namespace, ""}, append(served("spec", "template", "spec"), []string{"metadata", "name"}, []string{"spec", "template", "metadata", "labels"})},
			},
		})
	}
}

// selected is the pods and templates that a service selects.
type selected struct {
	pods  int
	first Key
	names []string // of their ports
}

func (s *selected) add(v *Service, k Key, labels map[string]string, spec *PodSpec) {
	if !Selects(v.Spec.Selector, labels) {
		return
	}
	if s.pods++; s.pods == 1 {
		s.first = k
	}
	for p := range spec.ServingPorts() {
		if p.Name != "" && !slices.Contains(s.names, p.Name) {
			s.names = append(s.names, p.Name)
		}
	}
}

// serviceIndex finds the services that may select labels: by one pair of the selector of each.
type serviceIndex struct {
	keys []string
	by   map[[3]string][]int // namespace, key and value
}

func indexOf(services []*Service) *serviceIndex {
	x := &serviceIndex{by: make(map[[3]string][]int, len(services))}
	for i, v := range services {
		key := ""
		for k := range v.Spec.Selector {
			if key == "" || k < key {
				key = k
			}
		}
		if !slices.Contains(x.keys, key) {
			x.keys = append(x.keys, key)
		}
		at := [3]string{v.Namespace, key, v.Spec.Selector[key]}
		x.by[at] = append(x.by[at], i)
	}
	return x
}

func (x *serviceIndex) find(namespace string, labels map[string]string, found func(i int)) {
	for _, k := range x.keys {
		if v, ok := labels[k]; ok {
			for _, i := range x.by[[3]string{namespace, k, v}] {
				found(i)
			}
		}
	}
}

// template is what services see of a pod or a controller.
type template struct {
	namespace string
	labels    map[string]string
	spec      *PodSpec
}

func templateOf(o Object) (t template, ok bool) {
	switch o := o.(type) {
	case *Pod:
		return template{o.Namespace, o.Labels, &o.Spec}, true
	case *ReplicationController:
		return template{o.Namespace, o.Spec.Template.Labels, &o.Spec.Template.Spec}, true
	}
	return template{}, false
}

func (t template) names() (out []string) {
	for p := range t.spec.ServingPorts() {
		if p.Name != "" {
			out = append(out, p.Name)
		}
	}
	return out
}

// looksAs tells whether services see no difference.
func (t template) looksAs(o template) bool {
	return maps.Equal(t.labels, o.labels) && slices.Equal(t.names(), o.names())
}

// retargeted tells whether a change can have made a service select other pods, or pods with other ports.
func (c *Change) retargeted() func(v *Service) bool {
	var services []Key
	var templates []template
	c.both(func(o, other Object) {
		if _, ok := o.(*Service); ok {
			services = append(services, o.Key())
		}
		t, ok := templateOf(o)
		if was, there := templateOf(other); ok && !(there && t.looksAs(was)) {
			templates = append(templates, t)
		}
	})
	return func(v *Service) bool {
		return slices.ContainsFunc(templates, func(t template) bool {
			return t.namespace == v.Namespace && Selects(v.Spec.Selector, t.labels)
		}) || slices.Contains(services, v.Key())
	}
}
