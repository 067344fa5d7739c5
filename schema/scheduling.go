package schema

// Affinity says which minions a pod wants to be on, by their labels and by the pods that are there.
type Affinity struct {
	Node    *NodeAffinity `json:"nodeAffinity,omitempty"`
	Pod     *PodAffinity  `json:"podAffinity,omitempty"`     // near these
	PodAnti *PodAffinity  `json:"podAntiAffinity,omitempty"` // not near these
}

// NodeAffinity is by labels of minions.
type NodeAffinity struct {
	Required  *NodeSelector   `json:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`
	Preferred []PreferredNode `json:"preferredDuringSchedulingIgnoredDuringExecution,omitempty"`
}

// NodeSelector matches a minion that any of its terms matches.
type NodeSelector struct {
	Terms []NodeTerm `json:"nodeSelectorTerms"`
}

// NodeTerm matches a minion that meets all of its requirements. A term without any matches none.
type NodeTerm struct {
	Expressions []Requirement `json:"matchExpressions,omitempty"`
	Fields      []Requirement `json:"matchFields,omitempty"` // of metadata.name alone
}

// PreferredNode counts in favour of a minion, with a weight from 1 to 100.
type PreferredNode struct {
	Weight     int32    `json:"weight"`
	Preference NodeTerm `json:"preference"`
}

// PodAffinity is by labels of pods.
type PodAffinity struct {
	Required  []PodTerm      `json:"requiredDuringSchedulingIgnoredDuringExecution,omitempty"`
	Preferred []PreferredPod `json:"preferredDuringSchedulingIgnoredDuringExecution,omitempty"`
}

// PodTerm means the minions that have the same value of the label TopologyKey as one with a matching pod.
type PodTerm struct {
	Selector    *LabelSelector `json:"labelSelector,omitempty"` // nil matches no pod
	Namespaces  []string       `json:"namespaces,omitempty"`    // nil = the pod's own
	TopologyKey string         `json:"topologyKey"`
}

// PreferredPod counts in favour of a minion, with a weight from 1 to 100.
type PreferredPod struct {
	Weight int32   `json:"weight"`
	Term   PodTerm `json:"podAffinityTerm"`
}

// LabelSelector matches labels that have all of Labels and meet all Expressions. An empty one matches everything.
type LabelSelector struct {
	Labels      map[string]string `json:"matchLabels,omitempty"`
	Expressions []Requirement     `json:"matchExpressions,omitempty"`
}

// Requirement is one condition on a label. Values has entries for In and NotIn, one whole number for Gt and Lt (of minions
// alone), none for Exists and DoesNotExist.
type Requirement struct {
	Key      string   `json:"key"`
	Operator Operator `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// Operator is how a requirement compares.
type Operator string

// The operators of requirements and of tolerations.
const (
	OpIn           Operator = "In"
	OpNotIn        Operator = "NotIn"
	OpExists       Operator = "Exists"
	OpDoesNotExist Operator = "DoesNotExist"
	OpGt           Operator = "Gt"
	OpLt           Operator = "Lt"
	OpEqual        Operator = "Equal" // of tolerations
)

// Effect is what a taint does to pods that do not tolerate it.
type Effect string

// The effects of taints.
const (
	NoSchedule       Effect = "NoSchedule"
	PreferNoSchedule Effect = "PreferNoSchedule"
	NoExecute        Effect = "NoExecute" // those that are there must go
)

// Taint keeps pods off a minion.
type Taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect Effect `json:"effect"`
}

// String is "key=value:effect", without what is empty.
func (t Taint) String() string {
	s := t.Key
	if t.Value != "" {
		s += "=" + t.Value
	}
	return s + ":" + string(t.Effect)
}

// Toleration lets a pod on minions in spite of matching taints.
type Toleration struct {
	Key               string   `json:"key,omitempty"`      // "" = every key, with Exists
	Operator          Operator `json:"operator,omitempty"` // "" = Equal
	Value             string   `json:"value,omitempty"`
	Effect            Effect   `json:"effect,omitempty"`            // "" = every effect
	TolerationSeconds *int64   `json:"tolerationSeconds,omitempty"` // of NoExecute; nil = for ever
}

// Tolerates tells whether t is about this taint.
func (t Toleration) Tolerates(x Taint) bool {
	return (t.Effect == "" || t.Effect == x.Effect) && (t.Key == "" || t.Key == x.Key) && (t.Operator == OpExists || t.Value == x.Value)
}

// TopologySpread bounds how unevenly matching pods are spread over the values of a label of minions.
type TopologySpread struct {
	MaxSkew           int32          `json:"maxSkew"`
	TopologyKey       string         `json:"topologyKey"`
	WhenUnsatisfiable string         `json:"whenUnsatisfiable"` // DoNotSchedule or ScheduleAnyway
	Selector          *LabelSelector `json:"labelSelector,omitempty"`
	MinDomains        *int32         `json:"minDomains,omitempty"`
}
