package kernel

import (
	"strings"
	"testing"

	"reconciler/netproxy"
)

func TestPublicAddressDoesNotTakeAHostListener(t *testing.T) {
	l := newLab(t)
	l.m1.serve(2222)
	r := newRouter(l.m1)
	services := []netproxy.Service{
		service("ssh", "10.0.0.1:2222", []string{minion1, "192.0.2.1"}, podA),
		service("web", "10.0.0.1:80", []string{minion1}, podA),
	}
	apply(l.m1, r, local1, services...)
	for to, want := range map[string]string{minion1 + ":2222": "m1", "10.0.0.1:2222": "a", "192.0.2.1:2222": "a", minion1 + ":80": "a"} {
		if who, _ := l.client.ask(to); who != want {
			t.Errorf("%s answered at %s, want %s", who, to, want)
		}
	}
	if got := r.Refused(); len(got) != 1 || !strings.Contains(got[0], `"default/ssh": address 10.245.2.2:2222`) {
		t.Errorf("refused %q", got)
	}
	// A process that comes later takes no route away.
	l.m1.serve(80)
	services[1].Endpoints = nil
	apply(l.m1, r, local1, services...)
	services[1].Endpoints = service("", "10.0.0.1:80", nil, podB).Endpoints
	apply(l.m1, r, local1, services...)
	if who, _ := l.client.ask(minion1 + ":80"); who != "b" {
		t.Errorf("%s answered, want b", who)
	}
}

func TestRefusedServiceSpoilsNothing(t *testing.T) {
	l := newLab(t)
	r := newRouter(l.m1)
	bad := service("bad", "10.0.0.2:80", nil, podA)
	bad.Protocol = "UDP"
	apply(l.m1, r, local1, bad, service("a", "10.0.0.1:80", nil, podA), service("z", "10.0.0.1:80", nil, podB))
	if who, _ := l.client.ask("10.0.0.1:80"); who != "a" {
		t.Errorf("%s answered, want a", who)
	}
	if got := r.Refused(); len(got) != 2 {
		t.Errorf("refused %q", got)
	}
}

func TestForwardingIsTurnedOn(t *testing.T) {
	s := newSpace(t, "m")
	s.write(forwarding, "0")
	apply(s, newRouter(s), local1)
	if got := s.read(forwarding); got != "1" {
		t.Errorf("forwarding is %s", got)
	}
}
