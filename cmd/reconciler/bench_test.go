package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"reconciler/cmd/internal/lab"
)

// The figures of `make bench` that need a whole cluster. Each is a ratio to a peer that is measured in the same run, in
// turns, or a figure with its limit beside it.

const rounds = 21

// BenchmarkPushToRouted measures from the start of a `git push` that changes a start-first controller of one replica to the
// first answer of the new instance through the public IP, and as its peer a bare `git push` plus a raw `runc run` of the same
// program. Limit: a median ratio of 4.
func BenchmarkPushToRouted(b *testing.B) {
	c := theLab(b)
	tree := func(n int) files {
		return files{
			"one.yaml": strings.Replace(controller("one", 1, image, "-http", ":8080", "-name", fmt.Sprintf("n%d", n)), `"0.2"`, `"0"`, 1),
			"svc.yaml": service("one", "app: one", "10.245.2.2"),
		}
	}
	peer := newPeer(b, c)
	for range b.N {
		c.apply(b, tree(0))
		var ours, theirs, ratios, pushes, runs []float64
		for n := 1; n <= rounds; n++ {
			c.commit(b, "Change", tree(n))
			want := fmt.Sprintf("n%d", n)
			began := time.Now()
			c.git(b, "push", "--quiet", "--force", "origin", "main")
			for {
				if got, err := c.get(b, lab.Desktop, "http://10.245.2.2/name"); err == nil && got == want {
					break
				}
				if time.Since(began) > 30*time.Second {
					b.Fatalf("%s does not answer\n%s", want, c.logs())
				}
				time.Sleep(time.Millisecond)
			}
			took := time.Since(began)
			c.until(b, "the old instance is gone", func() bool { st := c.fresh(b); return settled(st) && !leaving(st) })
			push, run := peer.round(b, n)
			ours, theirs = append(ours, ms(took)), append(theirs, ms(push+run))
			pushes, runs = append(pushes, ms(push)), append(runs, ms(run))
			ratios = append(ratios, ms(took)/ms(push+run))
		}
		b.ReportMetric(median(ours), "ms/push-to-routed")
		b.ReportMetric(median(theirs), "ms/peer")
		b.ReportMetric(median(pushes), "ms/bare-push")
		b.ReportMetric(median(runs), "ms/runc-run")
		b.ReportMetric(median(ratios), "x-of-peer(limit-4)")
		b.ReportMetric(slices.Max(ratios), "x-of-peer-worst")
	}
}

// BenchmarkPushNoticed measures from the return of `git push` to the control loop having loaded the commit. Limit: 95 % within
// 200 ms.
func BenchmarkPushNoticed(b *testing.B) {
	c := theLab(b)
	for range b.N {
		var late []float64
		for n := range 40 {
			h := c.commit(b, fmt.Sprint("Nothing ", n), files{"svc.yaml": service("none", "app: none")})
			c.git(b, "push", "--quiet", "--force", "origin", "main")
			returned := time.Now()
			for {
				st, err := c.client.Status(b.Context(), false)
				if err != nil {
					b.Fatal(err)
				}
				if st.Attempted.Hash == h {
					break
				}
				time.Sleep(time.Millisecond)
			}
			late = append(late, ms(time.Since(returned)))
		}
		slices.Sort(late)
		b.ReportMetric(median(late), "ms/noticed-p50")
		b.ReportMetric(late[len(late)*95/100], "ms/noticed-p95(limit-200)")
	}
}

// BenchmarkMemoryAtRest measures the proportional set size of each kind of process of a cluster with a handful of pods.
func BenchmarkMemoryAtRest(b *testing.B) {
	c := theLab(b)
	for range b.N {
		c.apply(b, web(image))
		time.Sleep(2 * time.Second)
		sum, count := map[string]float64{}, map[string]float64{}
		dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range dirs {
			cmd, err := os.ReadFile(p)
			if err != nil || !strings.Contains(string(cmd), filepath.Dir(c.work)) {
				continue
			}
			args := strings.Split(string(cmd), "\x00")
			kind := ""
			switch {
			case strings.Contains(filepath.Base(args[0]), "containerd-shim"):
				kind = "shim"
			case len(args) > 1 && (args[1] == "serve" || args[1] == "agent" || args[1] == "containerd-daemon"):
				kind = args[1]
			default:
				continue
			}
			if kb := pss(filepath.Dir(p)); kb > 0 {
				sum[kind] += float64(kb) / 1024
				count[kind]++
			}
		}
		for kind, s := range sum {
			b.ReportMetric(s/count[kind], "MiB-Pss/"+kind)
		}
	}
}

// pss is the proportional set size of a process in KiB (proc_pid_smaps(5)), 0 if it is gone.
func pss(proc string) int {
	b, err := os.ReadFile(filepath.Join(proc, "smaps_rollup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}

// peer is what a push is compared with: git alone and runc alone.
type peer struct {
	repo, bundle, state string
}

func newPeer(b *testing.B, c *cluster) *peer {
	b.Helper()
	tmp := b.TempDir()
	p := &peer{repo: filepath.Join(tmp, "work"), bundle: filepath.Join(tmp, "bundle"), state: filepath.Join(tmp, "runc")}
	must := func(dir, name string, args ...string) {
		if _, err := command(b.Context(), dir, name, args...); err != nil {
			b.Fatal(err)
		}
	}
	must(tmp, "git", "init", "--quiet", "--bare", "-b", "main", filepath.Join(tmp, "bare.git"))
	must(tmp, "git", "clone", "--quiet", filepath.Join(tmp, "bare.git"), p.repo)
	if err := os.MkdirAll(filepath.Join(p.bundle, "rootfs"), 0o755); err != nil {
		b.Fatal(err)
	}
	must("../../examples/images/testpod", "go", "build", "-o", filepath.Join(p.bundle, "rootfs", "testpod"), ".")
	must(p.bundle, "runc", "spec")
	spec := map[string]any{}
	path := filepath.Join(p.bundle, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		b.Fatal(err)
	}
	process := spec["process"].(map[string]any)
	process["args"], process["terminal"] = []string{"/testpod", "-http", ":8080"}, false
	delete(process, "rlimits")
	if text, err = json.Marshal(spec); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		b.Fatal(err)
	}
	return p
}

// round pushes one commit to a repository that nobody follows, and runs the program with runc alone.
func (p *peer) round(b *testing.B, n int) (push, run time.Duration) {
	b.Helper()
	if err := os.WriteFile(filepath.Join(p.repo, "one.yaml"), []byte(controller("one", 1, image, "-name", fmt.Sprint(n))), 0o644); err != nil {
		b.Fatal(err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "--quiet", "-m", "Change"}} {
		if _, err := command(b.Context(), p.repo, "git", args...); err != nil {
			b.Fatal(err)
		}
	}
	began := time.Now()
	if _, err := command(b.Context(), p.repo, "git", "push", "--quiet", "origin", "HEAD:main"); err != nil {
		b.Fatal(err)
	}
	push = time.Since(began)
	id := fmt.Sprintf("peer-%d-%d", os.Getpid(), n)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	began = time.Now()
	if err := exec.CommandContext(ctx, "runc", "--root", p.state, "run", "-d", "--bundle", p.bundle, id).Run(); err != nil {
		b.Fatal("runc run: ", err)
	}
	run = time.Since(began)
	if err := exec.CommandContext(ctx, "runc", "--root", p.state, "delete", "--force", id).Run(); err != nil {
		b.Fatal("runc delete: ", err)
	}
	return push, run
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}
