package v1

import (
	"slices"
	"strings"
)

// Path turns a path of a canonical object into one of v1 as people write it.
func Path(path []string) []string {
	n := len(path)
	if n == 0 {
		return path
	}
	name := amounts[path[n-1]]
	switch {
	case path[n-1] == "sessionTimeoutSeconds":
		return slices.Concat(path[:n-1], strings.Fields("sessionAffinityConfig clientIP timeoutSeconds"))
	case name != "" && n > 2 && path[n-3] == "resources" && path[n-2] == "requests":
		return slices.Concat(path[:n-1], []string{name})
	case name != "" && n > 1 && path[n-2] == "resources":
		return slices.Concat(path[:n-1], []string{"limits", name})
	}
	return path
}

// amounts is what v1 calls the resources.
var amounts = map[string]string{"milliCPU": "cpu", "memory": "memory", "storage": "ephemeral-storage", "pids": "pids"}
