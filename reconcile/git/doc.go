// Package git reads a Git repository on the local disk: one followed branch as a stream of revisions, any commit as a
// read-only tree, and, for people at work, the working tree around a directory.
//
// A [Source] opens the repository directly, never runs git and never writes into it, so people, hooks and git's own
// maintenance may work in it meanwhile. File system notifications and a poll are hints only; the branch is always resolved
// through the library, because its value may stand in a file of its own or among the packed refs. An object that is not
// found is looked for a second time with fresh indexes, because a repack moves objects under an open repository.
//
// A tree ([Source.Tree]) is read lazily from the object database through a storage of its own: it does not change when the
// branch moves. It follows no symbolic link and enters no submodule; opening one is an error that names it. An object that
// cannot be read is an error and never looks like an absent file: no error of the object database wraps [fs.ErrNotExist].
//
// Several sources are one as [Merged]: a revision is the heads of all, and there is none while one of them is unknown.
//
// What it does not do yet: fetch from elsewhere, verify signatures, read repositories whose refs are kept as reftables or
// whose objects have SHA-256 names (opening them is an error). Nothing is kept on disk, so there is nothing to recover.
package git
