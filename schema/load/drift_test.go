package load

import (
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// TestDefinitionsAndTypesAgree compares what the definitions support with the fields of the Go types that documents are
// decoded into: a field in one alone would be dropped in silence, or could never be written.
func TestDefinitionsAndTypesAgree(t *testing.T) {
	e, err := newEvaluator()
	if err != nil {
		t.Fatal(err)
	}
	types := map[definitionKey]reflect.Type{
		{versionV1, schema.KindPod}:                   reflect.TypeFor[v1Pod](),
		{versionV1, schema.KindService}:               reflect.TypeFor[v1Service](),
		{versionV1, schema.KindReplicationController}: reflect.TypeFor[v1ReplicationController](),
		{versionV1, schema.KindEndpoints}:             reflect.TypeFor[schema.Endpoints](),
		{versionV1, schema.KindConfigMap}:             reflect.TypeFor[v1ConfigMap](),
		{versionV1, schema.KindSecret}:                reflect.TypeFor[v1Secret](),
		{versionV1, schema.KindNamespace}:             reflect.TypeFor[schema.Namespace](),
		{versionV1, schema.KindNode}:                  reflect.TypeFor[schema.Node](),
		{versionOwn, schema.KindCluster}:              reflect.TypeFor[schema.Cluster](),
		{versionOwn, schema.KindPolicy}:               reflect.TypeFor[schema.Policy](),
	}
	for kind, typ := range v1beta1.AsWritten() {
		types[definitionKey{versionV1beta1, kind}] = typ
		types[definitionKey{versionV1beta2, kind}] = typ
	}
	// Fields of a Go type that serves more than one form.
	elsewhere := map[string][]string{
		"v1 Service":                    {"spec.sessionTimeoutSeconds"}, // canonical; v1 has it deeper
		"v1 Namespace":                  {"metadata.namespace"},         // in none
		"v1 Node":                       {"metadata.namespace"},         // in none
		"reconciler/v1 Cluster":         {"metadata.namespace"},         // in none
		"reconciler/v1 Policy":          {"metadata.namespace"},         // in none
		"v1beta2 Pod":                   {"key", "path"},                // of v1beta1
		"v1beta2 ReplicationController": {"key", "path"},                // of v1beta1
		"v1beta2 ContainerManifest":     {"key", "path"},                // of v1beta1
	}
	if len(types) != len(e.defs) {
		t.Errorf("%d types for %d definitions", len(types), len(e.defs))
	}
	for key, typ := range types {
		var fromCUE, fromGo []string
		limited := map[string]bool{} // of which some values are supported: in the Go type if that needs them
		e.defs[key].shape.paths("", func(p string, l bool) {
			if l {
				limited[p] = true
				return
			}
			fromCUE = append(fromCUE, p)
		})
		typePaths(typ, "", func(p string) { fromGo = append(fromGo, p) })
		// What a document is chosen by is not decoded.
		for _, p := range []string{"apiVersion", "kind", "version"} {
			fromCUE = without(fromCUE, p)
			fromGo = without(fromGo, p)
		}
		sort.Strings(fromCUE)
		sort.Strings(fromGo)
		for _, p := range fromCUE {
			if !slices.Contains(fromGo, p) {
				t.Errorf("%s %s: %q is in the definition and not in the Go type", key.version, key.kind, p)
			}
		}
		for _, p := range fromGo {
			other := slices.ContainsFunc(elsewhere[key.version+" "+string(key.kind)], func(e string) bool { return p == e || strings.HasSuffix(p, "[]."+e) })
			if !slices.Contains(fromCUE, p) && !limited[p] && !other {
				t.Errorf("%s %s: %q is in the Go type and not in the definition", key.version, key.kind, p)
			}
		}
		if len(fromGo) < 3 {
			t.Errorf("%s %s: only %d fields were compared", key.version, key.kind, len(fromGo))
		}
	}
}

func without(l []string, x string) []string {
	return slices.DeleteFunc(l, func(y string) bool { return y == x })
}

// paths is every supported field below s.
func (s *shape) paths(at string, add func(path string, limited bool)) {
	for name, f := range s.fields {
		if f.ignored {
			continue
		}
		p := strings.TrimPrefix(at+"."+name, ".")
		add(p, f.limited || f.hollow())
		f.paths(p, add)
	}
	if s.item != nil {
		s.item.paths(at+"[]", add)
	}
}

// hollow tells whether a struct has nothing that a Go type would need.
func (s *shape) hollow() bool {
	for _, f := range s.fields {
		if !f.ignored && !f.limited {
			return false
		}
	}
	return len(s.fields) > 0
}

func typePaths(typ reflect.Type, at string, add func(string)) {
	switch typ.Kind() {
	case reflect.Pointer:
		typePaths(typ.Elem(), at, add)
	case reflect.Slice:
		typePaths(typ.Elem(), at+"[]", add)
	case reflect.Struct:
		if typ == reflect.TypeFor[schema.PortOrName]() {
			return
		}
		for f := range fieldsOf(typ) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := strings.TrimPrefix(at+"."+name, ".")
			add(p)
			typePaths(f.Type, p, add)
		}
	}
}

// fieldsOf is the fields that JSON sees: those of embedded structs count unless the outer has the same name.
func fieldsOf(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		seen := map[string]bool{}
		var embedded []reflect.Type
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Anonymous && f.Tag.Get("json") == "" {
				embedded = append(embedded, f.Type)
				continue
			}
			seen[f.Tag.Get("json")] = true
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			seen[name] = true
			if !yield(f) {
				return
			}
		}
		for _, e := range embedded {
			for f := range fieldsOf(e) {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !seen[name] && !yield(f) {
					return
				}
			}
		}
	}
}
