package kernel

import (
	"net/netip"
	"testing"
)

// BenchmarkLoad is the first Apply of 10,000 services with 10 endpoints each.
func BenchmarkLoad(b *testing.B) {
	services := many(10_000, 10)
	for b.Loop() {
		b.StopTimer()
		s := newSpace(b, "m")
		r := newRouter(s)
		b.StartTimer()
		apply(s, r, netip.Prefix{}, services...)
	}
}

// BenchmarkChange is one endpoint more or less among 10,000 services with 10 endpoints each.
func BenchmarkChange(b *testing.B) {
	s := newSpace(b, "m")
	r := newRouter(s)
	services := many(10_000, 10)
	apply(s, r, netip.Prefix{}, services...)
	middle := &services[5000]
	all := middle.Endpoints
	for less := false; b.Loop(); {
		if less = !less; less {
			middle.Endpoints = all[1:]
		} else {
			middle.Endpoints = all
		}
		apply(s, r, netip.Prefix{}, services...)
	}
}

// BenchmarkRestart is the first Apply of a process over the table of the one before, nothing being different.
func BenchmarkRestart(b *testing.B) {
	s := newSpace(b, "m")
	services := many(10_000, 10)
	apply(s, newRouter(s), netip.Prefix{}, services...)
	for b.Loop() {
		apply(s, newRouter(s), netip.Prefix{}, services...)
	}
}
