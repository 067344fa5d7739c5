// Package lab is the local cluster: a master, its minions and a desktop as network namespaces of one machine, started by Up
// and gone without a trace after Down.
//
// A namespace called hub routes between three networks and has no way out of the machine:
//
//	10.245.1.0/24  master   10.245.1.2: Git repository, image registry, reconciler serve
//	10.245.2.0/24  minions  10.245.2.2, .3, .4 ...: one segment, as pod routes between minions are the agents' business
//	10.245.3.0/24  desktop  10.245.3.2: where a person's commands run
//
// A minion is a network namespace and a mount namespace with a /dev of its own, whose /dev/log is read by a small sink. Its
// agent, containerd, shims and mounts live in the two and in a cgroup of the minion, so that ending the processes and
// forgetting the namespaces takes everything away. Nothing is ever put into the machine's root network namespace.
//
// Every process is started by re-executing the binary with [ChildVerb]. It belongs to a session of its own and is known by
// its process id and start time, so that a re-used id is never mistaken for it.
//
// # After a crash
//
// Up goes on from whatever is there, and Down removes it: both look at the machine and not at what they did before. Down finds
// what to end by namespace and by cgroup and needs no daemon's help. A lock on the directory lets one of them run at a time.
package lab
