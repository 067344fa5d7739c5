package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"reconciler/schema"
)

// BenchmarkStart compares the start of a pod of one container to `runc run` of the same bundle, in turns, and prints where the
// time goes. One iteration is a pod started and stopped. Limit: a ratio of 2.5 for the last, which is how pods are run.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct {
		name string
		lean bool
		pods int // per shim
		hold int // pods that stand meanwhile
	}{{"fat, shim of its own", false, 1, 0}, {"lean, shim of its own", true, 1, 0}, {"lean, shared shim", true, 8, 1}} {
		b.Run(c.name, func(b *testing.B) {
			prepare(b)
			if c.lean {
				placeLean(b)
			}
			m := newMinion(b, func(cfg *Config) { cfg.PodsPerShim = c.pods; cfg.Log = slog.New(slog.DiscardHandler) })
			m.pull(b, shared.image)
			main := run("main", "serve")
			main.Resources = schema.Resources{MilliCPU: 500, Memory: 64 << 20}
			for i := range c.hold {
				p := pod("hold"+strconv.Itoa(i), main)
				p.Controller = ""
				m.up(b, p)
			}
			var raw, sandbox, start, stop []time.Duration
			parts := map[string][]time.Duration{}
			m.took = func(part string, d time.Duration) { parts[part] = append(parts[part], d) }
			for i := 0; b.Loop(); i++ {
				p := pod("b"+strconv.Itoa(i), main)
				p.Controller = ""
				t0 := time.Now()
				if _, err := m.Sandbox(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				t1 := time.Now()
				if err := m.Start(b.Context(), p, "main", 0); err != nil {
					b.Fatal(err)
				}
				t2 := time.Now()
				raw = append(raw, m.rawRun(b, p.ID+".main.0"))
				t3 := time.Now()
				if err := m.Stop(b.Context(), p.ID, 10*time.Second); err != nil {
					b.Fatal(err)
				}
				sandbox, start, stop = append(sandbox, t1.Sub(t0)), append(start, t2.Sub(t1)), append(stop, time.Since(t3))
			}
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(median(raw)), "runc-ms")
			b.ReportMetric(ms(median(sandbox)), "sandbox-ms")
			b.ReportMetric(ms(median(start)), "start-ms")
			b.ReportMetric(ms(median(stop)), "stop-ms")
			b.ReportMetric((ms(median(sandbox))+ms(median(start)))/ms(median(raw)), "x-of-runc(limit-2.5)")
			table := fmt.Sprintf("median ms of %d starts\n%8.1f  namespaces\n", len(start), ms(median(sandbox)))
			for _, part := range []string{"start", "list what is there", "record and snapshot", "create task (shim, runc create)", "start task (runc start)"} {
				table += fmt.Sprintf("%8.1f  %s\n", ms(median(parts[part])), part)
			}
			b.Log(table)
			for _, pid := range processes(isDaemon(m.cfg.Dir)) {
				b.ReportMetric(pssMB(pid), "daemon-MB")
			}
			for _, pid := range processes(isShim(m.cfg.Dir)) {
				b.ReportMetric(pssMB(pid), "shim-MB")
			}
		})
	}
}

// placeLean has the lean shim found beside the test's program, as it is beside an installed one.
func placeLean(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(self), ShimName)
	if err := linkOrCopy(filepath.Join(shared.dir, ShimName), beside); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.Remove(beside) })
}

// rawRun times `runc run -d` of the bundle of a running container, under an other name, with a root file system of its own
// and a cgroup of its own and without log; limits, mounts and pinned namespaces are the same.
func (m *minion) rawRun(b *testing.B, id string) time.Duration {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(m.cfg.bundle(id), "config.json"))
	if err != nil {
		b.Fatal(err)
	}
	var s specs.Spec
	if err := json.Unmarshal(text, &s); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	s.Root.Path = filepath.Join(m.cfg.bundle(id), "rootfs")
	s.Linux.CgroupsPath = filepath.Join(m.cfg.CgroupParent, "raw", id)
	if text, err = json.Marshal(&s); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		b.Fatal(err)
	}
	root := m.cfg.path("raw")
	t0 := time.Now()
	// No pipes: the container would hold them open.
	err = exec.Command(m.runc, "--root", root, "run", "-d", "--bundle", dir, "raw-"+id).Run()
	took := time.Since(t0)
	if err != nil {
		b.Fatalf("runc run: %v", err)
	}
	if out, err := exec.CommandContext(context.WithoutCancel(b.Context()), m.runc, "--root", root, "delete", "--force", "raw-"+id).CombinedOutput(); err != nil {
		b.Fatalf("runc delete: %v\n%s", err, out)
	}
	return took
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

// pssMB is a process's proportional share of memory in MiB.
func pssMB(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")))
			return float64(n) / 1024
		}
	}
	return 0
}
