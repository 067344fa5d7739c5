package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	ctr "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sys/unix"

	"reconciler/agent"
	"reconciler/agent/containerd/shim"
)

// birth is when a process was started, in ticks since boot (proc_pid_stat(5)).
func birth(t *testing.T, pid int) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatalf("process %d: %v", pid, err)
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')'):]))[20]
}

// killDaemon is a SIGKILL to the daemon; it returns when the process has ended.
func (m *minion) killDaemon(t *testing.T) {
	t.Helper()
	pid, err := m.cfg.daemonPID()
	if err != nil || pid == 0 {
		t.Fatalf("no daemon: %d, %v", pid, err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "daemon has ended", func() error {
		now, err := m.cfg.daemonPID()
		if err == nil && now == pid {
			err = errors.New("it lives")
		}
		return err
	})
}

func TestAgentGoesAndComesBack(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("stay", run("main", "serve"))
	m.up(t, p)
	daemon, err := m.cfg.daemonPID()
	if err != nil {
		t.Fatal(err)
	}
	pid := m.pid(t, "stay.main.0")
	born := birth(t, pid)
	m.stop()
	m.start(t)
	if now, err := m.cfg.daemonPID(); err != nil || now != daemon {
		t.Errorf("daemon was %d and is %d, %v", daemon, now, err)
	}
	if now := m.pid(t, "stay.main.0"); now != pid || birth(t, now) != born {
		t.Errorf("process was %d and is %d", pid, now)
	}
	if err := m.Start(t.Context(), p, "main", 0); err != nil || m.pid(t, "stay.main.0") != pid {
		t.Errorf("start of what runs: %v", err)
	}
	if err := m.Stop(t.Context(), "stay", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "stay")
}

func TestDaemonIsKilled(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("a", run("main", "serve")))
	m.up(t, pod("b", run("ended", "exit", "5"), run("killed", "serve")))
	m.exited(t, "b", "ended")
	pid := m.pid(t, "a.main.0")
	victim := m.pid(t, "b.killed.0")
	born := birth(t, pid)
	for len(m.Events()) > 0 {
		<-m.Events()
	}
	m.stop() // so that the daemon stays down for a while
	m.killDaemon(t)
	if err := unix.Kill(victim, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "shim has noted the end", func() error {
		_, err := os.Stat(filepath.Join(m.cfg.bundle("b.killed.0"), "exit.json"))
		return err
	})
	m.start(t)
	if got := m.exited(t, "b", "killed"); got.ExitCode != 137 || got.Reason != "Error" {
		t.Errorf("killed while the daemon was down: %+v", got)
	}
	if got := m.exited(t, "b", "ended"); got.ExitCode != 5 || got.Reason != "Error" {
		t.Errorf("ended before: %+v", got)
	}
	if c, err := m.see(t, "a", "main"); err != nil || c.State != agent.Running || birth(t, pid) != born || m.pid(t, c.ID) != pid {
		t.Errorf("was left running: %+v, %v", c, err)
	}

	m.killDaemon(t) // this time with the agent there
	select {
	case <-m.Events():
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	eventually(t, "observed again", func() error { _, err := m.Observe(t.Context()); return err })
	if c, err := m.see(t, "a", "main"); err != nil || c.State != agent.Running || m.pid(t, c.ID) != pid {
		t.Errorf("was left running: %+v, %v", c, err)
	}
	for _, id := range []string{"a", "b"} {
		if err := m.Stop(t.Context(), id, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	m.nothingOf(t, "a")
	m.nothingOf(t, "b")
}

func TestShimIsKilled(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("lost", run("main", "serve"))
	m.up(t, p)
	shims := processes(isShim(m.cfg.Dir))
	if len(shims) != 1 {
		t.Fatalf("shims are %v", shims)
	}
	if err := unix.Kill(shims[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first := m.exited(t, "lost", "main")
	if first.FinishedAt.IsZero() {
		t.Errorf("observed %+v", first)
	}
	if again := m.exited(t, "lost", "main"); !again.FinishedAt.Equal(first.FinishedAt) {
		t.Errorf("end moved from %v to %v", first.FinishedAt, again.FinishedAt)
	}
	if err := m.Start(t.Context(), p, "main", 1); err != nil {
		t.Fatal(err)
	}
	if c, err := m.see(t, "lost", "main"); err != nil || c.State != agent.Running || c.Last == nil {
		t.Errorf("after the restart: %+v, %v", c, err)
	}
	if err := m.Stop(t.Context(), "lost", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "lost")
}

func TestExitMakesAnEvent(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("ev", run("main", "serve")))
	pid := m.pid(t, "ev.main.0")
	eventually(t, "start's events have come", func() error {
		select {
		case <-m.Events():
			return errors.New("one more")
		default:
			return nil
		}
	})
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(10 * time.Second); ; {
		select {
		case <-m.Events():
		case <-deadline:
			t.Fatal("no event")
		}
		if c, err := m.see(t, "ev", "main"); err == nil && c.State == agent.Exited {
			return
		}
	}
}

func TestForeignContainersAreLeftAlone(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("mine", run("main", "serve")))
	foreign := func(ns string) func() error {
		ctx := namespaces.WithNamespace(t.Context(), ns)
		if _, err := m.client.Pull(ctx, shared.image, ctr.WithResolver(m.resolver()), ctr.WithPullUnpack); err != nil {
			t.Fatal(err)
		}
		image, err := m.client.GetImage(ctx, shared.image)
		if err != nil {
			t.Fatal(err)
		}
		id := "mine.foreign." + ns
		c, err := m.client.NewContainer(ctx, id, ctr.WithNewSnapshot(id, image), ctr.WithRuntime(runtimeName, nil),
			ctr.WithNewSpec(oci.WithProcessArgs("/program", "serve"), oci.WithCgroup(m.cfg.CgroupParent+"/foreign-"+ns)))
		if err != nil {
			t.Fatal(err)
		}
		task, err := c.NewTask(ctx, cio.NullIO)
		if err == nil {
			err = task.Start(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(ctx)
			client, err := dial(m.cfg.socket())
			if err != nil {
				t.Error(err)
				return
			}
			defer client.Close()
			c, err := client.LoadContainer(ctx, id)
			if err != nil {
				t.Error(err)
				return
			}
			if task, err := c.Task(ctx, nil); err == nil {
				_, err = task.Delete(ctx, ctr.WithProcessKill)
				if err != nil {
					t.Error(err)
				}
			}
		})
		return func() error {
			s, err := task.Status(ctx)
			if err == nil && s.Status != ctr.Running {
				err = fmt.Errorf("it is %s", s.Status)
			}
			return err
		}
	}
	runs := []func() error{foreign(namespace), foreign("other")}
	all, err := m.Observe(t.Context())
	if err != nil || len(all) != 1 || len(all[0].Containers) != 1 {
		t.Errorf("observed %+v, %v", all, err)
	}
	for _, id := range []string{"mine", "foreign", "mine.foreign"} {
		if err := m.Stop(t.Context(), id, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range runs {
		if err := r(); err != nil {
			t.Errorf("foreign container %d: %v", i, err)
		}
	}
}

func TestLogsAreBoundedWithoutAnAgent(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("spam", run("main", "spam")))
	m.stop()
	dir := filepath.Dir(m.cfg.logFile("spam", "main", 0))
	eventually(t, "log was cut", func() error {
		_, err := os.Stat(m.cfg.logFile("spam", "main", 0) + shim.Old)
		return err
	})
	info, err := os.Stat(m.cfg.logFile("spam", "main", 0) + shim.Old)
	if err != nil || info.Size() > shim.LogMax {
		t.Errorf("old part: %v, %v", info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 3 {
		t.Errorf("files are %v, %v", entries, err)
	}
	m.start(t)
	l, err := m.Logs(t.Context(), "spam", "main", agent.LogOptions{Tail: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := strings.Count(readAll(t, l), "\n"); got > 3 {
		t.Errorf("%d lines", got)
	}
	if err := m.Stop(t.Context(), "spam", time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "spam")
}

func TestStopOfHalfMadeThings(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("half", run("main", "serve"))
	m.pull(t, shared.image)
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if all, err := m.Observe(t.Context()); err != nil || len(all) != 1 || all[0].UID != p.UID || len(all[0].Containers) != 0 {
		t.Errorf("a sandbox alone is observed as %+v, %v", all, err)
	}
	// A crash between pinning and pinning again, and one between record and task.
	if err := unix.Mount(m.cfg.pinned("half", "net"), m.cfg.pinned("half", "net"), "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(m.cfg.pinned("half", "uts"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := m.create(t.Context(), p, &p.Spec.Containers[0], "half.main.0", 0, nil); err != nil {
		t.Fatal(err)
	}
	if c, err := m.see(t, "half", "main"); err != nil || c.State != agent.Created {
		t.Errorf("a record alone is observed as %+v, %v", c, err)
	}
	if _, err := m.Sandbox(t.Context(), p); err != nil || !isNamespace(m.cfg.pinned("half", "uts")) {
		t.Errorf("sandbox was not mended: %v", err)
	}
	if err := m.Start(t.Context(), p, "main", 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "half", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "half")
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if err := m.Stop(t.Context(), "half", time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "half")
}

func TestPodsShareShims(t *testing.T) {
	m := newMinion(t, func(c *Config) { c.PodsPerShim = 2 })
	for i := range 4 {
		m.up(t, pod("p"+strconv.Itoa(i), run("x", "serve"), run("y", "serve")))
	}
	if n := len(processes(isShim(m.cfg.Dir))); n != 2 {
		t.Errorf("%d shims for four pods", n)
	}
	done := make(chan error)
	for i := range 3 {
		go func() { done <- m.Stop(context.Background(), "p"+strconv.Itoa(i), 10*time.Second) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if c, err := m.see(t, "p3", "x"); err != nil || c.State != agent.Running {
		t.Errorf("the last pod: %+v, %v", c, err)
	}
}

func TestPurgeLeavesNothing(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("a", run("main", "serve"), run("side", "stubborn")))
	pids := []int{m.pid(t, "a.main.0"), m.pid(t, "a.side.0")}
	daemon, err := m.cfg.daemonPID()
	if err != nil {
		t.Fatal(err)
	}
	shims := processes(isShim(m.cfg.Dir))
	m.stop()
	if err := unix.Kill(shims[0], unix.SIGKILL); err != nil { // a crash before it
		t.Fatal(err)
	}
	for range 2 {
		if err := Purge(m.cfg); err != nil {
			t.Fatal(err)
		}
	}
	for _, mp := range mounts() {
		if strings.HasPrefix(mp.target, m.cfg.Dir) {
			t.Errorf("%s is mounted", mp.target)
		}
	}
	if dirs := cgroupDirs(m.cfg.CgroupParent); len(dirs) > 0 {
		t.Errorf("cgroups %v", dirs)
	}
	for _, pid := range append(append(pids, shims...), daemon) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(b) > 0 {
			t.Errorf("process %d lives: %q", pid, b)
		}
	}
	if _, err := os.Stat(m.cfg.Dir); err == nil {
		t.Errorf("directory is there")
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	m := newMinion(t, nil)
	if err := Daemon([]string{"-dir", m.cfg.Dir}); err == nil || !strings.Contains(err.Error(), "other containerd") {
		t.Errorf("second daemon: %v", err)
	}
}

// A list of tasks leaves out what does not answer in time: that is not the end of a container.
func TestHungShimIsNotAnEndedContainer(t *testing.T) {
	prepare(t)
	m := newMinion(t, nil)
	m.pull(t, shared.image)
	p := pod("hung", run("main", "serve"))
	m.up(t, p)
	shims := processes(isShim(m.cfg.Dir))
	if len(shims) != 1 {
		t.Fatalf("%d shims", len(shims))
	}
	if err := unix.Kill(shims[0], unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	resume := func() { _ = unix.Kill(shims[0], unix.SIGCONT) }
	defer resume()
	all, err := m.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 1 || len(all[0].Containers) != 1 || all[0].Containers[0].State != agent.Running {
		t.Errorf("with a shim that does not answer: %+v", all)
	}
	resume()
	all, err = m.Observe(t.Context())
	if err != nil || len(all) != 1 || all[0].Containers[0].State != agent.Running || all[0].Containers[0].Attempt != 0 {
		t.Errorf("afterwards: %+v, %v", all, err)
	}
}
