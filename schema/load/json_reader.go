package load

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// plainJSON tells whether b is one value of strict JSON, without anything of which CUE's parser has a view of its own:
// surrogates, zeros and byte order marks.
func plainJSON(b []byte) bool {
	if !stdjson.Valid(b) {
		return false
	}
	for rest := b; ; {
		_, after, found := bytes.Cut(rest, []byte(`\u`))
		if !found {
			break
		}
		if len(after) < 4 || strings.ContainsRune("dDfF", rune(after[0])) || string(after[:4]) == "0000" {
			return false
		}
		rest = after
	}
	return !bytes.Contains(b, []byte("\ufeff"))
}

// jsonReader makes nodes of plain JSON. What it makes and reports is what [reader] makes and reports of
// the syntax trees of CUE.
type jsonReader struct {
	b         string
	at        int // offset of what is read next
	line      int // of it, from 1
	lineStart int // offset
	path      []string
	report    func(p place, path []string, message, hint string)
	nodes     nodes
}

func newJSONReader(b []byte, report func(p place, path []string, message, hint string)) *jsonReader {
	r := &jsonReader{b: string(b), line: 1, report: report}
	r.space()
	return r
}

func (r *jsonReader) place() place { return place{line: r.line, column: r.at - r.lineStart + 1} }

// space skips white space, and the commas and colons whose places have been checked.
func (r *jsonReader) space() {
	for ; r.at < len(r.b); r.at++ {
		switch r.b[r.at] {
		case '\n':
			r.line++
			r.lineStart = r.at + 1
		case ' ', '\t', '\r', ',', ':':
		default:
			return
		}
	}
}

func (r *jsonReader) value() *node {
	n := r.nodes.next()
	n.pos = r.place()
	if len(r.path) > maxDepth {
		n.wrong = true
		r.report(n.pos, nil, fmt.Sprintf("is nested more than %d levels deep", maxDepth), "")
		r.skip()
		return n
	}
	switch c := r.b[r.at]; c {
	case '{':
		n.kind = isMap
		r.fields(n)
	case '[':
		n.kind = isList
		r.items(n)
	case '"':
		n.kind, n.text = isString, r.text()
	default:
		start := r.at
		for r.at < len(r.b) && r.b[r.at] > ' ' && r.b[r.at] != ',' && r.b[r.at] != ']' && r.b[r.at] != '}' {
			r.at++
		}
		n.text = r.b[start:r.at]
		switch c {
		case 'n':
			n.kind = isNull
		case 't', 'f':
			n.kind = isBool
		default:
			n.kind = isNumber
		}
	}
	return n
}

// skip moves behind a value that is not looked at.
func (r *jsonReader) skip() {
	d := stdjson.NewDecoder(strings.NewReader(r.b[r.at:]))
	var raw stdjson.RawMessage
	if err := d.Decode(&raw); err != nil {
		panic("load: read JSON that is not valid: " + err.Error())
	}
	end := r.at + int(d.InputOffset())
	for ; r.at < end; r.at++ {
		if r.b[r.at] == '\n' {
			r.line++
			r.lineStart = r.at + 1
		}
	}
}

func (r *jsonReader) fields(n *node) {
	r.at++
	var names nameSet
	for r.space(); r.b[r.at] != '}'; r.space() {
		p := r.place()
		name := r.text()
		r.path = append(r.path, name)
		r.space()
		if first, twice := names.add(n, name); twice {
			r.report(p, join(r.path), fmt.Sprintf("is given twice; first on line %d", first.line), "remove one of the two")
			n.get(name).wrong = true
			r.skip()
		} else {
			n.fields = append(n.fields, field{name, p, nil})
			i := len(n.fields) - 1
			n.fields[i].value = r.value()
		}
		r.path = r.path[:len(r.path)-1]
	}
	r.at++
}

func (r *jsonReader) items(n *node) {
	r.at++
	for r.space(); r.b[r.at] != ']'; r.space() {
		r.path = append(r.path, strconv.Itoa(len(n.items)))
		n.items = append(n.items, r.value())
		r.path = r.path[:len(r.path)-1]
	}
	r.at++
}

// text reads a string.
func (r *jsonReader) text() string {
	start := r.at
	escaped := false
	for r.at++; r.b[r.at] != '"'; r.at++ {
		if r.b[r.at] == '\\' {
			escaped = true
			r.at++
		}
	}
	r.at++
	raw := r.b[start:r.at]
	if !escaped {
		return raw[1 : len(raw)-1]
	}
	var s string
	if err := stdjson.Unmarshal([]byte(raw), &s); err != nil {
		panic("load: read JSON that is not valid: " + err.Error())
	}
	return s
}

// nodes makes nodes, many in one piece of memory.
type nodes struct{ free []node }

func (s *nodes) next() *node {
	if len(s.free) == 0 {
		s.free = make([]node, 64)
	}
	n := &s.free[0]
	s.free = s.free[1:]
	return n
}

// nameSet finds names that a map has already.
type nameSet map[string]place

// few is how many names of a map are looked through without an index.
const few = 16

// add tells whether n, to which every name is added afterwards, has a name, and where.
func (s *nameSet) add(n *node, name string) (first place, twice bool) {
	if len(n.fields) < few {
		if f := n.field(name); f != nil {
			return f.pos, true
		}
		return place{}, false
	}
	if *s == nil {
		*s = nameSet{}
	}
	for i := len(*s); i < len(n.fields); i++ {
		(*s)[n.fields[i].name] = n.fields[i].pos
	}
	first, twice = (*s)[name]
	return first, twice
}
