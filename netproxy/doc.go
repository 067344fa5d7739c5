// Package netproxy says what a minion routes: from the fleet's service table it computes, without touching anything, the
// content of the kernel's maps and the changes from one content to the next.
//
// A service address (portal IP or public IP, protocol, port) is spread at random over the service's ready endpoints by
// rewriting the destination of new connections; an address without endpoints refuses at once. The layout is D of the
// design: a count map, an endpoint map with slots and pre-made chains, so that every change is a change of map elements.
// netproxy/kernel is the only code that writes it.
//
// The package is pure. TCP only: UDP services are refused by schema/load until conntrack is handled.
package netproxy
