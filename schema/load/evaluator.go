package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"

	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// The apiVersions that are read.
const (
	versionV1      = "v1"
	versionV1beta1 = "v1beta1"
)

// definition is what a kind may hold in one apiVersion.
type definition struct {
	value cue.Value
	shape *shape
}

type definitionKey struct {
	version string
	kind    schema.Kind
}

// evaluator checks documents against the definitions. It is for one goroutine: CUE contexts are not made for more. Data
// enters by BuildExpr alone, which keeps nothing in the context (CompileBytes and BuildFile keep everything).
type evaluator struct {
	ctx  *cue.Context
	defs map[definitionKey]definition
}

func newEvaluator() (*evaluator, error) {
	e := &evaluator{ctx: cuecontext.New(), defs: map[definitionKey]definition{}}
	for version, source := range map[string]string{versionV1: schema.V1CUE, versionV1beta1: v1beta1.CUE} {
		v := e.ctx.CompileString(source, cue.Filename(version+".cue"))
		if err := v.Err(); err != nil {
			return nil, fmt.Errorf("compile definitions of %s: %w", version, err)
		}
		for _, kind := range []schema.Kind{schema.KindPod, schema.KindService, schema.KindReplicationController} {
			d := v.LookupPath(cue.ParsePath("#" + string(kind)))
			s, err := shapeOf(d)
			if err != nil {
				return nil, fmt.Errorf("read definition of %s %s: %w", version, kind, err)
			}
			e.defs[definitionKey{version, kind}] = definition{d, s}
		}
	}
	return e, nil
}

// found is one error of a document, by path.
type found struct {
	path    []string
	message string
	hint    string
	key     bool // the key is wrong, not its value
	soft    bool // an error of CUE at the same path says more
}

// evaluate checks a document and returns its JSON without what is to be dropped, or everything that is wrong.
func (e *evaluator) evaluate(d definition, n *node) ([]byte, []found) {
	w := &walker{}
	clean, _ := w.walk(n, d.shape, nil)
	v := e.ctx.BuildExpr(clean.expr())
	if err := v.Err(); err != nil {
		return nil, append(w.found, found{message: "cannot be evaluated: " + err.Error()})
	}
	u := d.value.Unify(v)
	if err := u.Validate(cue.Concrete(true), cue.All()); err != nil {
		w.cue(n, d.shape, err)
	}
	if len(w.found) > 0 {
		return nil, w.found
	}
	b, err := v.MarshalJSON()
	if err != nil {
		return nil, []found{{message: "cannot be written as JSON: " + err.Error()}}
	}
	return b, nil
}

// walker compares a document with a shape.
type walker struct{ found []found }

// walk reports what the shape of n tells by itself, and returns n without what CUE is not to see; ok is false if that is
// all of it. n is not changed.
func (w *walker) walk(n *node, s *shape, path []string) (clean *node, ok bool) {
	if s.ignored {
		return nil, false
	}
	if n.kind == isNull && len(path) > 0 {
		if s.nonull {
			w.add(found{path: path, message: "is empty", hint: "write {}"})
		}
		return nil, false
	}
	if s.limited && !slices.Contains(s.yet, n.compact()) {
		if len(s.yet) == 0 || n.kind == isMap || n.kind == isList {
			w.add(found{path: path, message: schema.NotYet, key: true})
			return nil, false
		}
		w.add(found{path: path, message: fmt.Sprintf("%s is %s", n.show(), schema.NotYet), soft: true})
		return n, true
	}
	switch {
	case s.fields != nil && n.kind == isMap:
		return w.fields(n, s, path), true
	case s.item != nil && n.kind == isList:
		c := &node{kind: isList, pos: n.pos}
		for i, x := range n.items {
			p := join(path, strconv.Itoa(i))
			switch {
			case x.kind != isNull:
			case s.item.text: // has been "" to all readers
				x = &node{kind: isString, pos: x.pos}
			default:
				w.add(found{path: p, message: "is empty", hint: "remove it or fill it in"})
				c.items = append(c.items, x)
				continue
			}
			if y, ok := w.walk(x, s.item, p); ok {
				c.items = append(c.items, y)
			}
		}
		return c, true
	}
	return n, true
}

func (w *walker) fields(n *node, s *shape, path []string) *node {
	c := &node{kind: isMap, pos: n.pos}
	meant := map[string]bool{} // fields that are there under a wrong name
	for _, f := range n.fields {
		t := s.fields[f.name]
		if t == nil {
			t = s.each
		}
		p := join(path, f.name)
		if t == nil {
			near, hint := s.suggest(f.name)
			meant[near] = true
			w.add(found{path: p, message: "unknown field", hint: hint, key: true})
			continue
		}
		if v, ok := w.walk(f.value, t, p); ok {
			c.fields = append(c.fields, field{f.name, f.pos, v})
		}
	}
	for _, name := range s.required {
		if v := n.get(name); (v == nil || v.kind == isNull) && !meant[name] {
			hint := ""
			if t := s.fields[name]; t != nil && t.want != "" && t.want != t.basic {
				hint = "write " + t.want
			}
			w.add(found{path: join(path, name), message: "is missing", hint: hint})
		}
	}
	return c
}

func (w *walker) add(f found) { w.found = append(w.found, f) }

// cue adds what CUE found: one error per path, in words.
func (w *walker) cue(n *node, s *shape, err error) {
	for _, e := range errors.Errors(err) {
		path := slices.DeleteFunc(slices.Clone(e.Path()), func(x string) bool { return strings.HasPrefix(x, "#") })
		if i := slices.IndexFunc(w.found, func(f found) bool { return slices.Equal(f.path, path) }); i >= 0 {
			if !w.found[i].soft {
				continue
			}
			w.found = slices.Delete(w.found, i, i+1)
		}
		v, t := n.at(path), s.at(path)
		f := found{path: path}
		switch {
		case v == nil || t == nil:
			format, args := e.Msg()
			f.message = fmt.Sprintf(format, args...)
			if v == nil && t != nil {
				continue // a required field: walk has said so, or named the field that was meant
			}
			if v == nil && slices.ContainsFunc(w.found, func(g found) bool { return slices.Equal(g.path, path) }) {
				continue
			}
		case t.want == "":
			format, args := e.Msg()
			f.message = fmt.Sprintf(format, args...)
		default:
			f.message = "got " + v.show() + ", want " + t.want
			if _, err := strconv.Atoi(v.text); err == nil && v.kind == isString && strings.Contains(t.want, "number") {
				f.hint = "remove the quotes"
			}
		}
		w.add(f)
	}
}

// at is the value at a path, nil if there is none.
func (n *node) at(path []string) *node {
	for _, e := range path {
		if n == nil {
			return nil
		}
		if n.kind == isList {
			i, err := strconv.Atoi(e)
			if err != nil || i < 0 || i >= len(n.items) {
				return nil
			}
			n = n.items[i]
			continue
		}
		n = n.get(e)
	}
	return n
}

// at is the shape at a path, nil if there is none.
func (s *shape) at(path []string) *shape {
	for _, e := range path {
		switch {
		case s == nil:
			return nil
		case s.item != nil:
			s = s.item
		case s.fields[e] != nil:
			s = s.fields[e]
		default:
			s = s.each
		}
	}
	return s
}

// suggest is a hint for an unknown field, and the field that was probably meant.
func (s *shape) suggest(name string) (field, hint string) {
	best, least := "", 3
	for f := range s.fields {
		d := distance(strings.ToLower(f), strings.ToLower(name))
		if d < least || d == least && f < best {
			best, least = f, d
		}
	}
	if best != "" && least < len(name) {
		return best, fmt.Sprintf("did you mean %q?", best)
	}
	var under []string
	for f, t := range s.fields {
		if t.fields[name] != nil {
			under = append(under, f)
		}
	}
	if len(under) > 0 {
		return "", fmt.Sprintf("it belongs under %q", slices.Min(under))
	}
	return "", ""
}

// distance is how many characters must be changed, added or left out to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
