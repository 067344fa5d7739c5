package reconcile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// large is a fleet of 5,000 minions on which 5,000 controllers of 30 replicas are to run, each behind a service, 50 of them in a
// namespace.
func large(b *testing.B) *fleet {
	f := newFleet()
	f.settings.PodNet, f.settings.PortalNet = netip.MustParsePrefix("11.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/16")
	for i := range 5000 {
		name := fmt.Sprintf("m%04d", i)
		a := f.join(name, assignment.Capacity{MilliCPU: 64000, Memory: 256 << 30, Pods: 110}, nil)
		a.address = netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)})
		f.act(a)
		f.deliver(a)
	}
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("rc r%04d ns=n%d replicas=30 cpu=100 mem=128", i, i/50), fmt.Sprintf("svc r%04d ns=n%d select=name:r%04d", i, i/50, i))
	}
	set, err := declare(lines)
	if err != nil {
		b.Fatal(err)
	}
	f.set, f.revision = set, reconcile.Revision{Hash: "c1"}
	return f
}

// cpuTime is what this process has used, collecting garbage included: on a busy machine the clock says less.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkCompute(b *testing.B) {
	f := large(b)
	compute := func(b *testing.B, in reconcile.Input) (p reconcile.Plan) {
		b.ReportAllocs()
		before := cpuTime(b)
		for b.Loop() {
			p = reconcile.Compute(in)
		}
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(p.State.Bindings.Len()), "pods")
		b.ReportMetric(float64(len(p.Changes)), "changes")
		return p
	}
	b.Run("from scratch", func(b *testing.B) { compute(b, f.input()) })
	for range 3 {
		f.step()
		f.round()
		f.now = f.now.Add(5 * time.Second)
	}
	f.step()
	b.Run("nothing to do", func(b *testing.B) { compute(b, f.input()) })
	b.Run("one pod more", func(b *testing.B) {
		in := f.input()
		more, err := declare([]string{"pod one"})
		if err != nil {
			b.Fatal(err)
		}
		set := *f.set
		set.Pods = more.Pods
		in.Set, in.Revision.Hash = &set, "c2"
		compute(b, in)
	})
	b.Run("one template changed", func(b *testing.B) {
		in := f.input()
		set := *f.set
		set.ReplicationControllers = slices.Clone(set.ReplicationControllers)
		r := *set.ReplicationControllers[7]
		r.Spec.Template.Spec.Containers = slices.Clone(r.Spec.Template.Spec.Containers)
		r.Spec.Template.Spec.Containers[0].Image = "web:2"
		set.ReplicationControllers[7] = &r
		in.Set, in.Revision.Hash = &set, "c2"
		if p := compute(b, in); len(p.Changes) < 30 {
			b.Fatalf("%d changes", len(p.Changes))
		}
	})
	b.Run("one minion lost", func(b *testing.B) {
		in := f.input()
		m := in.Minions["m0007"]
		m.Connected, m.LastSeen = false, in.Now.Add(-time.Hour)
		in.Minions["m0007"] = m
		in.State.Quorate = in.Now.Add(-time.Hour)
		if p := compute(b, in); len(p.Changes) < 30 {
			b.Fatalf("%d changes", len(p.Changes))
		}
	})
	b.Run("summarize", func(b *testing.B) {
		in := f.input()
		p := reconcile.Compute(in)
		for b.Loop() {
			reconcile.Summarize(in, p)
		}
	})
}
