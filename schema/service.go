package schema

import "encoding/json"

// ServiceSpec is an address and what is behind it. Without a selector that is what an [Endpoints] of the same name lists.
type ServiceSpec struct {
	Type                     ServiceType       `json:"type,omitempty"` // "" = ClusterIP
	Ports                    []ServicePort     `json:"ports,omitempty"`
	Selector                 map[string]string `json:"selector,omitempty"`
	ClusterIP                string            `json:"clusterIP,omitempty"`                // the portal IP; "" = the plan chooses; None = none
	ExternalIPs              []string          `json:"externalIPs,omitempty"`              // the public IPs: addresses that minions answer on
	SessionAffinity          Affine            `json:"sessionAffinity,omitempty"`          // "" = None
	SessionTimeoutSeconds    int32             `json:"sessionTimeoutSeconds,omitempty"`    // 0 = [DefaultSessionTimeout]
	InternalTrafficPolicy    TrafficPolicy     `json:"internalTrafficPolicy,omitempty"`    // "" = Cluster
	ExternalTrafficPolicy    TrafficPolicy     `json:"externalTrafficPolicy,omitempty"`    // "" = Cluster
	PublishNotReadyAddresses bool              `json:"publishNotReadyAddresses,omitempty"` // pods count whether they are ready or not
}

// Headless is the ClusterIP of a service that has no portal IP.
const Headless = "None"

// DefaultSessionTimeout is how long a client is sent to the same pod after its last connection, in seconds, as in 2014.
const DefaultSessionTimeout = 10800

// ServiceType says where a service answers besides its portal and public IPs.
type ServiceType string

// The types of services. ClusterIP is the default; NodePort is on a port of every minion too.
const (
	ServiceClusterIP ServiceType = "ClusterIP"
	ServiceNodePort  ServiceType = "NodePort"
)

// Affine says whether a client's connections go to the same pod.
type Affine string

// The session affinities. None is the default.
const (
	AffineNone     Affine = "None"
	AffineClientIP Affine = "ClientIP"
)

// TrafficPolicy says which pods of a service a minion sends connections to.
type TrafficPolicy string

// The traffic policies. Cluster is the default: pods on any minion. Local: its own alone.
const (
	TrafficCluster TrafficPolicy = "Cluster"
	TrafficLocal   TrafficPolicy = "Local"
)

// ServicePort maps Port of the service's addresses to a port of each pod. TargetPort nil means the same number as Port. A
// TargetPort with number 0 and no name means the first port of the pod's first container, which is what v1beta1 says by
// leaving containerPort out.
type ServicePort struct {
	Name       string      `json:"name,omitempty"`
	Protocol   Protocol    `json:"protocol,omitempty"` // "" = TCP
	Port       uint16      `json:"port"`
	TargetPort *PortOrName `json:"targetPort,omitempty"`
	NodePort   uint16      `json:"nodePort,omitempty"` // of type NodePort; 0 = the plan chooses
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

// Endpoints is what is behind the service of the same name, which has no selector: addresses outside the fleet, or of pods.
type Endpoints struct {
	Meta    `json:"metadata"`
	Subsets []EndpointSubset `json:"subsets,omitempty"`
}

// EndpointSubset means every one of its addresses with every one of its ports.
type EndpointSubset struct {
	Addresses         []EndpointAddress `json:"addresses,omitempty"`
	NotReadyAddresses []EndpointAddress `json:"notReadyAddresses,omitempty"`
	Ports             []EndpointPort    `json:"ports,omitempty"`
}

// EndpointAddress is one address.
type EndpointAddress struct {
	IP string `json:"ip"`
}

// EndpointPort is the port that a service's port of the same name leads to.
type EndpointPort struct {
	Name     string   `json:"name,omitempty"`
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol,omitempty"` // "" = TCP
}

// Key of the endpoints.
func (e *Endpoints) Key() Key { return Key{KindEndpoints, e.Namespace, e.Name} }
