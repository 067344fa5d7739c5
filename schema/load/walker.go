package load

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"reconciler/schema"
)

// walker compares a document with a shape.
type walker struct {
	found  []found
	lost   [][]string // as doubts has them
	strays []stray
	unsure bool     // a number or key is not plain: CUE decides too
	path   []string // of the value that is walked; its memory is used again
}

// walk finds everything that is wrong with n, and returns n without that and without what CUE is not to see; ok is false if that is all
// of it. n is not changed, and is the result if all of it is seen.
func (w *walker) walk(n *node, s *shape) (clean *node, ok bool) {
	if s.ignored {
		return nil, false
	}
	if n.wrong {
		return w.lose()
	}
	if n.kind == isNull && len(w.path) > 0 {
		if s.nonull {
			w.add(found{message: "is empty", hint: "write {}"})
			return w.lose()
		}
		return nil, false
	}
	if s.limited && !slices.Contains(s.yet, n.compact()) {
		if len(s.yet) == 0 || s.rule == nil && (n.kind == isMap || n.kind == isList) {
			w.add(found{message: schema.NotYet, key: true})
		} else if w.scalar(n, s) {
			w.add(found{message: fmt.Sprintf("%s is %s", n.show(), schema.NotYet)})
		}
		return w.lose()
	}
	switch {
	case s.any:
		w.top(n)
	case s.fields != nil && n.kind == isMap:
		return w.fields(n, s), true
	case s.item != nil && n.kind == isList:
		return w.items(n, s), true
	case !w.scalar(n, s):
		return w.lose()
	}
	return n, true
}

// lose notes that the value that is walked is not known, and leaves it out.
func (w *walker) lose() (clean *node, ok bool) {
	w.lost = append(w.lost, slices.Clone(w.path))
	return nil, false
}

// scalar tells whether n fits the rule of s. A number that is not plain counts as one that fits.
func (w *walker) scalar(n *node, s *shape) bool {
	v := scalar{kind: n.kind, text: n.text}
	if n.kind == isNumber {
		var plain bool
		if v.number, plain = plainNumber(n.text); !plain && s.rule != nil {
			w.unsure = true
			return true
		}
	}
	if s.any || s.rule != nil && s.rule(v) {
		return true
	}
	message, hint := s.refuse(n)
	w.add(found{message: message, hint: hint})
	return false
}

// top looks for what is not plain in a value of which everything is allowed.
func (w *walker) top(n *node) {
	if n.kind == isNumber {
		_, plain := plainNumber(n.text)
		w.unsure = w.unsure || !plain
	}
	for i := range n.fields {
		w.unsure = w.unsure || !plainKey(n.fields[i].name)
		w.top(n.fields[i].value)
	}
	for _, x := range n.items {
		w.top(x)
	}
}

// plainKey tells whether CUE leaves a key as it is: it normalizes others, so that two may be one.
func plainKey(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func (w *walker) items(n *node, s *shape) *node {
	clean, whole := n, true
	for i, x := range n.items {
		w.path = append(w.path, strconv.Itoa(i))
		y, ok := x, true
		switch {
		case x.kind != isNull:
			y, ok = w.walk(x, s.item)
		case s.item.text && (s.item.rule == nil || s.item.rule(scalar{kind: isString})): // has been "" to all readers
			y = &node{kind: isString, pos: x.pos}
		default:
			w.add(found{message: "is empty", hint: "remove it or fill it in"})
			y, ok = w.lose()
		}
		if !ok && !s.item.ignored { // others keep their places
			y, ok = s.item.zero(), true
		}
		w.path = w.path[:len(w.path)-1]
		if whole && (y != x || !ok) {
			clean, whole = &node{kind: isList, pos: n.pos, items: slices.Clone(n.items[:i])}, false
		}
		if !whole && ok {
			clean.items = append(clean.items, y)
		}
	}
	return clean
}

func (w *walker) fields(n *node, s *shape) *node {
	clean, whole := n, true
	var meant map[string]bool // fields that are there under a wrong name
	for i, f := range n.fields {
		t := s.fields[f.name]
		if t == nil {
			t = s.each
			w.unsure = w.unsure || t != nil && !plainKey(f.name)
		}
		w.path = append(w.path, f.name)
		var y *node
		ok := false
		if t != nil {
			y, ok = w.walk(f.value, t)
		} else {
			near, hint := s.suggest(f.name)
			if meant == nil {
				meant = map[string]bool{}
			}
			meant[near] = true
			w.add(found{message: "unknown field", hint: hint, key: true})
			w.strays = append(w.strays, s.stray(slices.Clone(w.path[:len(w.path)-1]), &f))
		}
		w.path = w.path[:len(w.path)-1]
		if whole && (y != f.value || !ok) {
			clean, whole = &node{kind: isMap, pos: n.pos, fields: slices.Clone(n.fields[:i])}, false
		}
		if !whole && ok {
			clean.fields = append(clean.fields, field{f.name, f.pos, y})
		}
	}
	for _, name := range s.required {
		if v := n.get(name); (v == nil || v.kind == isNull && !v.wrong) && !meant[name] {
			hint := ""
			if t := s.fields[name]; t.want != "" && t.want != t.basic {
				hint = "write " + t.want
			}
			w.path = append(w.path, name)
			w.add(found{message: "is missing", hint: hint})
			w.lose()
			w.path = w.path[:len(w.path)-1]
		}
	}
	return clean
}

// add adds what is wrong with the value that is walked.
func (w *walker) add(f found) {
	f.path = slices.Clone(w.path)
	w.found = append(w.found, f)
}

// refuse says why a value does not fit.
func (s *shape) refuse(n *node) (message, hint string) {
	if _, err := strconv.Atoi(n.text); err == nil && n.kind == isString && strings.Contains(s.want, "number") {
		hint = "remove the quotes"
	}
	want := s.want
	if n.kind == isMap || n.kind == isList {
		want, _, _ = strings.Cut(want, "; ") // quotes are no help
	}
	if n.kind == isMap && want == "a list" {
		hint = "begin each item with '- '"
	}
	return "got " + n.show() + ", want " + want, hint
}
