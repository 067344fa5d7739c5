// Package assignment holds the words between server and agent: what one minion is to run, what all minions are to route,
// and what a minion reports back.
//
// An [Assignment] belongs to one minion; a [Table] is the same for the whole fleet. Each has a [Generation] of its own. An
// agent applies the table first and acknowledges it when the kernel has it; only an acknowledgement, never a report, tells
// the server that a route is gone. A [Report] says what the agent observed after it acted.
//
// All values are JSON-encodable and have one encoding: slices are sorted as their fields say. The package is pure.
package assignment
