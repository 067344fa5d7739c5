package load

import (
	"bytes"
	stdjson "encoding/json"
	"io"
	"path"
	"slices"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"
)

// maxNesting is how many brackets may be open at once before a parser that recurses sees the file. It counts those in
// strings too, so it is far above maxDepth.
const maxNesting = 5000

// parse reads a file's documents. A .json file that is not strict JSON is read as YAML unless it
// is for v1: everything was YAML in 2014, and trailing commas, comments and unquoted words are common in files of that time. What is wrong goes to report.
func parse(file string, b []byte, report func(p place, path []string, message, hint string)) []*node {
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	if p, ok := firstInvalid(b); !ok {
		report(p, nil, "the file is not UTF-8 text", "")
		return nil
	}
	if tooDeep(b) {
		report(place{}, nil, "brackets are nested too deep", "")
		return nil
	}
	if path.Ext(file) == ".json" {
		docs, ok := fromJSON(file, b, report)
		if ok {
			return docs
		}
		f, err := yaml.Extract(file, b)
		if err != nil {
			notJSON(b, report)
			return nil
		}
		docs = fromYAML(f, report)
		if slices.ContainsFunc(docs, func(n *node) bool { return n.str("apiVersion") == versionV1 }) {
			notJSON(b, report) // readers of v1 have always been strict
			return nil
		}
		return docs
	}
	if docs, ok := plainYAML(b); ok {
		return docs
	}
	f, err := yaml.Extract(file, b)
	if err == nil {
		return fromYAML(f, report)
	}
	parts := yamlDocuments(b)
	if len(parts) == 1 {
		notYAML(file, b, err, report)
		return nil
	}
	var docs []*node
	line := 1
	for _, part := range parts { // the others may be right
		f, err := yaml.Extract(file, part)
		if err == nil {
			docs = append(docs, yamlNodes(f, &reader{start: place{line: line, column: 1}, report: report})...)
		} else {
			before := line - 1
			notYAML(file, part, err, func(p place, path []string, message, hint string) {
				p.line += before
				report(p, path, message, hint)
			})
			docs = append(docs, &node{wrong: true})
		}
		line += bytes.Count(part, []byte{'\n'})
	}
	return docs
}

// mostParts is how many documents of a file that is wrong are read one by one.
const mostParts = 1000

// yamlDocuments is the documents of a file. A line that begins with the word --- is never within one (YAML 1.2.2, section 9.1.2).
func yamlDocuments(b []byte) (parts [][]byte) {
	from, at := 0, 0
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(yamlSeparator)); ok && at > from && (len(rest) == 0 || rest[0] <= ' ') {
			parts = append(parts, b[from:at])
			from = at
		}
		at += len(line)
	}
	if len(parts) >= mostParts {
		return [][]byte{b}
	}
	return append(parts, b[from:])
}

// fromJSON reads strict JSON: one value, or several after each other. ok is false if b is something else.
func fromJSON(file string, b []byte, report func(p place, path []string, message, hint string)) (docs []*node, ok bool) {
	if plainJSON(b) {
		return documents(newJSONReader(b, report).value()), true
	}
	return fromCUEJSON(file, b, report)
}

// fromCUEJSON is the same by way of CUE's parser.
func fromCUEJSON(file string, b []byte, report func(p place, path []string, message, hint string)) (docs []*node, ok bool) {
	d := stdjson.NewDecoder(bytes.NewReader(b))
	var ends []int
	for {
		var raw stdjson.RawMessage
		err := d.Decode(&raw)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false
		}
		ends = append(ends, int(d.InputOffset()))
	}
	start, at := 0, place{line: 1, column: 1}
	for _, end := range ends {
		e, err := json.Extract(file, b[start:end])
		if err != nil {
			return nil, false
		}
		r := &reader{json: true, start: at, report: report}
		docs = append(docs, documents(r.read(e, nil))...)
		at = at.after(b[start:end])
		start = end
	}
	return docs, true
}

// after is the place behind text that begins at p.
func (p place) after(text []byte) place {
	if n := bytes.Count(text, []byte("\n")); n > 0 {
		p.line += n
		p.column = 1
		text = text[bytes.LastIndexByte(text, '\n')+1:]
	}
	p.column += len(text)
	return p
}

// fromYAML reads what CUE makes of YAML: the fields of one map, or one embedded value, which is a list if the file has
// several documents.
func fromYAML(f *ast.File, report func(p place, path []string, message, hint string)) []*node {
	return yamlNodes(f, &reader{report: report})
}

func yamlNodes(f *ast.File, r *reader) []*node {
	for _, d := range f.Decls {
		if e, ok := d.(*ast.EmbedDecl); ok {
			if _, empty := e.Expr.(*ast.BinaryExpr); empty {
				return nil // "*null | _" stands for a file without documents
			}
			return documents(r.read(e.Expr, nil))
		}
	}
	n := &node{}
	r.fields(n, f.Decls, nil)
	if len(n.fields) == 0 {
		return nil
	}
	n.pos = n.fields[0].pos
	return documents(n)
}

// documents takes a list apart: it is a file of several documents, or an array of objects. Empty documents are left out.
func documents(n *node) []*node {
	if n.kind != isList {
		if n.kind == isNull {
			return nil
		}
		return []*node{n}
	}
	var out []*node
	for _, x := range n.items {
		if x.kind != isNull {
			out = append(out, x)
		}
	}
	return out
}

// notJSON reports where a file stops being JSON.
func notJSON(b []byte, report func(p place, path []string, message, hint string)) {
	d := stdjson.NewDecoder(bytes.NewReader(b))
	for {
		var raw stdjson.RawMessage
		err := d.Decode(&raw)
		if err == nil {
			continue
		}
		if err == io.EOF { // it is JSON, and something in it is not CUE's
			mark := max(bytes.Index(b, []byte("\ufeff")), 0)
			report(place{line: 1, column: 1}.after(b[:mark]), nil, "holds a byte order mark or another character that a manifest cannot have", "")
			return
		}
		end := len(b)
		if s, ok := err.(*stdjson.SyntaxError); ok {
			end = int(max(s.Offset-1, 0))
		}
		report(place{line: 1, column: 1}.after(b[:min(end, len(b))]), nil, "not JSON: "+err.Error(), "")
		return
	}
}

func firstInvalid(b []byte) (place, bool) {
	if utf8.Valid(b) {
		return place{}, true
	}
	p := place{line: 1, column: 1}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if p.column++; r == '\n' {
			p = place{line: p.line + 1, column: 1}
		}
		b = b[n:]
	}
	return p, false
}

func tooDeep(b []byte) bool {
	depth := 0
	for _, c := range b {
		switch c {
		case '[', '{':
			if depth++; depth > maxNesting {
				return true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}
