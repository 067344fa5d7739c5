package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"reconciler/schema"
)

// diffSpec lists the fields in which two specs differ, by path, sorted. Containers, volumes and variables are compared by
// name, not by place.
func diffSpec(from, to *schema.PodSpec) []Detail {
	x, y := map[string]string{}, map[string]string{}
	flatten("spec", decode(from), x)
	flatten("spec", decode(to), y)
	return diffMap("", x, y)
}

// diffMap lists the keys of which the values differ, sorted, each behind prefix.
func diffMap(prefix string, from, to map[string]string) []Detail {
	both := maps.Clone(from)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, to)
	if prefix != "" {
		prefix += "."
	}
	var out []Detail
	for _, k := range slices.Sorted(maps.Keys(both)) {
		if from[k] != to[k] {
			out = append(out, Detail{Path: prefix + k, From: from[k], To: to[k]})
		}
	}
	return out
}

// decode is a spec as maps and lists.
func decode(s *schema.PodSpec) any {
	var v any
	if err := json.Unmarshal(s.CanonicalJSON(), &v); err != nil {
		panic("reconcile: decode spec: " + err.Error())
	}
	return v
}

// flatten puts every leaf of v into out by its path.
func flatten(path string, v any, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(path+"."+k, e, out)
		}
	case []any:
		for i, e := range v {
			key := fmt.Sprint(i)
			if m, ok := e.(map[string]any); ok {
				if name, ok := m["name"].(string); ok {
					key = name
				}
			}
			if s, ok := e.(string); ok {
				out[fmt.Sprintf("%s[%s]", path, key)] = s
				continue
			}
			flatten(fmt.Sprintf("%s[%s]", path, key), e, out)
		}
	case string:
		out[path] = v
	case nil:
	default:
		b, err := json.Marshal(v)
		if err != nil {
			panic("reconcile: encode leaf: " + err.Error())
		}
		out[path] = string(b)
	}
}
