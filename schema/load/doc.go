// Package load turns the file tree of a commit into the set of objects it declares, or into every error that is in it.
//
// A manifest is a file with the extension .json, .yaml, .yml or .cue under the configured path. Directories whose name begins
// with a dot, directories named cue.mod, and what a .reconcilerignore file (patterns as in .gitignore, in the root of the
// path or any directory below it) names are not looked at; symbolic links and other files are not followed.
//
// A file holds one object, several YAML documents, a JSON array of objects, or a List. CUE definitions, chosen by apiVersion and
// kind, are the authority on the shape of an object. They are read once, into checks of Go that say exactly what CUE would
// say (a construct for which there is none is an error of the definitions), so that all that is wrong is reported at once
// and CUE itself sees only documents with numbers or keys that it writes in another way. What fields contradict in each
// other is checked on the canonical object. An error has the place in the user's file and the path as the user wrote it.
//
// A directory of .cue files is a CUE package; there cannot be two in one, nor a file without a package clause. Every
// regular field of it that has apiVersion and kind, at any depth, is an object, and what is in an object is not
// searched; definitions, hidden and optional fields are for others to use. A field that is incomplete and an object,
// or could become a map or list, is an error and never left out; so is a struct with only one of apiVersion and kind
// that otherwise looks like an object. CUE decides what a package is made of: files of the same package in
// directories above, up to that of cue.mod, imports of the same module or of cue.mod/{gen,usr,pkg}, what @embed
// names, whether .reconcilerignore names them or not; that file only decides which packages are searched.
// [DefinitionsPath] is there if it is not vendored. Nothing is fetched. What a parent's files declare comes out of
// each package below; it counts once if it is the same.
//
// Packages are evaluated in a child process with limits on memory, time and output, since CUE's evaluation cannot be
// stopped. A package that meets a limit is an error of the tree; a child that cannot be started is not. Data of a
// package goes on as that of a file does.
//
// Nothing of CUE is kept: a Loader holds bytes and canonical objects of the files that recent trees had, by the hash of their content and name,
// so that an unchanged file costs its reading only. Field names that are in labels and annotations stay in CUE's tables
// for the life of the process.
//
// A tree may be of several sources ([Config].Sources): nothing of one is seen by another, and all they declare is one set.
// Tags of CUE packages have the values of the configuration, which are part of what a cached package is known by.
//
// A tree of more than 500,000 manifests, 1 GiB in them or 500,000 objects is an error. Of the errors of a file 100 are told, of
// a tree 1,000. A file of over 4 MiB is an error; so are files that nest deeper than 100 levels and YAML whose aliases expand without
// measure.
package load
