// Package kept is a cache of what manifests said, in a file: it implements load.Cache.
//
// The file begins with the engine that made the entries: those of another are dropped when it is opened, because another
// release may judge differently. Entries follow, each with its key, length and checksum. They are appended, and read from
// where they are; a sweep writes a new file without those that are not wanted and renames it. Nothing is synced, since
// what is lost is only made again: an entry that a crash cut off, or that somebody changed, is none, and neither is what
// follows it. The file holds secrets of the repository, and only its owner may read it.
package kept
