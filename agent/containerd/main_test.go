package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"reconciler/agent"
	"reconciler/schema"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == ShimName {
		Shim()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == DaemonArg {
		if err := Daemon(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code := m.Run()
	if shared.registry != nil {
		shared.registry.Close()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// shared is what all tests use and none changes: the program, images in a registry, the lean shim.
var shared struct {
	once     sync.Once
	err      error
	dir      string
	registry *httptest.Server
	image    string // host:port/program:1, no command of its own
}

func prepare(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := exec.LookPath("runc"); err != nil {
		t.Skip("needs runc")
	}
	shared.once.Do(func() { shared.err = prepareShared() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
}

func prepareShared() error {
	var err error
	if shared.dir, err = os.MkdirTemp("", "rct"); err != nil {
		return err
	}
	for out, pkg := range map[string]string{"program": "./testdata/program", ShimName: "reconciler/cmd/" + ShimName} {
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(shared.dir, out), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", pkg, err, b)
		}
	}
	shared.registry = httptest.NewServer(registry.New(registry.Logger(discardLogger())))
	host := strings.TrimPrefix(shared.registry.URL, "http://")
	shared.image = host + "/program:1"
	program, err := os.ReadFile(filepath.Join(shared.dir, "program"))
	if err != nil {
		return err
	}
	for tag, config := range map[string]v1.Config{
		"program:1": {},
		"program:full": {
			Entrypoint: []string{"/program", "show"}, Cmd: []string{"image-cmd"}, WorkingDir: "/work", User: "1234:5678",
			Env: []string{"FROM=image", "IMAGE=only", "SERVICE=image"}, StopSignal: "SIGUSR1",
		},
	} {
		if err := push(host+"/"+tag, program, config); err != nil {
			return err
		}
	}
	return nil
}

func push(ref string, program []byte, config v1.Config) error {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"etc/", "work/", "tmp/", "run/", "proc/", "sys/", "dev/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Mode: 0o755, Typeflag: tar.TypeDir}); err != nil {
			return err
		}
	}
	for file, b := range map[string][]byte{"program": program, "run/kept": nil} {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(b)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return err
	}
	to, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(to, image)
}

// minion is a runtime on directories and a cgroup of its own, with Run running.
type minion struct {
	*Runtime
	cfg  Config
	stop func() // ends Run, as if the agent went away
}

// newMinion purges everything at the end of the test.
func newMinion(t testing.TB, change func(*Config)) *minion {
	t.Helper()
	prepare(t)
	dir, err := os.MkdirTemp("", "rc")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: dir, CgroupParent: "/" + filepath.Base(dir), Log: testLogger(t)}
	if change != nil {
		change(&cfg)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(dir, "daemon.log"))
			t.Logf("daemon.log:\n%s", b)
		}
		if err := Purge(cfg); err != nil {
			t.Errorf("purge: %v", err)
		}
	})
	m := &minion{cfg: cfg}
	m.start(t)
	return m
}

// start is an agent that comes (back).
func (m *minion) start(t testing.TB) {
	t.Helper()
	r, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.Runtime = r
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		r.client.Close()
	})
	t.Cleanup(m.stop)
	eventually(t, "containerd answers", func() error { _, err := r.Version(t.Context()); return err })
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writer struct{ t testing.TB }

func (w writer) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", bytes.TrimSpace(b))
	}
	return len(b), nil
}

// eventually polls until f says nil.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("not so in time: %s: %v", what, err)
}

// pod has the given containers, each with the image shared.image unless it has one.
func pod(id string, containers ...schema.Container) agent.Pod {
	for i := range containers {
		if containers[i].Image == "" {
			containers[i].Image = shared.image
		}
	}
	return agent.Pod{
		ID: id, UID: "uid-" + id, Namespace: "default", Name: "name-" + id, Controller: "ctl-" + id, Hash: "abc",
		Address: netip.MustParseAddr("10.244.1.2"), Spec: schema.PodSpec{Containers: containers},
	}
}

func run(name string, command ...string) schema.Container {
	return schema.Container{Name: name, Command: append([]string{"/program"}, command...)}
}

// up pulls, makes the sandbox and starts all containers at attempt 0.
func (m *minion) up(t testing.TB, p agent.Pod) {
	t.Helper()
	for _, c := range p.Spec.Containers {
		m.pull(t, c.Image)
	}
	if _, err := m.Sandbox(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	for _, c := range p.Spec.Containers {
		if err := m.Start(t.Context(), p, c.Name, 0); err != nil {
			t.Fatalf("start %s: %v", c.Name, err)
		}
	}
}

func (m *minion) pull(t testing.TB, image string) {
	t.Helper()
	if has, err := m.HasImage(t.Context(), image); err != nil {
		t.Fatal(err)
	} else if !has {
		if err := m.Pull(t.Context(), image, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// see is one container as observed.
func (m *minion) see(t testing.TB, id, container string) (agent.ObservedContainer, error) {
	t.Helper()
	all, err := m.Observe(t.Context())
	if err != nil {
		return agent.ObservedContainer{}, err
	}
	for _, o := range all {
		for _, c := range o.Containers {
			if o.ID == id && c.Name == container {
				return c, nil
			}
		}
	}
	return agent.ObservedContainer{}, errors.New("not observed")
}

// exited waits for the container's end.
func (m *minion) exited(t testing.TB, id, container string) agent.ObservedContainer {
	t.Helper()
	var c agent.ObservedContainer
	eventually(t, id+"/"+container+" has ended", func() error {
		var err error
		if c, err = m.see(t, id, container); err == nil && c.State != agent.Exited {
			err = fmt.Errorf("it is %s", c.State)
		}
		return err
	})
	return c
}

// log is the whole log once it holds want.
func (m *minion) log(t testing.TB, id, container, want string) string {
	t.Helper()
	var text string
	eventually(t, fmt.Sprintf("log of %s/%s has %q", id, container, want), func() error {
		l, err := m.Logs(t.Context(), id, container, agent.LogOptions{Tail: -1})
		if err != nil {
			return err
		}
		defer l.Close()
		b, err := io.ReadAll(l)
		if text = string(b); err == nil && !strings.Contains(text, want) {
			err = fmt.Errorf("log is %q", text)
		}
		return err
	})
	return text
}

// pid is the container's process.
func (m *minion) pid(t testing.TB, containerID string) int {
	t.Helper()
	tasks, err := m.tasks(t.Context())
	if err != nil || tasks[containerID] == nil {
		t.Fatalf("no task %q: %v", containerID, err)
	}
	return int(tasks[containerID].Pid)
}

func discardLogger() *stdlog.Logger { return stdlog.New(io.Discard, "", 0) }
