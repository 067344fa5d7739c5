package assignment

import "time"

// Contact is what an agent knows of the server's having heard of it. A lease is counted from it, so that it never outlasts
// what the server waits for, whatever delays, doubles or steps of clocks there are:
//
//   - Sent is when, by the minion's CLOCK_BOOTTIME, something was sent that the server is known to have received. The server
//     noted its LastSeen when it received that, so later. An agent's lease ends at Sent + Lease, which is before LastSeen +
//     Lease; the two clocks are never compared.
//   - A lease that has run out is over, whatever is heard afterwards. Fenced instances run again only by an assignment of
//     the same epoch whose Contact is not below Number. The server gives a contact its number when it hears of the minion
//     anew or after a silence of MinLease, which is before it could have taken the minion for lost: so an assignment
//     that names the number was decided by a server that knew the minion to be back, and one that moved an instance away
//     meanwhile says so.
//
// When its lease is over an agent begins to end its fenced instances, each with its grace period. A server that moves them
// waits for Lease, the longest of these grace periods and [FenceMargin] after LastSeen. It may shorten Lease only for minions
// that have acknowledged an assignment with the shorter one.
type Contact struct {
	Epoch  uint64        // of the server that received it
	Number uint64        // by that server, from 1; 0: there was none
	Sent   time.Duration // since the minion's boot, CLOCK_BOOTTIME (clock_gettime(2))
}

// MinLease is the shortest lease, and the silence after which a contact is a new one. It is longer than an agent is silent
// when all is well: 12 s between two heartbeats.
const MinLease = 15 * time.Second

// FenceMargin is what a server waits for after a lease and the grace periods are over: an agent looks at its clock once a
// second and at a runtime that hangs for 5 s, a process that was killed may take 10 s to go, and two machines' clocks may
// differ in pace.
const FenceMargin = 30 * time.Second
