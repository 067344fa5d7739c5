package load

import (
	"encoding/json"
	"fmt"
	"slices"
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
func (q *request) judgeOne(ctx *cue.Context, rule cue.Value, object json.RawMessage, report func(path []string, message string)) {
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
	err := json.Unmarshal(object, &parts)
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
	build := func(b []byte) cue.Value {
		x, err := cuejson.Extract("object.json", b)
		if err != nil {
			report(nil, "cannot be judged: "+err.Error())
			return ctx.CompileString("_|_")
		}
		return ctx.BuildExpr(x)
	}
	data := build(object)
	filled := rule.FillPath(objectPath, data)
	var podData cue.Value
	if pod != nil {
		b, err := json.Marshal(pod)
		if err != nil {
			report(nil, "cannot be judged: "+err.Error())
			return
		}
		podData = build(b)
		filled = filled.FillPath(podPath, podData)
		compare(filled.LookupPath(podPath), podData, below, report)
	}
	compare(filled.LookupPath(objectPath), data, nil, report)
}

// compare tells what a rule finds wrong with data: what does not fit, and fields that only the rule has.
func compare(filled, data cue.Value, below []string, report func(path []string, message string)) {
	err := filled.Validate(cue.Concrete(true), cue.Final())
	if err == nil {
		added(filled, data, below, report)
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
	switch filled.IncompleteKind() {
	case cue.StructKind:
		names, values, err := regular(filled)
		if err != nil {
			report(path, err.Error())
			return
		}
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
		if err != nil {
			return
		}
		for i, ours := 0, listOf(filled); theirs.Next() && i < len(ours); i++ {
			added(ours[i], theirs.Value(), join(path, fmt.Sprint(i)), report)
		}
	}
}

func listOf(v cue.Value) (out []cue.Value) {
	for i, err := v.List(); err == nil && i.Next(); {
		out = append(out, i.Value())
	}
	return out
}
