package schema

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// ServiceAddress is a service as its variables show it.
type ServiceAddress struct {
	Name     string
	Selector map[string]string
	Portal   netip.Addr
	Ports    []ServicePort
}

// VariablePrefix is what the variables of a service with this name (or selector value) begin with: upper case, with '_'
// for '-'.
func VariablePrefix(name string) string {
	return strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

// ServiceVariables is the variables that tell a pod where the services are; the caller chooses the services of the pod's
// namespace. Services come sorted by name, each with the variables of Kubernetes 2014 in their order (for a service of
// several ports, those of today). A service without a valid Portal or without ports has none. A service whose selector has
// a key "name" with a value that makes another prefix than its own name has the same variables under that prefix too,
// unless a service's own name makes that prefix; if the selectors of several services make it, the first by name has it.
func ServiceVariables(services []ServiceAddress) []EnvVar {
	sorted := slices.Clone(services)
	slices.SortFunc(sorted, func(a, b ServiceAddress) int { return cmp.Compare(a.Name, b.Name) })
	taken := map[string]bool{}
	for i := range sorted {
		taken[VariablePrefix(sorted[i].Name)] = true
	}
	var env []EnvVar
	for i := range sorted {
		s := &sorted[i]
		if !s.Portal.IsValid() || len(s.Ports) == 0 {
			continue
		}
		env = s.variables(env, VariablePrefix(s.Name))
		second := VariablePrefix(s.Selector["name"])
		if !taken[second] && isVariable(second) {
			taken[second] = true
			env = s.variables(env, second)
		}
	}
	return env
}

func (s *ServiceAddress) variables(env []EnvVar, prefix string) []EnvVar {
	host := s.Portal.String()
	add := func(name, value string) { env = append(env, EnvVar{Name: prefix + name, Value: value}) }
	first := s.Ports[0]
	add("_SERVICE_HOST", host)
	add("_SERVICE_PORT", strconv.Itoa(int(first.Port)))
	for _, p := range s.Ports {
		if p.Name != "" {
			add("_SERVICE_PORT_"+VariablePrefix(p.Name), strconv.Itoa(int(p.Port)))
		}
	}
	for i, p := range s.Ports {
		port := strconv.Itoa(int(p.Port))
		proto := string(p.Protocol.Proto())
		url := strings.ToLower(proto) + "://" + netip.AddrPortFrom(s.Portal, p.Port).String()
		if i == 0 {
			add("_PORT", url)
		}
		link := "_PORT_" + port + "_" + proto
		add(link, url)
		add(link+"_PROTO", strings.ToLower(proto))
		add(link+"_PORT", port)
		add(link+"_ADDR", host)
	}
	return env
}

// isVariable tells whether s can begin the name of a variable that a shell can read. Values of labels may hold dots, and
// may begin with a digit.
func isVariable(s string) bool {
	for i, c := range s {
		if c != '_' && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
