package schema

import (
	"slices"
	"strconv"
)

// Reference is one ConfigMap or Secret, of its own namespace, that a pod uses.
type Reference struct {
	Kind     Kind
	Name     string
	Key      string   // the entry, "" = all of it
	Optional bool     // it may be missing
	Required bool     // it cannot be made optional
	Path     []string // in the spec
	In       []string // in the spec, what holds the name and whether it is optional
}

// References is every use of a ConfigMap or Secret, in the order of the spec.
func (s *PodSpec) References() []Reference {
	var out []Reference
	for i := range s.Volumes {
		if s.Volumes[i].ConfigMap == nil && s.Volumes[i].Secret == nil {
			continue
		}
		p := []string{"volumes", strconv.Itoa(i)}
		if m := s.Volumes[i].ConfigMap; m != nil {
			out = append(out, volumeReferences(KindConfigMap, m.Name, m.Items, m.Optional, at(p, "configMap"), "name")...)
		}
		if m := s.Volumes[i].Secret; m != nil {
			out = append(out, volumeReferences(KindSecret, m.SecretName, m.Items, m.Optional, at(p, "secret"), "secretName")...)
		}
	}
	for _, l := range []struct {
		field string
		of    []Container
	}{{"initContainers", s.InitContainers}, {"containers", s.Containers}} {
		for i := range l.of {
			k := &l.of[i]
			if len(k.EnvFrom) > 0 || slices.ContainsFunc(k.Env, func(e EnvVar) bool { return e.ValueFrom != nil }) {
				out = append(out, k.references([]string{l.field, strconv.Itoa(i)})...)
			}
		}
	}
	for i, r := range s.ImagePullSecrets {
		out = append(out, Reference{Kind: KindSecret, Name: r.Name, Required: true, Path: []string{"imagePullSecrets", strconv.Itoa(i), "name"}, In: []string{"imagePullSecrets", strconv.Itoa(i)}})
	}
	return out
}

func volumeReferences(kind Kind, name string, items []KeyPath, optional bool, path []string, field string) []Reference {
	out := []Reference{{Kind: kind, Name: name, Optional: optional, Path: at(path, field), In: path}}
	for i, k := range items {
		out = append(out, Reference{Kind: kind, Name: name, Key: k.Key, Optional: optional, Path: at(path, "items", strconv.Itoa(i), "key"), In: path})
	}
	return out
}

func reference(kind Kind, name, key string, optional bool, in []string, field string) Reference {
	return Reference{Kind: kind, Name: name, Key: key, Optional: optional, Path: at(in, field), In: in}
}

func (k *Container) references(path []string) []Reference {
	var out []Reference
	for i, e := range k.EnvFrom {
		p := at(path, "envFrom", strconv.Itoa(i))
		if r := e.ConfigMapRef; r != nil {
			out = append(out, reference(KindConfigMap, r.Name, "", r.Optional, at(p, "configMapRef"), "name"))
		}
		if r := e.SecretRef; r != nil {
			out = append(out, reference(KindSecret, r.Name, "", r.Optional, at(p, "secretRef"), "name"))
		}
	}
	for i, e := range k.Env {
		if e.ValueFrom == nil {
			continue
		}
		p := at(path, "env", strconv.Itoa(i), "valueFrom")
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			out = append(out, reference(KindConfigMap, r.Name, r.Key, r.Optional, at(p, "configMapKeyRef"), "key"))
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			out = append(out, reference(KindSecret, r.Name, r.Key, r.Optional, at(p, "secretKeyRef"), "key"))
		}
	}
	return out
}
