package reconcile

import (
	"maps"
	"slices"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// peers are where minions are, and the hash of that.
type peers struct {
	decided map[string]Node // that list is of
	list    []assignment.Peer
	hash    string
}

// peers are those of the nodes that are decided about.
func (c *step) peers() *peers {
	p := &peers{decided: c.st.Minions}
	if was := c.in.State.sight; was != nil && was.peers != nil && oneMap(was.peers.decided, c.st.Minions) {
		p = was.peers
	} else {
		add := func(name string, n *Node) {
			if n.Address.IsValid() {
				p.list = append(p.list, assignment.Peer{Name: name, Address: n.Address, Network: n.Network})
			}
		}
		if c.roster.complete() {
			for i, name := range c.roster.names {
				add(name, &c.roster.nodes[i])
			}
		} else { // one that nobody told of in this step
			for _, name := range slices.Sorted(maps.Keys(c.st.Minions)) {
				n := c.st.Minions[name]
				add(name, &n)
			}
		}
		p.hash = hashPeers(p.list)
	}
	c.sight.peers = p
	return p
}

// hashPeers tells where minions are.
func hashPeers(peers []assignment.Peer) string {
	var b []byte
	for _, p := range peers {
		b = append(b, p.Name...)
		b = append(b, ' ')
		b = p.Address.AppendTo(b)
		b = append(b, ' ')
		b = p.Network.AppendTo(b)
		b = append(b, '\n')
	}
	return schema.HashBytes(b)
}
