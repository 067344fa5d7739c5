package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
)

// definition is what a kind may hold in one apiVersion.
type definition struct {
	name  string // in the source of its apiVersion
	shape *shape
}

// evaluator checks documents against the definitions: by their shapes, which say exactly what CUE would, and by CUE itself
// where a document has a number or a key that is not plain. It is for one goroutine: CUE contexts are not made for more.
type evaluator struct {
	defs map[definitionKey]definition // never changed

	// The definitions in CUE, nil until a document needs them. Data enters by BuildExpr alone, which keeps nothing in the
	// context (CompileBytes and BuildFile keep everything).
	context *cue.Context
	values  map[string]cue.Value // by version
}

// newEvaluator is an evaluator of the definitions.
func newEvaluator() (*evaluator, error) {
	defs, err := definitions()
	return &evaluator{defs: defs}, err
}

// definitions are the same for every loader, and take a tenth of a second. An error is one of them: they use what shapes do
// not have.
var definitions = sync.OnceValues(readDefinitions)

func readDefinitions() (map[definitionKey]definition, error) {
	defs := map[definitionKey]definition{}
	ctx := cuecontext.New()
	for _, version := range apiVersions {
		f, err := parser.ParseFile(version.name+".cue", version.cue)
		if err != nil {
			return nil, fmt.Errorf("parse definitions of %s: %w", version.name, err)
		}
		v := ctx.BuildFile(f)
		if err := v.Err(); err != nil {
			return nil, fmt.Errorf("compile definitions of %s: %w", version.name, err)
		}
		if err := checkConstructs(f, v); err != nil {
			return nil, fmt.Errorf("read definitions of %s: %w", version.name, err)
		}
		for kind := range version.decoders {
			name := "#" + string(kind)
			s, err := shapeOf(v.LookupPath(cue.ParsePath(name)), 0)
			if err != nil {
				return nil, fmt.Errorf("read definition of %s %s: %w", version.name, kind, err)
			}
			defs[definitionKey{version.name, kind}] = definition{name, s}
		}
	}
	return defs, nil
}

// another is an evaluator of the same definitions for another goroutine.
func (e *evaluator) another() *evaluator { return &evaluator{defs: e.defs} }

// found is one error of a document, by path.
type found struct {
	path    []string
	message string
	hint    string
	key     bool // the key is wrong, not its value
}

// evaluate checks a document and returns the JSON of what is right of it, without what is to be dropped, everything that is wrong,
// and what of it is not known for that. Without JSON, nothing is.
func (e *evaluator) evaluate(k definitionKey, n *node) ([]byte, []found, *doubts) {
	w := &walker{}
	clean, ok := w.walk(n, e.defs[k].shape)
	switch {
	case !ok:
		return nil, w.found, w.doubts(n)
	case w.unsure:
		return e.byCUE(k, n, clean, w)
	}
	return clean.appendJSON(make([]byte, 0, 1024)), w.found, w.doubts(n)
}

// doubts is what a walk of n has found not to be known.
func (w *walker) doubts(n *node) *doubts {
	if len(w.lost)+len(w.strays) == 0 {
		return nil
	}
	return &doubts{n, w.lost, w.strays}
}

// byCUE is what CUE says of a document, besides what a walk has found.
func (e *evaluator) byCUE(k definitionKey, n, clean *node, w *walker) ([]byte, []found, *doubts) {
	v := e.ctx().BuildExpr(clean.expr())
	if err := v.Err(); err != nil {
		return nil, append(w.found, found{message: "cannot be evaluated: " + err.Error()}), w.doubts(n)
	}
	d := e.defs[k]
	u := e.values[k.version].LookupPath(cue.ParsePath(d.name)).Unify(v)
	if err := u.Validate(cue.Concrete(true), cue.All()); err != nil {
		before := len(w.found)
		w.cue(clean, d.shape, err)
		if clean = w.without(n, d.shape, w.found[before:]); clean == nil {
			return nil, w.found, w.doubts(n)
		}
		v = e.ctx().BuildExpr(clean.expr())
	}
	b, err := v.MarshalJSON()
	if err != nil {
		return nil, append(w.found, found{message: "cannot be written as JSON: " + err.Error()}), w.doubts(n)
	}
	return b, w.found, w.doubts(n)
}

// without is what is right of n besides what CUE has found, nil if that leaves nothing. What is not known is noted.
func (w *walker) without(n *node, s *shape, more []found) *node {
	n = n.clone()
	for _, f := range more {
		if v := n.at(f.path); v != nil {
			v.wrong = true
		}
		w.lost = append(w.lost, f.path)
	}
	clean, _ := (&walker{}).walk(n, s)
	return clean
}

// ctx is the context that holds the values.
func (e *evaluator) ctx() *cue.Context {
	if e.context == nil {
		e.context, e.values = cuecontext.New(), map[string]cue.Value{}
		for _, v := range apiVersions {
			e.values[v.name] = e.context.CompileString(v.cue, cue.Filename(v.name+".cue"))
		}
	}
	return e.context
}

// cue adds what CUE found: one error per path, in words.
func (w *walker) cue(n *node, s *shape, err error) {
	for _, e := range errors.Errors(err) {
		path := slices.DeleteFunc(slices.Clone(e.Path()), func(x string) bool { return strings.HasPrefix(x, "#") })
		if slices.ContainsFunc(w.found, func(f found) bool { return slices.Equal(f.path, path) }) {
			continue
		}
		v, t := n.at(path), s.at(path)
		if v == nil && t != nil && len(w.found) > 0 {
			continue // a required field: walk has said so, or named the field that was meant
		}
		f := found{path: path}
		if v == nil || t == nil || t.want == "" {
			format, args := e.Msg()
			f.message = fmt.Sprintf(format, args...)
		} else {
			f.message, f.hint = t.refuse(v)
		}
		w.found = append(w.found, f)
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

// stray is what an unknown field of a struct of this shape, which is at a path, may have been meant for.
func (s *shape) stray(in []string, f *field) stray {
	x := stray{in: in, name: f.name, holds: f.value.kind == isMap || f.value.kind == isList}
	fits := func(t *shape) bool {
		w := &walker{}
		w.walk(f.value, t)
		return len(w.found)+len(w.lost) == 0
	}
	for name, t := range s.fields {
		if isNear(f.name, name) {
			x.near = append(x.near, name)
		}
		if fits(t) {
			x.fits = append(x.fits, name)
		}
		if t.each != nil && fits(t.each) {
			x.maps = append(x.maps, name)
		}
	}
	return x
}

// suggest is a hint for an unknown field, and the field that was probably meant.
func (s *shape) suggest(name string) (field, hint string) {
	best, least := "", mostMisspelt
	for f := range s.fields {
		d := Distance(strings.ToLower(f), strings.ToLower(name))
		if d < least || d == least && f < best {
			best, least = f, d
		}
	}
	if best != "" && least < len(name) {
		return best, fmt.Sprintf("did you mean %q?", best)
	}
	var under []string
	for f, t := range s.fields {
		if t.fields[name] != nil || t.item != nil && t.item.fields[name] != nil {
			under = append(under, f)
		}
	}
	for _, f := range s.required {
		if slices.Contains(under, f) {
			return "", fmt.Sprintf("it belongs under %q", f)
		}
	}
	if len(under) > 0 {
		return "", fmt.Sprintf("it belongs under %q", slices.Min(under))
	}
	return "", ""
}

// Distance is how many characters must be changed, added or left out to make b of a.
func Distance(a, b string) int {
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
