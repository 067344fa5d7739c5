package v1beta1

import (
	"slices"
	"strings"

	"reconciler/schema"
)

// Path turns a path of a canonical object into one of the form of 2014. The kind is the one that was written: Minion, or
// ContainerManifest of what has none.
func Path(kind schema.Kind, path []string) []string {
	for _, r := range renames[kind] {
		if len(path) < len(r.from) {
			continue
		}
		match := true
		for i, e := range r.from {
			match = match && (e == path[i] || e == "*")
		}
		if match {
			return slices.Concat(r.to, inner(path[len(r.from):]))
		}
	}
	return path
}

// Paths is every path where what is at a path of a canonical object may have been written; the first is that of [Path].
// Amounts, privileges and some names have a second one.
func Paths(kind schema.Kind, path []string) [][]string {
	all := [][]string{Path(kind, path)}
	for _, drop := range [][]string{{"resources", "limits"}, {"securityContext"}} {
		for i := range path {
			if rest := path[i:]; i > 1 && path[i-2] == "containers" && len(rest) > len(drop) && slices.Equal(rest[:len(drop)], drop) {
				all = append(all, Path(kind, slices.Concat(path[:i], rest[len(drop):])), slices.Concat(Path(kind, path[:i]), rest))
			}
		}
	}
	for _, p := range all {
		for i, e := range p {
			if other := aliases[e]; other != "" {
				p = slices.Clone(p)
				p[i] = other
				all = append(all, p)
			}
		}
	}
	return all
}

// aliases is the other name of a field.
var aliases = map[string]string{"mountPath": "path", "name": "key"}

// inner turns what is below a pod's spec.
func inner(path []string) []string {
	if len(path) < 3 {
		return path
	}
	switch rest := path[3:]; {
	case path[0] == "containers" && path[2] == "resources" && len(rest) == 2 && rest[0] == "limits": // cpu or memory
		return slices.Concat(path[:2], rest[1:])
	case path[0] == "containers" && path[2] == "securityContext" && slices.Equal(rest, []string{"privileged"}):
		return slices.Concat(path[:2], rest)
	case path[0] == "containers" && path[2] == "args":
		return slices.Concat(path[:2], []string{"command"}, rest)
	case path[0] == "containers" && path[2] == "command":
		return slices.Concat(path[:2], []string{"entrypoint"}, rest)
	case path[0] == "volumes" && path[2] == "hostPath":
		return slices.Concat(path[:2], []string{"source", "hostDir"}, rest)
	case path[0] == "volumes" && path[2] != "name":
		return slices.Concat(path[:2], []string{"source"}, path[2:])
	}
	return path
}

type rename struct{ from, to []string }

func renamed(from, to string) rename {
	return rename{strings.Fields(from), strings.Fields(to)}
}

// renames holds, by kind, the longest first where one begins with the other.
var renames = map[schema.Kind][]rename{
	schema.KindPod: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec nodeSelector", "nodeSelector"),
		renamed("spec nodeName", "desiredState host"),
		renamed("spec", "desiredState manifest"),
	},
	schema.KindReplicationController: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec template metadata", "desiredState podTemplate"),
		renamed("spec template spec nodeSelector", "desiredState podTemplate nodeSelector"),
		renamed("spec template spec nodeName", "desiredState podTemplate desiredState host"),
		renamed("spec template spec", "desiredState podTemplate desiredState manifest"),
		renamed("spec selector", "desiredState replicaSelector"),
		renamed("spec replicas", "desiredState replicas"),
		renamed("spec", "desiredState"),
	},
	"ContainerManifest": {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec", ""),
	},
	schema.KindEndpoints: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("subsets", "endpoints"),
	},
	schema.KindNamespace: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
	},
	"Minion": {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
	},
	schema.KindService: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec ports * targetPort", "containerPort"),
		renamed("spec ports *", ""),
		renamed("spec clusterIP", "portalIP"),
		renamed("spec externalIPs", "publicIPs"),
		renamed("spec", ""),
	},
}
