// Package place chooses the minion for a pod: constraints exclude, then the pod stays where it is if it can, else it goes
// where the fewest of its group are and the most is left.
//
// The package is pure and knows nothing of pods or reports: what a minion has left and what a pod needs are numbers and
// labels. It places one pod at a time, in the order in which it is asked. Of a large fleet it compares a sample, which goes
// round; that a pod fits nowhere it says only when it has looked at every minion.
package place
