package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// CanonicalJSON is the one JSON form of a pod spec in canonical form: fields in the order of the Go types, map keys sorted,
// nothing that was not written. It is what travels to minions and what [PodSpec.Hash] is taken of.
func (s *PodSpec) CanonicalJSON() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("schema: marshal pod spec: " + err.Error())
	}
	return b
}

// Hash identifies what an instance of this spec would need a restart for: lower-case hex SHA-256 of [PodSpec.CanonicalJSON].
// Labels, annotations and service variables are not part of it, and neither are defaults.
func (s *PodSpec) Hash() string { return HashBytes(s.CanonicalJSON()) }

// HashBytes is the lower-case hex SHA-256 of b.
func HashBytes(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// Hash identifies the whole object as written, labels and annotations included: lower-case hex SHA-256 of the JSON of its
// canonical form.
func (p *Pod) Hash() string { return hashObject(p) }

// Hash is as [Pod.Hash].
func (s *Service) Hash() string { return hashObject(s) }

// Hash is as [Pod.Hash].
func (r *ReplicationController) Hash() string { return hashObject(r) }

func hashObject(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("schema: marshal object: " + err.Error())
	}
	return HashBytes(b)
}

// Hash is as [Pod.Hash].
func (e *Endpoints) Hash() string { return hashObject(e) }

// Hash is as [Pod.Hash].
func (c *ConfigMap) Hash() string { return hashObject(c) }

// Hash is as [Pod.Hash]. It is not to be shown: it tells whether a guess at the content is right.
func (s *Secret) Hash() string { return hashObject(s) }

// Hash is as [Pod.Hash].
func (n *Namespace) Hash() string { return hashObject(n) }

// Hash is as [Pod.Hash].
func (n *Node) Hash() string { return hashObject(n) }
