package schema_test

import (
	"strings"
	"testing"

	"reconciler/schema"
)

// TestCheckImmutable: what was immutable keeps its data, its type and that it is immutable, and may go or get labels.
// Mutants: a new key is not looked for; the set is compared with itself; what is not immutable is held too.
func TestCheckImmutable(t *testing.T) {
	meta := schema.Meta{Name: "conf", Namespace: "default"}
	config := func(immutable bool, data ...string) schema.Object {
		m := &schema.ConfigMap{Meta: meta, Immutable: immutable}
		for i := 0; i < len(data); i += 2 {
			if m.Data == nil {
				m.Data = map[string]string{}
			}
			m.Data[data[i]] = data[i+1]
		}
		return m
	}
	secret := func(immutable bool, kind, value string) schema.Object {
		return &schema.Secret{Meta: meta, Type: kind, Immutable: immutable, Data: map[string][]byte{"k": []byte(value)}}
	}
	binary := func(value string) schema.Object {
		return &schema.ConfigMap{Meta: meta, Immutable: true, BinaryData: map[string][]byte{"b": []byte(value)}}
	}
	labelled := config(true, "a", "1").(*schema.ConfigMap)
	labelled.Labels = map[string]string{"x": "y"}
	other := config(true, "a", "2").(*schema.ConfigMap)
	other.Namespace = "prod"

	for _, c := range []struct {
		name    string
		was, is schema.Object
		want    string // path and message; "": nothing is wrong
	}{
		{"as before", config(true, "a", "1"), config(true, "a", "1"), ""},
		{"with a label", config(true, "a", "1"), labelled, ""},
		{"gone", config(true, "a", "1"), nil, ""},
		{"in another namespace", config(true, "a", "1"), other, ""},
		{"of another kind", config(true, "a", "1"), secret(false, "", "2"), ""},
		{"not immutable before", config(false, "a", "1"), config(true, "a", "2"), ""},
		{"another value", config(true, "a", "1"), config(true, "a", "2"), `data.a was declared immutable, and data has another "a"`},
		{"a new key", config(true, "a", "1"), config(true, "a", "1", "b", "2"), `data.b was declared immutable, and data has a new "b"`},
		{"one key less", config(true, "a", "1"), config(true), `data was declared immutable, and data lacks "a"`},
		{"in the other map", binary("1"), config(true, "b", "1"), `data.b was declared immutable, and data has a new "b", binaryData lacks "b"`},
		{"other bytes", binary("1"), binary("2"), `binaryData.b was declared immutable, and binaryData has another "b"`},
		{"no longer immutable", config(true, "a", "1"), config(false, "a", "2"), `immutable was declared immutable, and immutable is no longer true, data has another "a"`},
		{"a secret's value", secret(true, "", "1"), secret(true, "", "2"), `data.k was declared immutable, and data has another "k"`},
		{"a secret's type", secret(true, "", "1"), secret(true, "x", "1"), `type was declared immutable, and type is another`},
		{"a secret as before", secret(true, "", "1"), secret(true, "", "1"), ""},
	} {
		is := &schema.Set{}
		if c.is != nil {
			is = schema.NewSet([]schema.Object{c.is}, nil)
		}
		var got []string
		for _, x := range is.CheckImmutable(schema.NewSet([]schema.Object{c.was}, nil)) {
			if x.Key != c.was.Key() || x.Hint == "" {
				t.Errorf("%s: of %s, hint %q", c.name, x.Key, x.Hint)
			}
			got = append(got, strings.Join(x.Path, ".")+" "+x.Message)
		}
		if g := strings.Join(got, "; "); g != c.want {
			t.Errorf("%s: got %q, want %q", c.name, g, c.want)
		}
	}
	if got := schema.NewSet([]schema.Object{other}, nil).CheckImmutable(nil); got != nil {
		t.Errorf("before anything: %v", got)
	}
}
