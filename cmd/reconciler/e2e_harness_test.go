package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reconciler/cmd/internal/lab"
	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/client"
	"reconciler/schema/load"
)

// layouts is where images are built, once for all runs.
const layouts = "../../dist/images"

// layout builds an image, or finds it up to date.
func layout(ctx context.Context, name string) error {
	_, err := command(ctx, "../../examples/images", "go", "run", ".", "-out", layouts, name)
	return err
}

// image is the test image's name in the registry.
const image = lab.RegistryAddress + "/testpod:1"

// cluster is a real local cluster of three minions that all end-to-end tests share: a commit of each test replaces what the
// one before declared.
type cluster struct {
	lab    *lab.Lab
	binary string
	work   string // clone that commits are made in
	client *client.Client
}

var (
	clusterOnce sync.Once
	theCluster  *cluster
	clusterErr  error
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == load.ChildArg { // verbs that run in this program evaluate CUE by it
		os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 2 && os.Args[1] == fenceServerArg {
		os.Exit(ended(os.Stderr, fenceServer(os.Args[2:])))
	}
	code := m.Run()
	if theCluster != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := theCluster.lab.Down(ctx, nil); err != nil {
			fmt.Fprintln(os.Stderr, "local cluster is not removed:", err)
			code = max(code, 1)
		}
		_ = os.RemoveAll(filepath.Dir(theCluster.work))
	}
	os.Exit(code)
}

// theLab brings the shared cluster up, once.
func theLab(t testing.TB) *cluster {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it runs a local cluster")
	}
	if testing.Short() {
		t.Skip("an end-to-end test")
	}
	clusterOnce.Do(func() { theCluster, clusterErr = bringUp() })
	if clusterErr != nil {
		t.Fatal("bring local cluster up: ", clusterErr)
	}
	return theCluster
}

func bringUp() (c *cluster, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	tmp, err := os.MkdirTemp("", "rc-e2e-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil && theCluster == nil {
			_ = os.RemoveAll(tmp)
		}
	}()
	bin := filepath.Join(tmp, "bin")
	if _, err := command(ctx, "../..", "go", "build", "-o", bin+"/", "./cmd/reconciler", "./cmd/containerd-shim-reconciler-v2"); err != nil {
		return nil, err
	}
	if err := layout(ctx, "testpod"); err != nil {
		return nil, err
	}
	c = &cluster{binary: filepath.Join(bin, "reconciler"), work: filepath.Join(tmp, "work")}
	if c.lab, err = lab.Open(lab.Config{Dir: filepath.Join(tmp, "lab"), Minions: 3, Binary: c.binary}); err != nil {
		return nil, err
	}
	theCluster = c // removed even if it comes up only half
	if err := c.lab.Up(ctx, nil); err != nil {
		return nil, err
	}
	for _, tag := range []string{"testpod:1", "testpod:2"} {
		if _, err := c.lab.Push(ctx, filepath.Join(layouts, "testpod"), tag); err != nil {
			return nil, err
		}
	}
	c.client = client.New(c.lab.Socket())
	// A test deletes the branch.
	if _, err := command(ctx, c.lab.Repository(), "git", "config", "receive.denyDeleteCurrent", "ignore"); err != nil {
		return nil, err
	}
	_, err = command(ctx, tmp, "git", "clone", "--quiet", c.lab.Repository(), c.work)
	return c, err
}

// command runs a program and returns its output.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// git runs git in the clone.
func (c *cluster) git(t testing.TB, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), c.work, "git", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// files is a tree of manifests by name.
type files map[string]string

// commit makes the tree be exactly these files, commits it and returns the commit's hash.
func (c *cluster) commit(t testing.TB, message string, tree files) string {
	t.Helper()
	c.git(t, "checkout", "--quiet", "-B", "main")
	entries, err := os.ReadDir(c.work)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != ".git" {
			if err := os.RemoveAll(filepath.Join(c.work, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range tree {
		path := filepath.Join(c.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.git(t, "add", "-A")
	c.git(t, "commit", "--quiet", "--allow-empty", "-m", message)
	return c.git(t, "rev-parse", "HEAD")
}

// push commits a tree and pushes it.
func (c *cluster) push(t testing.TB, tree files) string {
	t.Helper()
	h := c.commit(t, "Test\n\nAllow-Delete: all", tree)
	c.git(t, "push", "--quiet", "--force", "origin", "main")
	return h
}

// apply pushes a tree and waits until all of it is well and nothing else is left.
func (c *cluster) apply(t testing.TB, tree files) string {
	t.Helper()
	h := c.push(t, tree)
	c.until(t, "everything is as declared", func() bool {
		st := c.fresh(t)
		return st.Applied.Hash == h && settled(st) && !leaving(st)
	})
	return h
}

// leaving tells whether an instance is on its way out.
func leaving(st reconcile.Status) bool {
	for _, i := range st.Instances {
		if i.Binding.Phase != assignment.Run {
			return true
		}
	}
	return false
}

// status is the server's, after a look at the repository.
func (c *cluster) fresh(t testing.TB) reconcile.Status {
	t.Helper()
	st, err := c.client.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// until waits for a condition, with what is known of the cluster if it does not come.
func (c *cluster) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			out, _, _ := c.cli(t, "status")
			t.Fatalf("waited in vain until %s\n%s\n%s", what, out, c.logs())
		}
		select {
		case <-t.Context().Done():
			t.Fatal("test ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// logs is the end of each process's log.
func (c *cluster) logs() string {
	st, err := c.lab.Status()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, p := range st.Processes {
		text, _ := os.ReadFile(p.Log)
		lines := strings.Split(string(text), "\n")
		fmt.Fprintf(&b, "--- %s (pid %d)\n%s\n", p.Name, p.PID, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	}
	return b.String()
}

// cli runs the command line in the clone, against this cluster.
func (c *cluster) cli(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.work, &out, &errs
	cmd.Env = append(os.Environ(), "RECONCILER_SERVER="+c.lab.Socket())
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// instance is the instance of a pod that is to run, nil if there is none.
func (c *cluster) instance(t testing.TB, pod string) *reconcile.InstanceStatus {
	t.Helper()
	st := c.fresh(t)
	for i := range st.Instances {
		if b := st.Instances[i].Binding; b.Pod == pod && b.Phase == assignment.Run {
			return &st.Instances[i]
		}
	}
	return nil
}

// containers is every container of the status with its restarts and start: it changes if any was touched.
func (c *cluster) containers(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, i := range c.fresh(t).Instances {
		if i.Observed == nil {
			fmt.Fprintf(&b, "%s not reported\n", i.Binding.ID)
			continue
		}
		for _, k := range i.Observed.Containers {
			fmt.Fprintf(&b, "%s %s %s %d %s\n", i.Binding.ID, k.ID, k.State, k.Restarts, k.StartedAt.UTC().Format(time.RFC3339Nano))
		}
	}
	return b.String()
}

// get asks over HTTP from a place in the lab.
func (c *cluster) get(t testing.TB, from, url string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return c.lab.Dial(ctx, from, network, address)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return strings.TrimSpace(string(b)), err
}

// in runs a command at a place of the lab.
func (c *cluster) in(t testing.TB, where string, argv ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	code, err := c.lab.Exec(t.Context(), where, argv, lab.Stdio{Out: &out, Err: &out})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String()), code
}

// up starts again what was killed.
func (c *cluster) up(t testing.TB) {
	t.Helper()
	if err := c.lab.Up(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// pod is a v1 pod of the test image. Without probes, ready is a matter of time: 0.2 s is enough for it to listen.
func pod(name, labels, more string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {%s}, annotations: {reconciler/min-ready-seconds: "0.2"}}
spec:
  containers:
  - name: c
    image: %s
    args: ["%s"]
    ports: [{containerPort: 8080, name: http}]
%s`, name, labels, image, strings.Join(args, `", "`), more)
}

// controller is a v1 replication controller of the test image.
func controller(name string, replicas int, img string, args ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ReplicationController
metadata: {name: %s}
spec:
  replicas: %d
  selector: {app: %s}
  template:
    metadata: {labels: {app: %s}, annotations: {reconciler/min-ready-seconds: "0.2"}}
    spec:
      containers:
      - name: c
        image: %s
        args: ["%s"]
        ports: [{containerPort: 8080, name: http}]
`, name, replicas, name, name, img, strings.Join(args, `", "`))
}

// service is a v1 service on port 80 of pods that listen on 8080.
func service(name, selector string, publicIPs ...string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  selector: {%s}
  ports: [{port: 80, targetPort: 8080}]
  externalIPs: [%s]
`, name, selector, strings.Join(publicIPs, ", "))
}
