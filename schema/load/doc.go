// Package load turns the file tree of a commit into the set of objects it declares, or into every error that is in it.
//
// A manifest is a file with the extension .json, .yaml, .yml or .cue under the configured path. Directories whose name begins
// with a dot, directories named cue.mod, and what a .reconcilerignore file (patterns as in .gitignore, in the root of the
// path or any directory below it) names are not looked at; symbolic links and other files are not followed. CUE packages
// are an error until they are supported.
//
// A file holds one object, several YAML documents, a JSON array of objects, or a List. CUE definitions, chosen by apiVersion and
// kind, are the authority on the shape of an object; what unknown, missing and unsupported fields there are is read from
// the same definitions, so that all of them are reported at once. What fields contradict in each other is checked on the
// canonical object. An error has the place in the user's file and the path as the user wrote it.
//
// Nothing of CUE is kept: a Loader holds bytes and canonical objects of the files that recent trees had, by the hash of their content and name,
// so that an unchanged file costs its reading only. Field names that are in labels and annotations stay in CUE's tables
// for the life of the process.
//
// A file of over 4 MiB is an error; so are files that nest deeper than 100 levels and YAML whose aliases expand without
// measure.
package load
