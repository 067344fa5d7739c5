package load

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/token"
)

// kindNames is the names of CUE that a definition may use.
var kindNames = []string{"_", "string", "int", "float", "number", "bool", "null"}

// The operators that a definition may use.
var (
	unaryOperators  = []token.Token{token.MAT, token.NMAT, token.GEQ, token.LEQ, token.GTR, token.LSS, token.NEQ, token.SUB, token.ADD}
	binaryOperators = []token.Token{token.AND, token.OR}
)

// constructs looks in the source of definitions for what shapes cannot say exactly: anything but closed structs of optional
// and required fields, maps, lists, embedded definitions, references to definitions and constraints on scalars. An error
// here is one of the definitions; without it, a shape would be a looser check than CUE.
type constructs struct {
	root cue.Value // what the source compiles to
	err  error
}

func checkConstructs(f *ast.File, root cue.Value) error {
	c := &constructs{root: root}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.Package, *ast.CommentGroup:
		case *ast.Field:
			if name, _, err := ast.LabelName(d.Label); err != nil || !strings.HasPrefix(name, "#") || d.Constraint != token.ILLEGAL {
				c.unknown(d, "a field outside of definitions")
			}
			c.expr(d.Value)
		default:
			c.unknown(d, fmt.Sprintf("%T", d))
		}
	}
	return c.err
}

func (c *constructs) unknown(at ast.Node, what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%v: %s cannot be checked without CUE", at.Pos(), what)
	}
}

func (c *constructs) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.StructLit:
		c.fields(e)
	case *ast.ListLit:
		if len(e.Elts) != 1 {
			c.unknown(e, "a list of a fixed length")
			return
		}
		x, ok := e.Elts[0].(*ast.Ellipsis)
		if !ok {
			c.unknown(e, "a list of a fixed length")
		} else if x.Type != nil {
			c.expr(x.Type)
		}
	case *ast.Ident:
		if !strings.HasPrefix(e.Name, "#") && !slices.Contains(kindNames, e.Name) {
			c.unknown(e, "the name "+e.Name)
		}
	default:
		c.scalar(e)
	}
}

// fields looks at a struct: maps have one pattern for all keys, others fields with ? or !.
func (c *constructs) fields(s *ast.StructLit) {
	for _, d := range s.Elts {
		switch d := d.(type) {
		case *ast.CommentGroup:
		case *ast.EmbedDecl:
			if i, ok := d.Expr.(*ast.Ident); !ok || c.kind(i) != cue.StructKind {
				c.unknown(d, "an embedded value that is no struct of a definition")
			}
		case *ast.Field:
			if l, ok := d.Label.(*ast.ListLit); ok {
				i, ok := l.Elts[0].(*ast.Ident)
				if !ok || i.Name != "string" || len(s.Elts) != 1 {
					c.unknown(d, "a pattern that is not alone or not for every key")
				}
			} else if name, _, err := ast.LabelName(d.Label); err != nil || name == "" || strings.ContainsAny(name[:1], "#_") || d.Constraint != token.OPTION && d.Constraint != token.NOT {
				c.unknown(d, "a field without ? or !, or that is no data,")
			}
			if d.Alias != nil {
				c.unknown(d, "an alias")
			}
			c.expr(d.Value)
		default:
			c.unknown(d, fmt.Sprintf("%T", d))
		}
	}
}

// scalar looks at an expression that must not hold maps and lists: how those are combined is for CUE alone.
func (c *constructs) scalar(e ast.Expr) {
	switch e := e.(type) {
	case *ast.BasicLit:
	case *ast.ParenExpr:
		c.scalar(e.X)
	case *ast.UnaryExpr:
		x := e.X
		if u, ok := x.(*ast.UnaryExpr); ok && (u.Op == token.SUB || u.Op == token.ADD) {
			x = u.X
		}
		if _, ok := x.(*ast.BasicLit); !ok || !slices.Contains(unaryOperators, e.Op) {
			c.unknown(e, "the operator "+e.Op.String()+" here")
		}
	case *ast.BinaryExpr:
		if !slices.Contains(binaryOperators, e.Op) {
			c.unknown(e, "the operator "+e.Op.String())
		}
		c.scalar(e.X)
		c.scalar(e.Y)
	case *ast.Ident:
		if strings.HasPrefix(e.Name, "#") && c.kind(e)&(cue.StructKind|cue.ListKind) != 0 || !strings.HasPrefix(e.Name, "#") && !slices.Contains(kindNames[1:], e.Name) {
			c.unknown(e, e.Name+" in an expression")
		}
	default:
		c.unknown(e, fmt.Sprintf("%T", e))
	}
}

func (c *constructs) kind(i *ast.Ident) cue.Kind {
	if !strings.HasPrefix(i.Name, "#") {
		return cue.BottomKind
	}
	return c.root.LookupPath(cue.MakePath(cue.Def(i.Name))).IncompleteKind()
}
