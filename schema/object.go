package schema

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Kind is the kind of an object, spelled as in core/v1.
type Kind string

// The kinds that a Git repository may hold. ReplicationController keeps its name of 2014.
const (
	KindPod                   Kind = "Pod"
	KindService               Kind = "Service"
	KindReplicationController Kind = "ReplicationController"
	KindEndpoints             Kind = "Endpoints"
	KindConfigMap             Kind = "ConfigMap"
	KindSecret                Kind = "Secret"
	KindNamespace             Kind = "Namespace"
	KindNode                  Kind = "Node" // a minion
	KindCluster               Kind = "Cluster"
	KindPolicy                Kind = "Policy"
)

// Namespaced tells whether objects of the kind are in a namespace.
func (k Kind) Namespaced() bool {
	return k != KindNamespace && k != KindNode && k != KindCluster && k != KindPolicy
}

// DefaultNamespace is the namespace of an object that names none.
const DefaultNamespace = "default"

// Key identifies an object: whatever its apiVersion, two objects with one key are the same object.
type Key struct {
	Kind      Kind   `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String is "Kind/namespace/name", without the namespace when it is the default one.
func (k Key) String() string {
	if k.Namespace == DefaultNamespace || k.Namespace == "" {
		return string(k.Kind) + "/" + k.Name
	}
	return string(k.Kind) + "/" + k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, then name, then kind.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(k.Name, o.Name); c != 0 {
		return c
	}
	return strings.Compare(string(k.Kind), string(o.Kind))
}

// Position is a place in a file of the tree. Line and Column count from 1; 0 means unknown.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String is "file:line:column" as far as it is known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Object is one object in canonical form: a pointer to one of the types below.
type Object interface {
	Key() Key
	Hash() string     // of the whole object as written, see [Pod.Hash]
	Check() []Problem // what its fields contradict in each other, see [Pod.Check]
	Metadata() *Meta
}

// Meta is what every object has. Name is 1 to 253 characters of a DNS subdomain (ids of 2014 may also hold upper case and
// underscores); Namespace is never empty in a loaded object whose kind is in namespaces.
type Meta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Metadata is m: every object embeds one.
func (m *Meta) Metadata() *Meta { return m }

// Pod is one group of containers that share an address. A bare pod is replaced stop-first.
type Pod struct {
	Meta `json:"metadata"`
	Spec PodSpec `json:"spec"`
}

// Key of the pod.
func (p *Pod) Key() Key { return Key{KindPod, p.Namespace, p.Name} }

// Service is a stable address for the pods that its selector matches.
type Service struct {
	Meta `json:"metadata"`
	Spec ServiceSpec `json:"spec"`
}

// Key of the service.
func (s *Service) Key() Key { return Key{KindService, s.Namespace, s.Name} }

// ReplicationController keeps Replicas copies of its template running. They are replaced start-first.
type ReplicationController struct {
	Meta `json:"metadata"`
	Spec ControllerSpec `json:"spec"`
}

// Key of the controller.
func (r *ReplicationController) Key() Key {
	return Key{KindReplicationController, r.Namespace, r.Name}
}

// Set is everything one revision declares: the objects of each kind sorted by [Key.Compare], no key twice. Positions tells
// where each was written. A Set is never changed once built.
type Set struct {
	Pods                   []*Pod                   `json:"pods,omitempty"`
	Services               []*Service               `json:"services,omitempty"`
	ReplicationControllers []*ReplicationController `json:"replicationControllers,omitempty"`
	Endpoints              []*Endpoints             `json:"endpoints,omitempty"`
	ConfigMaps             []*ConfigMap             `json:"configMaps,omitempty"`
	Secrets                []*Secret                `json:"secrets,omitempty"`
	Namespaces             []*Namespace             `json:"namespaces,omitempty"`
	Nodes                  []*Node                  `json:"nodes,omitempty"`
	Clusters               []*Cluster               `json:"clusters,omitempty"`  // at most one
	Policies               []*Policy                `json:"policies,omitempty"`  // obeyed when the set was loaded
	Positions              map[string]Position      `json:"positions,omitempty"` // by Key.String()
}

// Cluster is the fleet's settings, nil if the set has none.
func (s *Set) Cluster() *Cluster {
	if s == nil || len(s.Clusters) == 0 {
		return nil
	}
	return s.Clusters[0]
}

// Len is the number of objects.
func (s *Set) Len() int {
	n := 0
	for range s.Objects() {
		n++
	}
	return n
}

// Objects is every object, kind by kind.
func (s *Set) Objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		if s == nil {
			return
		}
		_ = all(s.Pods, yield) && all(s.Services, yield) && all(s.ReplicationControllers, yield) && all(s.Endpoints, yield) &&
			all(s.ConfigMaps, yield) && all(s.Secrets, yield) && all(s.Namespaces, yield) && all(s.Nodes, yield) &&
			all(s.Clusters, yield) && all(s.Policies, yield)
	}
}

func all[T Object](l []T, yield func(Object) bool) bool {
	for _, o := range l {
		if !yield(o) {
			return false
		}
	}
	return true
}

// NewObject is an empty object of a kind, nil if the kind is unknown.
func NewObject(k Kind) Object {
	switch k {
	case KindPod:
		return &Pod{}
	case KindService:
		return &Service{}
	case KindReplicationController:
		return &ReplicationController{}
	case KindEndpoints:
		return &Endpoints{}
	case KindConfigMap:
		return &ConfigMap{}
	case KindSecret:
		return &Secret{}
	case KindNamespace:
		return &Namespace{}
	case KindNode:
		return &Node{}
	case KindCluster:
		return &Cluster{}
	case KindPolicy:
		return &Policy{}
	}
	return nil
}

// NewSet is the set of objects, sorted. No key may be there twice.
func NewSet(objects []Object, positions map[string]Position) *Set {
	s := &Set{Positions: positions}
	type keyed struct {
		key    Key
		object Object
	}
	sorted := make([]keyed, len(objects))
	for i, o := range objects {
		sorted[i] = keyed{o.Key(), o}
	}
	slices.SortFunc(sorted, func(a, b keyed) int { return a.key.Compare(b.key) })
	for _, k := range sorted {
		switch o := k.object.(type) {
		case *Pod:
			s.Pods = append(s.Pods, o)
		case *Service:
			s.Services = append(s.Services, o)
		case *ReplicationController:
			s.ReplicationControllers = append(s.ReplicationControllers, o)
		case *Endpoints:
			s.Endpoints = append(s.Endpoints, o)
		case *ConfigMap:
			s.ConfigMaps = append(s.ConfigMaps, o)
		case *Secret:
			s.Secrets = append(s.Secrets, o)
		case *Namespace:
			s.Namespaces = append(s.Namespaces, o)
		case *Node:
			s.Nodes = append(s.Nodes, o)
		case *Cluster:
			s.Clusters = append(s.Clusters, o)
		case *Policy:
			s.Policies = append(s.Policies, o)
		default:
			panic(fmt.Sprintf("schema: object of type %T", o))
		}
	}
	return s
}
