// Package registry is the image registry of the local cluster: images that are pushed to it can be pulled, and are still there
// after a restart.
//
// It speaks the OCI distribution API over plain HTTP, without accounts, and belongs on a network that is closed to others.
// Blobs and manifests are files below one directory; a manifest is on disk before its push is acknowledged. Nothing is ever
// collected: the directory goes away with the cluster.
package registry
