package schema

// ConfigMap is named text for the pods of its namespace. No key is in both maps.
type ConfigMap struct {
	Meta       `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"` // see [Set.CheckImmutable]
}

// Key of the config map.
func (c *ConfigMap) Key() Key { return Key{KindConfigMap, c.Namespace, c.Name} }

// Has tells whether there is an entry of this name.
func (c *ConfigMap) Has(key string) bool {
	_, text := c.Data[key]
	_, binary := c.BinaryData[key]
	return text || binary
}

// Secret is as [ConfigMap], for what not everybody is to see. Data holds what was written in stringData too.
type Secret struct {
	Meta      `json:"metadata"`
	Type      string            `json:"type,omitempty"` // "" = Opaque
	Data      map[string][]byte `json:"data,omitempty"`
	Immutable bool              `json:"immutable,omitempty"` // see [Set.CheckImmutable]
}

// The types of secrets that mean something.
const (
	SecretOpaque     = "Opaque"
	SecretDockerJSON = "kubernetes.io/dockerconfigjson" // for imagePullSecrets, in the key .dockerconfigjson
)

// Key of the secret.
func (s *Secret) Key() Key { return Key{KindSecret, s.Namespace, s.Name} }

// Has tells whether there is an entry of this name.
func (s *Secret) Has(key string) bool {
	_, ok := s.Data[key]
	return ok
}

// Namespace says that a namespace is meant to be. Objects may be in a namespace that none declares.
type Namespace struct {
	Meta `json:"metadata"`
}

// Key of the namespace.
func (n *Namespace) Key() Key { return Key{KindNamespace, "", n.Name} }

// Node is what Git says of a minion: its labels, added to those it reports, and what may run there.
type Node struct {
	Meta `json:"metadata"`
	Spec NodeSpec `json:"spec,omitzero"`
}

// NodeSpec keeps pods off a minion.
type NodeSpec struct {
	Unschedulable bool    `json:"unschedulable,omitempty"` // it gets no new pods; those that are there stay
	Taints        []Taint `json:"taints,omitempty"`
}

// Key of the minion.
func (n *Node) Key() Key { return Key{KindNode, "", n.Name} }
