package load

import (
	"fmt"

	"cuelang.org/go/cue"
)

// shape is what a CUE definition allows at one place: read from the definition once, so that unknown, missing and
// unsupported fields can all be reported in one pass (CUE stops at the first sort) and with words instead of patterns.
type shape struct {
	fields   map[string]*shape // of a struct; nil for other values
	required []string          // names in fields, in the order of the definition
	each     *shape            // of a map's values
	item     *shape            // of a list's items

	want    string // what a value must be, in words; basic unless the definition says more
	basic   string // the kind of value, in words
	text    bool   // nothing but text is allowed
	ignored bool
	nonull  bool
	limited bool     // only the values in yet are supported
	yet     []string // compact JSON, or text
}

var basicWords = map[cue.Kind]string{
	cue.StructKind: "a map",
	cue.ListKind:   "a list",
	cue.StringKind: "text; a number or true/false must be put in quotes",
	cue.BoolKind:   "true or false, without quotes",
	cue.IntKind:    "a whole number, without quotes",
}

// shapeOf reads a definition.
func shapeOf(v cue.Value) (*shape, error) {
	s := &shape{}
	for _, a := range v.Attributes(cue.FieldAttr) {
		switch a.Name() {
		case "want":
			t, err := a.String(0)
			if err != nil {
				return nil, fmt.Errorf("read attribute @want: %w", err)
			}
			s.want = t
		case "ignored":
			s.ignored = true
		case "nonull":
			s.nonull = true
		case "yet":
			s.limited = true
			for i := range a.NumArgs() {
				t, err := a.String(i)
				if err != nil {
					return nil, fmt.Errorf("read attribute @yet: %w", err)
				}
				s.yet = append(s.yet, t)
			}
		default:
			return nil, fmt.Errorf("attribute @%s of %v is unknown", a.Name(), v.Path())
		}
	}
	kind := v.IncompleteKind()
	s.basic, s.text = basicWords[kind], kind == cue.StringKind
	if s.want == "" {
		s.want = s.basic
	}
	switch kind {
	case cue.StructKind:
		s.fields = map[string]*shape{}
		if e := v.LookupPath(cue.MakePath(cue.AnyString)); e.Exists() {
			each, err := shapeOf(e)
			if err != nil {
				return nil, err
			}
			s.each = each
			return s, nil
		}
		it, err := v.Fields(cue.Optional(true))
		if err != nil {
			return nil, fmt.Errorf("read fields of %v: %w", v.Path(), err)
		}
		for it.Next() {
			sel := it.Selector()
			f, err := shapeOf(it.Value())
			if err != nil {
				return nil, err
			}
			name := sel.Unquoted()
			s.fields[name] = f
			if sel.ConstraintType() == cue.RequiredConstraint {
				s.required = append(s.required, name)
			}
		}
	case cue.ListKind:
		e := v.LookupPath(cue.MakePath(cue.AnyIndex))
		item, err := shapeOf(e)
		if err != nil {
			return nil, err
		}
		s.item = item
	}
	return s, nil
}
