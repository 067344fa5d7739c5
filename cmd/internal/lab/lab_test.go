package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/vishvananda/netlink"

	"reconciler/cmd/internal/lab"
)

// open makes a lab below /tmp that is gone after the test, whatever happens in it.
func open(t *testing.T, minions int) (*lab.Lab, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open(lab.Config{Dir: dir, Minions: minions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Down(ctx, nil); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return l, dir
}

func up(t *testing.T, l *lab.Lab) {
	t.Helper()
	if err := l.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// traces are what is on the machine of the lab in dir, from every place where something can be left.
func traces(t *testing.T, l *lab.Lab, dir string) []string {
	t.Helper()
	var out []string
	prefix := strings.TrimSuffix(filepath.Base(l.NetNS("hub")), "hub")
	group := filepath.Dir(l.CgroupParent("x"))
	nets, _ := filepath.Glob("/run/netns/" + prefix + "*")
	out = append(out, nets...)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) || strings.Contains(line, prefix) {
			out = append(out, "mount "+line)
		}
	}
	cgroups, _ := filepath.Glob("/sys/fs/cgroup/*" + group)
	out = append(out, cgroups...)
	if _, err := os.Stat("/sys/fs/cgroup" + group); err == nil { // one hierarchy for all controllers
		out = append(out, "/sys/fs/cgroup"+group)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		switch n := link.Attrs().Name; {
		case n == "master", n == "desktop", n == "minions", strings.HasPrefix(n, "minion-"):
			out = append(out, "link "+n)
		}
	}
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		if cmd, err := os.ReadFile(p + "/cmdline"); err == nil && bytes.Contains(cmd, []byte(dir)) {
			if st, err := os.ReadFile(p + "/stat"); err == nil && !bytes.Contains(st, []byte(") Z ")) {
				out = append(out, p+" "+string(bytes.ReplaceAll(cmd, []byte{0}, []byte{' '})))
			}
		}
	}
	if _, err := os.Stat(dir); err == nil {
		out = append(out, dir)
	}
	return out
}

// left are the processes that the stand-in agents started.
func left(t *testing.T, l *lab.Lab, minion string) []int {
	t.Helper()
	var b []byte
	deadline := time.Now().Add(10 * time.Second)
	for {
		var err error
		if b, err = os.ReadFile(filepath.Join(l.MinionDir(minion), "agent", "left")); err == nil && len(strings.Fields(string(b))) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("agent of %s left no container: %v", minion, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	var out []int
	for f := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func run(t *testing.T, l *lab.Lab, namespace string, argv ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code, err := l.Exec(t.Context(), namespace, argv, lab.Stdio{Out: &out, Err: &out})
	if err != nil {
		t.Fatal(err)
	}
	return code, out.String()
}

// Mutants: the hub does not forward; it has a way to everywhere; up does not mend a cut link.
func TestNamespacesReachEachOtherAndNothingElse(t *testing.T) {
	l, _ := open(t, 2)
	up(t, l)
	addresses := map[string]string{
		lab.Master: lab.MasterAddress, lab.Desktop: lab.DesktopAddress, "10.245.2.2": "10.245.2.2", "10.245.2.3": "10.245.2.3",
	}
	for from := range addresses {
		for to, a := range addresses {
			// Nobody listens on port 9: to be refused is to be reached.
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			c, err := l.Dial(ctx, from, "tcp", a+":9")
			cancel()
			if err == nil {
				c.Close()
			}
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("%s -> %s: %v, want connection refused", from, to, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		// RFC 5737: an address that belongs to nobody.
		if c, err := l.Dial(ctx, from, "tcp", "192.0.2.1:9"); err == nil {
			c.Close()
			t.Errorf("%s reached the world", from)
		} else if !errors.Is(err, syscall.ENETUNREACH) && !errors.Is(err, syscall.EHOSTUNREACH) {
			t.Errorf("%s -> world: %v, want no route", from, err)
		}
		cancel()
	}
	if err := l.SetLink("10.245.2.3", false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := l.Dial(ctx, lab.Desktop, "tcp", "10.245.2.3:9"); err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("cut link: %v, want no answer", err)
	}
	up(t, l) // mends it
	ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := l.Dial(ctx, lab.Desktop, "tcp", "10.245.2.3:9"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("mended link: %v, want connection refused", err)
	}
}

func TestUpAgainChangesNothing(t *testing.T) {
	l, dir := open(t, 2)
	up(t, l)
	before, err := l.Status()
	if err != nil {
		t.Fatal(err)
	}
	if !before.Healthy() || len(before.Processes) != 6 {
		t.Fatalf("after up: %+v", before)
	}
	up(t, l)
	after, err := l.Status()
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("second up changed\n%v\nto\n%v", before, after)
	}
	if err := l.Kill(t.Context(), "agent-10.245.2.2"); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(l.MinionDir("10.245.2.2"), "agent", "left"))
	up(t, l)
	if l.PID("agent-10.245.2.2") == 0 || l.PID("server") != pid(before, "server") {
		t.Errorf("up did not start the killed agent alone")
	}
	smaller, err := lab.Open(lab.Config{Dir: dir, Minions: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := smaller.Up(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "run down first") {
		t.Errorf("shrink: %v", err)
	}
}

func pid(s lab.Status, name string) int {
	for _, p := range s.Processes {
		if p.Name == name {
			return p.PID
		}
	}
	return 0
}

// Mutants: nothing is ended by its namespace; the start time of a pid file is not compared; pins stay mounted; cgroups stay.
func TestDownLeavesNothing(t *testing.T) {
	cases := map[string]func(t *testing.T, l *lab.Lab, dir string, stranger int){
		"after up": func(*testing.T, *lab.Lab, string, int) {},
		"after every daemon was killed": func(t *testing.T, l *lab.Lab, _ string, _ int) {
			s, err := l.Status()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range s.Processes {
				if err := l.Kill(t.Context(), p.Name); err != nil {
					t.Fatal(err)
				}
			}
		},
		"after the pid files were lost": func(t *testing.T, _ *lab.Lab, dir string, _ int) {
			if err := os.RemoveAll(filepath.Join(dir, "run")); err != nil {
				t.Fatal(err)
			}
		},
		"after a pid file that names another process": func(t *testing.T, _ *lab.Lab, dir string, stranger int) {
			b := fmt.Appendf(nil, `{"pid":%d,"start":1,"command":"x"}`, stranger)
			if err := os.WriteFile(filepath.Join(dir, "run", "server.pid"), b, 0o644); err != nil {
				t.Fatal(err)
			}
		},
	}
	for what, damage := range cases {
		t.Run(what, func(t *testing.T) {
			l, dir := open(t, 2)
			up(t, l)
			pids := append(left(t, l, "10.245.2.2"), left(t, l, "10.245.2.3")...)
			if len(traces(t, l, dir)) == 0 {
				t.Fatal("the test sees no traces of a running lab")
			}
			// A stranger in the machine's own namespaces, with the lab's name in its arguments, is not the lab's.
			stranger := exec.Command(os.Args[0], "sleep", "stranger")
			if err := stranger.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
			damage(t, l, dir, stranger.Process.Pid)
			if err := l.Down(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got := traces(t, l, dir); len(got) > 0 {
				t.Errorf("left:\n%s", strings.Join(got, "\n"))
			}
			for _, pid := range pids {
				if alive(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
			if !alive(stranger.Process.Pid) {
				t.Error("a stranger was ended")
			}
			if err := l.Down(t.Context(), nil); err != nil {
				t.Errorf("second down: %v", err)
			}
		})
	}
}

// An up that is killed at any moment can be followed by up and by down.
func TestInterruptedUp(t *testing.T) {
	for _, after := range []time.Duration{5, 40, 120, 250} {
		t.Run((after * time.Millisecond).String(), func(t *testing.T) {
			l, dir := open(t, 1)
			cmd := exec.Command(os.Args[0], "up", dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			kill := time.AfterFunc(after*time.Millisecond, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			kill.Stop()
			up(t, l)
			if s, err := l.Status(); err != nil || !s.Healthy() {
				t.Errorf("status %+v, %v", s, err)
			}
			if err := l.Down(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got := traces(t, l, dir); len(got) > 0 {
				t.Errorf("left:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}

func TestDownSparesForeignDirectories(t *testing.T) {
	l, dir := open(t, 1)
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := l.Up(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("up: %v", err)
	}
	if err := l.Down(t.Context(), nil); err == nil {
		t.Error("down took a foreign directory for a lab")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	_ = os.Remove(precious)
}

func TestExec(t *testing.T) {
	l, _ := open(t, 1)
	up(t, l)
	if code, out := run(t, l, lab.Desktop, "ip", "-4", "-o", "address", "show", "eth0"); code != 0 || !strings.Contains(out, lab.DesktopAddress+"/24") {
		t.Errorf("desktop: %d %s", code, out)
	}
	if code, _ := run(t, l, lab.Desktop, "sh", "-c", "exit 7"); code != 7 {
		t.Errorf("exit code %d, want 7", code)
	}
	if code, _ := run(t, l, lab.Desktop, "sh", "-c", "kill -KILL $$"); code != 137 {
		t.Errorf("exit code of a killed command %d, want 137", code)
	}
	if code, out := run(t, l, "10.245.2.2", "sh", "-c", "test -S /dev/log && test -c /dev/null && echo ok > /dev/null && ls /dev/pts >/dev/null"); code != 0 {
		t.Errorf("minion's /dev: %d %s", code, out)
	}
	if _, err := l.Exec(t.Context(), "10.245.2.9", []string{"true"}, lab.Stdio{}); err == nil {
		t.Error("exec in a minion that is not there")
	}
	var out bytes.Buffer
	if _, err := l.Exec(t.Context(), lab.Desktop, []string{"cat"}, lab.Stdio{In: strings.NewReader("in"), Out: &out}); err != nil || out.String() != "in" {
		t.Errorf("standard input: %q %v", &out, err)
	}
}

func TestSyslogOfAMinion(t *testing.T) {
	l, _ := open(t, 1)
	up(t, l)
	if code, out := run(t, l, "10.245.2.2", "logger", "--socket", "/dev/log", "hello from a pod"); code != 0 {
		t.Fatalf("logger: %d %s", code, out)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		b, err := os.ReadFile(l.Syslog("10.245.2.2"))
		if err == nil && bytes.Contains(b, []byte("hello from a pod\n")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("syslog holds %q, %v", b, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestPushedImageCanBePulledByAMinion(t *testing.T) {
	l, _ := open(t, 1)
	up(t, l)
	img, err := random.Image(2048, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "some/image:1"})); err != nil {
		t.Fatal(err)
	}
	names, err := l.Push(t.Context(), dir, "")
	if err != nil || len(names) != 1 || names[0] != lab.RegistryAddress+"/some/image:1" {
		t.Fatalf("push: %v %v", names, err)
	}
	if err := l.Kill(t.Context(), "registry"); err != nil {
		t.Fatal(err)
	}
	up(t, l)
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.Dial(ctx, "10.245.2.2", network, address)
		},
		DisableKeepAlives: true,
	}}
	r, err := client.Get("http://" + lab.RegistryAddress + "/v2/some/image/manifests/1")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK || !bytes.Contains(b, []byte("layers")) {
		t.Errorf("%s: %s", r.Status, b)
	}
}

// state is everything of the machine that a refused up could have changed.
func state(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, dir := range []string{"/run/netns", "/var/lib/reconciler"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			fmt.Fprintln(&out, dir, e.Name())
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	out.Write(mounts)
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		fmt.Fprintln(&out, l.Attrs().Name)
	}
	return out.String()
}

func TestPreflightChangesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	place, err := os.MkdirTemp("", "lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(place)
	if err := os.Chmod(place, 0o777); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(place, "reconciler")
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(place, "lab")
	cases := map[string]struct {
		change func(*exec.Cmd)
		want   string
	}{
		"nobody": {func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}, "run this as root"},
		"root without programs": {func(c *exec.Cmd) { c.Env = []string{"PATH=/nonexistent"} }, "apt-get install git"},
		"root without capabilities": {func(c *exec.Cmd) {
			c.Path, c.Args = "/usr/bin/setpriv", append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, c.Args...)
		}, "CAP_SYS_ADMIN is missing"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			for range 5 { // others may use the machine at the same time
				before := state(t)
				cmd := exec.Command(program, "up", dir)
				c.change(cmd)
				out, err := cmd.CombinedOutput()
				if err == nil || !strings.Contains(string(out), c.want) {
					t.Fatalf("got %v, %q, want %q", err, out, c.want)
				}
				if strings.Count(strings.TrimSpace(string(out)), "\n") != 0 {
					t.Errorf("not one sentence: %q", out)
				}
				if _, err := os.Stat(dir); err == nil {
					t.Fatal("a directory was made")
				}
				if state(t) == before {
					return
				}
			}
			t.Error("the machine was changed")
		})
	}
	t.Run("a machine that has all", func(t *testing.T) {
		for range 5 {
			before := state(t)
			if err := lab.Preflight(); err != nil {
				t.Fatal(err)
			}
			if state(t) == before {
				return
			}
		}
		t.Error("the machine was changed")
	})
}
