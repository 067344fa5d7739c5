// Package print turns a plan and a status into text for people, and a plan into a versioned JSON document for programs.
//
// Text is aligned, in a fixed order, and coloured only if asked for. What did not change is not printed but counted. The
// package decides nothing: every word about what will happen comes from the plan.
package print
