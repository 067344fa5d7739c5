// Package v1beta1 converts between the manifests and the output of Kubernetes in 2014 and the canonical objects.
//
// In: [DecodePod], [DecodeService] and [DecodeReplicationController] take a document that has passed the definitions of
// [CUE]. The traps of the old form are kept as they were: command is what is passed to the image's entrypoint, a service
// without containerPort goes to the first port of a pod's first container, protocols have any case, a volume without a
// source is an emptyDir, ids may be camelCase.
//
// Out: [Pod], [Service], [ReplicationController], [Minion] and their lists print what `kubectl get -o json` printed, with
// the same fields in the same order.
//
// [Write] writes an object as people did, without what only a server adds, in v1beta1 or v1beta2, and tells what that cannot
// say.
//
// The package is pure.
package v1beta1
