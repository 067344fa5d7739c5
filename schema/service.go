package schema

import "encoding/json"

// ServiceSpec is an address and what is behind it.
type ServiceSpec struct {
	Ports       []ServicePort     `json:"ports"`
	Selector    map[string]string `json:"selector,omitempty"`
	ClusterIP   string            `json:"clusterIP,omitempty"`   // the portal IP; "" = the plan chooses
	ExternalIPs []string          `json:"externalIPs,omitempty"` // the public IPs: addresses that minions answer on
}

// ServicePort maps Port of the service's addresses to a port of each pod. TargetPort nil means the same number as Port. A
// TargetPort with number 0 and no name means the first port of the pod's first container, which is what v1beta1 says by
// leaving containerPort out.
type ServicePort struct {
	Name       string      `json:"name,omitempty"`
	Protocol   Protocol    `json:"protocol,omitempty"` // "" = TCP
	Port       uint16      `json:"port"`
	TargetPort *PortOrName `json:"targetPort,omitempty"`
}

// PortOrName is a port by number, or by the name that a container gives it. In JSON a number or a string.
type PortOrName struct {
	Number uint16
	Name   string
}

// MarshalJSON writes the name if there is one, else the number.
func (p PortOrName) MarshalJSON() ([]byte, error) {
	if p.Name != "" {
		return json.Marshal(p.Name)
	}
	return json.Marshal(p.Number)
}

// UnmarshalJSON reads a number or a string.
func (p *PortOrName) UnmarshalJSON(b []byte) error {
	*p = PortOrName{}
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &p.Name)
	}
	return json.Unmarshal(b, &p.Number)
}

// ControllerSpec is how many copies of which pod. Selector, never empty, matches the template's labels.
type ControllerSpec struct {
	Replicas *int              `json:"replicas,omitempty"` // nil = 1
	Selector map[string]string `json:"selector,omitempty"` // nil = the template's labels
	Template Template          `json:"template"`
}

// Template is the pod that a controller makes copies of.
type Template struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Spec        PodSpec           `json:"spec"`
}
