package kernel

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"

	"reconciler/agent"
	"reconciler/netproxy"
)

var _ agent.Router = (*Router)(nil)

// service is one of the form "10.0.0.1:80", its public addresses and endpoints.
func service(name, portal string, public []string, endpoints ...string) netproxy.Service {
	at := netip.MustParseAddrPort(portal)
	s := netproxy.Service{Namespace: "default", Name: name, Protocol: "TCP", Port: at.Port(), Addresses: []netip.Addr{at.Addr()}}
	for _, p := range public {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(p))
	}
	for _, e := range endpoints {
		s.Endpoints = append(s.Endpoints, netip.MustParseAddrPort(e))
	}
	return s
}

// apply applies on the namespace's thread, as a process in it would.
func apply(s *space, r *Router, local netip.Prefix, services ...netproxy.Service) {
	s.t.Helper()
	s.must("apply", func() error { return r.Apply(s.t.Context(), services, local) })
}

func TestDataPath(t *testing.T) {
	l := newLab(t)
	r1, r2 := newRouter(l.m1), newRouter(l.m2)
	services := []netproxy.Service{
		service("a", "10.0.0.1:80", []string{minion1, "192.0.2.1"}, podA),
		service("c", "10.0.0.3:80", []string{"192.0.2.3"}, podC),
		service("c-on-minion", "10.0.0.4:81", []string{minion1}, podC),
	}
	apply(l.m1, r1, local1, services...)
	apply(l.m2, r2, local2, services...)
	for _, c := range []struct {
		name string
		from *space
		to   string
		who  string
		as   string // the address that the endpoint sees
	}{
		{"pod to portal, endpoint here", l.b, "10.0.0.1:80", "a", "10.244.1.3"},
		{"pod to portal, endpoint on the other minion", l.b, "10.0.0.3:80", "c", "10.244.1.3"},
		{"pod of the other minion to portal", l.c, "10.0.0.1:80", "a", "10.244.2.2"},
		{"pod to itself", l.a, "10.0.0.1:80", "a", "10.244.1.1"},
		{"pod to itself by public address", l.a, "192.0.2.1:80", "a", "10.244.1.1"},
		{"pod of the other minion to itself", l.c, "10.0.0.3:80", "c", "10.244.2.1"},
		{"pod to public address of its minion", l.b, minion1 + ":80", "a", "10.244.1.3"},
		{"minion to portal, endpoint here", l.m1, "10.0.0.1:80", "a", "10.244.1.1"},
		{"minion to portal, endpoint on the other minion", l.m1, "10.0.0.3:80", "c", minion1},
		{"minion to its own public address", l.m1, minion1 + ":80", "a", "10.244.1.1"},
		{"minion to its own public address, endpoint on the other minion", l.m1, minion1 + ":81", "c", minion1},
		{"minion to the other's public address", l.m2, minion1 + ":80", "a", minion2},
		{"client to minion's address, endpoint here", l.client, minion1 + ":80", "a", outside},
		{"client to minion's address, endpoint on the other minion", l.client, minion1 + ":81", "c", minion1},
		{"client to routed address, endpoint here", l.client, "192.0.2.1:80", "a", outside},
		{"client to routed address, endpoint on the other minion", l.client, "192.0.2.3:80", "c", minion1},
		{"client to portal, endpoint here", l.client, "10.0.0.1:80", "a", outside},
		{"client to portal, endpoint on the other minion", l.client, "10.0.0.3:80", "c", minion1},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, who, as, err := c.from.dial(c.to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if who != c.who || as != c.as {
				t.Errorf("%s answered %s, want %s to answer %s", who, as, c.who, c.as)
			}
		})
	}
	if refused := r1.Refused(); refused != nil {
		t.Errorf("refused %q", refused)
	}
}

func TestNoEndpointsRefusesAtOnce(t *testing.T) {
	l := newLab(t)
	r := newRouter(l.m1)
	apply(l.m1, r, local1, service("none", "10.0.0.9:80", []string{minion1, "192.0.2.9"}), service("unrouted", "10.77.0.9:80", nil))
	for _, from := range []*space{l.a, l.m1} { // nobody else knows the way to this one
		if _, _, _, err := from.dial("10.77.0.9:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s to a portal IP without a route: %v, want refused", from.name, err)
		}
	}
	for _, from := range []*space{l.a, l.m1, l.client} {
		for _, to := range []string{"10.0.0.9:80", minion1 + ":80", "192.0.2.9:80"} {
			if _, _, _, err := from.dial(to); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s to %s: %v, want refused", from.name, to, err)
			}
		}
	}
	apply(l.m1, r, local1, service("none", "10.0.0.9:80", nil, podA))
	if who, _ := l.b.ask("10.0.0.9:80"); who != "a" {
		t.Errorf("%s answered, want a", who)
	}
	apply(l.m1, r, local1, service("none", "10.0.0.9:80", nil))
	if _, _, _, err := l.b.dial("10.0.0.9:80"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("after the last endpoint went: %v, want refused", err)
	}
}
