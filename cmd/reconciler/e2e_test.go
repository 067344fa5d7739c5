package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"reconciler/agent/containerd"
	"reconciler/cmd/internal/lab"
	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// web is what most tests start from: a controller of two behind a service with a public IP, and a pod that asks it.
func web(img string) files {
	return files{
		"web.yaml":    controller("web", 2, img, "-http", ":8080"),
		"svc.yaml":    service("web", "app: web", "10.245.2.2"),
		"client.yaml": pod("client", "app: client", "", "-http", ":8080", "-dial", "$WEB_SERVICE_HOST:$WEB_SERVICE_PORT"),
	}
}

func TestPushRunsAndRoutes(t *testing.T) {
	c := theLab(t)
	c.apply(t, web(image))
	st := c.fresh(t)
	minions := map[string]bool{}
	names := map[string]bool{}
	for _, i := range st.Instances {
		if i.Binding.Controller == "web" {
			minions[i.Minion] = true
			names[i.Binding.Pod] = true
		}
	}
	if len(minions) != 2 {
		t.Errorf("both replicas are on %v, want them on two minions", slices.Collect(maps.Keys(minions)))
	}
	var portal string
	for _, o := range st.Objects {
		if o.Portal != "" {
			portal = o.Portal
		}
	}
	// From outside through the public IP, from each minion through the portal IP.
	asks := map[string]string{lab.Desktop: "http://10.245.2.2/hostname"}
	for _, m := range lab.MinionNames(3) {
		asks[m] = "http://" + portal + "/hostname"
	}
	for from, url := range asks {
		seen := map[string]bool{}
		for range 40 {
			host, err := c.get(t, from, url)
			if err != nil {
				t.Fatalf("%s asks %s: %v", from, url, err)
			}
			seen[host] = true
		}
		if !maps.Equal(seen, names) {
			t.Errorf("%s asks %s: answered by %v, want %v", from, url, seen, names)
		}
	}
	// From a pod, by the service's variables alone.
	c.until(t, "the pod reaches the service by its variables", func() bool {
		out, _, _ := c.cli(t, "logs", "--tail", "3", "client")
		return strings.Contains(out, "HTTP/1.1 400") // it speaks, if not the same language
	})
	env, err := c.get(t, c.instance(t, "client").Minion, "http://"+c.instance(t, "client").Binding.Address.String()+":8080/env")
	if err != nil || !strings.Contains(env, "WEB_PORT_80_TCP_ADDR="+portal) {
		t.Errorf("environment %q, %v", env, err)
	}
	if out, _, code := c.cli(t, "diff"); code != 0 {
		t.Errorf("diff after the apply: exit %d\n%s", code, out)
	}
}

func TestServiceWithoutReadyEndpointsRefusesAtOnce(t *testing.T) {
	c := theLab(t)
	tree := web(image)
	delete(tree, "web.yaml")
	c.push(t, tree)
	c.until(t, "nothing of web is left", func() bool {
		st := c.fresh(t)
		return len(st.Instances) == 1 && !leaving(st)
	})
	c.until(t, "the public IP refuses", func() bool {
		_, err := c.get(t, lab.Desktop, "http://10.245.2.2/")
		return err != nil && strings.Contains(err.Error(), "refused")
	})
}

func TestCommitThatDoesNotValidateChangesNothing(t *testing.T) {
	c := theLab(t)
	good := c.apply(t, web(image))
	before := c.containers(t)
	bad := web(image)
	bad["svc.yaml"] = strings.Replace(bad["svc.yaml"], "port: 80,", "prot: 80,", 1)
	bad["client.yaml"] = strings.Replace(bad["client.yaml"], "containerPort: 8080", "containerPort: 80800", 1)
	h := c.push(t, bad)
	st := c.fresh(t)
	says := strings.Join(st.Errors, "\n")
	if st.Applied.Hash != good || st.Attempted.Hash != h {
		t.Errorf("applied %s, attempted %s", st.Applied.Hash, st.Attempted.Hash)
	}
	for _, want := range []string{"svc.yaml:6:", "prot", "client.yaml:9:", "80800"} {
		if !strings.Contains(says, want) {
			t.Errorf("status does not say %q:\n%s", want, says)
		}
	}
	if out, _, code := c.cli(t, "validate"); code != exitInvalid {
		t.Errorf("validate: exit %d\n%s", code, out)
	}
	if _, errs, code := c.cli(t, "diff"); code != exitError || !strings.Contains(errs, "svc.yaml:6:") {
		t.Errorf("diff: exit %d\n%s", code, errs)
	}
	if after := c.containers(t); after != before {
		t.Errorf("containers were touched:\n%s\n%s", before, after)
	}
	c.git(t, "revert", "--no-edit", "HEAD")
	c.git(t, "push", "--quiet", "origin", "main")
	c.until(t, "the revert is applied", func() bool {
		st := c.fresh(t)
		return st.Applied.Hash == c.git(t, "rev-parse", "HEAD") && settled(st)
	})
	if after := c.containers(t); after != before {
		t.Errorf("containers were touched by the revert:\n%s\n%s", before, after)
	}
}

func TestEmptyTreeVanishedBranchAndForcePush(t *testing.T) {
	c := theLab(t)
	first := c.apply(t, web(image))
	before := c.containers(t)

	c.commit(t, "Remove all", nil)
	c.git(t, "push", "--quiet", "--force", "origin", "main")
	st := c.fresh(t)
	if st.Applied.Hash != first || !strings.Contains(strings.Join(st.Errors, "\n"), "Allow-Delete: all") {
		t.Errorf("empty tree: applied %s, says %q", st.Applied.Hash, st.Errors)
	}

	c.git(t, "push", "--quiet", "origin", ":main")
	st = c.fresh(t)
	if !strings.Contains(strings.Join(st.Errors, "\n"), "does not exist") || st.Applied.Hash != first {
		t.Errorf("vanished branch: applied %s, says %q", st.Applied.Hash, st.Errors)
	}
	if after := c.containers(t); after != before {
		t.Errorf("containers were touched:\n%s\n%s", before, after)
	}

	// The branch comes back with another history.
	c.git(t, "checkout", "--quiet", "--orphan", "other")
	c.git(t, "branch", "-D", "main")
	second := c.apply(t, web(image))
	if second == first {
		t.Fatal("the same commit")
	}
	if after := c.containers(t); after != before {
		t.Errorf("a force-push of the same content touched containers:\n%s\n%s", before, after)
	}
}

func TestImageThatDoesNotExist(t *testing.T) {
	c := theLab(t)
	tree := web(image)
	tree["broken.yaml"] = strings.Replace(pod("broken", "app: broken", "", "-http", ":8080"), "testpod:1", "nosuch:9", 1)
	h := c.push(t, tree)
	c.until(t, "the new pod says what is wrong and all else is well", func() bool {
		st := c.fresh(t)
		ok, said := 0, false
		for _, o := range st.Objects {
			if o.Health == reconcile.Healthy {
				ok++
			}
			if o.Key.Name == "broken" {
				said = o.Health == reconcile.Degraded && strings.Contains(o.Reason, "nosuch:9")
			}
		}
		return st.Applied.Hash == h && said && ok == len(st.Objects)-1 && ok >= 3
	})

	// In an update the old instances keep serving, a controller's and a bare pod's.
	c.apply(t, web(image))
	before := c.containers(t)
	bad := web(lab.RegistryAddress + "/nosuch:9")
	bad["client.yaml"] = strings.Replace(bad["client.yaml"], "testpod:1", "nosuch:9", 1)
	c.push(t, bad)
	c.until(t, "status names the image", func() bool {
		out, _, _ := c.cli(t, "status")
		return strings.Count(out, "nosuch:9") >= 2 && (strings.Contains(out, "ErrImagePull") || strings.Contains(out, "ImagePullBackOff"))
	})
	for range 20 {
		if _, err := c.get(t, lab.Desktop, "http://10.245.2.2/"); err != nil {
			t.Fatalf("the old instances do not serve: %v", err)
		}
	}
	for line := range strings.Lines(before) {
		if !strings.Contains(c.containers(t), line) {
			t.Errorf("an old instance was touched: %s", line)
		}
	}
	c.apply(t, web(image))
	if after := c.containers(t); after != before {
		t.Errorf("the way back touched containers:\n%s\n%s", before, after)
	}
}

// Mutant: stopping the old instance before the withdrawal of its route was acknowledged.
func TestUpdateOfAControllerLosesNoRequest(t *testing.T) {
	c := theLab(t)
	// A moment to begin to listen: without probes, ready is a matter of time.
	patient := func(img string) files {
		tree := web(img)
		tree["web.yaml"] = strings.Replace(tree["web.yaml"], `min-ready-seconds: "0.2"`, `min-ready-seconds: "0.5"`, 1)
		return tree
	}
	c.apply(t, patient(image))
	before := c.fresh(t)
	stop, done := make(chan struct{}), make(chan struct{})
	var asked, failed atomic.Int64
	var last atomic.Value
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			asked.Add(1)
			if _, err := c.get(t, lab.Desktop, "http://10.245.2.2/"); err != nil {
				failed.Add(1)
				last.Store(err.Error())
			}
		}
	}()
	c.apply(t, patient(lab.RegistryAddress+"/testpod:2"))
	close(stop)
	<-done
	if failed.Load() > 0 || asked.Load() < 50 {
		t.Errorf("%d of %d requests failed during the update: %v", failed.Load(), asked.Load(), last.Load())
	}
	old := map[string]bool{}
	for _, i := range before.Instances {
		old[i.Binding.ID] = true
	}
	for _, i := range c.fresh(t).Instances {
		if i.Binding.Controller == "web" && (old[i.Binding.ID] || i.Binding.Spec.Containers[0].Image == image) {
			t.Errorf("instance %s was not replaced", i.Binding.ID)
		}
	}
}

// Mutant: replacing bare pods start-first, which the looks alone do not catch.
func TestBarePodIsNeverThereTwice(t *testing.T) {
	c := theLab(t)
	tree := files{"db.yaml": pod("db", "app: db", "", "-http", ":8080", "-grace", "1500ms")}
	c.apply(t, tree)
	old := c.instance(t, "db").Binding.ID
	tree["db.yaml"] = strings.Replace(tree["db.yaml"], "testpod:1", "testpod:2", 1)
	h := c.push(t, tree)
	twice, both := false, false
	c.until(t, "the new one runs alone", func() bool {
		running := 0
		st := c.fresh(t)
		for _, i := range st.Instances {
			if i.Observed != nil && i.Observed.State == assignment.Running && !i.Observed.Up.IsZero() {
				running++
			}
		}
		if len(st.Instances) == 2 && !both { // by their own names, and which of them goes
			out, _, _ := c.cli(t, "get", "pods")
			both = strings.Contains(out, old) && strings.Count(out, "db-") == 2 && (strings.Contains(out, "(draining)") || strings.Contains(out, "(stopping)"))
		}
		twice = twice || running > 1
		return st.Applied.Hash == h && settled(st) && len(st.Instances) == 1
	})
	if twice {
		t.Error("two instances of a bare pod ran at the same time")
	}
	if !both {
		t.Error("get pods never showed both instances and which one goes away")
	}
	// What the looks may have missed is in the agents' logs: the new one's start comes after the old one's removal.
	now := c.instance(t, "db")
	removed := c.logged(t, "removed instance", old)
	if started := now.Observed.Containers[0].StartedAt; removed.IsZero() || started.Before(removed) {
		t.Errorf("%s was started at %v, and %s removed at %v", now.Binding.ID, started, old, removed)
	}
}

// logged is when an agent logged the message about an instance, the zero time if none did.
func (c *cluster) logged(t testing.TB, message, instance string) (at time.Time) {
	t.Helper()
	for _, m := range lab.MinionNames(3) {
		b, err := os.ReadFile(c.lab.Log("agent-" + m))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, fmt.Sprintf("msg=%q instance=%s", message, instance)) {
				stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
				if at, err = time.Parse(time.RFC3339Nano, stamp); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return at
}

func TestProcessesKilled(t *testing.T) {
	c := theLab(t)
	tree := web(image)
	c.apply(t, tree)
	minion := c.instance(t, "web-0").Minion
	for name, kill := range map[string][]string{
		"agent": {"agent-" + minion}, "server": {"server"}, "containerd": {"containerd"}, "agent and containerd": {"agent-" + minion, "containerd"},
		"all": {"server", "agent-10.245.2.2", "agent-10.245.2.3", "agent-10.245.2.4"},
	} {
		t.Run(name, func(t *testing.T) {
			before := c.containers(t)
			defer c.up(t) // also if something fails here
			for _, k := range kill {
				if k == "containerd" {
					c.killContainerd(t, minion)
					continue
				}
				if err := c.lab.Kill(t.Context(), k); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				if _, err := c.get(t, lab.Desktop, "http://10.245.2.2/"); err != nil {
					t.Fatalf("not served while %s is dead: %v", name, err)
				}
			}
			c.up(t)
			c.until(t, "all is well again", func() bool {
				st := c.fresh(t)
				if len(c.containerds(t, minion)) != 1 {
					return false
				}
				for _, m := range st.Minions {
					if !m.Connected || m.Behind {
						return false
					}
				}
				return settled(st) && !strings.Contains(c.containers(t), "not reported")
			})
			if after := c.containers(t); after != before {
				t.Errorf("containers were touched:\n%s\n%s", before, after)
			}
			// It goes on: the next commit is followed.
			tree["extra.yaml"] = pod("extra-"+strings.ReplaceAll(name, " ", "-"), "app: extra", "", "-http", ":8080")
			c.apply(t, tree)
			after := c.containers(t)
			for line := range strings.Lines(before) {
				if !strings.Contains(line, "extra-") && !strings.Contains(after, line) {
					t.Errorf("an instance was touched after the restart: %s\n%s", line, after)
				}
			}
		})
	}
}

// TestRecoverRealContainers: the server's decisions are lost, and rebuilt from what the agents keep: meanwhile all is served, and
// no container is touched then or by the next commit. Mutant: a rebuilt instance is not known by what its agent started.
func TestRecoverRealContainers(t *testing.T) {
	c := theLab(t)
	tree := web(image)
	tree["alone.yaml"] = pod("alone", "app: alone", "", "-http", ":8080")
	h := c.apply(t, tree)
	before := c.containers(t)
	if strings.Count(before, " running ") != 4 {
		t.Fatal(before)
	}
	defer c.up(t)
	if err := c.lab.Kill(t.Context(), "server"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.lab.ServerDir(), "etcd")); err != nil {
		t.Fatal(err)
	}
	again, err := lab.Open(lab.Config{Dir: filepath.Dir(c.lab.Socket()), Minions: 3, Binary: c.binary, Serve: []string{"--recover", "--recover-minions", "3"}})
	if err != nil {
		t.Fatal(err)
	}
	up := make(chan error, 1)
	go func() { up <- again.Up(t.Context(), nil) }()
	served := 0
	for rebuilt := false; !rebuilt; served++ {
		select {
		case err := <-up:
			if err != nil {
				t.Fatal(err)
			}
			rebuilt = true
		default:
		}
		if _, err := c.get(t, lab.Desktop, "http://10.245.2.2/"); err != nil {
			t.Fatalf("not served while the decisions are rebuilt: %v", err)
		}
	}
	c.until(t, "its decisions are rebuilt", func() bool {
		st, err := c.client.Status(t.Context(), true)
		return err == nil && st.Applied.Hash == h && settled(st) && !leaving(st) && !strings.Contains(c.containers(t), "not reported")
	})
	if after := c.containers(t); after != before {
		t.Errorf("containers were touched:\n%s\n%s", before, after)
	}
	if out, errs, code := c.cli(t, "diff", "--live"); code != 0 || !strings.Contains(out, "Plan: nothing to do") {
		t.Errorf("diff: exit %d\n%s%s", code, out, errs)
	}
	tree["extra.yaml"] = pod("extra", "app: extra", "", "-http", ":8080")
	c.apply(t, tree)
	after := c.containers(t)
	for line := range strings.Lines(before) {
		if !strings.Contains(after, line) {
			t.Errorf("a container was touched by the next commit: %s\n%s", line, after)
		}
	}
	t.Logf("served %d times while the decisions were rebuilt", served)
}

// killContainerd ends a minion's embedded containerd with SIGKILL, once there is one.
func (c *cluster) killContainerd(t testing.TB, minion string) {
	t.Helper()
	var pids []int
	c.until(t, "there is one containerd on "+minion, func() bool {
		pids = c.containerds(t, minion)
		return len(pids) == 1
	})
	if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// containerds are the process ids of a minion's embedded containerds.
func (c *cluster) containerds(t testing.TB, minion string) (pids []int) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		args := strings.Split(string(b), "\x00")
		if len(args) > 2 && args[1] == containerd.DaemonArg && strings.Contains(string(b), c.lab.MinionDir(minion)+"/") {
			var pid int
			if _, err := fmt.Sscanf(p, "/proc/%d/cmdline", &pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestDamageByHandIsRepaired(t *testing.T) {
	c := theLab(t)
	c.apply(t, web(image))
	minion := "10.245.2.2"

	t.Run("a container killed is restarted", func(t *testing.T) {
		i := c.instance(t, "web-0")
		out, code := c.in(t, i.Minion, "sh", "-c", fmt.Sprintf("cat $(find /sys/fs/cgroup -path '*%s/%s/*/cgroup.procs' | head -1) | head -1 | xargs kill -9", c.lab.CgroupParent(i.Minion), i.Binding.ID))
		if code != 0 {
			t.Fatal(out)
		}
		c.until(t, "it was restarted", func() bool {
			n := c.instance(t, "web-0")
			return n.Binding.ID == i.Binding.ID && n.Ready && n.Observed.Containers[0].Restarts == i.Observed.Containers[0].Restarts+1
		})
		k := c.instance(t, "web-0").Observed.Containers[0]
		if k.Last == nil || k.Last.ExitCode != 137 {
			t.Errorf("the last run is reported as %+v", k.Last)
		}
	})
	t.Run("routes deleted come back", func(t *testing.T) {
		for _, hurt := range []string{"nft delete table ip reconciler", "nft flush ruleset", "ip route show | grep '^10.244.*via' | cut -d' ' -f1 | xargs -n1 ip route del"} {
			if out, code := c.in(t, minion, "sh", "-c", hurt); code != 0 {
				t.Fatal(out)
			}
			c.until(t, "it answers again after: "+hurt, func() bool {
				for range 10 {
					if _, err := c.get(t, lab.Desktop, "http://10.245.2.2/"); err != nil {
						return false
					}
				}
				return true
			})
		}
	})
	t.Run("what is not ours is left alone", func(t *testing.T) {
		if out, code := c.in(t, minion, "sh", "-c", `nft add table ip foreign && nft add chain ip foreign c && nft add rule ip foreign c counter &&
			ip link add foreign0 type veth peer name foreign1`); code != 0 {
			t.Fatal(out)
		}
		look := "nft list table ip foreign; ip -o link show foreign0 | cut -d' ' -f2"
		before, _ := c.in(t, minion, "sh", "-c", look)
		before2 := c.containers(t)
		tree := web(image)
		tree["more.yaml"] = controller("more", 3, image, "-http", ":8080")
		c.apply(t, tree)
		c.apply(t, web(image))
		if after, _ := c.in(t, minion, "sh", "-c", look); after != before {
			t.Errorf("before %q, after %q", before, after)
		}
		if after := c.containers(t); after != before2 {
			t.Errorf("containers of unchanged objects were touched:\n%s\n%s", before2, after)
		}
		c.in(t, minion, "sh", "-c", "nft delete table ip foreign; ip link del foreign0")
	})
}

func TestMinionWhoseLinkIsCutGoesOn(t *testing.T) {
	c := theLab(t)
	c.apply(t, web(image))
	i := c.instance(t, "web-0")
	if err := c.lab.SetLink(i.Minion, false); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.lab.SetLink(i.Minion, true) }()
	local := "http://" + i.Binding.Address.String() + ":8080/hostname"
	if host, err := c.get(t, i.Minion, local); err != nil || host != "web-0" {
		t.Errorf("on the cut minion the pod answers %q, %v", host, err)
	}
	tree := web(image)
	tree["late.yaml"] = service("late", "app: web")
	c.push(t, tree)
	c.until(t, "the others have the route and the cut one is behind", func() bool {
		behind := 0
		for _, m := range c.fresh(t).Minions {
			if m.Behind {
				behind++
			}
			if m.Behind != (m.Name == i.Minion) {
				return false
			}
		}
		return behind == 1
	})
	if host, err := c.get(t, i.Minion, local); err != nil || host != "web-0" {
		t.Errorf("on the cut minion the pod answers %q, %v", host, err)
	}
	if err := c.lab.SetLink(i.Minion, true); err != nil {
		t.Fatal(err)
	}
	c.until(t, "the minion has caught up", func() bool {
		st := c.fresh(t)
		for _, m := range st.Minions {
			if m.Behind || !m.Connected {
				return false
			}
		}
		return settled(st)
	})
	if n := c.instance(t, "web-0"); n.Binding.ID != i.Binding.ID || n.Observed.Containers[0].Restarts != i.Observed.Containers[0].Restarts {
		t.Errorf("the instance was touched: %+v", n)
	}
	var late string
	for _, o := range c.fresh(t).Objects {
		if o.Key.Name == "late" {
			late = o.Portal
		}
	}
	if _, err := c.get(t, i.Minion, "http://"+late+"/"); err != nil {
		t.Errorf("the route made meanwhile is not there: %v", err)
	}
	// It appeared too late for those that run.
	out, _, _ := c.cli(t, "describe", "pod", "client")
	if !strings.Contains(out, "Too late for this instance") || !strings.Contains(out, "late") {
		t.Errorf("describe does not say that the service appeared too late:\n%s", out)
	}
}

func TestLabelsChangeWithoutRestartAndPruneFollowsGit(t *testing.T) {
	c := theLab(t)
	tree := web(image)
	c.apply(t, tree)
	before := c.containers(t)
	tree["client.yaml"] = strings.Replace(tree["client.yaml"], "app: client", "app: web", 1)
	tree["web.yaml"] = controller("web", 3, image, "-http", ":8080") // of which the pod counts as one from now on
	c.apply(t, tree)
	if after := c.containers(t); after != before {
		t.Errorf("a label touched containers:\n%s\n%s", before, after)
	}
	c.until(t, "the relabelled pod is an endpoint", func() bool {
		host, _ := c.get(t, lab.Desktop, "http://10.245.2.2/hostname")
		return host == "client"
	})
	delete(tree, "client.yaml")
	c.apply(t, tree)
	if out, _, _ := c.cli(t, "get", "pods"); strings.Contains(out, "client") {
		t.Errorf("the pod that left Git is still there:\n%s", out)
	}
}

func TestCommandLine(t *testing.T) {
	c := theLab(t)
	c.apply(t, web(image))
	for _, k := range []struct {
		name string
		args []string
		code int
		out  []string
		errs []string
	}{
		{"status", []string{"status"}, 0, []string{"Synced", "Healthy", "10.245.2.3"}, nil},
		{"status --wait", []string{"status", "--wait", "--timeout", "20s"}, 0, []string{"Healthy"}, nil},
		{"get pods in the columns of 2014", []string{"get", "pods"}, 0, []string{"NAME                IMAGE(S)", "HOST", "LABELS", "STATUS", "web-0", "10.245.2.", "Running"}, nil},
		{"get one service", []string{"get", "service", "web"}, 0, []string{"NAME                LABELS              SELECTOR            IP                  PORT", "app=web", "10.0."}, nil},
		{"get rc", []string{"get", "rc"}, 0, []string{"REPLICAS", "web"}, nil},
		{"get minions", []string{"get", "minions"}, 0, []string{"10.245.2.2", "10.245.2.3", "10.245.2.4"}, nil},
		{"get what is not there", []string{"get", "pods", "nosuch"}, exitError, nil, []string{`"nosuch" not found`, "hint:"}},
		{"get an unknown resource", []string{"get", "deployments"}, exitError, nil, []string{"unknown resource", "hint:"}},
		{"describe a pod", []string{"describe", "pod", "client"}, 0, []string{"WEB_SERVICE_HOST=10.0.", "Container ID", "containerd://", "Restarts"}, nil},
		{"describe a service", []string{"describe", "svc", "web"}, 0, []string{"Ready pods", "web-0", "web-1"}, nil},
		{"describe a minion", []string{"describe", "minion", "10.245.2.2"}, 0, []string{"10.244.", "containerd"}, nil},
		{"logs of an unknown pod", []string{"logs", "nosuch"}, exitError, nil, []string{"not found", "hint:"}},
		{"diff --live", []string{"diff", "--live"}, 0, nil, nil},
		{"an unknown verb", []string{"frobnicate"}, exitError, nil, []string{"unknown command"}},
		{"version", []string{"version"}, 0, []string{"Client:", "Server:"}, nil},
		{"completion", []string{"completion", "bash"}, 0, []string{"reconciler"}, nil},
		{"validate", []string{"validate", "."}, 0, []string{"1 service"}, nil},
	} {
		t.Run(k.name, func(t *testing.T) {
			out, errs, code := c.cli(t, k.args...)
			if code != k.code {
				t.Errorf("exit %d, want %d\n%s%s", code, k.code, out, errs)
			}
			for _, w := range k.out {
				if !strings.Contains(out, w) {
					t.Errorf("stdout lacks %q:\n%s", w, out)
				}
			}
			for _, w := range k.errs {
				if !strings.Contains(errs, w) {
					t.Errorf("stderr lacks %q:\n%s", w, errs)
				}
			}
		})
	}
	t.Run("structured output alone goes to stdout", func(t *testing.T) {
		for _, args := range [][]string{{"get", "pods"}, {"get", "services"}, {"get", "rc"}, {"get", "minions"}, {"status"}, {"get", "pods", "client"}, {"diff"}} {
			out, errs, _ := c.cli(t, append(args, "-o", "json")...)
			if !json.Valid([]byte(out)) || errs != "" {
				t.Errorf("%v: %q, stderr %q", args, out, errs)
			}
		}
	})
	t.Run("diff of the working tree and of a revision", func(t *testing.T) {
		path := filepath.Join(c.work, "web.yaml")
		if err := os.WriteFile(path, []byte(controller("web", 3, lab.RegistryAddress+"/testpod:2", "-http", ":8080")), 0o644); err != nil {
			t.Fatal(err)
		}
		out, errs, code := c.cli(t, "diff")
		if code != exitChanges {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		for _, w := range []string{"web-0", "web-1", "web-2", "testpod:1", "testpod:2", "start-first"} {
			if !strings.Contains(out, w) {
				t.Errorf("the plan lacks %q:\n%s", w, out)
			}
		}
		if out, errs, code := c.cli(t, "diff", "HEAD"); code != 0 {
			t.Errorf("diff HEAD: exit %d\n%s%s", code, out, errs)
		}
		if c.fresh(t).Sync != reconcile.Synced {
			t.Error("a diff changed the fleet")
		}
	})
}

func TestLogs(t *testing.T) {
	c := theLab(t)
	c.apply(t, files{
		"talk.yaml":  pod("talk", "app: talk", "", "-lines", "50", "-tick", "100ms"),
		"crash.yaml": pod("crash", "app: crash", "", "-lines", "3", "-exit", "3", "-after", "1s"),
	})
	c.until(t, "its lines are there", func() bool {
		out, _, _ := c.cli(t, "logs", "talk")
		return strings.Contains(out, "line 1\n") && strings.Contains(out, "line 50")
	})
	out, _, _ := c.cli(t, "logs", "--tail", "2", "talk")
	if n := strings.Count(out, "\n"); n != 2 {
		t.Errorf("--tail 2 printed %d lines:\n%s", n, out)
	}
	var follow bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.binary, "logs", "-f", "--tail", "1", "--server", c.lab.Socket(), "talk")
	cmd.Stdout = &follow
	_ = cmd.Run() // it is ended by the deadline
	if n := strings.Count(follow.String(), "\n"); n < 5 {
		t.Errorf("-f printed %d lines in two seconds:\n%s", n, follow.String())
	}
	c.until(t, "the crashed one was restarted, and its status says how it ended", func() bool {
		i := c.instance(t, "crash")
		return i != nil && i.Observed != nil && len(i.Observed.Containers) == 1 && i.Observed.Containers[0].Restarts > 0 &&
			i.Observed.Containers[0].Last != nil && i.Observed.Containers[0].Last.ExitCode == 3
	})
	if out, errs, code := c.cli(t, "logs", "--previous", "talk"); code != exitError || out != "" || !strings.Contains(errs, "no attempt before") {
		t.Errorf("--previous of what never restarted: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := c.cli(t, "logs", "--previous", "crash"); code != 0 || !strings.Contains(out, "line 3") {
		t.Errorf("--previous: exit %d\n%s%s", code, out, errs)
	}
}

func TestHostPort(t *testing.T) {
	c := theLab(t)
	c.apply(t, files{"port.yaml": strings.Replace(pod("port", "app: port", "", "-http", ":8080"), "containerPort: 8080,", "containerPort: 8080, hostPort: 8090,", 1)})
	minion := c.instance(t, "port").Minion
	asks := []string{lab.Desktop, lab.Master}
	asks = append(asks, lab.MinionNames(3)...)
	for _, from := range asks {
		if host, err := c.get(t, from, "http://"+minion+":8090/hostname"); err != nil || host != "port" {
			t.Errorf("%s asks the host port: %q, %v", from, host, err)
		}
	}
	c.push(t, nil)
	c.until(t, "the host port refuses", func() bool {
		_, err := c.get(t, lab.Desktop, "http://"+minion+":8090/")
		return err != nil && strings.Contains(err.Error(), "refused")
	})
}

// The example of the article, as `make demo` runs it: MongoDB from outside, Celery by the service variables alone.
func TestExamplePulp(t *testing.T) {
	c := theLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	for _, name := range []string{"mongodb", "rabbitmq", "celery"} {
		if err := layout(ctx, name); err != nil {
			t.Fatal(err)
		}
		if _, err := c.lab.Push(ctx, filepath.Join(layouts, name), ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := command(ctx, "../../examples/mongodb", "go", "build", "-o", filepath.Dir(c.binary)+"/", "./mongo"); err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../../examples/pulp/*.json")
	if err != nil || len(sources) == 0 {
		t.Fatal("no manifests: ", err)
	}
	tree := files{}
	for _, path := range sources {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tree["pulp/"+filepath.Base(path)] = string(text)
	}
	c.apply(t, tree)
	ask := func(text string) (string, int) {
		var out bytes.Buffer
		code, err := c.lab.Exec(ctx, lab.Desktop, []string{"mongo", "10.245.2.2"}, lab.Stdio{In: strings.NewReader(text + "\n"), Out: &out, Err: &out})
		if err != nil {
			t.Fatal(err)
		}
		return out.String(), code
	}
	if out, code := ask("tasks 6 2"); code != 0 || !strings.Contains(out, "pulpworker-0") || !strings.Contains(out, "pulpworker-1") {
		t.Errorf("tasks: exit %d\n%s", code, out)
	}
	if out, code := ask("show dbs"); code != 0 || !strings.Contains(out, "celery") {
		t.Errorf("show dbs: exit %d\n%s", code, out)
	}
	host := c.instance(t, "pulpdb").Minion
	if text, err := os.ReadFile(c.lab.Syslog(host)); err != nil || !strings.Contains(string(text), "mongodb") {
		t.Errorf("the minion's syslog has %q, %v", text, err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	c := theLab(t)
	c.push(t, nil)
	c.until(t, "nothing runs", func() bool {
		st := c.fresh(t)
		return len(st.Instances) == 0 && len(st.Objects) == 0
	})
	for _, m := range lab.MinionNames(3) {
		links, _ := c.in(t, m, "sh", "-c", "ip -o link show type veth 2>/dev/null | grep -v eth0 | wc -l")
		if links != "0" {
			t.Errorf("%s: %s pod links are left", m, links)
		}
		if groups, err := command(t.Context(), "/", "find", "/sys/fs/cgroup", "-type", "d", "-path", "*"+c.lab.CgroupParent(m)+"/*"); err != nil || groups != "" {
			t.Errorf("%s: cgroups are left: %s, %v", m, groups, err)
		}
		if pods, _ := os.ReadDir(filepath.Join(c.lab.MinionDir(m), "agent", "containerd", "pods")); len(pods) > 0 {
			t.Errorf("%s: %d pod directories are left", m, len(pods))
		}
	}
}
