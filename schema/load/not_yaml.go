package load

import (
	"bytes"
	"strconv"
	"strings"

	"cuelang.org/go/cue/errors"
)

// notYAML reports a parser's errors. They have a line at most, and in their text alone.
func notYAML(file string, b []byte, err error, report func(p place, path []string, message, hint string)) {
	for _, e := range errors.Errors(err) {
		at := place{line: 1} // the parser leaves the first line out
		message := strings.TrimPrefix(e.Error(), file+":")
		if line, rest, ok := strings.Cut(message, ":"); ok {
			if n, err := strconv.Atoi(line); err == nil {
				at.line, message = n, rest
				if ofGrammar(rest) {
					at.line++
				}
			}
		}
		message = strings.TrimSpace(message)
		at, hint := yamlHint(b, at, message)
		report(at, nil, "not YAML: "+message, hint)
	}
}

// ofGrammar reports whether an error is of the YAML library's grammar, which gives lines counted from 0; those of its scanner
// are counted from 1.
func ofGrammar(message string) bool {
	for _, what := range []string{"<document start>", "node content", "key", "'-' indicator", "',' or '}'", "',' or ']'"} {
		if strings.Contains(message, "did not find expected "+what) {
			return true
		}
	}
	return false
}

// yamlHint says what people usually do to get a parser's error, and where, if that can be seen.
func yamlHint(b []byte, at place, message string) (place, string) {
	if isTemplate(b) {
		return at, "a template must be rendered first; or name it in .reconcilerignore"
	}
	switch {
	case strings.Contains(message, "tab character"):
		if p, ok := indentedByTab(b, at.line, len(b)); ok {
			return p, "indent with spaces, not with a tab"
		}
	case strings.Contains(message, "cannot start any token"):
		if p, ok := indentedByTab(b, at.line, at.line); ok {
			return p, "indent with spaces, not with a tab"
		}
		return at, "text that begins with '@', '%' or '`' needs quotes"
	case strings.Contains(message, "expected key"), strings.Contains(message, "expected '-' indicator"):
		return at, "in the block that begins here a line has the wrong indent, or its '-' is missing"
	case strings.Contains(message, "mapping values are not allowed"):
		return at, "check the indent; text with ': ' in it needs quotes"
	}
	return at, ""
}

// isTemplate reports whether a line is an action of a template, or a value begins with one.
func isTemplate(b []byte) bool {
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("{{")) || bytes.Contains(line, []byte(": {{")) {
			return true
		}
	}
	return false
}

// indentedByTab finds the first line, of those from first to last, that has a tab in its indent and more than that.
func indentedByTab(b []byte, first, last int) (place, bool) {
	n := 0
	for line := range bytes.Lines(b) {
		if n++; n < first || n > last {
			continue
		}
		text := bytes.TrimLeft(line, " \t")
		tab := bytes.IndexByte(line[:len(line)-len(text)], '\t')
		if tab >= 0 && len(bytes.TrimSpace(text)) > 0 {
			return place{line: n, column: tab + 1}, true
		}
	}
	return place{}, false
}
