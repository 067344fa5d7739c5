package schema

// EnvVar is an environment variable with a plain value, or one that comes from elsewhere.
type EnvVar struct {
	Name      string     `json:"name"`
	Value     string     `json:"value,omitempty"`
	ValueFrom *EnvSource `json:"valueFrom,omitempty"` // then Value is ""
}

// EnvSource is where a variable's value comes from. Exactly one is set.
type EnvSource struct {
	FieldRef         *FieldReference    `json:"fieldRef,omitempty"`
	ResourceFieldRef *ResourceReference `json:"resourceFieldRef,omitempty"`
	ConfigMapKeyRef  *KeyReference      `json:"configMapKeyRef,omitempty"`
	SecretKeyRef     *KeyReference      `json:"secretKeyRef,omitempty"`
}

// FieldReference is a fact about the pod: metadata.name, metadata.labels['KEY'], status.podIP and the others that the
// definition lists.
type FieldReference struct {
	FieldPath string `json:"fieldPath"`
}

// ResourceReference is an amount that a container is given: limits.memory and the like, divided by Divisor and rounded up.
type ResourceReference struct {
	ContainerName string   `json:"containerName,omitempty"` // "" = the container that has the variable
	Resource      string   `json:"resource"`
	Divisor       Quantity `json:"divisor,omitempty"` // "" = 1
}

// KeyReference is one entry of a ConfigMap or Secret of the pod's namespace.
type KeyReference struct {
	Name     string `json:"name"`
	Key      string `json:"key"`
	Optional bool   `json:"optional,omitempty"` // if it is missing, so is the variable
}

// EnvFrom makes variables of all entries of a ConfigMap or Secret whose keys are names of variables. One of the two is set.
type EnvFrom struct {
	Prefix       string           `json:"prefix,omitempty"`
	ConfigMapRef *ObjectReference `json:"configMapRef,omitempty"`
	SecretRef    *ObjectReference `json:"secretRef,omitempty"`
}

// ObjectReference is a ConfigMap or Secret of the pod's namespace.
type ObjectReference struct {
	Name     string `json:"name"`
	Optional bool   `json:"optional,omitempty"`
}
