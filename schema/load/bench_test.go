package load_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"sigs.k8s.io/yaml"

	"reconciler/reconcile"
	"reconciler/reconcile/git"
	"reconciler/schema/load"
	"reconciler/schema/load/kept"
)

var benchObjects = flag.Int("objects", manyFiles, "how many objects BenchmarkCold loads; its limits are for 10,000")

// Limits of the benchmarks. They are ratios to peers of the same run, or figures that are far from what was measured.
const (
	leastFaster  = 10                    // times, than cue vet
	mostMemory   = 0.2                   // of that of cue vet
	mostHeap     = 1.2                   // after 1,000 pushes, of that after 100
	mostOneFile  = 20 * time.Millisecond // of 10,000
	mostRestart  = time.Second           // with a warm cache
	manyFiles    = 10000
	pushes       = 1000
	earlyPushes  = 100
	filesPerPush = 3
	manyRounds   = 31 // of what takes milliseconds
	fewRounds    = 7

	betweenPushes = 300 * time.Millisecond // in which the next child gets ready
)

// BenchmarkTree measures a tree of 1,000 pods in files of their own: read for the first time, and with one file changed.
func BenchmarkTree(b *testing.B) {
	in := fstest.MapFS{}
	for i := range 1000 {
		in[fmt.Sprintf("%04d.yaml", i)] = &fstest.MapFile{Data: []byte(strings.Replace(pod, "name: a", fmt.Sprintf("name: a%d", i), 1))}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := newLoader(b, "").Tree(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one changed", func(b *testing.B) {
		l := newLoader(b, "")
		if _, err := l.Tree(in); err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			in["0500.yaml"].Data = []byte(strings.NewReplacer("name: a", "name: a500", "i:1", fmt.Sprintf("i:%d", i)).Replace(pod))
			if _, err := l.Tree(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPackage measures CUE packages that changed, with the start of the child: five pods of a template, a comprehension of a thousand,
// and a library that a hundred packages use.
func BenchmarkPackage(b *testing.B) {
	module := "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n"
	lib := strings.Replace(web, "package fleet", "package lib", 1)
	many := func(n int) string {
		return fmt.Sprintf("package app\nimport (\n\"list\"\n\"test.local/x/lib\"\n)\npods: [for i in list.Range(0, %d, 1) {lib.#Web & {#name: \"p-\\(i)\"}}]\n", n)
	}
	for name, in := range map[string]fstest.MapFS{
		"of 5 pods":    tree("cue.mod/module.cue", module, "lib/lib.cue", lib, "app/app.cue", many(5)),
		"of 1000 pods": tree("cue.mod/module.cue", module, "lib/lib.cue", lib, "app/app.cue", many(1000)),
		"used by 100":  tree("cue.mod/module.cue", module, "lib/lib.cue", lib),
	} {
		if name == "used by 100" {
			for i := range 100 {
				in[fmt.Sprintf("%02d/app.cue", i)] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(many(5), "p-", fmt.Sprintf("p%d-", i)))}
			}
		}
		b.Run(name, func(b *testing.B) {
			l, err := load.New(load.Config{Evaluate: evaluate, Spare: true})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			changed := "lib/lib.cue"
			if name == "of 5 pods" {
				changed = "app/app.cue"
			}
			text := string(in[changed].Data)
			var took []time.Duration
			n := manyRounds
			if name != "of 5 pods" {
				n = fewRounds
			}
			for i := range rounds(b, n) + 1 {
				in[changed].Data = fmt.Appendf(nil, "%s// %d\n", text, i)
				began := time.Now()
				if _, err := l.Tree(in); err != nil {
					b.Fatal(err)
				}
				if i > 0 { // the first waits for its child
					took = append(took, time.Since(began))
				}
				time.Sleep(betweenPushes)
			}
			reportTimes(b, took, mostPackage[name])
		})
	}
}

// mostPackage is the limits of packages that change.
var mostPackage = map[string]time.Duration{"of 5 pods": 30 * time.Millisecond, "used by 100": time.Second}

// BenchmarkCold measures a process that loads a fleet of files of one object each for the first time, in JSON and in YAML,
// and as its peer `cue vet -c` of the same files with the same definitions, which needs a run for each kind.
func BenchmarkCold(b *testing.B) {
	peer, err := filepath.Abs("../../bin/tools/cue")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := os.Stat(peer); err != nil {
		b.Skip("needs the cue command: make bench")
	}
	for _, format := range []string{"json", "yaml"} {
		b.Run(format, func(b *testing.B) {
			dir := b.TempDir()
			definitions := filepath.Join(dir, "definitions.cue")
			if err := os.WriteFile(definitions, []byte(load.Definitions()), 0o644); err != nil {
				b.Fatal(err)
			}
			writeFleet(b, filepath.Join(dir, "fleet"), format, *benchObjects)
			var ours, theirs usage
			for i := range b.N {
				u := measure(b, "/proc/self/exe", coldArg, filepath.Join(dir, "fleet"))
				ours = usage{ours.Wall + u.Wall/float64(b.N), ours.CPU + u.CPU/float64(b.N), ours.Memory + u.Memory/float64(b.N)}
				if i > 0 {
					continue // once is long enough
				}
				for _, kind := range []string{"Pod", "ReplicationController", "Service"} {
					files, err := filepath.Glob(filepath.Join(dir, "fleet", kind, "*", "*"))
					if err != nil {
						b.Fatal(err)
					}
					u := measure(b, peer, append([]string{"vet", "-c", "-d", "#" + kind, definitions}, files...)...)
					theirs = usage{theirs.Wall + u.Wall, theirs.CPU + u.CPU, max(theirs.Memory, u.Memory)}
				}
			}
			faster, memory := theirs.Wall/ours.Wall, ours.Memory/theirs.Memory
			b.ReportMetric(ours.Wall*1000, "ms/load")
			b.ReportMetric(theirs.Wall*1000, "ms/cue-vet")
			b.ReportMetric(faster, "x-faster")
			b.ReportMetric(theirs.CPU/ours.CPU, "x-less-cpu")
			b.ReportMetric(ours.Memory/(1<<20), "MiB")
			b.ReportMetric(memory, "memory-ratio")
			b.ReportMetric(theirs.Memory/(1<<20), "MiB/cue-vet")
			if faster < leastFaster || memory > mostMemory {
				b.Errorf("%.1f times as fast as cue vet, limit %d; %.2f of its memory, limit %.1f", faster, leastFaster, memory, mostMemory)
			}
		})
	}
}

// BenchmarkOneOfManyFiles measures from a commit that changed one file of 10,000 to the set: its tree is opened in the
// repository, and loaded.
func BenchmarkOneOfManyFiles(b *testing.B) {
	dir := b.TempDir()
	writeFleet(b, dir, "yaml", manyFiles)
	command(b, dir, "init", "-q", "-b", "main")
	commit := func() { command(b, dir, "add", "."); command(b, dir, "commit", "-q", "-m", "Change") }
	commit()
	command(b, dir, "gc", "-q")
	source, err := git.New(git.Config{Repository: dir, Branch: "main", NoWatch: true})
	if err != nil {
		b.Fatal(err)
	}
	l := newLoader(b, "")
	tree := func() time.Duration {
		rev, err := source.Head(b.Context(), reconcile.Revision{})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		in, err := source.Tree(b.Context(), rev.Hash)
		if err != nil {
			b.Fatal(err)
		}
		r, err := l.Tree(in)
		if err != nil {
			b.Fatal(err)
		}
		if n := r.Set.Len(); n != manyFiles {
			b.Fatalf("%d objects", n)
		}
		return time.Since(began)
	}
	first := tree()
	var took []time.Duration
	for n := range rounds(b, manyRounds) {
		i := (n + 1) * 7919 % manyFiles
		if err := os.WriteFile(filepath.Join(dir, fleetFile(i, "yaml")), fleetObject(i, n+1, "yaml"), 0o644); err != nil {
			b.Fatal(err)
		}
		commit()
		took = append(took, tree())
	}
	b.ReportMetric(first.Seconds()*1000, "ms/first-tree")
	reportTimes(b, took, mostOneFile)
}

// rounds is how often a benchmark of which the median counts measures, however short it is to be.
func rounds(b *testing.B, least int) int { return max(b.N, least) }

// reportTimes reports the median and the least, and is an error if the median is above a limit.
func reportTimes(b *testing.B, took []time.Duration, most time.Duration) {
	slices.Sort(took)
	median := took[len(took)/2]
	b.ReportMetric(median.Seconds()*1000, "ms/p50")
	b.ReportMetric(took[0].Seconds()*1000, "ms/least") // neighbours on the machine only add
	if most == 0 {
		return
	}
	b.ReportMetric(most.Seconds()*1000, "ms/limit")
	if median > most {
		b.Errorf("%v, limit %v", median, most)
	}
}

func command(b *testing.B, dir string, args ...string) {
	c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "gc.auto=0"}, args...)...)
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("git %s: %v: %s", args[0], err, out)
	}
}

// BenchmarkRestart measures a process that starts with a cache of 10,000 files on disk: from a commit in Git to the set.
func BenchmarkRestart(b *testing.B) {
	dir := b.TempDir()
	writeFleet(b, dir, "yaml", manyFiles)
	command(b, dir, "init", "-q", "-b", "main")
	command(b, dir, "add", ".")
	command(b, dir, "commit", "-q", "-m", "Fleet")
	command(b, dir, "gc", "-q")
	source, err := git.New(git.Config{Repository: dir, Branch: "main", NoWatch: true})
	if err != nil {
		b.Fatal(err)
	}
	rev, err := source.Head(b.Context(), reconcile.Revision{})
	if err != nil {
		b.Fatal(err)
	}
	cache := filepath.Join(b.TempDir(), "cache")
	start := func() time.Duration {
		began := time.Now()
		c, err := kept.Open(cache, "engine", quiet())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		l, err := load.New(load.Config{Cache: c})
		if err != nil {
			b.Fatal(err)
		}
		in, err := source.Tree(b.Context(), rev.Hash)
		if err != nil {
			b.Fatal(err)
		}
		r, err := l.Tree(in)
		if err != nil {
			b.Fatal(err)
		}
		if n := r.Set.Len(); n != manyFiles {
			b.Fatalf("%d objects", n)
		}
		return time.Since(began)
	}
	cold := start()
	var took []time.Duration
	for range rounds(b, fewRounds) {
		took = append(took, start())
	}
	b.ReportMetric(cold.Seconds()*1000, "ms/cold")
	reportTimes(b, took, mostRestart)
}

// BenchmarkHeapOfPushes measures the heap after collection at push 100 and at push 1,000, each of which changes a few files
// and looks at labels that no push before had.
func BenchmarkHeapOfPushes(b *testing.B) {
	for range b.N {
		in := fleetFS(1000)
		l := newLoader(b, "")
		var early, late uint64
		for push := 1; push <= pushes; push++ {
			for i := range filesPerPush {
				changeFile(in, push*filesPerPush+i, push)
			}
			if _, err := l.Tree(in); err != nil {
				b.Fatal(err)
			}
			switch push {
			case earlyPushes:
				early = heap()
			case pushes:
				late = heap()
			}
		}
		ratio := float64(late) / float64(early)
		b.ReportMetric(float64(early)/(1<<20), "MiB/push-100")
		b.ReportMetric(float64(late)/(1<<20), "MiB/push-1000")
		b.ReportMetric(ratio, "heap-ratio")
		if ratio > mostHeap {
			b.Errorf("the heap grows to %.2f, limit %.1f", ratio, mostHeap)
		}
		runtime.KeepAlive(l)
		runtime.KeepAlive(in)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The arguments by which the test binary is asked to be something else.
const (
	coldArg    = "load-once" // loads a directory
	measureArg = "measure"   // runs the command that follows and writes what it used
)

// usage is what a process used: seconds and bytes.
type usage struct{ Wall, CPU, Memory float64 }

// measure runs a command below a small process: Linux counts the memory of the process that forks to the one that is
// started.
func measure(b *testing.B, name string, args ...string) usage {
	out, err := exec.Command("/proc/self/exe", append([]string{measureArg, name}, args...)...).Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			b.Fatalf("%s: %v: %s", name, err, e.Stderr)
		}
		b.Fatal(err)
	}
	var u usage
	if err := json.Unmarshal(out, &u); err != nil {
		b.Fatal(err)
	}
	return u
}

func runMeasured(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return err
	}
	r := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return json.NewEncoder(os.Stdout).Encode(usage{
		Wall:   time.Since(began).Seconds(),
		CPU:    (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
		Memory: float64(r.Maxrss) * 1024,
	})
}

func loadOnce(dir string) error {
	l, err := load.New(load.Config{})
	if err != nil {
		return err
	}
	_, err = l.Tree(os.DirFS(dir))
	return err
}

// fleetFS is a fleet in YAML.
func fleetFS(n int) fstest.MapFS {
	in := fstest.MapFS{}
	for i := range n {
		in[fleetFile(i, "yaml")] = &fstest.MapFile{Data: fleetObject(i, 0, "yaml")}
	}
	return in
}

func changeFile(in fstest.MapFS, i, push int) {
	i %= len(in)
	in[fleetFile(i, "yaml")] = &fstest.MapFile{Data: fleetObject(i, push, "yaml")}
}

func writeFleet(b *testing.B, dir, format string, n int) {
	for i := range n {
		name := filepath.Join(dir, fleetFile(i, format))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name, fleetObject(i, 0, format), 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// fleetKind is the kind of an object of a fleet: 70 % pods, 20 % controllers, 10 % services.
func fleetKind(i int) string {
	return []string{"Pod", "Pod", "Pod", "Pod", "Pod", "Pod", "Pod", "ReplicationController", "ReplicationController", "Service"}[i%10]
}

// fleetFile is the file of an object: of 10,000, each folder has about a hundred.
func fleetFile(i int, format string) string {
	return fmt.Sprintf("%s/%02d/%05d.%s", fleetKind(i), i/300, i, format)
}

// fleetObject is an object of about 2.4 KB in JSON and 1.3 KB in YAML.
func fleetObject(i, push int, format string) []byte {
	kind, name := fleetKind(i), fmt.Sprintf("web-%05d", i)
	labels := object{"app": name, "tier": "frontend", "track": fmt.Sprint("stable-", push), "example.com/team": fmt.Sprintf("team-%d", i%40), fmt.Sprintf("example.com/push-%d-%d", push, i%filesPerPush): "x"}
	o := object{"apiVersion": "v1", "kind": kind, "metadata": object{"name": name, "namespace": "default", "labels": labels,
		"annotations": object{"example.com/owner": "platform@example.com", "example.com/description": "the web frontend, which talks to the database and the queue; see the runbook"}}}
	container := func(n string) object {
		var env []any
		for j := range 6 {
			env = append(env, object{"name": fmt.Sprintf("SETTING_%d", j), "value": fmt.Sprintf("value-%d-of-%s", j, name)})
		}
		return object{"name": n, "image": fmt.Sprintf("registry.example.com/team/%s:1.%d.%d", n, i%17, push),
			"args": []any{"--listen", ":8080", "--log-level", "info", "--db", "postgres://db.example.com:5432/app"}, "workingDir": "/srv",
			"ports": []any{object{"name": n + "-http", "containerPort": 8080 + len(n), "protocol": "TCP"}}, "env": env,
			"resources":    object{"limits": object{"cpu": "250m", "memory": "64Mi"}, "requests": object{"cpu": 0.25, "memory": "64Mi"}},
			"volumeMounts": []any{object{"name": "data", "mountPath": "/var/lib/" + n}, object{"name": "logs", "mountPath": "/var/log/" + n, "readOnly": true}}}
	}
	pod := object{"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "nodeSelector": object{"disk": "ssd"}, "containers": []any{container("web"), container("proxy")},
		"volumes": []any{object{"name": "data", "emptyDir": object{}}, object{"name": "logs", "hostPath": object{"path": "/var/log/web"}}}}
	switch kind {
	case "Pod":
		o["spec"] = pod
	case "Service":
		o["spec"] = object{"selector": object{"app": name}, "ports": []any{object{"name": "http", "port": 80, "targetPort": "web-http"}, object{"name": "admin", "port": 8443, "targetPort": 8443, "protocol": "TCP"}}}
	default:
		o["spec"] = object{"replicas": i % 5, "selector": object{"app": name}, "template": object{"metadata": object{"labels": labels}, "spec": pod}}
	}
	var b []byte
	var err error
	if format == "json" {
		b, err = json.MarshalIndent(o, "", "  ")
	} else {
		b, err = yaml.Marshal(o)
	}
	if err != nil {
		panic(err)
	}
	return b
}

// BenchmarkPolicies measures 10,000 pods under rules of both sorts: judged for the first time, and with one file changed.
func BenchmarkPolicies(b *testing.B) {
	in := fstest.MapFS{"p.yaml": {Data: []byte(`{apiVersion: reconciler/v1, kind: Policy, metadata: {name: a}, spec: {forbidPrivileged: true, forbidHostPath: true}}
---
{apiVersion: reconciler/v1, kind: Policy, metadata: {name: b}, spec: {match: {files: ["/0*"]}, namespaces: [default]}}
---
{apiVersion: reconciler/v1, kind: Policy, metadata: {name: c}, spec: {cue: 'pod: spec: containers: [...{image: =~"^i:"}]'}}
`)}}
	for i := range manyFiles {
		in[fmt.Sprintf("%05d.yaml", i)] = &fstest.MapFile{Data: []byte(strings.Replace(pod, "name: a", fmt.Sprintf("name: a%d", i), 1))}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := newLoader(b, "").Tree(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, name := range []string{"without", "with"} {
		b.Run("one changed/"+name, func(b *testing.B) {
			l := newLoader(b, "")
			if name == "without" {
				was := in["p.yaml"]
				delete(in, "p.yaml")
				defer func() { in["p.yaml"] = was }()
			}
			if _, err := l.Tree(in); err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				in["00500.yaml"].Data = []byte(strings.NewReplacer("name: a", "name: a500", "i:1", fmt.Sprintf("i:%d", i)).Replace(pod))
				if _, err := l.Tree(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
