package schema

import _ "embed"

// V1CUE is the CUE source of the closed definitions of core/v1 as people write it: #Pod, #Service and
// #ReplicationController. The attributes in it are explained at its top.
//
//go:embed v1.cue
var V1CUE string

// ReconcilerCUE is the same of this project's own kinds, of apiVersion reconciler/v1: #Cluster and #Policy. No other
// definition in it has a name of [V1CUE], so that the two may be one package.
//
//go:embed reconciler.cue
var ReconcilerCUE string
