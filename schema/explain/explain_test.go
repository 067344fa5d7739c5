package explain_test

import (
	"errors"
	"testing"

	"reconciler/schema/explain"
)

// TestEveryFieldHasAComment: what is supported is explained, in every version.
func TestEveryFieldHasAComment(t *testing.T) {
	kinds, err := explain.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	var look func(f *explain.Field, at string)
	look = func(f *explain.Field, at string) {
		below, err := f.Fields()
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range below {
			if x.Ignored || x.Limited && x.Doc == "" { // known, and as good as nothing can be written
				continue
			}
			fields++
			if x.Doc == "" {
				t.Errorf("%s.%s has no comment in its definition", at, x.Name)
			}
			look(&x, at+"."+x.Name)
		}
	}
	for _, k := range kinds {
		if k.Doc == "" {
			t.Errorf("%s %s has no comment", k.Version, k.Name)
		}
		look(&k, k.Version+" "+k.Name)
	}
	if len(kinds) < 24 || fields < 500 {
		t.Errorf("%d kinds and %d fields were seen", len(kinds), fields)
	}
}

// TestFind: indices may be written, and what is wrong is named with what may have been meant.
func TestFind(t *testing.T) {
	kinds, err := explain.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	pod := kinds[0]
	for _, path := range [][]string{{"spec", "containers", "image"}, {"spec", "containers[0]", "image"}, {"spec", "Containers", "*", "0", "image"}} {
		f, err := explain.Find(pod, path)
		if err != nil || f.Name != "image" || f.Path != "spec.containers.image" || !f.Required || f.Type != "text" || f.Want == "" {
			t.Errorf("%v: %+v, %v", path, f, err)
		}
	}
	for _, c := range []struct {
		path       []string
		what, hint string
	}{
		{[]string{"spec", "contaners"}, `Pod.spec has no field "contaners" in v1`, `did you mean "containers"?`},
		{[]string{"metadata", "labels", "app"}, `Pod.metadata.labels has no field "app" in v1`, "Pod.metadata.labels is map of text: it has no fields"},
		{[]string{"xyz"}, `Pod has no field "xyz" in v1`, "one of apiVersion, kind, metadata, spec, status"},
	} {
		_, err := explain.Find(pod, c.path)
		var u *explain.Unknown
		if !errors.As(err, &u) || u.What != c.what || u.Hint != c.hint {
			t.Errorf("%v: %v %+v", c.path, err, u)
		}
	}
}
