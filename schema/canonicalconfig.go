package schema

import (
	"bytes"
	"maps"
)

// Canonical is as [Pod.Canonical].
func (e *Endpoints) Canonical() *Endpoints {
	return &Endpoints{Meta: canonicalMeta(e.Meta), Subsets: each(e.Subsets, func(s EndpointSubset) EndpointSubset {
		return EndpointSubset{cloneList(s.Addresses), cloneList(s.NotReadyAddresses), each(s.Ports, func(p EndpointPort) EndpointPort {
			p.Protocol = unless(p.Protocol, TCP)
			return p
		})}
	})}
}

// Canonical is as [Pod.Canonical].
func (c *ConfigMap) Canonical() *ConfigMap {
	return &ConfigMap{Meta: canonicalMeta(c.Meta), Data: clone(c.Data), BinaryData: cloneBytes(c.BinaryData), Immutable: c.Immutable}
}

// Canonical is as [Pod.Canonical].
func (s *Secret) Canonical() *Secret {
	return &Secret{Meta: canonicalMeta(s.Meta), Type: unless(s.Type, SecretOpaque), Data: cloneBytes(s.Data), Immutable: s.Immutable}
}

// Canonical is as [Pod.Canonical].
func (n *Namespace) Canonical() *Namespace { return &Namespace{Meta: clusterMeta(n.Meta)} }

// Canonical is as [Pod.Canonical].
func (n *Node) Canonical() *Node {
	return &Node{Meta: clusterMeta(n.Meta), Spec: NodeSpec{n.Spec.Unschedulable, cloneList(n.Spec.Taints)}}
}

// clusterMeta is the metadata of what is in no namespace.
func clusterMeta(m Meta) Meta {
	m = canonicalMeta(m)
	m.Namespace = ""
	return m
}

func cloneBytes(m map[string][]byte) map[string][]byte {
	if len(m) == 0 {
		return nil
	}
	m = maps.Clone(m)
	for k, v := range m {
		m[k] = bytes.Clone(v)
	}
	return m
}
