package containerd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Mutants: it removes what it ended; what had ended by itself is marked too; it is not marked at all.
func TestHaltEndsAndLeavesAllElse(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("db", run("main", "serve"), run("side", "stubborn"), run("job", "exit", "7"))
	p.Spec.Volumes = []schema.Volume{{Name: "v", EmptyDir: &schema.EmptyDir{}}}
	m.up(t, p)
	m.exited(t, "db", "job")
	m.log(t, "db", "side", "serving")
	m.log(t, "db", "main", "serving")
	volumes, _ := filepath.Glob(filepath.Join(m.cfg.podDir("db"), "*"))
	pid := m.pid(t, "db.side.0")
	for range 2 {
		if err := m.Halt(t.Context(), "db", time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if unix.Kill(pid, 0) == nil {
		t.Error("what ignores SIGTERM runs")
	}
	m.log(t, "db", "main", "signal: terminated")
	for container, want := range map[string]string{"main": assignment.Fenced, "side": assignment.Fenced, "job": "Error"} {
		if c, err := m.see(t, "db", container); err != nil || c.State != agent.Exited || c.Reason != want || c.FinishedAt.IsZero() {
			t.Errorf("%s: %+v, %v, want %s", container, c, err, want)
		}
	}
	if now, _ := filepath.Glob(filepath.Join(m.cfg.podDir("db"), "*")); strings.Join(now, " ") != strings.Join(volumes, " ") {
		t.Errorf("of the pod's directory is left %v, it had %v", now, volumes)
	}
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), p, "main", 1); err != nil {
		t.Fatal(err)
	}
	if c, err := m.see(t, "db", "main"); err != nil || c.State != agent.Running || c.Last == nil || c.Last.Reason != assignment.Fenced {
		t.Errorf("started again: %+v, %v", c, err)
	}
}

// Mutant: the error of containerd is returned, and nothing is killed.
func TestHaltWithoutContainerd(t *testing.T) {
	for what, breakIt := range map[string]func(*testing.T, *minion){
		"the daemon is dead": func(t *testing.T, m *minion) { m.stop(); m.killDaemon(t) },
		"the daemon hangs": func(t *testing.T, m *minion) {
			pid, err := m.cfg.daemonPID()
			if err != nil || unix.Kill(pid, unix.SIGSTOP) != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
		},
		"the shim hangs": func(t *testing.T, m *minion) {
			for _, pid := range processes(isShim(m.cfg.Dir)) {
				if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGCONT) })
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			m := newMinion(t, nil)
			m.up(t, pod("db", run("main", "serve")))
			m.log(t, "db", "main", "serving")
			r, pid := m.Runtime, m.pid(t, "db.main.0")
			breakIt(t, m)
			if what == "the daemon is dead" { // with another client, as m's is closed
				var err error
				if r, err = New(m.cfg); err != nil {
					t.Fatal(err)
				}
				defer r.client.Close()
			}
			if err := r.Halt(t.Context(), "db", time.Second); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); err == nil && len(b) > 0 {
				t.Errorf("process %d lives: %q", pid, b)
			}
			if rec, ok := m.cfg.readRecord("db", "db.main.0"); !ok || rec.Reason != assignment.Fenced || rec.FinishedAt.IsZero() {
				t.Errorf("kept %+v, %v", rec, ok)
			}
		})
	}
}
