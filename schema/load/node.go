package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/token"
)

type nodeKind uint8

const (
	isNull nodeKind = iota
	isBool
	isNumber
	isString
	isList
	isMap
)

// node is one value of a data file with its place. Only nodes, never CUE values, are kept beyond a file's evaluation.
type node struct {
	kind   nodeKind
	wrong  bool // it has been told that something is wrong with it: what was meant is not known
	pos    place
	text   string  // of a string; a number or bool as CUE writes it
	fields []field // of a map, in the order of the file, no name twice
	items  []*node // of a list
}

type field struct {
	name  string
	pos   place
	value *node
}

// place is a line and column, from 1, of a file; "" is the file that is read.
type place struct {
	line, column int
	file         string
}

func placeOf(p token.Pos) place {
	if !p.IsValid() {
		return place{}
	}
	return place{line: p.Line(), column: p.Column()}
}

// maxDepth is how deep maps and lists may nest. A pod of a list needs twelve.
const maxDepth = 100

// reader makes nodes of syntax trees and collects what cannot be one.
type reader struct {
	json   bool  // the file was read as JSON: its keys that are CUE's names too are reported one column late
	start  place // of the text that was parsed in the file; zero is its beginning
	report func(p place, path []string, message, hint string)
}

// refuse reports that n cannot be in a manifest.
func (r *reader) refuse(n *node, path []string, message string) {
	n.wrong = true
	r.report(n.pos, path, message, "")
}

func (r *reader) place(t token.Pos) place {
	p := placeOf(t)
	if p.line == 1 && r.start.column > 0 {
		p.column += r.start.column - 1
	}
	if p.line > 0 && r.start.line > 0 {
		p.line += r.start.line - 1
	}
	return p
}

func (r *reader) read(e ast.Expr, path []string) *node {
	n := &node{pos: r.place(e.Pos())}
	if len(path) > maxDepth {
		r.refuse(n, nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth))
		return n
	}
	switch e := e.(type) {
	case *ast.StructLit:
		r.fields(n, e.Elts, path)
	case *ast.ListLit:
		n.kind = isList
		for i, x := range e.Elts {
			n.items = append(n.items, r.read(x, join(path, strconv.Itoa(i))))
		}
	case *ast.BasicLit:
		r.basic(n, e, path)
	case *ast.UnaryExpr:
		if x, ok := e.X.(*ast.BasicLit); ok && (x.Kind == token.INT || x.Kind == token.FLOAT) && (e.Op == token.SUB || e.Op == token.ADD) {
			n.kind, n.text = isNumber, x.Value
			if e.Op == token.SUB {
				n.text = "-" + x.Value
			}
			break
		}
		r.refuse(n, path, "is a value that a manifest cannot have")
	default:
		r.refuse(n, path, "is a value that a manifest cannot have")
	}
	return n
}

func (r *reader) fields(n *node, decls []ast.Decl, path []string) {
	n.kind = isMap
	at := map[string]place{}
	for _, d := range decls {
		f, ok := d.(*ast.Field)
		if !ok {
			if x, ok := d.(ast.Node); ok {
				if _, comment := x.(*ast.CommentGroup); !comment {
					n.wrong = true
					r.report(r.place(x.Pos()), path, "is something that a manifest cannot have", "")
				}
			}
			continue
		}
		name, _, err := ast.LabelName(f.Label)
		if err != nil {
			n.wrong = true
			r.report(r.place(f.Label.Pos()), path, "has a key that is not text", "")
			continue
		}
		p := r.place(f.Label.Pos())
		if _, name := f.Label.(*ast.Ident); name && r.json && p.column > 1 {
			p.column--
		}
		if first, twice := at[name]; twice {
			r.report(p, join(path, name), fmt.Sprintf("is given twice; first on line %d", first.line), "remove one of the two")
			n.get(name).wrong = true
			continue
		}
		at[name] = p
		v := r.read(f.Value, join(path, name))
		if v.pos == (place{}) {
			v.pos = p
		}
		n.fields = append(n.fields, field{name, p, v})
	}
}

func (r *reader) basic(n *node, e *ast.BasicLit, path []string) {
	n.text = e.Value
	switch e.Kind {
	case token.NULL:
		n.kind = isNull
	case token.TRUE, token.FALSE:
		n.kind = isBool
	case token.INT, token.FLOAT:
		n.kind = isNumber
	case token.STRING:
		s, err := literal.Unquote(e.Value)
		if err != nil || strings.HasPrefix(strings.TrimLeft(e.Value, "#"), "'") {
			r.refuse(n, path, "is binary data, which a manifest cannot have")
			return
		}
		n.kind, n.text = isString, s
		if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			r.refuse(n, path, "holds a character that a manifest cannot have")
		}
	default:
		r.refuse(n, path, "is a value that a manifest cannot have")
	}
}

// join never shares memory with path.
func join(path []string, more ...string) []string {
	return append(append(make([]string, 0, len(path)+len(more)), path...), more...)
}

// get is the value of a field, nil if n has none of this name.
func (n *node) get(name string) *node {
	if f := n.field(name); f != nil {
		return f.value
	}
	return nil
}

func (n *node) field(name string) *field {
	if n == nil {
		return nil
	}
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// str is the text of a field, "" if it is absent or no text.
func (n *node) str(name string) string {
	if v := n.get(name); v != nil && v.kind == isString {
		return v.text
	}
	return ""
}

// clone shares nothing with n.
func (n *node) clone() *node {
	c := *n
	c.fields, c.items = slices.Clone(n.fields), slices.Clone(n.items)
	for i := range c.fields {
		c.fields[i].value = c.fields[i].value.clone()
	}
	for i := range c.items {
		c.items[i] = c.items[i].clone()
	}
	return &c
}

// find is the place of a path, or of the nearest thing around it. A field's place is its value's, unless that is a map or
// list, whose key people look for.
func (n *node) find(path []string) place {
	p := n.pos
	for _, e := range path {
		if n.kind == isList {
			i, err := strconv.Atoi(e)
			if err != nil || i < 0 || i >= len(n.items) {
				return p
			}
			n = n.items[i]
			p = n.pos
			continue
		}
		f := n.field(e)
		if f == nil {
			return p
		}
		n, p = f.value, f.value.pos
		if n.kind == isMap || n.kind == isList || n.kind == isNull {
			p = f.pos
		}
	}
	return p
}

// expr is the node as CUE syntax, without places: they are found again by path.
func (n *node) expr() ast.Expr {
	switch n.kind {
	case isMap:
		s := &ast.StructLit{}
		for _, f := range n.fields {
			s.Elts = append(s.Elts, &ast.Field{Label: ast.NewString(f.name), Value: f.value.expr()})
		}
		return s
	case isList:
		l := &ast.ListLit{}
		for _, x := range n.items {
			l.Elts = append(l.Elts, x.expr())
		}
		return l
	case isString:
		return ast.NewString(n.text)
	case isNumber:
		kind := token.INT
		var info literal.NumInfo
		text, negative := strings.CutPrefix(n.text, "-")
		if literal.ParseNum(text, &info) == nil && !info.IsInt() {
			kind = token.FLOAT
		}
		lit := &ast.BasicLit{Kind: kind, Value: text}
		if negative {
			return &ast.UnaryExpr{Op: token.SUB, X: lit}
		}
		return lit
	case isBool:
		return ast.NewBool(n.text == "true")
	}
	return ast.NewNull()
}

// compact is a short form of the node for comparing it with the arguments of @yet: text without quotes, "{}", "[]", or a
// list of texts.
func (n *node) compact() string {
	switch n.kind {
	case isMap:
		if len(n.fields) == 0 {
			return "{}"
		}
		return "{...}"
	case isList:
		var b strings.Builder
		b.WriteByte('[')
		for i, x := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(x.compact()))
		}
		b.WriteByte(']')
		return b.String()
	case isNull:
		return "null"
	}
	return n.text
}

// show is the node in an error message.
func (n *node) show() string {
	switch n.kind {
	case isMap:
		return "a map"
	case isList:
		return "a list"
	case isString:
		const most = 60
		s := n.text
		if len(s) > most {
			s = s[:most]
			for !utf8.ValidString(s) {
				s = s[:len(s)-1]
			}
			s += "..."
		}
		return strconv.Quote(s)
	case isNull:
		return "nothing"
	}
	return n.text
}

// dotted is a path as people write it: "spec.containers[0].image", `metadata.labels["a.b/c"]`.
func dotted(path []string) string {
	var b strings.Builder
	for _, e := range path {
		switch {
		case e != "" && strings.Trim(e, "0123456789") == "":
			b.WriteString("[" + e + "]")
		case strings.ContainsAny(e, "./ \"[]") || e == "":
			b.WriteString("[" + strconv.Quote(e) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(e)
		}
	}
	return b.String()
}

// findKey is as find, but a field's place is that of its key.
func (n *node) findKey(path []string) place {
	if len(path) > 0 {
		if f := n.at(path[:len(path)-1]).field(path[len(path)-1]); f != nil {
			return f.pos
		}
	}
	return n.find(path)
}
