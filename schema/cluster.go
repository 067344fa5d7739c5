package schema

import (
	"net/netip"
	"strconv"
)

// Cluster is the fleet's settings in Git: at most one of a set. What it does not set is the server's to say.
type Cluster struct {
	Meta `json:"metadata"`
	Spec ClusterSpec `json:"spec,omitzero"`
}

// ClusterSpec is the settings. "" and nil: not set.
type ClusterSpec struct {
	PortalNet           string        `json:"portalNet,omitempty"` // an IPv4 prefix, as the nets below
	PodNet              string        `json:"podNet,omitempty"`
	Domain              string        `json:"domain,omitempty"`
	PublicNets          []string      `json:"publicNets,omitempty"`
	Fuse                Fuse          `json:"fuse,omitzero"`
	DrainTimeoutSeconds *int64        `json:"drainTimeoutSeconds,omitempty"`
	LostAfterSeconds    *int64        `json:"lostAfterSeconds,omitempty"`
	RestSeconds         *int64        `json:"restSeconds,omitempty"`
	Apply               string        `json:"apply,omitempty"` // "auto", "manual" or "": a new revision waits until people apply it
	Update              ClusterUpdate `json:"update,omitzero"`
}

// Fuse is how many pods a commit may delete unasked.
type Fuse struct {
	Share *float64 `json:"share,omitempty"` // of all, from 0 to 1
	Count *int     `json:"count,omitempty"`
}

// ClusterUpdate is how controllers replace pods.
type ClusterUpdate struct {
	MaxUnavailable  Quantity `json:"maxUnavailable,omitempty"` // a number or a percentage, as in [AnnotationMaxUnavailable]
	MaxSurge        Quantity `json:"maxSurge,omitempty"`
	MinReadySeconds *int64   `json:"minReadySeconds,omitempty"`
	Rollback        string   `json:"rollback,omitempty"` // "on", "off" or "": what fails goes back to its last healthy spec
	ProgressSeconds *int64   `json:"progressSeconds,omitempty"`
}

// Key of the settings.
func (c *Cluster) Key() Key { return Key{KindCluster, "", c.Name} }

// Hash is as [Pod.Hash].
func (c *Cluster) Hash() string { return hashObject(c) }

// Canonical is as [Pod.Canonical].
func (c *Cluster) Canonical() *Cluster {
	s := c.Spec
	s.PublicNets = cloneList(s.PublicNets)
	s.Fuse.Share, s.Fuse.Count = copied(s.Fuse.Share), copied(s.Fuse.Count)
	s.DrainTimeoutSeconds, s.LostAfterSeconds, s.RestSeconds = copied(s.DrainTimeoutSeconds), copied(s.LostAfterSeconds), copied(s.RestSeconds)
	s.Update.MinReadySeconds, s.Update.ProgressSeconds = copied(s.Update.MinReadySeconds), copied(s.Update.ProgressSeconds)
	return &Cluster{Meta: clusterMeta(c.Meta), Spec: s}
}

// Check is as [Pod.Check].
func (c *Cluster) Check() []Problem {
	k := &checker{}
	k.meta(&c.Meta)
	portal := k.network([]string{"spec", "portalNet"}, c.Spec.PortalNet)
	pods := k.network([]string{"spec", "podNet"}, c.Spec.PodNet)
	switch {
	case portal.IsValid() && portal.Bits() > 30:
		k.add([]string{"spec", "portalNet"}, "", "%s has no room for services", portal)
	case portal.IsValid() && pods.IsValid() && portal.Overlaps(pods):
		k.add([]string{"spec", "podNet"}, "", "%s and the portalNet %s overlap", pods, portal).also([]string{"spec", "portalNet"})
	}
	if pods.IsValid() && pods.Bits() > 23 { // the first /24 is no minion's
		k.add([]string{"spec", "podNet"}, "a /16 has room for 255 minions", "%s has no room for minions, which have a /24 each", pods)
	}
	for i, n := range c.Spec.PublicNets {
		k.network([]string{"spec", "publicNets", strconv.Itoa(i)}, n)
	}
	return k.problems
}

// network reads an IPv4 network that is written by its first address.
func (c *checker) network(path []string, s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4():
		c.add(path, "", "%q is no IPv4 network", s)
		return netip.Prefix{}
	case p != p.Masked():
		c.add(path, "write "+p.Masked().String(), "%q is not written by the first address of the network", s)
	}
	return p.Masked()
}
