package load

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/parser"
	cuejson "cuelang.org/go/encoding/json"
)

const (
	mostViolations = 100 // that are told of one judgment
	ruleFile       = "policy.cue"
)

// What a rule constrains.
var (
	objectPath = cue.ParsePath("object")
	podPath    = cue.ParsePath("pod")
)

// judge is the child's part of holding objects to a rule. A panic of CUE is an error of the rule.
func (q *request) judge(j requestJudgment) (r *reply) {
	r = &reply{}
	defer func() {
		if x := recover(); x != nil {
			r = &reply{Errors: []wireError{{Message: fmt.Sprintf("cannot be evaluated: CUE panicked: %v", x)}}}
		}
	}()
	ctx := cuecontext.New()
	rule := q.rule(ctx, q.Rules[j.Rule], r)
	for i, o := range j.Objects {
		if len(r.Errors) > 0 || len(r.Violations) > mostViolations {
			break
		}
		q.judgeOne(ctx, rule, q.Objects[o], func(path []string, message string) {
			if !slices.ContainsFunc(r.Violations, func(v wireViolation) bool { return v.Object == i && slices.Equal(v.Path, path) }) {
				r.Violations = append(r.Violations, wireViolation{i, path, message})
			}
		})
	}
	return r
}

// rule compiles a rule. What is wrong with it is added to r.
func (q *request) rule(ctx *cue.Context, text string, r *reply) cue.Value {
	fail := func(err error) {
		e := errors.Errors(err)[0] // the first says most
		at := placeOf(e.Position())
		for _, p := range e.InputPositions() {
			if at.line == 0 && p.Filename() == ruleFile {
				at = placeOf(p)
			}
		}
		r.Errors = append(r.Errors, wireError{At: [3]int{0, at.line, at.column}, Field: e.Path(), Message: words(e)})
	}
	f, err := parser.ParseFile(ruleFile, text)
	if err != nil {
		fail(err)
		return cue.Value{}
	}
	constrains := false
	for _, d := range f.Decls {
		field, ok := d.(*ast.Field)
		if !ok {
			_, comprehension := d.(*ast.Comprehension)
			constrains = constrains || comprehension
			continue
		}
		name, _, err := ast.LabelName(field.Label)
		switch {
		case err != nil || name != "object" && name != "pod" && !strings.HasPrefix(name, "#") && !strings.HasPrefix(name, "_"):
			at := field.Pos()
			r.Errors = append(r.Errors, wireError{At: [3]int{0, at.Line(), at.Column()}, Field: []string{name}, Message: "a rule constrains object or pod; what only it uses is a definition (#name) or hidden (_name)"})
		case name == "object" || name == "pod":
			constrains = true
		}
	}
	if !constrains && len(r.Errors) == 0 {
		r.Errors = append(r.Errors, wireError{Message: "the rule constrains neither object nor pod"})
	}
	// A rule may name what it does not constrain.
	if f, err = parser.ParseFile(ruleFile, text+"\nobject: _\npod: _\n"); err != nil {
		fail(err)
		return cue.Value{}
	}
	v := ctx.BuildFile(f)
	if err := v.Validate(); err != nil {
		fail(err)
	}
	return v
}

// judgeOne holds one object to a rule.
func (q *request) judgeOne(ctx *cue.Context, rule cue.Value, object requestObject, report func(path []string, message string)) {
	var parts struct {
		Kind     string          `json:"kind"`
		Metadata json.RawMessage `json:"metadata"`
		Spec     json.RawMessage `json:"spec"`
	}
	type podParts struct {
		Metadata json.RawMessage `json:"metadata,omitempty"`
		Spec     json.RawMessage `json:"spec"`
	}
	var controller struct {
		Template podParts `json:"template"`
	}
	var pod *podParts
	var below []string
	err := json.Unmarshal(object.JSON, &parts)
	switch {
	case err != nil:
	case parts.Kind == "Pod":
		pod = &podParts{parts.Metadata, parts.Spec}
	case parts.Kind == "ReplicationController":
		err = json.Unmarshal(parts.Spec, &controller)
		pod, below = &controller.Template, []string{"spec", "template"}
	}
	if err != nil {
		report(nil, "cannot be judged: "+err.Error())
		return
	}
	build := func(b []byte, below []string) cue.Value {
		x, err := cuejson.Extract("object.json", b)
		if err != nil {
			report(nil, "cannot be judged: "+err.Error())
			return ctx.CompileString("_|_")
		}
		for _, p := range object.Open {
			if begins(p, below) {
				open(x, p[len(below):])
			}
		}
		return ctx.BuildExpr(x)
	}
	whole := len(object.Open) == 0
	data := build(object.JSON, nil)
	filled := rule.FillPath(objectPath, data)
	var podData cue.Value
	if pod != nil && !slices.ContainsFunc(object.Open, func(p []string) bool { return begins(below, p) }) {
		b, err := json.Marshal(pod)
		if err != nil {
			report(nil, "cannot be judged: "+err.Error())
			return
		}
		podData = build(b, below)
		filled = filled.FillPath(podPath, podData)
		compare(filled.LookupPath(podPath), podData, below, whole, report)
	}
	compare(filled.LookupPath(objectPath), data, nil, whole, report)
}

// open makes what is at a path a value that may be anything.
func open(x ast.Expr, path []string) {
	for i, e := range path {
		last := i == len(path)-1
		switch s := x.(type) {
		case *ast.StructLit:
			at := slices.IndexFunc(s.Elts, func(d ast.Decl) bool {
				f, ok := d.(*ast.Field)
				if !ok {
					return false
				}
				name, _, err := ast.LabelName(f.Label)
				return err == nil && name == e
			})
			switch {
			case last && at < 0:
				s.Elts = append(s.Elts, &ast.Field{Label: ast.NewString(e), Value: ast.NewIdent("_")})
				return
			case at < 0:
				return
			case last:
				s.Elts[at].(*ast.Field).Value = ast.NewIdent("_")
			}
			x = s.Elts[at].(*ast.Field).Value
		case *ast.ListLit:
			n, err := strconv.Atoi(e)
			if err != nil || n < 0 || n >= len(s.Elts) {
				return
			}
			if last {
				s.Elts[n] = ast.NewIdent("_")
			}
			x = s.Elts[n]
		default:
			return
		}
	}
}

// compare tells what a rule finds wrong with data: what does not fit, and fields that only the rule has. Of data that is not
// known as a whole it tells what no value of the rest could mend.
func compare(filled, data cue.Value, below []string, whole bool, report func(path []string, message string)) {
	options := []cue.Option{cue.Concrete(true), cue.Final()}
	if !whole {
		options = nil
	}
	defer added(filled, data, below, report)
	err := filled.Validate(options...)
	if err == nil {
		return
	}
	for _, l := range byPath(err) {
		message := wordsOf(l)
		if m, ok := strings.CutPrefix(message, "incomplete value "); ok {
			message = "is missing, and has to be " + m
		}
		path := l[0].Path()
		if len(path) > 0 {
			path = path[1:] // object or pod
		}
		report(join(below, path...), message)
	}
}

// added tells of fields with a value that are not in data: a rule that gives a value to what an object leaves out would else be met by
// every object.
func added(filled, data cue.Value, path []string, report func(path []string, message string)) {
	if data.IncompleteKind() == cue.TopKind {
		return // it may have anything
	}
	switch names, values, kind := parts(filled); kind {
	case cue.StructKind:
		for i, name := range names {
			there := data.LookupPath(cue.MakePath(cue.Str(name)))
			kind := values[i].IncompleteKind()
			if _, optional := values[i].Default(); there.Exists() || kind == cue.StructKind {
				added(values[i], there, join(path, name), report) // a struct that only the rule has may ask for nothing
			} else if !optional && (kind != cue.ListKind || len(listOf(values[i])) > 0) {
				report(join(path, name), fmt.Sprintf("is missing, and has to be %s; a rule that allows to leave it out writes %s?:", short(values[i]), name))
			}
		}
	case cue.ListKind:
		theirs, err := data.List()
		for i := 0; err == nil && theirs.Next() && i < len(values); i++ {
			added(values[i], theirs.Value(), join(path, strconv.Itoa(i)), report)
		}
	}
}

func listOf(v cue.Value) (out []cue.Value) {
	for i, err := v.List(); err == nil && i.Next(); {
		out = append(out, i.Value())
	}
	return out
}
