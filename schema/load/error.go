package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"reconciler/schema"
)

// Error is one thing that is wrong with one file.
type Error struct {
	Position schema.Position `json:"position"`
	Object   string          `json:"object,omitempty"` // "Kind/name" or "Kind/namespace/name" as far as it is known
	Field    string          `json:"field,omitempty"`  // path as the person wrote it, as "spec.containers[0].image"
	Message  string          `json:"message"`
	Hint     string          `json:"hint,omitempty"` // what to do about it
}

// Error is "file:line:column: object: field: message (hint)", without what is not known.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Position.String())
	for _, s := range []string{e.Object, e.Field, e.Message} {
		if s != "" {
			b.WriteString(": ")
			b.WriteString(s)
		}
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Errors is everything that is wrong with a tree, sorted by position. It is never empty.
type Errors []*Error

// Error is one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes errors.As find an *Error.
func (e Errors) Unwrap() []error {
	u := make([]error, len(e))
	for i, x := range e {
		u[i] = x
	}
	return u
}

const (
	fileErrors = 100  // that are told of one file or package
	treeErrors = 1000 // of all: more than anybody reads, and a status carries them
)

// few are the first of sorted errors, and how many more there are from where.
func (e Errors) few(most int) Errors {
	if len(e) <= most {
		return e
	}
	last := &Error{Position: e[most-1].Position, Message: fmt.Sprintf("and %d more errors", len(e)-most+1)}
	return append(slices.Clone(e[:most-1]), last)
}

func (e Errors) sort() {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(
			strings.Compare(a.Position.File, b.Position.File),
			cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column),
			strings.Compare(a.Field, b.Field),
			strings.Compare(a.Message, b.Message))
	})
}
