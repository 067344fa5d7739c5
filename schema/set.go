package schema

import (
	"fmt"
	"strconv"
)

// Clash is two objects of a set that contradict each other. Path is in Key's object; Message ends where the name of Other
// is to follow after "of".
type Clash struct {
	Key, Other Key
	Problem
}

// Check finds what the objects of a set contradict in each other: services whose variables would have one prefix in one
// namespace, and addresses that two services ask for.
func (s *Set) Check() []Clash {
	var out []Clash
	prefixes, portals, public := map[string]*Service{}, map[string]*Service{}, map[string]*Service{}
	for _, v := range s.Services {
		clash := func(seen map[string]*Service, key, message, hint string, path ...string) {
			if o := seen[key]; o != nil && o != v {
				out = append(out, Clash{v.Key(), o.Key(), Problem{Path: path, Message: message, Hint: hint}})
				return
			}
			seen[key] = v
		}
		prefix := VariablePrefix(v.Name)
		clash(prefixes, v.Namespace+"/"+prefix, fmt.Sprintf("its variables (%s_SERVICE_HOST, ...) have the names of those", prefix), "rename one of the two", "metadata", "name")
		if v.Spec.ClusterIP != "" {
			clash(portals, v.Spec.ClusterIP, "asks for the address", "leave it out and an address is chosen", "spec", "clusterIP")
		}
		for i, ip := range v.Spec.ExternalIPs {
			for _, p := range v.Spec.Ports {
				clash(public, fmt.Sprintf("%s %d/%s", ip, p.Port, p.Protocol.Proto()), fmt.Sprintf("%s:%d is a public address", ip, p.Port), "", "spec", "externalIPs", strconv.Itoa(i))
			}
		}
	}
	return out
}
