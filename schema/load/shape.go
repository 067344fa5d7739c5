package load

import (
	"fmt"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
)

// shape is what a CUE definition allows at one place, exactly: read from the definition once, so that a document is checked
// without CUE, in one pass that finds everything (CUE stops at the first sort), and with words instead of patterns. It is
// never changed.
type shape struct {
	any      bool              // of the value _
	rule     rule              // of a scalar; nil for other values
	fields   map[string]*shape // of a struct; nil for other values
	required []string          // names in fields, in the order of the definition
	each     *shape            // of a map's values
	item     *shape            // of a list's items

	empty   nodeKind // of what stands for a value that is not known
	want    string   // what a value must be, in words; basic unless the definition says more
	basic   string   // the kind of value, in words
	text    bool     // nothing but text is allowed
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
	cue.FloatKind:  "a number with a point, without quotes",
	cue.NumberKind: "a number, without quotes",
	cue.NullKind:   "nothing",
}

// wordsFor is a kind of value in words. Several kinds have the shorter words.
func wordsFor(k cue.Kind) string {
	if w := basicWords[k]; w != "" || k == cue.TopKind {
		return w
	}
	var words []string
	for _, one := range []cue.Kind{cue.NumberKind, cue.IntKind, cue.FloatKind, cue.StringKind, cue.BoolKind, cue.NullKind} {
		if k&one == one {
			w, _, _ := strings.Cut(basicWords[one], ";")
			w, _, _ = strings.Cut(w, ",")
			words, k = append(words, w), k&^one
		}
	}
	return strings.Join(words, " or ")
}

// shapeOf reads a definition, at a depth in the one that was asked for. What the source may hold is for [checkConstructs].
func shapeOf(v cue.Value, depth int) (*shape, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%v: refers to itself", v.Pos())
	}
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
	s.basic, s.text = wordsFor(kind), kind == cue.StringKind
	for _, k := range []struct {
		cue cue.Kind
		own nodeKind
	}{{cue.StructKind, isMap}, {cue.ListKind, isList}, {cue.StringKind, isString}, {cue.IntKind, isNumber}, {cue.FloatKind, isNumber}, {cue.BoolKind, isBool}} {
		if kind&k.cue != 0 {
			s.empty = k.own
			break
		}
	}
	if s.want == "" {
		s.want = s.basic
	}
	var err error
	switch kind {
	case cue.TopKind:
		s.any = true
	case cue.StructKind:
		err = s.readFields(v, depth)
	case cue.ListKind:
		s.item, err = shapeOf(v.LookupPath(cue.MakePath(cue.AnyIndex)), depth+1)
	case cue.BottomKind:
		err = fmt.Errorf("%v: nothing can have this value: %w", v.Pos(), v.Err())
	default:
		if kind&(cue.StructKind|cue.ListKind|cue.BytesKind) != 0 {
			return nil, fmt.Errorf("%v: a choice of scalars, maps and lists cannot be checked without CUE", v.Pos())
		}
		s.rule, err = ruleOf(v, depth+1)
	}
	return s, err
}

// zero is what stands for a value that is not known.
func (s *shape) zero() *node {
	return &node{kind: s.empty, text: map[nodeKind]string{isNumber: "0", isBool: "false"}[s.empty]}
}

func (s *shape) readFields(v cue.Value, depth int) error {
	if err := declaredOnce(v); err != nil {
		return err
	}
	s.fields = map[string]*shape{}
	if e := v.LookupPath(cue.MakePath(cue.AnyString)); e.Exists() {
		each, err := shapeOf(e, depth+1)
		s.each = each
		return err
	}
	it, err := v.Fields(cue.Optional(true))
	if err != nil {
		return fmt.Errorf("read fields of %v: %w", v.Path(), err)
	}
	for it.Next() {
		sel := it.Selector()
		f, err := shapeOf(it.Value(), depth+1)
		if err != nil {
			return err
		}
		name := sel.Unquoted()
		s.fields[name] = f
		if sel.ConstraintType() == cue.RequiredConstraint {
			s.required = append(s.required, name)
		}
	}
	return nil
}

// declaredOnce is an error for a struct that two fields of one name declare: which fields are closed then depends on more
// than a shape holds. Embedded definitions are no such fields.
func declaredOnce(v cue.Value) error {
	op, args := v.Expr()
	for op == cue.SelectorOp {
		v = cue.Dereference(v)
		op, args = v.Expr()
	}
	if op == cue.NoOp {
		return nil
	}
	for _, a := range args {
		if _, field := a.Source().(*ast.Field); field {
			return fmt.Errorf("%v: a struct that is declared twice cannot be checked without CUE", v.Pos())
		}
	}
	return nil
}
