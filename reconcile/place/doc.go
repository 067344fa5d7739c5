// Package place chooses the minion for a pod: constraints exclude, then the pod stays where it is if it can, else it goes
// where its preferences lead, where the fewest of its group are and the most is left.
//
// The package is pure and knows nothing of pods or reports: what a minion has left and what a pod needs are numbers and
// labels. It places one pod at a time, in the order in which it is asked. Of a large fleet it compares a sample, which goes
// round; that a pod fits nowhere it says only when it has looked at every minion.
//
// Affinity, topology spread and tolerations mean what they mean in Kubernetes, with these differences: preferences decide
// one after the other (PreferNoSchedule, ScheduleAnyway above its skew, the sum of weights) and are not mixed with what is
// left; the preferred affinity of pods that are there does not draw others to them; and a pod does not go where it tolerates
// a NoExecute taint only for a time. Pods are counted by domain as they are put on minions, alike ones together, so that
// asking costs the same whatever is on the fleet. A fleet on which no pod has such rules keeps none of that (see Track).
package place
