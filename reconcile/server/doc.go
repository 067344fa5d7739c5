// Package server is the control loop: it follows a Git ref, loads each new revision, calls reconcile.Compute, saves the
// decisions and then publishes them to the agents, and answers the CLI over HTTP on a unix socket.
//
// Everything that decides is in package reconcile; what is here only carries. One Step runs at a time: observe, compute,
// save, publish. An unknown outcome of a save ends the step, and the next one loads the state again. A commit that does not
// load changes nothing: the accepted set, which is part of the saved state, stays in force.
//
// What people decide and Git cannot express (suspensions, approvals) is taken by a step like its own decisions. [Gathering] waits for
// what agents keep, where the decisions are lost. What became of revisions is followed, and kept beside the state.
//
// Reports are kept in memory only. After a restart the instances of minions that have not reported yet are held as decided.
package server
