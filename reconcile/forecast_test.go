package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// TestForecastIsNeverUndershot takes a fleet from one random set to another without faults, everything travelling in random
// order, and compares the endpoints of each table on the way with what was forecast before the first step.
//
// Mutants: a bare pod that is replaced counts as kept; a controller's replicas count as kept though they are replaced
// stop-first; fitBeside does not take what is still to be placed; atOnce is 0; the labels of the new spec are not looked at.
func TestForecastIsNeverUndershot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet()
		f.missing["none:1"] = true
		f.settings.MaxSurge = rapid.SampledFrom([]string{"", "", "0", "1", "50%"}).Draw(t, "surge")
		f.settings.MaxUnavailable = rapid.SampledFrom([]string{"", "", "0", "1", "2"}).Draw(t, "unavailable")
		ranked := rapid.IntRange(0, 2).Draw(t, "ranked") == 0
		tight := rapid.IntRange(0, 3).Draw(t, "tight") == 0
		for i := range rapid.IntRange(1, 4).Draw(t, "minions") {
			memory := rapid.IntRange(3, 12).Draw(t, "memory")
			if tight {
				memory = 12
			}
			c := assignment.Capacity{MilliCPU: 4000, Memory: int64(memory) * 100 << 20, Pods: 20}
			if !tight || i == 0 {
				f.act(f.join(fmt.Sprintf("m%d", i+1), c, nil))
			}
		}
		commit := func(n int) {
			if f.set = servedSet(t, ranked); tight {
				f.set = growing(t, n)
			}
			f.revision = reconcile.Revision{Hash: fmt.Sprintf("c%d", n), Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
		}
		commit(1)
		for range rapid.IntRange(10, 60).Draw(t, "steps of the first") { // it need not be done
			f.random(t)
			f.step()
		}
		f.random(t)
		commit(2)
		in := f.input()
		said := reconcile.Forecast(in, reconcile.Compute(in))
		for range 120 {
			f.step()
			for _, d := range said {
				if n := fewest(in, f.plan, d.Service); n < d.Lowest {
					t.Fatalf("%s has %d endpoints, forecast were %d of %d\nbefore: %s\nnow: %s\nplan: %+v", d.Service, n, d.Lowest, d.Now, brief(in.State), brief(f.state), reconcile.Compute(in).Changes)
				}
			}
			for _, s := range in.State.Routes { // one that is not named is not touched
				k := schema.Key{Kind: schema.KindService, Namespace: s.Namespace, Name: s.Name}
				named := slices.ContainsFunc(said, func(d reconcile.Disruption) bool { return d.Service == k })
				if n := fewest(in, f.plan, k); !named && n < fewest(in, reconcile.Plan{Table: assignment.Table{Services: in.State.Routes}}, k) {
					t.Fatalf("%s has %d endpoints, and nothing was forecast", k, n)
				}
			}
			f.random(t)
		}
	})
}

// random lets some of the fleet act and some time pass, nothing fail. A report arrives when it is made or not at all: one that
// was under way for seconds would make what it reports younger, and so perhaps not ready any more.
func (f *fleet) random(t *rapid.T) {
	for _, name := range f.names() {
		a := f.agents[name]
		what := rapid.IntRange(0, 15).Draw(t, "what "+name+" does")
		for bit, do := range []func(*agent){f.takeTable, f.takeWork, f.act, f.reportNow} {
			if what&(1<<bit) != 0 {
				do(a)
			}
		}
	}
	f.now = f.now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seconds")) * time.Second)
}

// reportNow makes a report, as act does last, and delivers it.
func (f *fleet) reportNow(a *agent) {
	f.act(a)
	f.deliver(a)
}

// servedSet declares pods and controllers that services may select across.
func servedSet(t *rapid.T, ranked bool) *schema.Set {
	var lines []string
	image := func() string {
		return rapid.SampledFrom([]string{"web:1", "web:1", "web:2", "none:1"}).Draw(t, "image")
	}
	for i := range 2 {
		if rapid.IntRange(0, 3).Draw(t, "pod") > 0 {
			lines = append(lines, fmt.Sprintf("pod p%d image=%s mem=100 label=tier:%s", i, image(), rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "tier")))
		}
		if n := rapid.IntRange(-1, 4).Draw(t, "replicas"); n >= 0 {
			port := rapid.SampledFrom([]string{"", "", "", " hostport=90"}).Draw(t, "port")
			lines = append(lines, fmt.Sprintf("rc r%d replicas=%d image=%s mem=%d label=tier:%s label=name:r%d%s", i, n, image(),
				rapid.SampledFrom([]int{0, 100, 200}).Draw(t, "mem"), rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "tier"), i, port))
		}
	}
	if ranked {
		lines = append(lines, fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: high, labels: {tier: a}}, spec: {priority: 5, containers: [{name: c, image: "web:1", resources: {requests: {memory: %dMi}}}]}}`, rapid.IntRange(1, 9).Draw(t, "high")*100))
		lines = append(lines, fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: m1}, spec: {taints: [{key: k, effect: %s}]}}`, rapid.SampledFrom([]string{"PreferNoSchedule", "NoExecute"}).Draw(t, "effect")))
	}
	for _, s := range []string{"tier:a", "tier:b", "name:r0", "name:r1"} {
		if rapid.IntRange(0, 6).Draw(t, "service") > 0 {
			lines = append(lines, "svc "+strings.ReplaceAll(s, ":", "-")+" select="+s)
		}
	}
	set, err := declare(lines)
	if err != nil {
		t.Fatal(err)
	}
	randomOrder(t, set)
	return set
}

// growing declares two controllers: once both are replaced, nothing fits beside them on a minion with 1200 MiB.
func growing(t *rapid.T, n int) *schema.Set {
	set, err := declare([]string{fmt.Sprintf("rc r0 replicas=3 image=web:%d mem=%d", n, 200*n-100), fmt.Sprintf("rc r1 replicas=3 image=web:%d mem=100", n),
		"svc r0 select=name:r0", "svc r1 select=name:r1"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// fewest is how many endpoints a service has in a table, of the ports that it had before.
func fewest(in reconcile.Input, p reconcile.Plan, k schema.Key) int {
	n := -1
	for _, s := range in.State.Routes {
		if s.Namespace != k.Namespace || s.Name != k.Name {
			continue
		}
		now := 0
		for _, x := range p.Table.Services {
			if x.Namespace == s.Namespace && x.Name == s.Name && x.Port == s.Port {
				now = len(x.Endpoints)
			}
		}
		if n < 0 || now < n {
			n = now
		}
	}
	return n
}

// TestForecast says what is forecast of the plain cases, so that the bound is not bought by saying nothing.
func TestForecast(t *testing.T) {
	for _, c := range []struct {
		name          string
		memory        int64 // MiB of each of two minions
		before, after string
		want          []reconcile.Disruption
	}{
		{"replicas that are replaced start-first", 1000, "rc web replicas=3 mem=100 image=web:1", "rc web replicas=3 mem=100 image=web:2", disruption(3, 3)},
		{"replicas of which only one fits beside the old ones", 400, "rc web replicas=3 mem=200 image=web:1", "rc web replicas=3 mem=200 image=web:2", disruption(3, 2)},
		{"one replica that does not fit beside the old one", 300, "rc web replicas=2 mem=200 image=web:1", "rc web replicas=2 mem=200 image=web:2", disruption(2, 1)},
		{"replicas beside which others grow", 900, "rc web replicas=3 mem=100 image=web:1\nrc web2 replicas=6 mem=100", "rc web replicas=3 mem=100 image=web:2\nrc web2 replicas=6 mem=200", disruption(3, 2)},
		{"a bare pod", 1000, "pod web label=name:web image=web:1", "pod web label=name:web image=web:2", disruption(1, 0)},
		{"fewer replicas", 1000, "rc web replicas=3", "rc web replicas=1", disruption(3, 1)},
		{"more replicas", 1000, "rc web replicas=1", "rc web replicas=3", nil},
		{"a label that leaves the service", 1000, "rc web replicas=2", "rc web replicas=2 label=name:other", disruption(2, 0)},
		{"replicas beside which others have to move as they were, because they wait", 1150, "rc web replicas=2 mem=100 node=m2\nrc aaa replicas=3 mem=300 wave=1\nrc db",
			"rc web replicas=2 mem=100 node=m2 image=web:2\nrc aaa replicas=3 mem=10 wave=1\nrc db image=none:1\n" +
				`{apiVersion: v1, kind: Node, metadata: {name: m1}, spec: {taints: [{key: k, effect: NoExecute}]}}`, disruption(2, 1)},
		{"nothing", 1000, "rc web replicas=2", "rc web replicas=2", nil},
		{"another pod", 1000, "rc web replicas=2", "rc web replicas=2\npod other", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet()
			for _, m := range []string{"m1", "m2"} {
				f.act(f.join(m, assignment.Capacity{MilliCPU: 4000, Memory: c.memory << 20, Pods: 20}, nil))
			}
			for i, text := range []string{c.before, c.after} {
				set, err := declare(append(strings.Split(text, "\n"), "svc web select=name:web"))
				if err != nil {
					t.Fatal(err)
				}
				f.set, f.revision = set, reconcile.Revision{Hash: fmt.Sprint(i), Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
				if i == 1 {
					break
				}
				for range 20 {
					f.round()
					f.step()
					f.now = f.now.Add(5 * time.Second)
				}
			}
			in := f.input()
			if got := reconcile.Forecast(in, reconcile.Compute(in)); !slices.Equal(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func disruption(now, lowest int) []reconcile.Disruption {
	return []reconcile.Disruption{{Service: schema.Key{Kind: schema.KindService, Namespace: "default", Name: "web"}, Now: now, Lowest: lowest, None: lowest == 0}}
}
