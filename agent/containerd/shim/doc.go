// Package shim is the process that holds the containers of some pods while daemon and agent come and go.
//
// It is containerd's shim for runc with one thing more: it bounds the logs that it writes. The log of a container is a file
// that the shim appends to; every interval the files that it has open for that are looked at, and one that is longer than
// LogMax is copied to its name with [Old] appended, replacing that, and emptied. What is written between the copy and the
// emptying is lost. Because the writer itself does it, a container that writes without end while nobody looks after it
// costs at most twice LogMax and what it writes in one interval.
package shim
