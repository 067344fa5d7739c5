package schema_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"reconciler/schema"
)

// releases are the files of canonical objects with every field that a release brought. Nothing in them is ever changed; new
// fields get a new file.
var releases = []string{"everything-2", "everything-3"}

// everything is the set of all releases.
func everything(t *testing.T) *schema.Set {
	t.Helper()
	var all []schema.Object
	for _, name := range releases {
		s := &schema.Set{}
		d := json.NewDecoder(strings.NewReader(read(t, name+".json")))
		d.DisallowUnknownFields()
		if err := d.Decode(s); err != nil {
			t.Fatal(err)
		}
		all = slices.AppendSeq(all, s.Objects())
	}
	return schema.NewSet(all, nil)
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGoldenHashesOfEverything is as TestGoldenHashes, for the fields that came later. Mutant: a field without omitempty.
func TestGoldenHashesOfEverything(t *testing.T) {
	want, got := map[string]string{}, map[string]string{}
	for _, name := range releases {
		if err := json.Unmarshal([]byte(read(t, name+".hashes.json")), &want); err != nil {
			t.Fatal(err)
		}
	}
	for o := range everything(t).Objects() {
		got[o.Key().String()] = o.Hash()
		if p, ok := o.(*schema.Pod); ok {
			got["spec of "+o.Key().String()] = p.Spec.Hash()
		}
	}
	if !maps.Equal(got, want) {
		g, _ := json.MarshalIndent(got, "", "  ")
		t.Errorf("got %s", g)
	}
}

// TestEverythingIsCanonical: every field survives, nothing that is canonical changes, and a copy shares nothing that it
// could change. Mutants: a field that Canonical forgets; a list that is not cloned.
func TestEverythingIsCanonical(t *testing.T) {
	s := everything(t)
	if s.Len() < 9 {
		t.Fatalf("only %d objects", s.Len())
	}
	for o := range s.Objects() {
		before := o.Hash()
		c := canonical(o)
		if !reflect.DeepEqual(c, o) {
			g, _ := json.Marshal(c)
			w, _ := json.Marshal(o)
			t.Errorf("%s: got %s\nwant %s", o.Key(), g, w)
		}
		scribble(reflect.ValueOf(c))
		if c.Hash() == before {
			t.Errorf("%s: nothing was changed", o.Key())
		}
		if o.Hash() != before {
			t.Errorf("%s: shares something with its canonical form", o.Key())
		}
	}
}

func canonical(o schema.Object) schema.Object {
	return reflect.ValueOf(o).MethodByName("Canonical").Call(nil)[0].Interface().(schema.Object)
}

// scribble changes everything that is reached.
func scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			scribble(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			scribble(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			scribble(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(v.MapIndex(k))
			scribble(e)
			v.SetMapIndex(k, e)
		}
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint16, reflect.Uint8:
		v.SetUint(v.Uint() ^ 1)
	}
}

// TestEveryFieldIsUsed: a field of a canonical type that no golden object has would be in no hash that is kept. Mutant: a
// new field.
func TestEveryFieldIsUsed(t *testing.T) {
	used := map[string]bool{}
	note := func(s *schema.Set) {
		for o := range s.Objects() {
			fieldsUsed(reflect.ValueOf(o), used)
		}
	}
	note(everything(t))
	for _, o := range golden {
		fieldsUsed(reflect.ValueOf(o), used)
	}
	declared := map[string]bool{}
	for o := range everything(t).Objects() {
		fieldsDeclared(reflect.TypeOf(o), declared)
	}
	for _, f := range slices.Sorted(maps.Keys(declared)) {
		if !used[f] {
			t.Errorf("%s is in no golden object: give it one in a new file of testdata", f)
		}
	}
}

func fieldsUsed(v reflect.Value, used map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fieldsUsed(v.Elem(), used)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				used[v.Type().Name()+"."+v.Type().Field(i).Name] = true
				fieldsUsed(v.Field(i), used)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			fieldsUsed(v.Index(i), used)
		}
	}
}

func fieldsDeclared(t reflect.Type, all map[string]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		fieldsDeclared(t.Elem(), all)
	case reflect.Struct:
		for i := range t.NumField() {
			name := t.Name() + "." + t.Field(i).Name
			if !all[name] {
				all[name] = true
				fieldsDeclared(t.Field(i).Type, all)
			}
		}
	}
}
