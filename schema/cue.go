package schema

import _ "embed"

// V1CUE is the CUE source of the closed definitions of core/v1 as people write it: #Pod, #Service and
// #ReplicationController. The attributes in it are explained at its top.
//
//go:embed v1.cue
var V1CUE string
