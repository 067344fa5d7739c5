// Package schema holds the objects that people write in Git: their Go types, their CUE definitions, their one canonical
// form and the hash of it.
//
// Every apiVersion that people may write (v1 of today, v1beta1 of 2014) is converted into the types of this package before
// anything else sees it; they follow core/v1 in names and shape. A value in canonical form has everything as written and
// nothing else: a field that was given its default explicitly is absent, maps and lists that are empty are nil. Code that
// needs a default asks for it by a method ([Container.PullPolicy], [PodSpec.Grace], ...), so a release can add a default
// without changing a hash.
//
// The package is pure: it imports the standard library only and touches no file, clock or network. Reading files is
// schema/load; the spelling of 2014 is schema/v1beta1.
package schema
