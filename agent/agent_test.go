package agent

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// settle lets everything happen that can within d.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func table(n uint64, services ...netproxy.Service) *assignment.Table {
	return &assignment.Table{Fleet: "f", Generation: assignment.Generation{Epoch: 1, Counter: n}, Services: services}
}

func TestRunsWhatIsAssigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), table(1))
		settle(time.Second)
		s := m.link.last("web")
		if s == nil || s.State != assignment.Running || s.Up.IsZero() || s.Containers[0].ID != "containerd://web.c" {
			t.Fatalf("reported %+v", s)
		}
		if m.link.acked.table.Counter != 1 || m.link.acked.work.Counter != 1 {
			t.Errorf("acknowledged %+v", m.link.acked)
		}
		m.runtime.exit("web", "c", 1)
		settle(100 * time.Millisecond)
		if s = m.link.last("web"); !s.Up.IsZero() || s.Reason != "Restarting" || s.Containers[0].Last.ExitCode != 1 {
			t.Errorf("after the exit, reported %+v", s)
		}
		settle(2 * time.Second)
		if s = m.link.last("web"); s.Up.IsZero() || s.Containers[0].Restarts != 1 {
			t.Errorf("after the restart, reported %+v", s)
		}
	})
}

// Mutant: routes applied by the pod loop wait for the pull.
func TestRoutesNeverWaitForPods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.runtime.pulling["i:slow"] = make(chan struct{})
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:slow", assignment.Run)), nil)
		settle(time.Second)
		m.link.send(nil, table(5, netproxy.Service{Name: "db"}))
		settle(10 * time.Millisecond)
		if m.link.acked.table.Counter != 5 || len(m.router.services) != 1 {
			t.Errorf("acknowledged %+v while a pull is under way", m.link.acked)
		}
		if s := m.link.last("web"); s.Reason != "PullingImage" || !strings.Contains(s.Message, "1 of 9 MB") {
			t.Errorf("reported %+v", s)
		}
		close(m.runtime.pulling["i:slow"])
		settle(time.Second)
		if s := m.link.last("web"); s.State != assignment.Running {
			t.Errorf("reported %+v", s)
		}
	})
}

// Mutant: acknowledging before Apply, or in spite of its error.
func TestRoutesAreAcknowledgedWhenTheKernelHasThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.router.fail = errors.New("kernel says no")
		defer m.boot()()
		m.link.send(work(1), table(3, netproxy.Service{Name: "db"}))
		settle(5 * time.Second)
		if !m.link.acked.table.IsZero() {
			t.Fatalf("acknowledged %v, which the kernel does not have", m.link.acked.table)
		}
		m.router.mu.Lock()
		m.router.fail = nil
		m.router.mu.Unlock()
		settle(2 * time.Second)
		if m.link.acked.table.Counter != 3 {
			t.Errorf("acknowledged %v", m.link.acked.table)
		}
	})
}

// Mutant: stopping what the assignment does not list.
func TestOnlyStopStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), nil)
		settle(time.Second)
		m.link.send(work(2), nil)
		settle(time.Minute)
		if len(m.runtime.stops) > 0 {
			t.Fatalf("stopped %v", m.runtime.stops)
		}
		if s := m.link.last("web"); s == nil || s.Reason != "Unassigned" {
			t.Errorf("reported %+v", s)
		}
		m.link.send(work(3, instance("web", "i:1", assignment.Stop)), nil)
		settle(time.Second)
		if len(m.runtime.stops) == 0 || m.link.last("web") != nil || len(m.network.attached) > 0 {
			t.Errorf("stops %v, reported %+v, attached %v", m.runtime.stops, m.link.last("web"), m.network.attached)
		}
	})
}

// Mutant: forgetting what was kept, or bringing everything up anew at start.
func TestItsOwnRestartTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		kill := m.boot()
		m.link.send(work(4, instance("web", "i:1", assignment.Run)), table(2, netproxy.Service{Name: "db"}))
		settle(time.Second)
		kill()
		m.link.work, m.link.table = nil, nil // the server is away
		m.router.services = nil
		m.runtime.exit("web", "c", 137)
		kill = m.boot()
		settle(3 * time.Second)
		if n := m.runtime.starts["web/c"]; n != 2 {
			t.Errorf("container started %d times, want once and once again after its end", n)
		}
		if len(m.router.services) != 1 {
			t.Error("the kept table was not applied")
		}
		kill()
		kill = m.boot()
		defer kill()
		settle(time.Minute)
		if n := m.runtime.starts["web/c"]; n != 2 || len(m.runtime.stops) > 0 {
			t.Errorf("a restart of the agent alone started (%d) or stopped (%v) something", n, m.runtime.stops)
		}
	})
}

func TestRefusesWhatIsOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		kill := m.boot()
		m.link.send(work(4, instance("web", "i:1", assignment.Run)), table(7))
		settle(time.Second)
		kill()
		defer m.boot()()
		m.link.send(work(3, instance("web", "i:1", assignment.Stop)), table(6, netproxy.Service{Name: "old"}))
		settle(time.Second)
		if len(m.runtime.stops) > 0 || len(m.router.services) > 0 {
			t.Errorf("obeyed an older generation: stops %v, routes %v", m.runtime.stops, m.router.services)
		}
		if len(m.link.errs) == 0 || !strings.Contains(strings.Join(m.link.errs, "\n"), "1.4 is in force") {
			t.Errorf("said %q", m.link.errs)
		}
	})
}

// Mutants: the hash is not compared; the error of the decoder is not looked at; routes of another fleet are taken.
func TestRefusesWhatItCannotTrust(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		changed := instance("changed", "i:1", assignment.Run)
		changed.Spec = instance("changed", "i:2", assignment.Run).Spec
		unknown := instance("unknown", "i:1", assignment.Run)
		unknown.Spec = []byte(strings.Replace(string(unknown.Spec), `{`, `{"seccompProfile":"strict",`, 1))
		unknown.Hash = schema.HashBytes(unknown.Spec)
		m.link.send(work(1, changed, unknown, instance("web", "i:1", assignment.Run)), table(1, netproxy.Service{Name: "db"}))
		settle(time.Second)
		other := table(9)
		other.Fleet = "g"
		m.link.send(nil, other)
		settle(time.Minute)
		for id, why := range map[string]string{"changed": "does not have its hash", "unknown": "seccompProfile"} {
			if s := m.link.last(id); s == nil || s.Reason != "SpecRefused" || !strings.Contains(s.Message, why) {
				t.Errorf("%s is reported as %+v", id, s)
			}
			if n := m.runtime.starts[id+"/c"]; n != 0 {
				t.Errorf("%s was started %d times", id, n)
			}
		}
		if s := m.link.last("web"); s.State != assignment.Running {
			t.Errorf("the other pod: %+v", s)
		}
		if len(m.router.services) != 1 || !strings.Contains(strings.Join(m.link.errs, "\n"), `routes of fleet "g" refused`) {
			t.Errorf("routes %v, said %q", m.router.services, m.link.errs)
		}
	})
}

// A pod without its probe, or as another user, would not be the pod that was written. What is the plan's to obey is no matter
// of the agent. Mutant: what a spec needs is not looked at.
func TestRefusesWhatItCannotDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		with := func(id string, change func(*schema.PodSpec)) assignment.Instance {
			spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i:1"}}}
			change(&spec)
			i := instance(id, "i:1", assignment.Run)
			i.Spec, i.Hash = spec.CanonicalJSON(), spec.Hash()
			return i
		}
		m.link.send(work(1,
			with("probed", func(s *schema.PodSpec) {
				s.Containers[0].ReadinessProbe = &schema.Probe{TCPSocket: &schema.TCPAction{Port: schema.PortOrName{Number: 80}}}
			}),
			with("user", func(s *schema.PodSpec) { s.SecurityContext = &schema.PodSecurity{RunAsNonRoot: true} }),
			with("hooked", func(s *schema.PodSpec) {
				s.Containers[0].Lifecycle = &schema.Lifecycle{PreStop: &schema.Hook{Sleep: &schema.SleepAction{Seconds: 1}}}
			}),
			with("urgent", func(s *schema.PodSpec) { s.Priority = 5 }),
		), nil)
		settle(time.Minute)
		for id, why := range map[string]string{"probed": "probes", "user": "security-context", "hooked": "", "urgent": ""} {
			s := m.link.last(id)
			if refused := s.Reason == "SpecRefused"; refused != (why != "") || !strings.Contains(s.Message, why) {
				t.Errorf("%s is reported as %+v", id, s)
			}
			if n := m.runtime.starts[id+"/c"]; (n == 0) != (why != "") {
				t.Errorf("%s was started %d times", id, n)
			}
		}
		if r := m.link.reports[len(m.link.reports)-1]; len(r.Features) != 1 || r.Features[0] != schema.FeatureHooks {
			t.Errorf("it says that it can do %v", r.Features)
		}
	})
}

// Mutant: reporting an empty minion while the runtime does not answer.
func TestUnknownIsNotAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), nil)
		settle(time.Second)
		m.runtime.mu.Lock()
		m.runtime.down = true
		m.runtime.mu.Unlock()
		settle(time.Minute)
		r := m.link.reports[len(m.link.reports)-1]
		if len(r.Problems) != 1 || m.link.last("web") == nil || m.link.last("web").State != assignment.Running {
			t.Errorf("reported %+v", r)
		}
		m.runtime.mu.Lock()
		m.runtime.down = false
		m.runtime.mu.Unlock()
		settle(2 * time.Second)
		if r = m.link.reports[len(m.link.reports)-1]; len(r.Problems) != 0 || m.runtime.starts["web/c"] != 1 {
			t.Errorf("reported %+v after %d starts", r, m.runtime.starts["web/c"])
		}
	})
}

func TestFailures(t *testing.T) {
	for _, c := range []struct{ name, op, how, reason string }{
		{"a pull that was refused is tried again", "pull", "refused", "ErrImagePull"},
		{"a pull that was done and said to have failed", "pull", "done", "ErrImagePull"},
		{"namespaces that were refused", "sandbox", "refused", "SandboxError"},
		{"a start that was refused", "start", "refused", "StartError"},
		{"a start that was done and said to have failed is not done twice", "start", "done", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMinion(t)
				m.runtime.fail[c.op] = c.how
				defer m.boot()()
				m.link.send(work(1, instance("web", "i:1", assignment.Run)), nil)
				settle(500 * time.Millisecond)
				if s := m.link.last("web"); s.Reason != c.reason {
					t.Errorf("reported %q, want %q", s.Reason, c.reason)
				}
				settle(2 * time.Second)
				if s := m.link.last("web"); s.State != assignment.Running || s.Reason != "" || m.runtime.starts["web/c"] != 1 {
					t.Errorf("reported %+v after %d starts", s, m.runtime.starts["web/c"])
				}
			})
		})
	}
}

func TestMissingImageBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("web", "missing:1", assignment.Run), instance("ok", "i:1", assignment.Run)), nil)
		settle(5 * time.Second)
		if s := m.link.last("web"); s.State != assignment.Waiting || s.Reason != "ImagePullBackOff" || !strings.Contains(s.Message, `"missing:1"`) {
			t.Errorf("reported %+v", s)
		}
		if s := m.link.last("ok"); s.State != assignment.Running {
			t.Errorf("the other pod: %+v", s)
		}
	})
}

func TestStopInterruptsAPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.runtime.pulling["i:slow"] = make(chan struct{})
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:slow", assignment.Run)), nil)
		settle(time.Second)
		m.link.send(work(2, instance("web", "i:slow", assignment.Stop)), nil)
		settle(time.Second)
		if s := m.link.last("web"); s != nil {
			t.Errorf("still reported: %+v", s)
		}
	})
}

func TestNetworkIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), table(1))
		settle(time.Second)
		m.network.mu.Lock()
		before := m.network.attaches
		delete(m.network.attached, "web")
		m.network.mu.Unlock()
		poke(m.network.changed)
		settle(time.Second)
		if m.network.attaches != before+1 || m.runtime.starts["web/c"] != 1 {
			t.Errorf("attached %d times more, started %d times", m.network.attaches-before, m.runtime.starts["web/c"])
		}
	})
}

// Mutant: giving up on the services when a peer cannot be reached.
func TestAnUnreachablePeerStopsNoService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.network.fail = errors.New("network is unreachable")
		defer m.boot()()
		m.link.send(work(1), table(4, netproxy.Service{Name: "db"}))
		settle(time.Second)
		if m.link.acked.table.Counter != 4 || len(m.router.services) != 1 {
			t.Errorf("acknowledged %v, routes %v", m.link.acked.table, m.router.services)
		}
		if r := m.link.reports[len(m.link.reports)-1]; len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "unreachable") {
			t.Errorf("reported %q", r.Problems)
		}
	})
}

// Mutant: reporting before the runtime was looked at once.
func TestNothingIsSaidBeforeTheFirstLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		kill := m.boot()
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), nil)
		settle(time.Second)
		kill()
		said := len(m.link.reports)
		m.runtime.down = true
		defer m.boot()()
		settle(time.Minute)
		if n := len(m.link.reports) - said; n > 0 {
			t.Errorf("said %d times what it did not know: %+v", n, m.link.reports[len(m.link.reports)-1])
		}
		m.runtime.mu.Lock()
		m.runtime.down = false
		m.runtime.mu.Unlock()
		settle(5 * time.Second)
		if s := m.link.last("web"); s == nil || s.Up.IsZero() {
			t.Errorf("reported %+v", s)
		}
	})
}

// Mutant: letting a start go on that was under way when the instance began to drain.
func TestDrainInterruptsAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.runtime.pulling["i:slow"] = make(chan struct{})
		defer m.boot()()
		m.link.send(work(1, instance("web", "i:slow", assignment.Run)), nil)
		settle(time.Second)
		m.link.send(work(2, instance("web", "i:slow", assignment.Drain)), nil)
		settle(time.Second)
		close(m.runtime.pulling["i:slow"])
		settle(time.Minute)
		if n := m.runtime.starts["web/c"]; n != 0 {
			t.Errorf("a draining instance was started %d times", n)
		}
	})
}

// Mutants: images are listed with every look; a pull does not make them be listed; what cannot be listed is none; an unchanged
// list is a new report.
func TestImagesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMinion(t)
		m.runtime.images["old:1"] = true
		defer m.boot()()
		settle(time.Second)
		images := func() (names []string) {
			m.link.mu.Lock()
			defer m.link.mu.Unlock()
			r := m.link.reports[len(m.link.reports)-1]
			if r.Images == nil {
				t.Error("images are not known")
			}
			for _, i := range r.Images {
				names = append(names, i.Name)
			}
			return names
		}
		if got := images(); strings.Join(got, " ") != "old:1" {
			t.Errorf("at first %v", got)
		}
		m.link.send(work(1, instance("web", "i:1", assignment.Run)), nil)
		settle(time.Second)
		if got := images(); strings.Join(got, " ") != "i:1 old:1" {
			t.Errorf("after a pull %v", got)
		}
		count := func() (listed, reports int) {
			m.runtime.mu.Lock()
			defer m.runtime.mu.Unlock()
			m.link.mu.Lock()
			defer m.link.mu.Unlock()
			return m.runtime.listed, len(m.link.reports)
		}
		listed, reports := count()
		settle(9 * time.Minute)
		if l, r := count(); l != listed || r-reports > 9*60/15 {
			t.Errorf("in 9 quiet minutes images were listed %d times, and %d reports made", l-listed, r-reports)
		}
		m.runtime.mu.Lock()
		m.runtime.fail["images"] = "refused"
		m.runtime.mu.Unlock()
		settle(2 * time.Minute)
		if got := images(); strings.Join(got, " ") != "i:1 old:1" {
			t.Errorf("after a list that failed %v", got)
		}
	})
}
