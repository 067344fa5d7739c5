package place_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"reconciler/reconcile/place"
)

func minion(name string, cpu, memory int64, pods int, labels ...string) place.Minion {
	m := place.Minion{Name: name, MilliCPU: cpu, Memory: memory << 20, Pods: pods, Labels: map[string]string{}, Ports: map[string]bool{}, Groups: map[string]int{}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		m.Labels[k] = v
	}
	return m
}

func TestChoose(t *testing.T) {
	group := func(m place.Minion, g string, n int) place.Minion { m.Groups[g] = n; return m }
	port := func(m place.Minion, p string) place.Minion { m.Ports[p] = true; return m }
	disk := func(m place.Minion, storage, pids int64) place.Minion {
		m.Storage, m.PIDs = storage, pids
		return m
	}
	for name, c := range map[string]struct {
		minions []place.Minion
		demand  place.Demand
		want    string
		why     string
	}{
		"the preferred one, though another has more left": {[]place.Minion{minion("a", 1000, 100, 9), minion("b", 9000, 900, 9)}, place.Demand{Prefer: "a"}, "a", ""},
		"the preferred one is full":                       {[]place.Minion{minion("a", 1000, 100, 9), minion("b", 9000, 900, 9)}, place.Demand{Prefer: "a", MilliCPU: 2000}, "b", ""},
		"the preferred one is gone":                       {[]place.Minion{minion("b", 9000, 900, 9)}, place.Demand{Prefer: "a"}, "b", ""},
		"the fewest of its group before the most left":    {[]place.Minion{group(minion("a", 9000, 900, 9), "g", 1), minion("b", 1000, 100, 9)}, place.Demand{Group: "g"}, "b", ""},
		"another group does not count":                    {[]place.Minion{group(minion("a", 1000, 100, 9), "h", 5), minion("b", 1000, 100, 8)}, place.Demand{Group: "g"}, "a", ""},
		"the fewest pods if all else is equal":            {[]place.Minion{minion("a", 1000, 100, 8), minion("b", 1000, 100, 9)}, place.Demand{}, "b", ""},
		"the first by name if everything is equal":        {[]place.Minion{minion("b", 1000, 100, 9), minion("a", 1000, 100, 9)}, place.Demand{}, "a", ""},
		"just enough is enough":                           {[]place.Minion{minion("a", 1000, 100, 1)}, place.Demand{MilliCPU: 1000, Memory: 100 << 20}, "a", ""},
		"by labels":                                       {[]place.Minion{minion("a", 1000, 100, 9), minion("b", 1000, 100, 9, "disk=ssd")}, place.Demand{Selector: map[string]string{"disk": "ssd"}}, "b", ""},
		"by name":                                         {[]place.Minion{minion("a", 1000, 100, 9), minion("b", 1000, 100, 9)}, place.Demand{Name: "b"}, "b", ""},
		"by name, where it does not fit":                  {[]place.Minion{minion("a", 1000, 100, 9), minion("b", 1000, 100, 9)}, place.Demand{Name: "b", MilliCPU: 2000}, "", "fits on none of 2 minions: 1 lack cpu (need 2000m), 1 not the one that nodeName \"b\" wants"},
		"a host port that another protocol has":           {[]place.Minion{port(minion("a", 1000, 100, 9), "UDP/80")}, place.Demand{Ports: []string{"TCP/80"}}, "a", ""},
		"a host port that is taken":                       {[]place.Minion{port(minion("a", 1000, 100, 9), "TCP/80")}, place.Demand{Ports: []string{"TCP/80"}}, "", "fits on none of 1 minion: 1 host port TCP/80 taken"},
		"by ephemeral storage":                            {[]place.Minion{disk(minion("a", 1000, 100, 9), 1<<30, 0), disk(minion("b", 900, 100, 9), 2<<30, 0)}, place.Demand{Storage: 2 << 30}, "b", ""},
		"ephemeral storage that is not known":             {[]place.Minion{minion("a", 1000, 100, 9)}, place.Demand{Storage: 2 << 30}, "a", ""},
		"too little ephemeral storage":                    {[]place.Minion{disk(minion("a", 1000, 100, 9), 1<<30, 0)}, place.Demand{Storage: 2 << 30}, "", "fits on none of 1 minion: 1 lack ephemeral storage (need 2048 MiB)"},
		"by processes":                                    {[]place.Minion{disk(minion("a", 1000, 100, 9), 0, 99), disk(minion("b", 900, 100, 9), 0, 100)}, place.Demand{PIDs: 100}, "b", ""},
		"processes that are not known":                    {[]place.Minion{minion("a", 1000, 100, 9)}, place.Demand{PIDs: 100}, "a", ""},
		"too few processes":                               {[]place.Minion{disk(minion("a", 1000, 100, 9), 0, 99)}, place.Demand{PIDs: 100}, "", "fits on none of 1 minion: 1 lack processes (need 100)"},
		"no minion":                                       {nil, place.Demand{}, "", "there is no minion that reports"},
		"the most frequent reason first": {append(many(10, 100), minion("z", 1000, 1, 0)), place.Demand{Memory: 200 << 20}, "",
			"fits on none of 11 minions: 10 lack memory (need 200 MiB), 1 full of pods"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := place.New(c.minions).Choose(c.demand)
			if got != c.want || why != c.why {
				t.Errorf("got %q %q, want %q %q", got, why, c.want, c.why)
			}
		})
	}
}

func many(n int, memory int64) (all []place.Minion) {
	for i := range n {
		all = append(all, minion(fmt.Sprintf("m%04d", i), 1000, memory, 100))
	}
	return all
}

func TestFitsInstead(t *testing.T) {
	f := place.New([]place.Minion{minion("a", 1000, 100, 1)})
	old := place.Demand{MilliCPU: 800, Ports: []string{"TCP/80"}}
	f.Take("a", old)
	if _, why := f.Choose(old); why == "" {
		t.Error("fits beside the old one")
	}
	if !f.FitsInstead("a", place.Demand{MilliCPU: 1000, Ports: []string{"TCP/80"}}, old) {
		t.Error("does not fit in its place")
	}
	if f.FitsInstead("a", place.Demand{MilliCPU: 1001}, old) || f.FitsInstead("b", old, old) {
		t.Error("fits where it does not")
	}
	if _, why := f.Choose(old); why == "" {
		t.Error("asking gave back what is taken")
	}
}

// TestLargeFleet: a pod that fits on one minion of many is put there, wherever a sample begins.
// Mutant: Choose gives up after the sample.
func TestLargeFleet(t *testing.T) {
	f := place.New(append(many(1000, 100), minion("big", 1000, 500, 100), minion("m0500x", 1000, 500, 100)))
	for range 20 { // samples go on
		m, _ := f.Choose(place.Demand{Group: "g"})
		f.Take(m, place.Demand{Group: "g"})
	}
	if m, why := f.Choose(place.Demand{Memory: 400 << 20}); m != "big" && m != "m0500x" {
		t.Errorf("got %q %q", m, why)
	}
}

// TestChooseProperties: never more than there is, the preferred minion if it fits, copies evenly if nothing else hinders.
// Mutants: Take does not count memory; excludes looks at no ports; the preferred minion is not asked first; better does not
// look at groups.
func TestChooseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 200).Draw(t, "minions")
		f := place.New(many(n, 1000))
		memory, pods, ports, groups := map[string]int64{}, map[string]int{}, map[string]bool{}, map[string]int{}
		for i := range rapid.IntRange(1, 100).Draw(t, "pods") {
			d := place.Demand{Memory: rapid.Int64Range(0, 700).Draw(t, "memory") << 20, Group: "odd"}
			if rapid.Bool().Draw(t, "port") {
				d.Ports = []string{"TCP/80"}
			}
			if rapid.Bool().Draw(t, "prefers") {
				d.Prefer = fmt.Sprintf("m%04d", rapid.IntRange(0, n-1).Draw(t, "prefer"))
			}
			fits := func(m string) bool {
				return memory[m]+d.Memory <= 1000<<20 && pods[m] < 100 && !(len(d.Ports) > 0 && ports[m])
			}
			m, why := f.Choose(d)
			if m == "" {
				for i := range n {
					if name := fmt.Sprintf("m%04d", i); fits(name) {
						t.Fatalf("pod %d fits on %s: %s", i, name, why)
					}
				}
				continue
			}
			if !fits(m) {
				t.Fatalf("pod %d does not fit on %s", i, m)
			}
			if d.Prefer != "" && d.Prefer != m && fits(d.Prefer) {
				t.Fatalf("pod %d prefers %s, where it fits, and gets %s", i, d.Prefer, m)
			}
			f.Take(m, d)
			memory[m] += d.Memory
			pods[m]++
			ports[m] = ports[m] || len(d.Ports) > 0
		}
		if n <= 100 {
			f = place.New(many(n, 1000))
			for range 3 * n {
				m, _ := f.Choose(place.Demand{Group: "even"})
				f.Take(m, place.Demand{Group: "even"})
				groups[m]++
			}
			for m, k := range groups {
				if k != 3 {
					t.Fatalf("%d copies on %s, of 3 for each", k, m)
				}
			}
		}
	})
}

// What is taken of storage and processes is there no more, and is back when it is given back. Mutants: either of take and give
// without one of them.
func TestStorageAndProcessesAreTaken(t *testing.T) {
	for _, d := range []place.Demand{{Storage: 6 << 30}, {PIDs: 60}} {
		m := minion("a", 1000, 100, 9)
		m.Storage, m.PIDs = 10<<30, 100
		f := place.New([]place.Minion{m})
		if got, _ := f.Choose(d); got != "a" {
			t.Fatalf("%+v does not fit", d)
		}
		f.Take("a", d)
		if got, _ := f.Choose(d); got != "" {
			t.Errorf("%+v fits twice", d)
		}
		if !f.FitsInstead("a", d, d) {
			t.Errorf("%+v does not fit in its own place", d)
		}
	}
}
