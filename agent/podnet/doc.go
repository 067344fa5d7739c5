// Package podnet links pods to their minion and minions to each other, over netlink.
//
// A pod hangs on a routed veth pair: "eth0" in its own network namespace, with its address as a /32, a MAC derived from it
// and a default route to the gateway; and an end on the minion that carries the gateway's address, with a route to the
// pod. There is no bridge, so nothing of one pod's traffic reaches another but through the minion's routing and rules.
// Other minions' pods are reached through routes, one for each minion.
//
// What belongs to us is recognisable after any crash: a link's name is "rc" and a hash of the instance's id, and its alias
// holds the id itself; a route has the protocol number [Protocol]. Nothing else is changed or removed, and a link that has
// our name and another alias is an error. Nothing is kept in memory; every call looks at the kernel and does what is
// missing, so that a call repairs what was changed by hand. The end of the process changes nothing.
//
// The package acts in the network namespace in which [New] was called. It turns on net.ipv4.ip_forward there and does not
// turn it off. IPv4 only.
package podnet
