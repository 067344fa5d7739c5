package schema

import (
	"bytes"
	"fmt"
	"strings"
)

// CheckImmutable finds what a set changes of ConfigMaps and Secrets that are immutable in the set before it, which may be nil: any of their
// data, their type, or that they are immutable. What is gone may go: it is another object that comes under that name later.
func (s *Set) CheckImmutable(before *Set) (out []Clash) {
	if before == nil {
		return nil
	}
	for _, was := range before.ConfigMaps {
		if !was.Immutable {
			continue
		}
		if is, ok := found(s.ConfigMaps, was.Key()).(*ConfigMap); ok && is != was {
			c := contentChange{}
			c.immutable(is.Immutable)
			contentChanges(&c, "data", was.Data, is.Data, func(a, b string) bool { return a == b })
			contentChanges(&c, "binaryData", was.BinaryData, is.BinaryData, bytes.Equal)
			out = c.clash(out, is)
		}
	}
	for _, was := range before.Secrets {
		if !was.Immutable {
			continue
		}
		if is, ok := found(s.Secrets, was.Key()).(*Secret); ok && is != was {
			c := contentChange{}
			c.immutable(is.Immutable)
			if is.Type != was.Type {
				c.add([]string{"type"}, "type is another")
			}
			contentChanges(&c, "data", was.Data, is.Data, bytes.Equal)
			out = c.clash(out, is)
		}
	}
	return out
}

// contentChange is what a ConfigMap or Secret has otherwise than before.
type contentChange struct {
	path  []string // of the first
	whats []string
}

func (c *contentChange) add(path []string, what string) {
	if c.whats = append(c.whats, what); c.path == nil {
		c.path = path
	}
}

func (c *contentChange) immutable(still bool) {
	if !still {
		c.add([]string{"immutable"}, "immutable is no longer true")
	}
}

func contentChanges[V any](c *contentChange, field string, was, is map[string]V, equal func(a, b V) bool) {
	for _, k := range sortedKeys(was) {
		if v, ok := is[k]; !ok {
			c.add([]string{field}, fmt.Sprintf("%s lacks %q", field, k))
		} else if !equal(was[k], v) {
			c.add([]string{field, k}, fmt.Sprintf("%s has another %q", field, k))
		}
	}
	for _, k := range sortedKeys(is) {
		if _, ok := was[k]; !ok {
			c.add([]string{field, k}, fmt.Sprintf("%s has a new %q", field, k))
		}
	}
}

func (c *contentChange) clash(to []Clash, o Object) []Clash {
	if len(c.whats) == 0 {
		return to
	}
	return append(to, Clash{Key: o.Key(), Problem: Problem{Path: c.path, Message: "was declared immutable, and " + strings.Join(c.whats, ", "),
		Hint: "put it back, and declare what is new under another name"}})
}
