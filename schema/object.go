package schema

import (
	"cmp"
	"fmt"
	"strings"
)

// Kind is the kind of an object, spelled as in core/v1.
type Kind string

// The kinds that a Git repository may hold. ReplicationController keeps its name of 2014.
const (
	KindPod                   Kind = "Pod"
	KindService               Kind = "Service"
	KindReplicationController Kind = "ReplicationController"
)

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
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name), strings.Compare(string(k.Kind), string(o.Kind)))
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

// Meta is what every object has. Name is 1 to 253 characters of a DNS subdomain (ids of 2014 may also hold upper case and
// underscores); Namespace is never empty in a loaded object.
type Meta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

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
	Positions              map[string]Position      `json:"positions,omitempty"` // by Key.String()
}

// Len is the number of objects.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.Pods) + len(s.Services) + len(s.ReplicationControllers)
}
