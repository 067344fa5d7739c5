package load

import (
	"cmp"
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
	of      int            // index of the object that is read plus one, 0: none
	object  cue.Value      // that one
}

const notConcrete = "give it a value; what only others use is a definition (#name) or hidden (_name)"

// mostCollected is after how many errors a package is not searched further: a file is told of fewer.
const mostCollected = 2 * fileErrors

// walk looks for objects in v and what is in it. A value that may still become a map or a list is an error: it might be meant
// to hold objects, and what is not seen would be deleted. What has an error is searched all the same.
func (c *collector) walk(v cue.Value, around place) {
	if len(c.reply.Errors) > mostCollected {
		c.reply.Unread = true
		return
	}
	wrong := v.Err()
	if wrong == nil {
		v, _ = v.Default()
		if !v.IsConcrete() {
			if v.IncompleteKind()&(cue.StructKind|cue.ListKind) != 0 {
				c.add(c.placeOf(v, around), "", pathOf(v), "is incomplete: "+short(v), notConcrete)
				c.reply.Unread = true
			}
			return
		}
	}
	at, before := c.placeOf(v, around), len(c.reply.Errors)
	if len(v.Path().Selectors()) > maxDepth {
		c.add(at, "", nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "")
		c.reply.Unread = true
		return
	}
	switch names, values, kind := parts(v); kind {
	case cue.StructKind:
		if !c.isObject(v, at, names) {
			c.failOwn(v, wrong)
			for _, x := range values {
				c.walk(x, at)
			}
		}
	case cue.ListKind:
		c.failOwn(v, wrong)
		for _, x := range values {
			c.walk(x, at)
		}
	case cue.BottomKind:
		if wrong == nil {
			c.add(at, "", pathOf(v), "cannot be read", "")
			c.reply.Unread = true
		}
	}
	if wrong != nil && len(c.reply.Errors) == before {
		c.fail(v, nil, wrong)
		c.reply.Unread = true
	}
}

// parts is what is in a struct or a list, which may have errors; for others, kind is another.
func parts(v cue.Value) (names []string, values []cue.Value, kind cue.Kind) {
	switch kind = v.Kind(); kind {
	case cue.StructKind:
		var err error
		if names, values, err = regular(v); err != nil {
			kind = cue.BottomKind
		}
	case cue.ListKind:
		values = listOf(v)
	case cue.BottomKind: // it does not say which it is
		it, err := v.Fields()
		if err != nil {
			return nil, nil, kind
		}
		kind = cue.StructKind
		for it.Next() {
			if s := it.Selector(); s.LabelType() == cue.IndexLabel {
				kind = cue.ListKind
			} else {
				names = append(names, s.Unquoted())
			}
			values = append(values, it.Value())
		}
	}
	return names, values, kind
}

func ends(path, with []string) bool {
	return len(path) >= len(with) && slices.Equal(path[len(path)-len(with):], with)
}

// own is those errors of a value that are not of what is in it: there may be more in it than is seen.
func own(v cue.Value, err error) (out []errors.Error) {
	for _, e := range errors.Errors(err) {
		if len(e.Path()) <= len(v.Path().Selectors()) {
			out = append(out, e)
		}
	}
	return out
}

func (c *collector) failOwn(v cue.Value, err error) {
	for _, e := range own(v, err) {
		c.fail(v, nil, e)
		c.reply.Unread = true
	}
}

// rest tells the errors of a package that were met nowhere.
func (c *collector) rest(v cue.Value, err error) {
	for _, l := range byPath(err) {
		message := c.message(wordsOf(l))
		if !slices.ContainsFunc(c.reply.Errors, func(x wireError) bool { return x.Message == message && ends(l[0].Path(), x.Field) }) {
			c.fail(v, nil, l[0])
			definition := len(l[0].Path()) > 0 && strings.HasPrefix(l[0].Path()[0], "#") // no object is in one
			c.reply.Unread = c.reply.Unread || !definition
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

// isObject tells whether a struct is an object, or was meant to be one, and adds it. What is wrong with it is told, and the rest
// of it is added.
func (c *collector) isObject(v cue.Value, at place, names []string) bool {
	has := func(name string) bool { return slices.Contains(names, name) }
	if !has("apiVersion") || !has("kind") {
		if !has("apiVersion") && !has("kind") || !slices.ContainsFunc([]string{"metadata", "spec", "id", "desiredState"}, has) {
			return false
		}
		missing := "kind"
		if has("kind") {
			missing = "apiVersion"
		}
		c.add(at, "", pathOf(v), missing+" is missing", "what is no object is a definition (#name) or hidden (_name)")
		c.reply.Unread = true
		return true
	}
	c.of, c.object = len(c.reply.Objects)+1, v
	defer func() { c.of = 0 }()
	if err := v.Validate(cue.Concrete(true), cue.Final()); err != nil {
		c.fail(v, &v, err)
	}
	c.reply.Objects = append(c.reply.Objects, c.node(v, at, 0))
	return true
}

// node is the value of an object. What is wrong or not known of it is marked so. A value without a place in the tree has that of
// what is around it.
func (c *collector) node(v cue.Value, around place, depth int) *wireNode {
	wrong := v.Err()
	if wrong == nil {
		v, _ = v.Default()
	}
	at := c.placeOf(v, around)
	n := &wireNode{At: c.index(at)}
	if depth > maxDepth {
		c.add(at, "", nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "")
		n.Wrong = true
		return n
	}
	names, values, kind := parts(v)
	var err error
	switch kind {
	case cue.StructKind, cue.ListKind:
		n.Wrong = len(own(v, wrong)) > 0
		n.Kind, n.Names = isMap, names
		if kind == cue.ListKind {
			n.Kind = isList
		}
		for _, x := range values {
			n.Values = append(n.Values, c.node(x, at, depth+1))
		}
	case cue.StringKind:
		n.Kind = isString
		n.Text, err = v.String()
	case cue.NullKind:
	case cue.BoolKind, cue.IntKind, cue.FloatKind, cue.NumberKind:
		n.Kind = isNumber
		if kind == cue.BoolKind {
			n.Kind = isBool
		}
		var b []byte
		b, err = json.Marshal(v)
		n.Text = string(b)
	case cue.BottomKind:
		n.Wrong = true
		if wrong == nil { // CUE tells what is incomplete only where nothing else is wrong
			c.inObject(at, v, "incomplete value "+short(v), notConcrete)
		}
	default:
		c.inObject(at, v, "is a value that a manifest cannot have", "")
		n.Wrong = true
	}
	if err != nil {
		c.fail(v, nil, err)
		n.Wrong = true
	}
	return n
}

// inObject adds an error of a value in the object that is read, unless it has one.
func (c *collector) inObject(at place, v cue.Value, message, hint string) {
	field := pathOf(v)[len(c.object.Path().Selectors()):]
	if !slices.ContainsFunc(c.reply.Errors, func(x wireError) bool { return x.Of == c.of && slices.Equal(x.Field, field) }) {
		c.add(at, nameOf(c.object), field, message, hint)
	}
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

// fail adds the errors of err; object is the one that it is about, if it is known.
func (c *collector) fail(v cue.Value, object *cue.Value, err error) {
	for _, l := range byPath(err) {
		message, hint := wordsOf(l), ""
		if strings.Contains(message, "incomplete") || strings.Contains(message, "concrete") {
			hint = notConcrete
		}
		field, name := l[0].Path(), ""
		if !v.Exists() {
			field = nil // an import path, if anything
		}
		if object != nil {
			if n := len(object.Path().Selectors()); n <= len(field) {
				field = field[n:]
			}
			name = nameOf(*object)
		}
		var at place
		for _, e := range l {
			if at.file == "" {
				at = c.best(e)
			}
		}
		if at.file == "" && v.Exists() {
			at = c.placeOf(v, at)
		}
		c.add(at, name, field, message, hint)
	}
}

// byPath is the errors of err, those of one path together: each arm of a disjunction has one.
func byPath(err error) (out [][]errors.Error) {
	for _, e := range errors.Errors(err) {
		i := slices.IndexFunc(out, func(l []errors.Error) bool { return len(e.Path()) > 0 && slices.Equal(l[0].Path(), e.Path()) })
		if i < 0 {
			out = append(out, []errors.Error{e})
		} else {
			out[i] = append(out[i], e)
		}
	}
	return out
}

// wordsOf is errors of one path in one message, without CUE's count of them.
func wordsOf(l []errors.Error) string {
	var messages []string
	for _, e := range l {
		if m := words(e); !strings.HasSuffix(m, "errors in empty disjunction:") && !slices.Contains(messages, m) {
			messages = append(messages, m)
		}
	}
	return cmp.Or(strings.Join(messages, "; "), words(l[0]))
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
	e := wireError{At: c.index(at), Object: object, Field: field, Message: c.message(message), Hint: hint, Of: c.of}
	if !slices.ContainsFunc(c.reply.Errors, func(x wireError) bool {
		return x.At == e.At && x.Message == e.Message && slices.Equal(x.Field, e.Field)
	}) {
		c.reply.Errors = append(c.reply.Errors, e)
	}
}

// message is what CUE says with names of files as they are in the tree.
func (c *collector) message(s string) string { return strings.ReplaceAll(s, treeRoot+"/", "") }

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
