package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"

	"reconciler/schema/load"
)

// Field is a kind, or what a manifest may have at one place.
type Field struct {
	Name     string
	Version  string   // of a kind, and of what [Find] found
	Path     string   // below the kind, of what [Find] found; "" is the kind itself
	Type     string   // in words, as "list of maps"
	Required bool     // a manifest without it is refused
	Doc      string   // what it is for; "" if that was not written down
	Want     string   // what a value must be, in words; "" if that is the type
	Ignored  bool     // it is accepted and means nothing
	Limited  bool     // known, and nothing but Only is supported yet
	Only     []string // values, as they are written

	value cue.Value
}

// Kinds is every kind of every version, in the order in which versions are preferred.
func Kinds() ([]Field, error) {
	var out []Field
	for _, v := range load.Versions() {
		source := cuecontext.New().CompileString(v.CUE)
		it, err := source.Fields(cue.Definitions(true))
		if err != nil {
			return nil, fmt.Errorf("read the definitions of %s: %w", v.Name, err)
		}
		for it.Next() {
			name := strings.TrimPrefix(it.Selector().String(), "#")
			if !slices.Contains(v.Kinds, name) {
				continue
			}
			f := Field{Name: name, Version: v.Name, Type: "map", Required: true, value: it.Value()}
			f.Doc = documentation(it.Value())
			out = append(out, f)
		}
	}
	return out, nil
}

// Fields is what may be below f, what must be first, else in the order of the definition. Those of a list are the fields of
// its items.
func (f *Field) Fields() ([]Field, error) {
	v := items(f.value)
	if v.IncompleteKind() != cue.StructKind || v.LookupPath(cue.MakePath(cue.AnyString)).Exists() {
		return nil, nil
	}
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return nil, fmt.Errorf("read the fields of %s: %w", f.Name, err)
	}
	var out []Field
	for it.Next() {
		s := it.Selector()
		n := Field{Name: s.Unquoted(), Type: typeOf(it.Value()), Required: s.ConstraintType() == cue.RequiredConstraint, value: it.Value()}
		n.Doc = cmp.Or(documentation(it.Value()), implied[n.Name])
		for _, a := range it.Value().Attributes(cue.FieldAttr) {
			switch a.Name() {
			case "want":
				n.Want, _ = a.String(0)
			case "ignored":
				n.Ignored = true
			case "yet":
				n.Limited = true
				for i := range a.NumArgs() {
					if t, err := a.String(i); err == nil && t != "" {
						n.Only = append(n.Only, t)
					}
				}
			}
		}
		out = append(out, n)
	}
	slices.SortStableFunc(out, func(a, b Field) int { return rank(a) - rank(b) })
	return out, nil
}

// rank puts first what must be written, last what cannot.
func rank(f Field) int {
	switch {
	case f.Required:
		return 0
	case f.Ignored:
		return 3
	case f.Limited && len(f.Only) == 0:
		return 2
	}
	return 1
}

// items is v, or what the items of a list are.
func items(v cue.Value) cue.Value {
	for v.IncompleteKind() == cue.ListKind {
		v = v.LookupPath(cue.MakePath(cue.AnyIndex))
	}
	return v
}

// typeOf is the type of a value in words.
func typeOf(v cue.Value) string {
	switch k := v.IncompleteKind(); k {
	case cue.StructKind:
		if e := v.LookupPath(cue.MakePath(cue.AnyString)); e.Exists() {
			return "map of " + typeOf(e)
		}
		return "map"
	case cue.ListKind:
		t := typeOf(v.LookupPath(cue.MakePath(cue.AnyIndex)))
		if t == "map" || t == "number" {
			t += "s"
		}
		return "list of " + t
	case cue.TopKind:
		return "anything"
	case cue.BoolKind:
		return "true or false"
	case cue.IntKind:
		return "number"
	case cue.StringKind:
		return "text"
	default:
		return "number or text"
	}
}

// implied is what is said of fields that every kind has.
var implied = map[string]string{
	"apiVersion": "The version of the form.",
	"kind":       "The kind of the object.",
	"metadata":   "What the object is known and selected by.",
	"id":         "The name of the object: with kind and namespace it is what the object is known by.",
}

// documentation is the comment on a field. Notes on definitions, which begin with their name, are no part of it.
func documentation(v cue.Value) string {
	var words []string
	for _, g := range v.Doc() {
		if !strings.HasPrefix(g.Text(), "#") {
			words = append(words, strings.Fields(strings.ReplaceAll(g.Text(), "// not v1beta2", ""))...)
		}
	}
	return strings.Join(words, " ")
}
