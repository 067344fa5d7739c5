package schema

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) volume(spec, path []string, v *Volume, s *PodSpec) {
	if m := v.ConfigMap; m != nil {
		c.items(at(path, "configMap", "items"), m.Items)
	}
	if m := v.Secret; m != nil {
		c.items(at(path, "secret", "items"), m.Items)
	}
	d := v.DownwardAPI
	if d == nil {
		return
	}
	seen := map[string]bool{}
	for i, f := range d.Items {
		p := at(path, "downwardAPI", "items", strconv.Itoa(i))
		c.file(at(p, "path"), f.Path, seen)
		c.exactlyOne(p, "what to show", given{"fieldRef", f.FieldRef != nil}, given{"resourceFieldRef", f.ResourceFieldRef != nil})
		if f.FieldRef != nil {
			c.fieldPath(at(p, "fieldRef", "fieldPath"), f.FieldRef.FieldPath, volumeFields)
		}
		if r := f.ResourceFieldRef; r != nil && r.ContainerName == "" {
			c.add(at(p, "resourceFieldRef", "containerName"), "", "is missing: a volume belongs to no container")
		}
		c.resource(spec, at(p, "resourceFieldRef"), f.ResourceFieldRef, s)
	}
}

func (c *checker) items(path []string, items []KeyPath) {
	seen := map[string]bool{}
	for i, k := range items {
		c.file(at(path, strconv.Itoa(i), "path"), k.Path, seen)
	}
}

// file checks the path of one file of a volume.
func (c *checker) file(path []string, p string, seen map[string]bool) {
	c.inside(path, p)
	if strings.HasPrefix(p, "..") {
		c.add(path, "", "%q begins with '..', as names do that the volume keeps for itself", p)
	}
	if seen[p] {
		c.add(path, "", "a second file is named %q", p)
	}
	seen[p] = true
}

// What is known of a pod: as variables and as files. Kubernetes, "Downward API".
var (
	bothFields   = []string{"metadata.name", "metadata.namespace", "metadata.uid"}
	envFields    = append(slices.Clone(bothFields), "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs")
	volumeFields = append(slices.Clone(bothFields), "metadata.labels", "metadata.annotations")
	keyedField   = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)
)

func (c *checker) fieldPath(path []string, field string, known []string) {
	if m := keyedField.FindStringSubmatch(field); m != nil {
		if !labelKey.MatchString(m[2]) && m[1] == "labels" {
			c.add(path, "", "the key %q is not well-formed", m[2])
		}
		return
	}
	if !slices.Contains(known, field) {
		c.add(path, "one of "+strings.Join(known, ", ")+", metadata.labels['KEY'], metadata.annotations['KEY']", "%q is no field that can be shown", field)
	}
}

// The amounts that a container can be told.
var amounts = []string{"limits.cpu", "limits.memory", "limits.ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage"}

func (c *checker) resource(spec, path []string, r *ResourceReference, s *PodSpec) {
	if r == nil {
		return
	}
	if !slices.Contains(amounts, r.Resource) {
		c.add(at(path, "resource"), "one of "+strings.Join(amounts, ", "), "%q is no amount that can be shown", r.Resource)
	}
	if r.ContainerName == "" {
		return
	}
	for k := range s.AllContainers() {
		if k.Name == r.ContainerName {
			return
		}
	}
	c.add(at(path, "containerName"), "", "the pod has no container %q", r.ContainerName).
		also(at(spec, "containers", "*", "name"), at(spec, "initContainers", "*", "name"))
}

func (c *checker) env(spec, path []string, e *EnvVar, s *PodSpec) {
	f := e.ValueFrom
	if f == nil {
		return
	}
	p := at(path, "valueFrom")
	if e.Value != "" {
		c.add(p, "remove one of the two", "value and valueFrom cannot be given together").because(something(p), at(path, "value"))
	}
	c.exactlyOne(p, "a source of the value", given{"fieldRef", f.FieldRef != nil}, given{"resourceFieldRef", f.ResourceFieldRef != nil},
		given{"configMapKeyRef", f.ConfigMapKeyRef != nil}, given{"secretKeyRef", f.SecretKeyRef != nil})
	if f.FieldRef != nil {
		c.fieldPath(at(p, "fieldRef", "fieldPath"), f.FieldRef.FieldPath, envFields)
	}
	c.resource(spec, at(p, "resourceFieldRef"), f.ResourceFieldRef, s)
}
