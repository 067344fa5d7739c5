package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Clash is two objects of a set that contradict each other, or one that needs what is not there: then Other is zero. Path
// is in Key's object; Message ends where the name of Other is to follow after "of".
type Clash struct {
	Key, Other Key
	Problem
	Premises []Premise
}

// Premise is what a clash follows from besides Key's object: what other objects are, or that there are none. An object that is
// not in the set, because it cannot be read, may be among them.
type Premise struct {
	Of      Key        // Name "": every object of the kind in the namespace
	Because [][]string // as that of a [Problem]; nil: that it is there at all
}

// Check finds what the objects of a set contradict in each other: names that would be one in DNS, services whose variables would have one prefix in one
// namespace, addresses and ports that two services ask for, endpoints of a service that finds its own; references to
// ConfigMaps and Secrets that are not there, and to ports that no pod has which a service selects; a second Cluster; and what
// depends on what is not there, or waits for itself.
func (s *Set) Check() []Clash {
	c := &setChecker{set: s}
	c.names()
	c.services()
	c.references()
	c.targets(nil)
	c.settings()
	c.pasts()
	c.replicas()
	c.order()
	return c.clashes
}

type setChecker struct {
	set     *Set
	clashes []Clash
}

// taken adds a clash, which problem describes, if something of seen has the key already, and takes it otherwise.
// Both follow from their paths.
func taken[K comparable](c *setChecker, seen map[K]user, by Key, key K, because [][]string, problem func() Problem) {
	if o, ok := seen[key]; ok && o.key != by {
		p := problem()
		p.also(because...)
		c.clashes = append(c.clashes, Clash{by, o.key, p, []Premise{{o.key, o.because}}})
		return
	}
	seen[key] = user{by, because}
}

// user is who has what only one can have.
type user struct {
	key     Key
	because [][]string
}

// socket is a port of an address; none of every minion.
type socket struct {
	address  string
	port     uint16
	protocol Protocol
}

// names finds objects, other than services, whose ids of 2014 differ in what DNS does not tell apart.
func (c *setChecker) names() {
	if !c.odd() {
		return // as in most fleets
	}
	seen := make(map[Key]Key, c.set.Len())
	for o := range c.set.Objects() {
		k := o.Key()
		if k.Kind == KindService {
			continue // their variables tell the same
		}
		folded := Key{k.Kind, k.Namespace, strings.ReplaceAll(strings.ToLower(k.Name), "_", "-")}
		if other, ok := seen[folded]; ok && other != k {
			c.clashes = append(c.clashes, Clash{Key: k, Other: other, Problem: Problem{Path: []string{"metadata", "name"}, Message: fmt.Sprintf("its name in DNS (%s) is that", folded.Name), Hint: "rename one of the two"}})
			continue
		}
		seen[folded] = k
	}
}

// odd tells whether any object has a name that DNS folds.
func (c *setChecker) odd() bool {
	for o := range c.set.Objects() {
		name := o.Metadata().Name
		for i := range len(name) {
			if x := name[i]; 'A' <= x && x <= 'Z' || x == '_' {
				return true
			}
		}
	}
	return false
}

func (c *setChecker) services() {
	prefixes, portals, sockets := map[[2]string]user{}, map[string]user{}, map[socket]user{}
	for _, v := range c.set.Services {
		k := v.Key()
		prefix := VariablePrefix(v.Name)
		taken(c, prefixes, k, [2]string{v.Namespace, prefix}, nil, func() Problem {
			return Problem{Path: []string{"metadata", "name"}, Message: fmt.Sprintf("its variables (%s_SERVICE_HOST, ...) have the names of those", prefix), Hint: "rename one of the two"}
		})
		if v.Spec.ClusterIP != "" && v.Spec.ClusterIP != Headless {
			taken(c, portals, k, v.Spec.ClusterIP, nil, func() Problem {
				return Problem{Path: []string{"spec", "clusterIP"}, Message: "asks for the address", Hint: "leave it out and an address is chosen"}
			})
		}
		for i, p := range v.Spec.Ports {
			for j, ip := range v.Spec.ExternalIPs {
				taken(c, sockets, k, socket{ip, p.Port, p.Protocol.Proto()}, portOf(i), func() Problem {
					return Problem{Path: []string{"spec", "externalIPs", strconv.Itoa(j)}, Message: fmt.Sprintf("%s:%d is a public address", ip, p.Port)}
				})
			}
			if p.NodePort != 0 {
				taken(c, sockets, k, socket{"", p.NodePort, p.Protocol.Proto()}, portOf(i), func() Problem {
					return Problem{Path: []string{"spec", "ports", strconv.Itoa(i), "nodePort"}, Message: "asks for the port of the minions", Hint: "leave it out and a port is chosen"}
				})
			}
		}
		if e := (Key{KindEndpoints, v.Namespace, v.Name}); len(v.Spec.Selector) > 0 && c.have(e) != nil {
			c.clashes = append(c.clashes, Clash{e, k, Problem{Path: []string{"metadata", "name"}, Message: "what is behind the service is found by the selector", Hint: "remove the endpoints or the selector"},
				[]Premise{{k, [][]string{{"spec", "selector"}}}}})
		}
	}
}

// portOf is the paths of a service's port that say what it takes.
func portOf(i int) [][]string {
	return [][]string{{"spec", "ports", strconv.Itoa(i), "port"}, {"spec", "ports", strconv.Itoa(i), "protocol"}}
}

// references finds what pods and templates need and nothing declares.
func (c *setChecker) references() {
	for _, p := range c.set.Pods {
		c.podReferences(p.Key(), []string{"spec"}, &p.Spec)
	}
	for _, r := range c.set.ReplicationControllers {
		c.podReferences(r.Key(), []string{"spec", "template", "spec"}, &r.Spec.Template.Spec)
	}
}

func (c *setChecker) podReferences(by Key, path []string, s *PodSpec) {
	var reported map[Key]bool
	for _, r := range s.References() {
		if r.Optional || r.Name == "" { // which is told as missing
			continue
		}
		o := c.have(Key{r.Kind, by.Namespace, r.Name})
		var p Problem
		switch h, _ := o.(interface{ Has(string) bool }); {
		case o == nil && reported[Key{r.Kind, "", r.Name}]: // once is enough
			continue
		case o == nil:
			if reported == nil {
				reported = map[Key]bool{}
			}
			reported[Key{r.Kind, "", r.Name}] = true
			p.Message = fmt.Sprintf("%s %q is not there", r.Kind, r.Name)
			p.Hint = fmt.Sprintf("declare it in namespace %s, or write optional: true", by.Namespace)
			if r.Required {
				p.Hint = fmt.Sprintf("declare it in namespace %s", by.Namespace)
			}
		case r.Key != "" && !h.Has(r.Key):
			p.Message = fmt.Sprintf("%s %q has no key %q", r.Kind, r.Name, r.Key)
			p.Hint = "it has " + keysOf(o)
		default:
			continue
		}
		p.Path = at(path, r.Path...)
		in := at(path, r.In...)
		p.also(at(in, "name"), at(in, "secretName"), at(in, "optional"), []string{"metadata", "namespace"})
		entries := [][]string{{"data"}, {"binaryData"}, {"stringData"}} // the hint names all of them
		c.clashes = append(c.clashes, Clash{Key: by, Problem: p, Premises: []Premise{{Key{r.Kind, by.Namespace, r.Name}, entries}}})
	}
}

// have is the object of a key, of a kind that others refer to; nil if it is not there.
func (c *setChecker) have(k Key) Object {
	switch k.Kind {
	case KindEndpoints:
		return found(c.set.Endpoints, k)
	case KindConfigMap:
		return found(c.set.ConfigMaps, k)
	case KindSecret:
		return found(c.set.Secrets, k)
	}
	return nil
}

func found[T Object](sorted []T, k Key) Object {
	if i, ok := search(sorted, k); ok {
		return sorted[i]
	}
	return nil
}

func keysOf(o Object) string {
	if keys := dataKeys(o); len(keys) > 0 {
		return strings.Join(keys, ", ")
	}
	return "none"
}

// dataKeys are those of a ConfigMap or a Secret; others have none.
func dataKeys(o Object) []string {
	switch o := o.(type) {
	case *ConfigMap:
		return append(sortedKeys(o.Data), sortedKeys(o.BinaryData)...)
	case *Secret:
		return sortedKeys(o.Data)
	}
	return nil
}

func (c *setChecker) settings() {
	for i, k := range c.set.Clusters {
		if i > 0 {
			names := [][]string{{"metadata", "name"}} // of one name, they would be one object that is declared twice
			first := c.set.Clusters[0].Key()
			c.clashes = append(c.clashes, Clash{k.Key(), first, Problem{Path: []string{"kind"}, Message: "a set has one Cluster; there are the settings", Hint: "put all settings into one of the two", Because: names},
				[]Premise{{first, names}}})
		}
	}
}
