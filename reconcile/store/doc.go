// Package store keeps the fleet's decisions in etcd: the state that a plan leaves behind, the epoch, join tokens and the
// identities of minions.
//
// A [Store] runs one etcd member inside the process, on a directory of its own and without any listener. It implements
// server.Store and, method by method, the registry that the link asks for.
//
// A state is cut into chunks whose keys are their hashes. [Store.Save] writes the chunks that the last saved state does not
// have, and then one head that lists all of them; every write is guarded by the revision of the head that this store saw
// last. So a crash at any moment leaves the state before or the state after, whole; another writer's state is never
// overwritten; and what is left of an interrupted save is removed after the next one. [Store.Load] checks every hash.
//
// What became of each revision, and the plan of each that was in force, are kept beside the state, under keys of their own: they
// say what was, and decide nothing.
//
// The outcome of a failed save is unknown: nothing is saved again before Load was called. Every operation has a deadline of
// its own besides its context's. It does not do yet: an external etcd, several servers, snapshots of the database.
package store
