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
		{versionV1, schema.KindService}:               reflect.TypeFor[schema.Service](),
		{versionV1, schema.KindReplicationController}: reflect.TypeFor[v1ReplicationController](),
	}
	for kind, typ := range v1beta1.AsWritten() {
		types[definitionKey{versionV1beta1, kind}] = typ
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
		for _, p := range []string{"apiVersion", "kind"} {
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
			if !slices.Contains(fromCUE, p) && !limited[p] {
				t.Errorf("%s %s: %q is in the Go type and not in the definition", key.version, key.kind, p)
			}
		}
		if len(fromGo) < 10 {
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
		add(p, f.limited)
		f.paths(p, add)
	}
	if s.item != nil {
		s.item.paths(at+"[]", add)
	}
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
