// Package kept is a cache of what manifests said, in a directory: it implements load.Cache.
//
// Each entry is a file named after its key, which begins with a hash of the rest: an entry that a crash cut off, or that
// somebody changed, is none. Nothing is synced to disk, since what is lost is only made again. The entries are in a directory named after the engine that
// made them; those of other engines are removed when the cache is opened, because another release may judge differently.
// They hold secrets of the repository, and only their owner may read them.
package kept
