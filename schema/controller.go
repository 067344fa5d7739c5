package schema

// ControllerSpec is how many copies of which pod. Selector, never empty, matches the template's labels.
type ControllerSpec struct {
	Replicas        *int              `json:"replicas,omitempty"` // nil = 1
	MinReadySeconds int32             `json:"minReadySeconds,omitempty"`
	Selector        map[string]string `json:"selector,omitempty"` // nil = the template's labels
	Template        Template          `json:"template"`
}

// Template is the pod that a controller makes copies of.
type Template struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Spec        PodSpec           `json:"spec"`
}
