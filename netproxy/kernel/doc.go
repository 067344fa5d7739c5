// Package kernel makes the Linux kernel route services: it keeps one private nftables table, "ip reconciler", equal to the
// content that netproxy computes. Nothing else writes routing rules, and this package writes nothing else.
//
// The table's sets, chains and rules are made once and stay; every later change is a change of map elements, in one
// transaction, whose size depends on what changed and not on the number of services. All is done over netlink, without
// the nft program, and lists with it:
//
//	prerouting, output  a new connection to an address in map cnt goes to chain lb-<count>, which picks a slot at random
//	                    and rewrites the destination by map ep; a new connection to an address in set noep is reset
//	postrouting         a connection rewritten here gets the minion's source address if its replies would not come back
//	                    through this minion otherwise: a pod that reached itself (set hairpin), a client outside the
//	                    minion's pods (set local) whose endpoint is on another minion, and the minion's own processes
//
// Connections are recognised by their original destination, so no packet mark and no connection mark is read or written;
// only the priority of a connection's first packet is used, to pass the count from one map to the next, and reset.
// A connection keeps its endpoint by connection tracking until it ends, whatever happens to the map. TCP only.
//
// The table belongs to no socket: it outlives the process, however that ends, and the next one takes it over, reading it
// in full and writing only what differs. Somebody else's change of it is noticed by [Router.Run] and repaired by the next
// Apply. A table of that name with another layout is replaced, in one transaction. The package acts in the network
// namespace in which [New] was called; it turns on net.ipv4.ip_forward there and does not turn it off.
//
// Not done here: a drop in another table wins over anything this one does; a process of the minion itself needs some
// route to a service address (a default route will do) before the kernel lets its connection out to be rewritten.
package kernel
