// Package explain tells what can be written in a manifest, from the definitions that manifests are checked with and the
// comments in them.
package explain
