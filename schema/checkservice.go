package schema

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Check is as [Pod.Check].
func (s *Service) Check() []Problem {
	c := &checker{}
	c.meta(&s.Meta)
	c.settings([]string{"metadata", "annotations"}, s.Annotations, serviceSettings)
	spec := []string{"spec"}
	if len(s.Spec.Ports) == 0 && s.Spec.ClusterIP != Headless {
		c.add(at(spec, "ports"), "", "a service needs at least one port").also(at(spec, "clusterIP"))
	}
	names, numbers, nodePorts := map[string]bool{}, map[string]int{}, map[string]int{}
	protocol := func(i int) []string { return at(spec, "ports", strconv.Itoa(i), "protocol") }
	for i, p := range s.Spec.Ports {
		path := at(spec, "ports", strconv.Itoa(i))
		if p.Name == "" && len(s.Spec.Ports) > 1 {
			c.add(at(path, "name"), "", "every port of a service with several ports needs a name").also(something(at(spec, "ports", "*")))
		}
		if p.Name != "" && names[p.Name] {
			c.add(at(path, "name"), "", "a second port of this service is named %q", p.Name)
		}
		names[p.Name] = true
		n := fmt.Sprintf("%d/%s", p.Port, p.Protocol.Proto())
		if o, ok := numbers[n]; ok {
			c.add(at(path, "port"), "", "port %s is listed twice", n).also(protocol(i), protocol(o))
		} else {
			numbers[n] = i
		}
		if p.NodePort == 0 {
			continue
		}
		if s.Spec.Type != ServiceNodePort {
			c.add(at(path, "nodePort"), "write type: NodePort", "only a service of type NodePort has ports of the minions").also(at(spec, "type"))
		}
		n = fmt.Sprintf("%d/%s", p.NodePort, p.Protocol.Proto())
		if o, ok := nodePorts[n]; ok {
			c.add(at(path, "nodePort"), "", "%s is listed twice", n).also(protocol(i), protocol(o))
		} else {
			nodePorts[n] = i
		}
	}
	c.labels(at(spec, "selector"), s.Spec.Selector, true)
	switch ip := s.Spec.ClusterIP; ip {
	case "":
	case Headless:
		if s.Spec.Type == ServiceNodePort {
			c.add(at(spec, "clusterIP"), "remove one of the two", "a service of type NodePort needs an address").also(at(spec, "type"))
		}
	default:
		c.address(at(spec, "clusterIP"), ip)
	}
	seen := map[string]bool{}
	for i, ip := range s.Spec.ExternalIPs {
		path := at(spec, "externalIPs", strconv.Itoa(i))
		if c.address(path, ip) && seen[ip] {
			c.add(path, "", "%s is listed twice", ip)
		}
		seen[ip] = true
	}
	if s.Spec.SessionTimeoutSeconds != 0 && s.Spec.SessionAffinity != AffineClientIP {
		c.add(at(spec, "sessionAffinityConfig"), "write sessionAffinity: ClientIP", "without session affinity there is no timeout of it").also(at(spec, "sessionAffinity"))
	}
	if s.Spec.ExternalTrafficPolicy == TrafficLocal && s.Spec.Type != ServiceNodePort && len(s.Spec.ExternalIPs) == 0 {
		c.add(at(spec, "externalTrafficPolicy"), "leave it out", "the service has no public IP and no port of the minions").also(at(spec, "type"), at(spec, "externalIPs"))
	}
	return c.problems
}

func (c *checker) address(path []string, ip string) bool {
	a, err := netip.ParseAddr(ip)
	switch {
	case err != nil:
		c.add(path, "", "%q is not an IP address", ip)
	case !a.Is4():
		c.add(path, "", "the IPv6 address %s is %s", ip, NotYet)
	case !a.IsGlobalUnicast():
		c.add(path, "", "%s is not an address that a service can have", ip)
	default:
		return true
	}
	return false
}

// Check is as [Pod.Check].
func (e *Endpoints) Check() []Problem {
	c := &checker{}
	c.meta(&e.Meta)
	for i, s := range e.Subsets {
		path := []string{"subsets", strconv.Itoa(i)}
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			c.add(at(path, "addresses"), "", "is empty").also(at(path, "notReadyAddresses"))
		}
		for _, l := range []struct {
			name string
			of   []EndpointAddress
		}{{"addresses", s.Addresses}, {"notReadyAddresses", s.NotReadyAddresses}} {
			for j, a := range l.of {
				c.address(at(path, l.name, strconv.Itoa(j), "ip"), a.IP)
			}
		}
		names := map[string]bool{}
		for j, p := range s.Ports {
			q := at(path, "ports", strconv.Itoa(j), "name")
			switch {
			case p.Name == "" && len(s.Ports) > 1:
				c.add(q, "", "every port of several needs a name").also(something(at(path, "ports", "*")))
			case names[p.Name]:
				c.add(q, "", "a second port is named %q", p.Name)
			}
			names[p.Name] = true
		}
	}
	return c.problems
}
