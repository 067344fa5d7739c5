package load

import (
	"strings"
)

// plainYAML reads YAML as most manifests are written: block style, text of ASCII, quotes without escapes. ok is false for anything else, wrong or not; what is read is what CUE reads of it, with the same places.
func plainYAML(b []byte) (docs []*node, ok bool) {
	for _, c := range b {
		if c != '\n' && (c < ' ' || c > '~') {
			return nil, false
		}
	}
	r := &yamlReader{text: string(b)}
	r.next()
	for {
		if r.separator() {
			r.next()
		}
		if r.end || r.separator() {
			return nil, false // an empty document
		}
		docs = append(docs, r.block(0))
		if r.bad || !r.end && !r.separator() {
			return nil, false
		}
		if r.end && len(docs) == 1 {
			return documents(docs[0]), true
		}
		if r.end {
			return docs, true
		}
	}
}

// yamlReader reads line by line. Once bad, it goes nowhere.
type yamlReader struct {
	text string // what is behind the line
	line int    // number of the line, from 1

	indent int    // of the line
	rest   string // of the line, never empty
	end    bool   // there is no line

	depth int
	bad   bool
	nodes nodes
}

const yamlSeparator = "---"

func (r *yamlReader) separator() bool { return !r.end && r.indent == 0 && r.rest == yamlSeparator }

// next goes to the next line that is not empty and no comment.
func (r *yamlReader) next() {
	for r.text != "" {
		line, rest, _ := strings.Cut(r.text, "\n")
		r.text = rest
		r.line++
		r.rest = strings.TrimLeft(line, " ")
		r.indent = len(line) - len(r.rest)
		if r.rest == "" || r.rest[0] == '#' {
			continue
		}
		if r.rest[len(r.rest)-1] == ' ' || r.indent == 0 && r.rest != yamlSeparator && (r.rest[0] == '%' || strings.HasPrefix(r.rest, "---") || strings.HasPrefix(r.rest, "...")) {
			r.fail()
		}
		return
	}
	r.end, r.indent, r.rest = true, -1, ""
}

func (r *yamlReader) fail() *node {
	r.bad, r.end, r.text, r.indent, r.rest = true, true, "", -1, ""
	return &node{}
}

func (r *yamlReader) start(k nodeKind) *node {
	n := r.nodes.next()
	n.kind, n.pos = k, place{line: r.line, column: r.indent + 1}
	return n
}

// block reads the map or list that begins with the line, if it is indented by indent.
func (r *yamlReader) block(indent int) *node {
	if r.indent != indent || r.depth > maxDepth {
		return r.fail()
	}
	r.depth++
	defer func() { r.depth-- }()
	if strings.HasPrefix(r.rest, "- ") {
		return r.list(indent)
	}
	return r.fields(indent)
}

func (r *yamlReader) fields(indent int) *node {
	n := r.start(isMap)
	var names nameSet
	for r.indent == indent && !r.separator() {
		name, rest, ok := yamlKey(r.rest)
		if _, twice := names.add(n, name); !ok || twice {
			return r.fail()
		}
		i := len(n.fields)
		n.fields = append(n.fields, field{name, place{line: r.line, column: indent + 1}, nil})
		if rest == "" {
			r.next()
			switch {
			case r.indent > indent:
				n.fields[i].value = r.block(r.indent)
			case r.indent == indent && strings.HasPrefix(r.rest, "- "):
				n.fields[i].value = r.block(indent)
			default:
				return r.fail() // nothing, whose place is another
			}
			continue
		}
		r.indent += len(r.rest) - len(rest)
		n.fields[i].value = r.scalar(rest, indent)
	}
	if r.indent > indent {
		return r.fail()
	}
	return n
}

func (r *yamlReader) list(indent int) *node {
	n := r.start(isList)
	for r.indent == indent && strings.HasPrefix(r.rest, "- ") {
		rest := strings.TrimLeft(r.rest[2:], " ")
		r.indent += len(r.rest) - len(rest)
		r.rest = rest
		if _, _, ok := yamlKey(rest); ok {
			n.items = append(n.items, r.block(r.indent))
			continue
		}
		n.items = append(n.items, r.scalar(rest, indent))
	}
	if r.indent > indent {
		return r.fail()
	}
	return n
}

// scalar reads the rest of the line, and lines that continue it without quotes.
func (r *yamlReader) scalar(s string, around int) *node {
	n := r.start(isString)
	switch {
	case s == "{}":
		n.kind = isMap
	case s == "[]":
		n.kind = isList
	case s[0] == '"' || s[0] == '\'':
		inner := s[1:max(len(s)-1, 1)]
		if len(s) < 2 || s[len(s)-1] != s[0] || strings.ContainsAny(inner, s[:1]) || s[0] == '"' && strings.Contains(inner, `\`) {
			return r.fail()
		}
		n.text = inner
	default:
		return r.plain(n, s, around)
	}
	r.next()
	if r.indent > around {
		return r.fail()
	}
	return n
}

// plain reads a scalar without quotes. Its lines are joined by spaces.
func (r *yamlReader) plain(n *node, s string, around int) *node {
	line := r.line
	kind, ok := yamlKind(s)
	for r.next(); ok && r.indent > around; r.next() {
		line++
		if _, plain := yamlKind(r.rest); !plain || !letter(r.rest[0]) || r.line != line || kind != isString {
			return r.fail()
		}
		s += " " + r.rest
	}
	if !ok {
		return r.fail()
	}
	n.kind, n.text = kind, s
	return n
}

func letter(c byte) bool { return 'a' <= c|' ' && c|' ' <= 'z' || c == '_' }

// yamlKey cuts a line behind the colon and spaces that follow a key. A key is of letters, digits and "_./-", which is never
// a value of another kind than text.
func yamlKey(s string) (name, rest string, ok bool) {
	const most = 256
	i := 0
	for i < len(s) && (letter(s[i]) || i > 0 && (s[i] >= '-' && s[i] <= '9')) { // -./ and digits
		i++
	}
	if i == 0 || i > most || i == len(s) || s[i] != ':' || i+1 < len(s) && s[i+1] != ' ' {
		return "", "", false
	}
	kind, ok := yamlKind(s[:i])
	return s[:i], strings.TrimLeft(s[i+1:], " "), ok && kind == isString
}

// yamlKind is the kind of a scalar without quotes, of YAML 1.2 with the numbers and dates of 1.1; ok is false if that takes
// more than a look at it.
func yamlKind(s string) (kind nodeKind, ok bool) {
	if strings.Contains(s, ": ") || strings.Contains(s, " #") || s[len(s)-1] == ':' {
		return 0, false
	}
	c, second := s[0], byte(0)
	if len(s) > 1 {
		second = s[1]
	}
	switch {
	case letter(c):
		switch strings.ToLower(s) {
		case "true", "false":
			return isBool, s == "true" || s == "false"
		case "null":
			return isNull, s == "null"
		}
		return isString, true
	case c == '/' || c == '$' || c == '(' || c == '^' || c == '\\' || c == ';' || c == '=':
		return isString, true
	case c == ':':
		return isString, second > ' '
	case c == '.':
		return isString, second == '/'
	case c == '-' && (letter(second) || second == '-' || second == '/'):
		return isString, true
	case c >= '0' && c <= '9' || c == '-':
		if _, plain := plainNumber(s); plain {
			return isNumber, true
		}
		return isString, c != '-' && (strings.Trim(s, "0123456789.") == "" && strings.Count(s, ".") > 1 && !strings.Contains(s, "..") ||
			strings.Trim(s, "0123456789abcdefABCDEFxXoOtTzZ_+-.: ") != "" || strings.ContainsAny(s, "ghijklmnpqrsuvwyGHIJKLMNPQRSUVWY/=,@%"))
	}
	return 0, false
}
