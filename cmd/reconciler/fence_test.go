package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"reconciler/cmd/internal/lab"
	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link"
	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/link/pki/registrytest"
	"reconciler/schema"
)

// fenceServerArg makes the test program a server whose assignments are a file's, for agents that are real.
const fenceServerArg = "fence-server"

// fenceServer stands for the verbs serve and token of a lab. What is assigned is in its directory's want.json, by minion; what
// it knows of the minions it writes to minions.json.
func fenceServer(args []string) (err error) {
	f := flag.NewFlagSet(fenceServerArg, flag.ContinueOnError)
	value := map[string]*string{}
	for _, name := range []string{"dir", "repo", "branch", "listen", "socket", "server", "uses", "valid"} {
		value[name] = f.String(name, "", "")
	}
	if args[0] == "token" {
		if err := f.Parse(args[2:]); err != nil {
			return err
		}
		b, err := os.ReadFile(*value["server"])
		fmt.Print(string(b))
		return err
	}
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dir := *value["dir"]
	authority, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: filepath.Join(dir, "pki"), Fleet: "fence"})
	if err != nil {
		return err
	}
	s, err := link.NewServer(link.ServerConfig{Fleet: "fence", Epoch: 1, Authority: authority, Registry: &registrytest.Memory{}, Version: "test", Log: slog.Default()})
	if err != nil {
		return err
	}
	token, err := s.Token(ctx, 0, time.Hour)
	if err != nil {
		return err
	}
	if err := os.WriteFile(*value["socket"], []byte(token), 0o600); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *value["listen"])
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	for ctx.Err() == nil {
		if err := fenceStep(s, dir); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-s.Changed():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return <-served
}

// fenceStep says what it knows of the minions and gives them their assignments, decided with that.
func fenceStep(s *link.Server, dir string) error {
	minions := s.Minions()
	b, err := json.Marshal(minions)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "minions.json")
	if err := errors.Join(os.WriteFile(file+".new", b, 0o600), os.Rename(file+".new", file)); err != nil {
		return err
	}
	b, err = os.ReadFile(filepath.Join(dir, "want.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var want map[string]assignment.Assignment
	if err := errors.Join(err, json.Unmarshal(b, &want)); err != nil {
		return err
	}
	for name, a := range want {
		a.Contact = minions[name].Contact
		want[name] = a
	}
	s.SetAssignments(want)
	return nil
}

// A minion is cut off: its fenced pod ends before anybody could have taken it for lost, the other goes on, and both run when it is
// back. Mutants: the agent halts nothing; contact alone starts it again.
func TestFencedPodEndsOnAMinionThatIsCutOff(t *testing.T) {
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("an end-to-end test that needs root")
	}
	tmp, err := os.MkdirTemp("", "rc-fence-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	l, server := fenceLab(t, tmp)
	minion := lab.MinionNames(1)[0]
	spec := schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: image, Args: []string{"-http", ":8080"}}}}
	want := assignment.Assignment{Fleet: "fence", Minion: minion, Network: netip.MustParsePrefix("10.244.1.0/24"), Lease: assignment.MinLease}
	for i, name := range []string{"db", "web"} {
		want.Instances = append(want.Instances, assignment.Instance{ID: name, UID: name, Namespace: "default", Pod: name, Created: time.Now(), Hash: spec.Hash(),
			Spec: spec.CanonicalJSON(), Address: netip.AddrFrom4([4]byte{10, 244, 1, byte(2 + i)}), Phase: assignment.Run, Fence: name == "db"})
	}
	b, err := json.Marshal(map[string]assignment.Assignment{minion: want})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(server, "want.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	known := func() reconcile.Minion {
		var all map[string]reconcile.Minion
		b, err := os.ReadFile(filepath.Join(server, "minions.json"))
		if err != nil || json.Unmarshal(b, &all) != nil {
			return reconcile.Minion{}
		}
		return all[minion]
	}
	answers := func(name string) bool { // on the minion itself
		i := map[string]int{"db": 0, "web": 1}[name]
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.Dial(ctx, minion, network, address)
		}}
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+want.Instances[i].Address.String()+":8080/hostname", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: tr}).Do(r)
		if err != nil {
			return false
		}
		return res.Body.Close() == nil
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(90 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				log, _ := os.ReadFile(l.Log("agent-" + minion))
				t.Fatalf("waited in vain until %s: %+v\n%s", what, known().Report, log[max(0, len(log)-4000):])
			}
		}
	}
	container := func(i int) (c assignment.ContainerStatus) {
		if r := known().Report; r != nil && len(r.Instances) == 2 && len(r.Instances[i].Containers) == 1 {
			c = r.Instances[i].Containers[0]
		}
		return c
	}
	until("both pods answer", func() bool { return answers("db") && answers("web") })
	time.Sleep(assignment.MinLease + 2*time.Second) // longer than a lease: it is renewed
	if !answers("db") || container(0).Restarts != 0 {
		t.Fatalf("the fenced pod did not go on in contact: %+v", container(0))
	}

	if err := l.SetLink(minion, false); err != nil {
		t.Fatal(err)
	}
	cut := time.Now()
	until("the fenced pod has ended", func() bool { return !answers("db") })
	ended, seen := time.Now(), known().LastSeen
	t.Logf("it ended %.1f s after the cut and %.1f s after the minion was last seen", ended.Sub(cut).Seconds(), ended.Sub(seen).Seconds())
	if late := seen.Add(want.Lease + assignment.FenceMargin); ended.After(late) {
		t.Errorf("it ended %s after the server could have moved it", ended.Sub(late))
	}
	time.Sleep(5 * time.Second)
	if answers("db") || !answers("web") {
		t.Errorf("on the minion that is cut off db answers %v, web %v", answers("db"), answers("web"))
	}

	if err := l.SetLink(minion, true); err != nil {
		t.Fatal(err)
	}
	until("both answer again", func() bool { return answers("db") && answers("web") && container(0).Restarts == 1 })
	if db, web := container(0), container(1); db.Last == nil || db.Last.Reason != assignment.Fenced || web.Restarts != 0 {
		t.Errorf("reported %+v (last %+v) and %+v", db, db.Last, web)
	}
}

// fenceLab is a lab of one minion with a real agent and that server, and the server's directory.
func fenceLab(t *testing.T, tmp string) (l *lab.Lab, server string) {
	ctx := t.Context()
	bin := filepath.Join(tmp, "bin")
	if _, err := command(ctx, "../..", "go", "build", "-o", bin+"/", "./cmd/reconciler", "./cmd/containerd-shim-reconciler-v2"); err != nil {
		t.Fatal(err)
	}
	if err := layout(ctx, "testpod"); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrapper := filepath.Join(tmp, "reconciler")
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in serve|token) exec '%s' %s \"$@\";; esac\nexec '%s/reconciler' \"$@\"\n", self, fenceServerArg, bin)
	if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(tmp, "lab")
	if l, err = lab.Open(lab.Config{Dir: dir, Minions: 1, Binary: wrapper}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := l.Down(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	if err := l.Up(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Push(ctx, filepath.Join(layouts, "testpod"), strings.TrimPrefix(image, lab.RegistryAddress+"/")); err != nil {
		t.Fatal(err)
	}
	return l, filepath.Join(dir, "master", "server")
}
