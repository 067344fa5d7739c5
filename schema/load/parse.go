package load

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/errors"
	"cuelang.org/go/encoding/json"
	"cuelang.org/go/encoding/yaml"
)

// maxNesting is how many brackets may be open at once before a parser that recurses sees the file. It counts those in
// strings too, so it is far above maxDepth.
const maxNesting = 5000

// parse reads a file's documents. A .json file that is not strict JSON is read as YAML, as everything was in 2014:
// trailing commas, comments and unquoted words are common in files of that time. What is wrong goes to report.
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
		e, err := json.Extract(file, b)
		if err == nil {
			r := &reader{json: true, report: report}
			return documents(r.read(e, nil))
		}
		f, yerr := yaml.Extract(file, b)
		if yerr != nil {
			syntax(err, "JSON", report)
			return nil
		}
		return fromYAML(f, report)
	}
	f, err := yaml.Extract(file, b)
	if err != nil {
		syntax(err, "YAML", report)
		return nil
	}
	return fromYAML(f, report)
}

// fromYAML reads what CUE makes of YAML: the fields of one map, or one embedded value, which is a list if the file has
// several documents.
func fromYAML(f *ast.File, report func(p place, path []string, message, hint string)) []*node {
	r := &reader{report: report}
	for _, d := range f.Decls {
		if e, ok := d.(*ast.EmbedDecl); ok {
			return documents(r.read(e.Expr, nil))
		}
	}
	n := &node{pos: place{1, 1}}
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

var yamlLine = regexp.MustCompile(`(?:^|[: ])(?:line )?(\d+): `)

// syntax reports a parser's errors.
func syntax(err error, language string, report func(p place, path []string, message, hint string)) {
	for _, e := range errors.Errors(err) {
		var at place
		if ps := errors.Positions(e); len(ps) > 0 {
			at = placeOf(ps[0])
		}
		format, args := e.Msg()
		message := fmt.Sprintf(format, args...)
		if m := yamlLine.FindStringSubmatchIndex(message); at.line == 0 && m != nil {
			at.line, _ = strconv.Atoi(message[m[2]:m[3]])
			message = message[m[1]:]
		}
		message = strings.TrimPrefix(message, "invalid JSON: ")
		report(at, nil, "not "+language+": "+strings.TrimSpace(message), "")
	}
}

func firstInvalid(b []byte) (place, bool) {
	if utf8.Valid(b) {
		return place{}, true
	}
	p := place{1, 1}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if p.column++; r == '\n' {
			p = place{p.line + 1, 1}
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
