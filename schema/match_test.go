package schema_test

import (
	"testing"

	"reconciler/schema"
)

// Mutants: NotIn wants the label to be there; an empty selector matches nothing; a nil one everything; terms are and'd;
// requirements are or'd; Gt compares text; a label that is empty counts as none.
func TestSelectors(t *testing.T) {
	labels := map[string]string{"zone": "a", "cores": "12", "empty": ""}
	one := func(key string, op schema.Operator, values ...string) []schema.Requirement {
		return []schema.Requirement{{Key: key, Operator: op, Values: values}}
	}
	for name, c := range map[string]struct {
		of   []schema.Requirement
		want bool
	}{
		"In one of them":                  {one("zone", schema.OpIn, "b", "a"), true},
		"In none of them":                 {one("zone", schema.OpIn, "b"), false},
		"In without the label":            {one("disk", schema.OpIn, "b"), false},
		"In nothing, without the label":   {one("disk", schema.OpIn, ""), false},
		"NotIn":                           {one("zone", schema.OpNotIn, "b"), true},
		"NotIn with the value":            {one("zone", schema.OpNotIn, "b", "a"), false},
		"NotIn without the label":         {one("disk", schema.OpNotIn, "b"), true},
		"Exists":                          {one("zone", schema.OpExists), true},
		"Exists with an empty value":      {one("empty", schema.OpExists), true},
		"Exists without the label":        {one("disk", schema.OpExists), false},
		"DoesNotExist":                    {one("disk", schema.OpDoesNotExist), true},
		"DoesNotExist with the label":     {one("empty", schema.OpDoesNotExist), false},
		"Gt as numbers":                   {one("cores", schema.OpGt, "8"), true},
		"Gt of the same":                  {one("cores", schema.OpGt, "12"), false},
		"Lt":                              {one("cores", schema.OpLt, "100"), true},
		"Lt of the same":                  {one("cores", schema.OpLt, "12"), false},
		"Gt of what is no number":         {one("zone", schema.OpGt, "8"), false},
		"Gt without the label":            {one("disk", schema.OpGt, "-1"), false},
		"all of several":                  {append(one("zone", schema.OpIn, "a"), one("disk", schema.OpDoesNotExist)...), true},
		"one of several":                  {append(one("zone", schema.OpIn, "a"), one("disk", schema.OpExists)...), false},
		"an operator of tolerations only": {one("zone", schema.OpEqual, "a"), false},
	} {
		s := schema.LabelSelector{Expressions: c.of}
		term := schema.NodeTerm{Expressions: c.of}
		if s.Matches(labels) != c.want || term.Matches("m1", lookup(labels)) != c.want {
			t.Errorf("%s: want %t", name, c.want)
		}
	}
	for name, c := range map[string]struct {
		of   *schema.LabelSelector
		want bool
	}{
		"nil":                   {nil, false},
		"empty":                 {&schema.LabelSelector{}, true},
		"labels":                {&schema.LabelSelector{Labels: map[string]string{"zone": "a", "cores": "12"}}, true},
		"one label differs":     {&schema.LabelSelector{Labels: map[string]string{"zone": "a", "cores": "13"}}, false},
		"no such label":         {&schema.LabelSelector{Labels: map[string]string{"disk": ""}}, false},
		"labels and expression": {&schema.LabelSelector{Labels: map[string]string{"zone": "a"}, Expressions: one("disk", schema.OpExists)}, false},
	} {
		if c.of.Matches(labels) != c.want {
			t.Errorf("selector %s: want %t", name, c.want)
		}
	}
}

// Mutants: a term without requirements matches; matchFields is not looked at; one term that does not match is enough.
func TestNodeSelectors(t *testing.T) {
	in := func(key string, values ...string) []schema.Requirement {
		return []schema.Requirement{{Key: key, Operator: schema.OpIn, Values: values}}
	}
	for name, c := range map[string]struct {
		of   []schema.NodeTerm
		want bool
	}{
		"no term":                {nil, false},
		"a term of nothing":      {[]schema.NodeTerm{{}}, false},
		"one of two terms":       {[]schema.NodeTerm{{Expressions: in("zone", "b")}, {Expressions: in("zone", "a")}}, true},
		"none of two terms":      {[]schema.NodeTerm{{Expressions: in("zone", "b")}, {Expressions: in("disk", "a")}}, false},
		"by name":                {[]schema.NodeTerm{{Fields: in("metadata.name", "m1", "m2")}}, true},
		"by another name":        {[]schema.NodeTerm{{Fields: in("metadata.name", "m2")}}, false},
		"by name and not labels": {[]schema.NodeTerm{{Fields: in("metadata.name", "m1"), Expressions: in("zone", "b")}}, false},
	} {
		s := schema.NodeSelector{Terms: c.of}
		if s.Matches("m1", lookup(map[string]string{"zone": "a"})) != c.want {
			t.Errorf("%s: want %t", name, c.want)
		}
	}
}

func lookup(labels map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) { v, ok := labels[key]; return v, ok }
}
