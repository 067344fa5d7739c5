package load

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// request is what the child is asked: one reply follows for each package, in their order.
type request struct {
	Files    [][]byte // content, each once
	Packages []requestPackage
	Tags     []string // "name=value", for those packages that have the name
	Alone    bool     // no package may harm another

	Rules     []string // in CUE, of policies
	Objects   []requestObject
	Judgments []requestJudgment // one reply follows for each, after those for the packages
}

// requestObject is an object in v1, and the paths of it of which the value is not known, as there may be something wrong with it.
type requestObject struct {
	JSON json.RawMessage
	Open [][]string `json:",omitempty"`
}

// requestJudgment is objects that are to be judged by one rule. None: whether the rule is one.
type requestJudgment struct {
	Rule    int   // index into request.Rules
	Objects []int // indexes into request.Objects
}

type requestPackage struct {
	Dir, Root string
	Files     map[string]int // by name, index into request.Files
}

// reply is what a package declares, or every error in it.
type reply struct {
	Tags    []string // names of the package's tags
	Files   []string // that places are in
	Objects []*wireNode
	Errors  []wireError
	Unread  bool // there may be objects besides, if there are errors

	Violations []wireViolation
}

// wireViolation is what is wrong with an object of a judgment. Path is of the object in v1.
type wireViolation struct {
	Object  int // index into requestJudgment.Objects
	Path    []string
	Message string
}

type wireError struct {
	At                    [3]int // index into reply.Files plus one, line, column
	Object, Message, Hint string
	Field                 []string
	Of                    int // index into reply.Objects plus one, 0: none
}

// wireNode is a node on its way. Names are the fields' of a map.
type wireNode struct {
	Kind   nodeKind    `json:"k,omitempty"`
	Wrong  bool        `json:"w,omitempty"` // an error says what is wrong with it
	At     [3]int      `json:"p"`
	Text   string      `json:"t,omitempty"`
	Names  []string    `json:"n,omitempty"`
	Values []*wireNode `json:"v,omitempty"`
}

func (r *reply) place(at [3]int) place {
	p := place{line: at[1], column: at[2]}
	if i := at[0] - 1; i >= 0 && i < len(r.Files) {
		p.file = r.Files[i]
	}
	return p
}

// node is w in the form of a data file's value; report is told of what a manifest cannot have.
func (r *reply) node(w *wireNode, path []string, report func(p place, path []string, message string)) *node {
	if w == nil {
		report(place{}, path, "came out damaged")
		return &node{wrong: true}
	}
	n := &node{kind: w.Kind, wrong: w.Wrong, pos: r.place(w.At), text: w.Text}
	switch {
	case len(path) > maxDepth:
		n.wrong = true
		report(n.pos, nil, "is nested too deep")
		return n
	case w.Kind == isString && (strings.ContainsRune(w.Text, 0) || !utf8.ValidString(w.Text)):
		n.wrong = true
		report(n.pos, path, "holds a character that a manifest cannot have")
	case w.Kind == isMap && len(w.Names) != len(w.Values), w.Kind < isNull, w.Kind > isMap:
		n.wrong = true
		report(n.pos, path, "came out damaged")
		return n
	}
	for i, v := range w.Values {
		if w.Kind == isMap {
			x := r.node(v, join(path, w.Names[i]), report)
			n.fields = append(n.fields, field{w.Names[i], x.pos, x})
			continue
		}
		n.items = append(n.items, r.node(v, join(path, strconv.Itoa(i)), report))
	}
	return n
}
