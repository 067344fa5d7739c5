// Package reconcile computes the one plan: Compute turns what Git declares and what the minions report into decisions, and
// Summarize says what is true.
//
// Both are pure: no clock, no store, no network; the same [Input] gives the same bytes. The server saves [Plan.State], then
// publishes [Plan.Table] and [Plan.Assignments]; `reconciler diff` prints [Plan.Changes] and stops there. One call of
// Compute is one step: it decides what may be done now and says in Changes all that is still to be done, so a rollout is
// the same function called again with newer reports until nothing is left. [Plan.Wake] tells when time alone would change
// the answer.
//
// Unknown is never absent: a minion that has not reported keeps its instances, and only a report shows that one is gone.
package reconcile
