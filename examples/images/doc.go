// Images builds the OCI images of the examples and of the tests on this machine, each once: an image whose inputs did not
// change is left as it is.
//
// Debian packages come from the sources that this machine's own apt configuration names, Go programs from this checkout. An
// image is an OCI layout below the output directory, tagged with the name that it gets in a registry. It is made beside its
// place and renamed into it, so an interrupted build leaves no half image.
package main
