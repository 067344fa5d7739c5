package load

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/cue/token"
)

// collector finds the objects of a CUE value.
type collector struct {
	reply   *reply
	dir     string
	indexes map[string]int // of reply.Files
}

const notConcrete = "give it a value; what only others use is a definition (#name) or hidden (_name)"

// walk looks for objects in v and what is in it. A value that may still become a map or a list is an error: it might be meant
// to hold objects, and what is not seen would be deleted.
func (c *collector) walk(v cue.Value, around place) {
	if err := v.Err(); err != nil {
		c.fail(v, nil, err)
		return
	}
	v, _ = v.Default()
	kind := v.IncompleteKind()
	if !v.IsConcrete() {
		if kind&(cue.StructKind|cue.ListKind) != 0 {
			c.add(c.placeOf(v, around), "", pathOf(v), "is incomplete: "+short(v), notConcrete)
		}
		return
	}
	at := c.placeOf(v, around)
	if len(v.Path().Selectors()) > maxDepth {
		c.add(at, "", nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "")
		return
	}
	switch kind {
	case cue.StructKind:
		names, values, err := regular(v)
		if err != nil {
			c.fail(v, nil, err)
			return
		}
		has := func(name string) bool { return slices.Contains(names, name) }
		if has("apiVersion") && has("kind") {
			c.object(v, at)
			return
		}
		if (has("apiVersion") || has("kind")) && slices.ContainsFunc([]string{"metadata", "spec", "id", "desiredState"}, has) {
			missing := "kind"
			if has("kind") {
				missing = "apiVersion"
			}
			c.add(at, "", pathOf(v), missing+" is missing", "what is no object is a definition (#name) or hidden (_name)")
			return
		}
		for _, x := range values {
			c.walk(x, at)
		}
	case cue.ListKind:
		for i, err := v.List(); err == nil && i.Next(); {
			c.walk(i.Value(), at)
		}
	}
}

// short is a value in a message.
func short(v cue.Value) string {
	const most = 60
	s := []rune(strings.Join(strings.Fields(fmt.Sprint(v)), " "))
	if len(s) > most {
		return string(s[:most]) + "..."
	}
	return string(s)
}

// regular is the regular fields of a struct.
func regular(v cue.Value) (names []string, values []cue.Value, err error) {
	it, err := v.Fields()
	if err != nil {
		return nil, nil, err
	}
	for it.Next() {
		names = append(names, it.Selector().Unquoted())
		values = append(values, it.Value())
	}
	return names, values, nil
}

func (c *collector) object(v cue.Value, at place) {
	if err := v.Validate(cue.Concrete(true), cue.Final()); err != nil {
		c.fail(v, &v, err)
		return
	}
	before := len(c.reply.Errors)
	if n := c.node(v, at, 0); len(c.reply.Errors) == before {
		c.reply.Objects = append(c.reply.Objects, n)
	}
}

// node is a concrete value. A value without a place in the tree has that of what is around it.
func (c *collector) node(v cue.Value, around place, depth int) *wireNode {
	v, _ = v.Default()
	at := c.placeOf(v, around)
	n := &wireNode{At: c.index(at)}
	if depth > maxDepth {
		c.add(at, "", nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "")
		return n
	}
	var err error
	switch v.Kind() {
	case cue.StructKind:
		n.Kind = isMap
		var values []cue.Value
		if n.Names, values, err = regular(v); err != nil {
			break
		}
		for _, x := range values {
			n.Values = append(n.Values, c.node(x, at, depth+1))
		}
	case cue.ListKind:
		n.Kind = isList
		var it cue.Iterator
		for it, err = v.List(); err == nil && it.Next(); {
			n.Values = append(n.Values, c.node(it.Value(), at, depth+1))
		}
	case cue.StringKind:
		n.Kind = isString
		n.Text, err = v.String()
	case cue.NullKind:
	case cue.BoolKind, cue.IntKind, cue.FloatKind, cue.NumberKind:
		n.Kind = isNumber
		if v.Kind() == cue.BoolKind {
			n.Kind = isBool
		}
		var b []byte
		b, err = json.Marshal(v)
		n.Text = string(b)
	default:
		c.add(at, "", pathOf(v), "is a value that a manifest cannot have", "")
	}
	if err != nil {
		c.fail(v, nil, err)
	}
	return n
}

// placeOf is where v was written, if that is in the tree.
func (c *collector) placeOf(v cue.Value, around place) place {
	p := v.Pos()
	if name, ok := inTree(p.Filename()); ok && !isDefinition(name) {
		return place{p.Line(), p.Column(), name}
	}
	return around
}

// isDefinition tells whether a file holds the definitions, which is never where something is wrong.
func isDefinition(name string) bool {
	return strings.HasSuffix(path.Dir(name), "/"+DefinitionsPath) && strings.Contains("/"+name, "/cue.mod/")
}

// fail adds each error of err; object is the one that it is about, if it is known.
func (c *collector) fail(v cue.Value, object *cue.Value, err error) {
	for _, e := range errors.Errors(err) {
		message, hint := words(e), ""
		if strings.Contains(message, "incomplete") || strings.Contains(message, "concrete") {
			hint = notConcrete
		}
		field, name := e.Path(), ""
		if !v.Exists() {
			field = nil // an import path, if anything
		}
		if object != nil {
			if n := len(object.Path().Selectors()); n <= len(field) {
				field = field[n:]
			}
			name = nameOf(*object)
		}
		at := c.best(e)
		if at.file == "" && v.Exists() {
			at = c.placeOf(v, at)
		}
		c.add(at, name, field, message, hint)
	}
}

// words is an error with its causes, without places and paths.
func words(e errors.Error) string {
	format, args := e.Msg()
	message := fmt.Sprintf(format, args...)
	for cause := errors.Unwrap(e); cause != nil; cause = errors.Unwrap(cause) {
		text := cause.Error()
		if x, ok := cause.(errors.Error); ok {
			format, args := x.Msg()
			text = fmt.Sprintf(format, args...)
		}
		if text != "" && !strings.Contains(message, text) {
			message = strings.TrimPrefix(message+": "+text, ": ")
		}
	}
	return message
}

// best is the place of an error that a person of this package looks at first: in its own directory, else anywhere in the
// tree.
func (c *collector) best(e errors.Error) (at place) {
	for _, p := range append([]token.Pos{e.Position()}, e.InputPositions()...) {
		name, ok := inTree(p.Filename())
		if !ok || isDefinition(name) {
			continue
		}
		own := path.Dir(name) == c.dir
		if at.file == "" || own && path.Dir(at.file) != c.dir {
			at = place{p.Line(), p.Column(), name}
		}
	}
	return at
}

// nameOf is "Kind/name" as far as it is known.
func nameOf(v cue.Value) string {
	text := func(p string) string {
		s, err := v.LookupPath(cue.ParsePath(p)).String()
		if err != nil {
			return ""
		}
		return s
	}
	var parts []string
	for _, s := range []string{text("kind"), text("metadata.namespace") + text("namespace"), text("metadata.name") + text("id")} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "/")
}

func pathOf(v cue.Value) (p []string) {
	for _, s := range v.Path().Selectors() {
		p = append(p, strings.Trim(s.String(), `"`))
	}
	return p
}

func (c *collector) add(at place, object string, field []string, message, hint string) {
	e := wireError{At: c.index(at), Object: object, Field: field, Message: strings.ReplaceAll(message, treeRoot+"/", ""), Hint: hint}
	if !slices.ContainsFunc(c.reply.Errors, func(x wireError) bool {
		return x.At == e.At && x.Message == e.Message && slices.Equal(x.Field, e.Field)
	}) {
		c.reply.Errors = append(c.reply.Errors, e)
	}
}

func (c *collector) index(p place) [3]int {
	if p.file == "" {
		return [3]int{0, p.line, p.column}
	}
	i, ok := c.indexes[p.file]
	if !ok {
		c.reply.Files = append(c.reply.Files, p.file)
		i = len(c.reply.Files)
		c.indexes[p.file] = i
	}
	return [3]int{i, p.line, p.column}
}
