package reconcile_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Pods a minion, and replicas a controller, of the fleets that are measured.
const podsPerMinion = 30

// bareFleet is so many minions that report nothing yet, and as many controllers of 30 replicas, each behind a service, 50 of them
// in a namespace.
func bareFleet(b *testing.B, minions int) reconcile.Input {
	in := reconcile.Input{Now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC), Settings: reconcile.DefaultSettings(), State: reconcile.State{Fleet: "f1", Epoch: 1},
		Revision: reconcile.Revision{Hash: "c1"}, Minions: map[string]reconcile.Minion{}}
	in.Settings.PodNet, in.Settings.PortalNet = netip.MustParsePrefix("11.0.0.0/8"), netip.MustParsePrefix("12.0.0.0/15")
	var lines []string
	for i := range minions {
		name := fmt.Sprintf("m%05d", i)
		in.Minions[name] = reconcile.Minion{Connected: true, LastSeen: in.Now, Reported: in.Now, Report: &assignment.Report{
			Minion: name, Address: netip.AddrFrom4([4]byte{13, 0, byte(i >> 8), byte(i)}), Capacity: assignment.Capacity{MilliCPU: 64000, Memory: 256 << 30, Pods: 110}}}
		lines = append(lines, fmt.Sprintf("rc r%05d ns=n%d replicas=%d cpu=100 mem=128", i, i/50, podsPerMinion), fmt.Sprintf("svc r%05d ns=n%d select=name:r%05d", i, i/50, i))
	}
	set, err := declare(lines)
	if err != nil {
		b.Fatal(err)
	}
	in.Set = set
	return in
}

// obeyed is the input after every minion did what a plan tells it, and reported that a minute ago.
func obeyed(in reconcile.Input, p reconcile.Plan) reconcile.Input {
	in.State, in.Now = p.State, in.Now.Add(time.Minute)
	in.Minions = maps.Clone(in.Minions)
	for name, m := range in.Minions {
		r := *m.Report
		r.Instances = nil
		for _, i := range p.Assignments[name].Instances {
			r.Instances = append(r.Instances, assignment.InstanceStatus{ID: strings.Clone(i.ID), UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller,
				Hash: i.Hash, Address: i.Address, State: assignment.Running, Up: in.Now.Add(-2 * time.Minute), UpFor: time.Minute})
		}
		m.Report, m.Reported, m.LastSeen, m.Table = &r, in.Now.Add(-time.Minute), in.Now, p.Table.Generation
		in.Minions[name] = m
	}
	return in
}

// restingFleet is a fleet with all its pods in the routes.
func restingFleet(b *testing.B, minions int) reconcile.Input {
	in := bareFleet(b, minions)
	p := reconcile.Compute(in)
	in = obeyed(in, p)
	for range 3 {
		p = reconcile.Compute(in)
		in.State, in.Now = p.State, in.Now.Add(time.Second)
		for name, m := range in.Minions {
			m.Table = p.Table.Generation
			in.Minions[name] = m
		}
	}
	if len(p.Changes) > 0 || p.State.Bindings.Len() != minions*podsPerMinion {
		b.Fatalf("it does not rest: %d bindings, %d changes", p.State.Bindings.Len(), len(p.Changes))
	}
	return in
}

// cpuTime is what this process has used, collecting garbage included: on a busy machine the clock says less.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// yardstick is how long this machine takes now to compare two maps of 150,000 strings, which touches as many things that lie
// about in memory as a plan that has nothing to do once did.
func yardstick() time.Duration {
	was, is := map[string]string{}, map[string]string{}
	for i := range 150000 {
		k := fmt.Sprintf("web-%06d-0a1b2", i)
		was[k], is[strings.Clone(k)] = "Run", "Run"
	}
	best := time.Hour
	for range 5 {
		start := time.Now()
		n := 0
		for k, v := range was {
			if is[k] == v {
				n++
			}
		}
		if n != len(was) {
			panic("maps differ")
		}
		best = min(best, time.Since(start))
	}
	return best
}

// BenchmarkCompute: 150,000 pods on 5,000 minions. The limits are 300 ms from scratch and 40 ms for the others. The peer of from
// scratch is floor, which makes the same output without deciding anything.
func BenchmarkCompute(b *testing.B) {
	unit := yardstick()
	measure := func(name string, limit time.Duration, least int, do func() (made int)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			before := cpuTime(b)
			best := time.Hour
			for b.Loop() {
				start := time.Now()
				n = do()
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
			b.ReportMetric(float64(best.Microseconds())/1000, "least-ms")
			b.ReportMetric(float64(best)/float64(limit), "of-limit")
			b.ReportMetric(float64(best)/float64(unit), "yardsticks")
			b.ReportMetric(float64(n), "changes")
			if n < least {
				b.Fatalf("%d changes", n)
			}
		})
	}
	compute := func(name string, limit time.Duration, in reconcile.Input, least int) {
		measure(name, limit, least, func() int { return len(reconcile.Compute(in).Changes) })
	}
	const limit = 40 * time.Millisecond
	scratch := bareFleet(b, 5000)
	measure("floor of from scratch", 300*time.Millisecond, 5000*podsPerMinion, func() int { return len(floor(5000).changes) })
	compute("from scratch", 300*time.Millisecond, scratch, 5000*podsPerMinion)
	in := restingFleet(b, 5000)
	compute("nothing to do", limit, in, 0)
	more, err := declare([]string{"pod one"})
	if err != nil {
		b.Fatal(err)
	}
	one := in
	one.Set, one.Revision.Hash = loadedAnew(in.Set), "c2"
	one.Set.Pods = more.Pods
	compute("one pod more", limit, one, 1)
	compute("one template changed", limit, retagged(in, 7), podsPerMinion)
	lost := in
	lost.Minions = maps.Clone(in.Minions)
	m := lost.Minions["m00007"]
	m.Connected, m.LastSeen = false, in.Now.Add(-time.Hour)
	lost.Minions["m00007"] = m
	lost.State.Quorate = in.Now.Add(-time.Hour)
	compute("one minion lost", limit, lost, podsPerMinion)

	p := reconcile.Compute(in)
	b.Run("summarize", func(b *testing.B) {
		for b.Loop() {
			reconcile.Summarize(in, p)
		}
	})
}

// loadedAnew is a set as a commit gives it that changes something else: other lists of the same objects.
func loadedAnew(set *schema.Set) *schema.Set {
	out := *set
	out.ReplicationControllers, out.Services = slices.Clone(set.ReplicationControllers), slices.Clone(set.Services)
	return &out
}

// retagged is an input with another image in one controller.
func retagged(in reconcile.Input, i int) reconcile.Input {
	set := loadedAnew(in.Set)
	r := *set.ReplicationControllers[i]
	r.Spec.Template.Spec.Containers = slices.Clone(r.Spec.Template.Spec.Containers)
	r.Spec.Template.Spec.Containers[0].Image = "web:2"
	set.ReplicationControllers[i] = &r
	in.Set, in.Revision.Hash = set, "c2"
	return in
}

// BenchmarkEndpoints: the endpoints of 10,000 services over 150,000 pods, all of them anew.
func BenchmarkEndpoints(b *testing.B) {
	in := restingFleet(b, 5000)
	var lines []string
	for i := range 5000 {
		lines = append(lines, fmt.Sprintf("svc s%05d ns=n%d select=name:r%05d", i, i/50, i))
	}
	more, err := declare(lines)
	if err != nil {
		b.Fatal(err)
	}
	in.Set, in.Revision.Hash = loadedAnew(in.Set), "c2"
	in.Set.Services = append(in.Set.Services, more.Services...)
	slices.SortFunc(in.Set.Services, func(a, b *schema.Service) int { return a.Key().Compare(b.Key()) })
	in.Settings.PublicNets = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // other settings: nothing is taken from before
	b.ReportAllocs()
	for b.Loop() {
		if p := reconcile.Compute(in); len(p.Table.Services) != 10000 {
			b.Fatalf("%d services", len(p.Table.Services))
		}
	}
}

// BenchmarkGrowth: fleets of 500 to 50,000 minions with 30 pods each. t(50,000) is to be at most 12 times t(5,000). The table goes
// to standard error, and with GROWTH_SVG=FILE a picture of it into a file. Two are peers: memory is one read of each of as many things of
// the size of a binding as there are pods, each found by the one before; floor is what the output of from scratch costs alone.
func BenchmarkGrowth(b *testing.B) {
	grown := grow(b)
	for b.Loop() { // it makes this be called once, however often it is asked for
	}
	for _, k := range growthKinds {
		b.ReportMetric(float64(grown[k][50000])/float64(grown[k][5000]), strings.ReplaceAll(k, " ", "-")+"-growth")
	}
}

var (
	growthSizes = []int{500, 1000, 2000, 5000, 10000, 20000, 50000}
	growthKinds = []string{"from scratch", "nothing to do", "one template", "memory", "floor"}
)

// grow measures by kind and size.
func grow(b *testing.B) map[string]map[int]time.Duration {
	times := map[string]map[int]time.Duration{}
	for _, k := range growthKinds {
		times[k] = map[int]time.Duration{}
	}
	// It is the mean of n steps of the largest fleet, and of so many more of a smaller one, garbage collection included, so that
	// both see as much of the moods of the machine. Not measured is one step before, for which the kernel gives the memory.
	mean := func(minions, n int, do func()) time.Duration {
		n *= growthSizes[len(growthSizes)-1] / minions
		do()
		runtime.GC()
		start := time.Now()
		for range n {
			do()
		}
		return time.Since(start) / time.Duration(n)
	}
	fmt.Fprintf(os.Stderr, "minions      pods  from scratch  nothing to do  one template     memory         floor\n")
	for _, n := range growthSizes {
		in := bareFleet(b, n)
		times[growthKinds[0]][n] = mean(n, 2, func() { reconcile.Compute(in) })
		in = restingFleet(b, n)
		times[growthKinds[1]][n] = mean(n, 5, func() { reconcile.Compute(in) })
		in = retagged(in, 7)
		times[growthKinds[2]][n] = mean(n, 5, func() { reconcile.Compute(in) })
		in = reconcile.Input{}
		memory := make([]binding, n*podsPerMinion)
		for i := range memory {
			memory[i][0] = int64(i) // else there would be no memory behind it
		}
		times[growthKinds[3]][n] = mean(n, 3, func() { walk(memory) })
		memory = nil
		times[growthKinds[4]][n] = mean(n, 2, func() { floor(n) })
		fmt.Fprintf(os.Stderr, "%7d  %8d  %9.1f ms  %10.1f ms  %9.1f ms  %6.1f ms  %9.1f ms\n", n, n*podsPerMinion,
			ms(times[growthKinds[0]][n]), ms(times[growthKinds[1]][n]), ms(times[growthKinds[2]][n]), ms(times[growthKinds[3]][n]), ms(times[growthKinds[4]][n]))
	}
	if file := os.Getenv("GROWTH_SVG"); file != "" {
		if err := os.WriteFile(file, []byte(plot(growthSizes, growthKinds, times)), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return times
}

// binding is as large as one of the plan's.
type binding [50]int64

// walk reads one word of as many things as there are, in no order that a processor could guess.
func walk(all []binding) {
	at := uint64(1)
	for range all {
		at = (at*6364136223846793005 + 1442695040888963407) ^ uint64(all[(at>>16)%uint64(len(all))][0])
	}
	walked = at
}

var walked uint64 // so that no compiler leaves walk out

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
