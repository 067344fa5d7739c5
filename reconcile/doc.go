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
//
// A controller's replicas are replaced within two limits: how many may have two instances in Run, and how many may be
// without a ready one because of us. Unless somebody says otherwise that is one at a time, start-first, and stop-first
// where a replica does not fit beside its old instance. Replicas keep their numbers; of too many those go first that are
// not ready, then those with others on their minion, then the youngest. A bare pod is replaced stop-first, and never while
// an earlier instance may run on a lost minion. An instance stops only when every minion that holds a lease has
// acknowledged a table without it (or after the drain timeout) and its own minion has listed it, so that a later report
// without it means that it is gone.
//
// What was declared anew of an object waits until what comes before it, by waves and names, is as declared and well; what it has is
// kept as it was meanwhile. What goes back waits for nobody, and neither does a newer commit: whether it waits is decided in
// every step.
//
// An update that fails is undone by the same rules: the object is quarantined with that spec, and its last healthy one is
// effective until a commit changes it, see [Quarantine]. What is in one group goes back together.
//
// A State carries, beside what it says, what the step that decided it worked out ([State] without it gives the same plans): so
// a step looks again only at minions that reported, at workloads of which something changed, and routes anew only services of
// which an instance changed. What is at rest costs next to nothing. Bindings are kept in dense tables that one step copies only
// where it changes, see [Bindings].
package reconcile
