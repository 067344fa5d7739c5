package schema

import (
	"slices"
	"strconv"
)

// Matches tells whether a selector is about these labels. A nil selector is about none, an empty one about all.
func (s *LabelSelector) Matches(labels map[string]string) bool {
	if s == nil {
		return false
	}
	for k, v := range s.Labels {
		if has, ok := labels[k]; !ok || has != v {
			return false
		}
	}
	for i := range s.Expressions {
		value, ok := labels[s.Expressions[i].Key]
		if !s.Expressions[i].holds(value, ok) {
			return false
		}
	}
	return true
}

// Matches tells whether any term is about a minion with this name and these labels. label is the value of a label, and
// whether there is one.
func (s *NodeSelector) Matches(name string, label func(key string) (string, bool)) bool {
	for i := range s.Terms {
		if s.Terms[i].Matches(name, label) {
			return true
		}
	}
	return false
}

// Matches tells whether the term is about a minion with this name and these labels, as NodeSelector.Matches does.
func (t *NodeTerm) Matches(name string, label func(key string) (string, bool)) bool {
	for i := range t.Expressions {
		if value, ok := label(t.Expressions[i].Key); !t.Expressions[i].holds(value, ok) {
			return false
		}
	}
	for i := range t.Fields { // metadata.name alone
		if !t.Fields[i].holds(name, true) {
			return false
		}
	}
	return len(t.Expressions)+len(t.Fields) > 0
}

// holds tells whether a requirement is met by the value of its label; ok is false if there is no such label. What is to
// be compared as numbers and is none does not hold.
func (r *Requirement) holds(value string, ok bool) bool {
	switch r.Operator {
	case OpIn:
		return ok && slices.Contains(r.Values, value)
	case OpNotIn:
		return !ok || !slices.Contains(r.Values, value)
	case OpExists:
		return ok
	case OpDoesNotExist:
		return !ok
	case OpGt, OpLt:
		if !ok || len(r.Values) != 1 {
			return false
		}
		has, err := strconv.ParseInt(value, 10, 64)
		bound, err2 := strconv.ParseInt(r.Values[0], 10, 64)
		return err == nil && err2 == nil && (r.Operator == OpGt && has > bound || r.Operator == OpLt && has < bound)
	}
	return false
}
