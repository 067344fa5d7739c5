package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/snapshots"
	"golang.org/x/sys/unix"

	"reconciler/agent"
	"reconciler/schema"
)

func TestPodStartsIsObservedAndStops(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("web-0", run("main", "serve"))
	m.up(t, p)
	all, err := m.Observe(t.Context())
	if err != nil || len(all) != 1 || len(all[0].Containers) != 1 {
		t.Fatalf("observed %+v, %v", all, err)
	}
	o, c := all[0], all[0].Containers[0]
	if o.ID != p.ID || o.UID != p.UID || o.Namespace != p.Namespace || o.Name != p.Name || o.Controller != p.Controller || o.Hash != p.Hash || o.Address != p.Address {
		t.Errorf("identity is %+v", o)
	}
	if o.Namespaces != m.cfg.pinned("web-0", "net") || !isNamespace(o.Namespaces) {
		t.Errorf("network namespace is %q", o.Namespaces)
	}
	if c.State != agent.Running || c.ID != "web-0.main.0" || c.Image != shared.image || time.Since(c.StartedAt) > time.Minute {
		t.Errorf("container is %+v", c)
	}
	pid := m.pid(t, c.ID)
	if err := m.Start(t.Context(), p, "main", 0); err != nil || m.pid(t, c.ID) != pid {
		t.Errorf("start again: %v, pid %d then %d", err, pid, m.pid(t, c.ID))
	}
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Errorf("sandbox again: %v", err)
	}
	m.log(t, "web-0", "main", "serving")
	for range 2 {
		if err := m.Stop(t.Context(), "web-0", 10*time.Second); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	if all, err := m.Observe(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("observed after stop: %+v, %v", all, err)
	}
	m.nothingOf(t, "web-0")
	if unix.Kill(pid, 0) == nil {
		t.Errorf("process %d still lives", pid)
	}
}

// nothingOf checks that an instance left nothing.
func (m *minion) nothingOf(t *testing.T, id string) {
	t.Helper()
	if _, err := os.Stat(m.cfg.podDir(id)); err == nil {
		t.Errorf("pod directory is still there")
	}
	if dirs := cgroupDirs(filepath.Join(m.cfg.CgroupParent, id)); len(dirs) > 0 {
		t.Errorf("cgroups are still there: %v", dirs)
	}
	for _, mp := range mounts() {
		if strings.HasPrefix(mp.target, m.cfg.podDir(id)+"/") {
			t.Errorf("%s is still mounted", mp.target)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(m.cfg.runcRoot(), namespace, id+"*")); len(left) > 0 {
		t.Errorf("runc's state is still there: %v", left)
	}
	_ = m.client.SnapshotService("").Walk(t.Context(), func(_ context.Context, i snapshots.Info) error {
		if i.Kind != snapshots.KindCommitted {
			t.Errorf("snapshot %s is still there", i.Name)
		}
		return nil
	})
}

func TestImageConfigurationAndEnvironment(t *testing.T) {
	m := newMinion(t, nil)
	full := strings.TrimSuffix(shared.image, ":1") + ":full"
	c := schema.Container{Name: "main", Image: full, Env: []schema.EnvVar{{Name: "FROM", Value: "container"}}}
	p := pod("full", c)
	p.Env = []schema.EnvVar{{Name: "FROM", Value: "service"}, {Name: "SERVICE", Value: "service"}}
	m.up(t, p)
	text := m.log(t, "full", "main", "run <nil>\n")
	for _, want := range []string{
		"hostname=name-full\n", `args=["image-cmd"]`, "uid=1234\n", "cwd=/work\n",
		"env FROM=container\n", "env SERVICE=service\n", "env IMAGE=only\n", "env HOSTNAME=name-full\n",
		"127.0.0.1\tlocalhost\n", "10.244.1.2\tname-full\n", "/etc/hostname <nil>\nname-full\n", "no name server",
		"CapBnd:\t00000000a80425fb\n", "Seccomp:\t2\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q inside", want)
		}
	}
	if strings.Count(text, "env FROM=") != 1 {
		t.Errorf("variable is there more than once")
	}
	if c := m.exited(t, "full", "main"); c.ExitCode != 0 || c.Reason != "Completed" {
		t.Errorf("ended as %+v", c)
	}
}

func TestStopSignalOfImageAndGrace(t *testing.T) {
	m := newMinion(t, nil)
	full := strings.TrimSuffix(shared.image, ":1") + ":full"
	signalled := schema.Container{Name: "signalled", Image: full, Command: []string{"/program", "serve"}}
	m.up(t, pod("sig", signalled, run("stubborn", "stubborn")))
	m.log(t, "sig", "signalled", "serving")
	m.log(t, "sig", "stubborn", "serving")
	f, err := m.Logs(t.Context(), "sig", "signalled", agent.LogOptions{Tail: -1, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := m.Stop(t.Context(), "sig", 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	b := readAll(t, f)
	if !strings.Contains(b, "signal: user defined signal 1") {
		t.Errorf("log is %q", b)
	}
	m.nothingOf(t, "sig")
}

func TestVolumes(t *testing.T) {
	m := newMinion(t, nil)
	dir := t.TempDir()
	sock := filepath.Join(m.cfg.Dir, "x.sock")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "from-host")
			c.Close()
		}
	}()
	full := strings.TrimSuffix(shared.image, ":1") + ":full"
	user := schema.Container{Name: "data", Image: full, Command: []string{"/program", "append", "/data/file"}, VolumeMounts: []schema.VolumeMount{{Name: "data", MountPath: "/data"}}}
	ro := run("ro", "append", "/ro/file")
	ro.VolumeMounts = []schema.VolumeMount{{Name: "host", MountPath: "/ro", ReadOnly: true}}
	so := run("sock", "dial", "unix", "/dev/log")
	so.VolumeMounts = []schema.VolumeMount{{Name: "sock", MountPath: "/dev/log"}}
	p := pod("vol", user, ro, so)
	p.Spec.Volumes = []schema.Volume{
		{Name: "data", EmptyDir: &schema.EmptyDir{}}, {Name: "host", HostPath: &schema.HostPath{Path: dir}}, {Name: "sock", HostPath: &schema.HostPath{Path: sock}},
	}
	m.up(t, p)
	m.log(t, "vol", "data", "content=x err=<nil>")
	m.log(t, "vol", "ro", "read-only file system")
	m.log(t, "vol", "sock", "got=from-host")
	m.exited(t, "vol", "data")
	if err := m.Start(t.Context(), p, "data", 1); err != nil {
		t.Fatal(err)
	}
	m.log(t, "vol", "data", "content=xx err=<nil>") // the directory outlived the container

	p.Spec.Volumes[1].HostPath.Path = "/does/not/exist"
	m.exited(t, "vol", "ro")
	err = m.Start(t.Context(), p, "ro", 1)
	if err == nil || !strings.Contains(err.Error(), `"/does/not/exist" is not on this minion`) {
		t.Errorf("missing host path: %v", err)
	}
	if err := m.Stop(t.Context(), "vol", time.Second); err != nil {
		t.Fatal(err)
	}
	m.nothingOf(t, "vol")
}

func TestLimitsAndOOM(t *testing.T) {
	m := newMinion(t, nil)
	c := run("main", "serve")
	c.Resources = schema.Resources{MilliCPU: 250, Memory: 32 << 20}
	eat := run("eat", "eat")
	eat.Resources.Memory = 16 << 20
	m.up(t, pod("lim", c, eat))
	cgroup := m.cgroup("lim", "main")
	found := 0
	for _, h := range hierarchies() {
		for file, want := range map[string]string{
			"memory.limit_in_bytes": "33554432", "memory.max": "33554432", "cpu.cfs_quota_us": "25000", "cpu.shares": "256", "cpu.max": "25000 100000",
		} {
			if b, err := os.ReadFile(filepath.Join(h, cgroup, file)); err == nil {
				found++
				if strings.TrimSpace(string(b)) != want {
					t.Errorf("%s is %s", file, b)
				}
			}
		}
	}
	if found < 2 {
		t.Errorf("found only %d limits", found)
	}
	if got := m.exited(t, "lim", "eat"); got.Reason != "OOMKilled" || got.ExitCode != 137 {
		t.Errorf("ended as %+v", got)
	}
}

func TestRestartsKeepTheLastExit(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("again", run("main", "exit", "7"))
	m.up(t, p)
	first := m.exited(t, "again", "main")
	if first.ExitCode != 7 || first.Reason != "Error" || first.Last != nil || first.FinishedAt.Before(first.StartedAt) {
		t.Errorf("first attempt: %+v", first)
	}
	m.log(t, "again", "main", "exiting 7")
	p.Spec.Containers[0] = pod("", run("main", "lines")).Spec.Containers[0]
	if err := m.Start(t.Context(), p, "main", 1); err != nil {
		t.Fatal(err)
	}
	m.stop()
	m.start(t) // a new agent knows it too
	c, err := m.see(t, "again", "main")
	if err != nil || c.State != agent.Running || c.Attempt != 1 || c.Last == nil || c.Last.ExitCode != 7 || c.Last.Reason != "Error" || !c.Last.FinishedAt.Equal(first.FinishedAt) {
		t.Errorf("second attempt: %+v, last %+v, %v", c, c.Last, err)
	}
	m.log(t, "again", "main", "to stderr")
	for _, o := range []struct {
		what string
		agent.LogOptions
		want string
	}{
		{"previous attempt", agent.LogOptions{Tail: -1, Previous: true}, "exiting 7\n"},
		{"no line", agent.LogOptions{Tail: 0}, ""},
		{"previous attempt's last line", agent.LogOptions{Tail: 1, Previous: true}, "exiting 7\n"},
	} {
		l, err := m.Logs(t.Context(), "again", "main", o.LogOptions)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, l); got != o.want {
			t.Errorf("log, %s: %q", o.what, got)
		}
		l.Close()
	}
	if err := m.Start(t.Context(), p, "main", 0); err == nil {
		t.Errorf("an older attempt was started")
	}
}

func TestStartErrorIsObserved(t *testing.T) {
	m := newMinion(t, nil)
	p := pod("bad", schema.Container{Name: "main", Command: []string{"/nothing"}})
	m.pull(t, shared.image)
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	err := m.Start(t.Context(), p, "main", 0)
	if err == nil || !strings.Contains(err.Error(), "/nothing") {
		t.Errorf("start said %v", err)
	}
	c, err := m.see(t, "bad", "main")
	if err != nil || c.State != agent.Exited || c.Reason != "StartError" || c.ExitCode != 128 || !strings.Contains(c.Message, "/nothing") {
		t.Errorf("observed %+v, %v", c, err)
	}
	p.Spec.Containers[0].Command = []string{"/program", "serve"}
	if err := m.Start(t.Context(), p, "main", 1); err != nil {
		t.Fatal(err)
	}
	if c, err := m.see(t, "bad", "main"); err != nil || c.State != agent.Running || c.Last == nil || c.Last.Reason != "StartError" {
		t.Errorf("observed %+v, %v", c, err)
	}
}

func TestContainersOfAPodShareTheNetwork(t *testing.T) {
	m := newMinion(t, nil)
	m.up(t, pod("two", run("server", "listen", "127.0.0.1:80"), run("client", "dial", "tcp", "127.0.0.1:80")))
	m.up(t, pod("other", run("server", "listen", "127.0.0.1:80"))) // the same port in an other pod
	m.log(t, "two", "client", "got=hello")
	if c, err := m.see(t, "other", "server"); err != nil || c.State != agent.Running {
		t.Errorf("other pod: %+v, %v", c, err)
	}
}

func TestPullSaysWhatIsWrong(t *testing.T) {
	m := newMinion(t, nil)
	host := strings.TrimSuffix(shared.image, "/program:1")
	for _, ref := range []string{host + "/none:1", host + "/program:none", "NOT A NAME"} {
		if err := m.Pull(t.Context(), ref, nil); !errors.Is(err, agent.ErrImage) {
			t.Errorf("pull %q: %v", ref, err)
		}
	}
	if err := m.Pull(t.Context(), "127.0.0.1:1/program:1", nil); err == nil || errors.Is(err, agent.ErrImage) {
		t.Errorf("pull from a registry that is away: %v", err)
	}
	if has, err := m.HasImage(t.Context(), shared.image); has || err != nil {
		t.Errorf("image is there before the pull: %v, %v", has, err)
	}
	var last agent.PullProgress
	if err := m.Pull(t.Context(), shared.image, func(p agent.PullProgress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.Total == 0 || last.Done != last.Total {
		t.Errorf("progress ended at %+v", last)
	}
	if has, err := m.HasImage(t.Context(), shared.image); !has || err != nil {
		t.Errorf("image is not there after the pull: %v, %v", has, err)
	}
}
