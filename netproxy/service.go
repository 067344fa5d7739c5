package netproxy

import "net/netip"

// Service is one port of one service as the fleet routes it. Addresses holds the portal IP first, then the public IPs;
// Endpoints the ready endpoints, sorted, none twice. Protocol is "TCP". The zero Port is invalid. With HostPort it is no
// service but a port of the minion itself that a pod on it was given: it has no portal IP, and its addresses are the minion's.
type Service struct {
	Namespace string           `json:"namespace"`
	Name      string           `json:"name"`
	PortName  string           `json:"portName,omitempty"`
	Protocol  string           `json:"protocol"`
	Port      uint16           `json:"port"`
	Addresses []netip.Addr     `json:"addresses"`
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"`
	HostPort  bool             `json:"hostPort,omitempty"`
}

// public are the addresses that are not the service's own.
func (s Service) public() []netip.Addr {
	if s.HostPort {
		return s.Addresses
	}
	return s.Addresses[1:]
}
