package netproxy

import "net/netip"

// Service is one port of one service as the fleet routes it. Addresses holds the portal IP first, then the public IPs;
// Endpoints the ready endpoints, sorted, none twice. Protocol is "TCP". The zero Port is invalid.
type Service struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	PortName  string           `json:"portName,omitempty"`
	Protocol  string           `json:"protocol"`
	Port      uint16           `json:"port"`
	Addresses []netip.Addr     `json:"addresses"`
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"`
}
