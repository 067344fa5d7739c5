// Package reconciletest lets a server and its minions live in one goroutine, in a time of their own, with faults that a seed
// chooses: what a seed showed once, it shows again.
//
// The server's steps and the agents' steps are the real ones. What is around them is modelled: a repository, a store, the
// link, and on each minion a container runtime, a kernel table and a disk. Each of these can refuse, do and report failure, or
// let the process die in the midst; the models outlive the processes that use them.
//
// After every event it is checked that nothing happened that the rules forbid. When the faults have ended, the fleet has to
// become as declared, and then to stay at rest.
//
// Certificates, encodings and the network itself are not part of it: see packages link, store and cmd/internal/lab.
package reconciletest
