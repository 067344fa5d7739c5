package load_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"reconciler/schema/load"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == aloneArg {
		if err := childAlone(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == load.ChildArg {
		if err := load.Child(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 2 && (os.Args[1] == coldArg || os.Args[1] == measureArg) {
		do := func() error { return loadOnce(os.Args[2]) }
		if os.Args[1] == measureArg {
			do = func() error { return runMeasured(os.Args[2:]) }
		}
		if err := do(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// evaluate runs this test binary as the child.
func evaluate(ctx context.Context) *exec.Cmd {
	return exec.CommandContext(ctx, "/proc/self/exe", load.ChildArg)
}

const web = `package fleet
import "reconciler.local/v1"
#Web: v1.#Pod & {
	#name: string
	metadata: name: #name
	spec: containers: [{name: "c", image: "i:1"}]
}
`

// TestManyPods: one comprehension makes hundreds of pods.
func TestManyPods(t *testing.T) {
	r, err := newLoader(t, "").Tree(tree("pods.cue", strings.Replace(web, "import ", "import \"list\"\nimport ", 1)+"pods: [for i in list.Range(0, 300, 1) {#Web & {#name: \"web-\\(i)\"}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Set.Pods) != 300 {
		t.Errorf("got %d pods", len(r.Set.Pods))
	}
}

// TestEndlessEvaluation: what cannot be evaluated ends by a limit, is named, and takes nothing else with it: the packages beside
// it are evaluated, and the loader goes on.
func TestEndlessEvaluation(t *testing.T) {
	for name, text := range map[string]string{
		"a list without measure": "import \"list\"\nx: len(list.Range(0, 500000000, 1))\n",
		"nested comprehensions":  "import \"list\"\nr: list.Range(0, 100, 1)\nx: [for a in r for b in r for c in r for d in r for e in r for f in r for g in r {a}]\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, "")
			in := tree("a/ok.cue", "package ok\n"+cuePod("a"), "b/bad.cue", "package bad\n"+text, "c/wrong.cue", "package wrong\n"+strings.Replace(cuePod("c"), "image", "imagine", 1))
			began := time.Now()
			_, err := l.Tree(in)
			t.Logf("%v after %v", err, time.Since(began).Round(time.Millisecond))
			var bad load.Errors
			if !errors.As(err, &bad) || len(bad) != 2 || !strings.Contains(bad[0].Message, "package bad was not evaluated: it ") || bad[0].Position.File != "b/bad.cue" {
				t.Fatalf("got %v", err)
			}
			if bad[1].Position.File != "c/wrong.cue" {
				t.Errorf("the package behind it was not evaluated: %v", bad[1])
			}
			delete(in, "b/bad.cue")
			delete(in, "c/wrong.cue")
			if r, err := l.Tree(in); err != nil || len(r.Set.Pods) != 1 {
				t.Errorf("the loader does not go on: %v", err)
			}
		})
	}
}

func cuePod(name string) string {
	return fmt.Sprintf("%s: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: %q, spec: containers: [{name: \"c\", image: \"i:1\"}]}\n", name, name)
}

// TestChildThatCannotRun: that is no error of the commit.
func TestChildThatCannotRun(t *testing.T) {
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/nonexistent") }})
	if err != nil {
		t.Fatal(err)
	}
	var bad load.Errors
	if _, err = l.Tree(tree("a.cue", "package a\n"+cuePod("a"))); err == nil || errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
}

// TestChildThatMisbehaves: what a child does other than reply is an error of the package, and soon; a package that was not the first of a
// child that died is tried again.
func TestChildThatMisbehaves(t *testing.T) {
	for name, c := range map[string]struct {
		script string // of the first children; the next ones are real
		want   string // in the error; "" is none
	}{
		"dies at the first package":  {"echo boom >&2; exit 3", "b/b.cue: package b was not evaluated: the evaluation ended: exit status 3: boom"},
		"dies at the second package": {"echo '{}'; echo boom >&2; exit 3", ""},
		"is killed":                  {"kill -9 $$", "signal: killed"},
		"writes garbage for ever":    {"yes", "wrote no reply"},
		"writes without end":         {`printf '{"Files":["'; tr '\0' x </dev/zero`, "more than 67108864 bytes"},
		"ends without a reply":       {"true", "package b was not evaluated"},
		"replies what is no value":   {`echo '{"Objects":[{"k":99}]}'`, "came out damaged"},
		"says that memory is out":    {"echo 'fatal error: runtime: out of memory' >&2; exit 2", "needs more than 2560 MiB of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			children, dying := 0, 2 // one for both packages, and one for them alone
			if strings.HasPrefix(c.script, "echo '{") {
				dying = 1 // the first package was evaluated
			}
			l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd {
				if children++; children <= dying {
					return exec.CommandContext(ctx, "/bin/sh", "-c", "PATH=/usr/bin:/bin; "+c.script)
				}
				return evaluate(ctx)
			}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.Tree(tree("b/b.cue", "package b\n", "c/c.cue", "package c\n"+cuePod("c")))
			if c.want == "" {
				if err != nil || len(r.Set.Pods) != 1 {
					t.Errorf("got %v, %v", r, err)
				}
				return
			}
			var bad load.Errors
			if !errors.As(err, &bad) || len(bad) != 1 || !strings.Contains(bad[0].Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if r, err := l.Tree(tree("b/b.cue", "package b\n", "c/c.cue", "package c\n"+cuePod("c"))); name != "replies what is no value" && (err != nil || len(r.Set.Pods) != 1) {
				t.Errorf("the failure was kept: %v", err)
			}
		})
	}
}

// TestHostileFiles: what makes a parser recurse does not reach the one of this process.
func TestHostileFiles(t *testing.T) {
	const size = 4 << 20
	deep := func(s string) string { return "package a\nx: " + strings.Repeat(s, (size-20)/len(s)) + "1\n" }
	for name, in := range map[string]fstest.MapFS{
		"brackets":                    tree("a.cue", deep("[")),
		"minuses":                     tree("a.cue", deep("-")),
		"labels":                      tree("a.cue", deep("a:")),
		"sums":                        tree("a.cue", deep("1+")),
		"brackets of an import":       tree("a.cue", "package a\nimport "+strings.Repeat("(", size-100)),
		"attributes":                  tree("a.cue", strings.Repeat("@a(", 1<<20)+"\npackage a\n"),
		"attributes, fewer":           tree("a.cue", strings.Repeat("@a(", 200)+strings.Repeat("x", size-1000)+"\npackage a\n"),
		"minuses of a module file":    tree("a.cue", "package a\n", "cue.mod/module.cue", "module: "+strings.Repeat("-", size-100)+"1"),
		"a little less in the module": tree("a.cue", "package a\n", "cue.mod/module.cue", "module: "+strings.Repeat("-", 60<<10)+"1"),
		"a text that grows":           tree("a.cue", "package a\nx0: \"0123456789\"\n"+grows(40)),
		"a file that is no text":      tree("a.cue", "package a\nx: \"\xff\"\n"),
		"zero bytes":                  tree("a.cue", "package a\x00b\n"),
		"a cycle of imports": tree("cue.mod/module.cue", "module: \"test.local/x\"\nlanguage: version: \"v0.13.0\"\n",
			"a/a.cue", "package a\nimport \"test.local/x/b\"\nx: b.x\n", "b/b.cue", "package b\nimport \"test.local/x/a\"\nx: a.x\n"),
		"an import that leads out": tree("cue.mod/module.cue", "module: \"test.local/x\"\nlanguage: version: \"v0.13.0\"\n", "a/a.cue", "package a\nimport \"test.local/x/../../etc\"\nx: etc.x\n"),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			r, err := newLoader(t, "").Tree(in)
			text := fmt.Sprint(err)
			t.Logf("%.200s after %v", text, time.Since(began).Round(time.Millisecond))
			var bad load.Errors
			if !errors.As(err, &bad) {
				t.Errorf("got %v, %.200s", r, text)
			}
			if len(text) > 2000 {
				t.Errorf("the errors have %d bytes", len(text))
			}
		})
	}
}

// grows is texts each of which is ten times the one before.
func grows(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "x%d: x%d+x%d+x%d+x%d+x%d\n", i+1, i, i, i, i, i)
	}
	return b.String()
}

// TestNoEvaluator: without a command, a CUE package is refused and never left out.
func TestNoEvaluator(t *testing.T) {
	l, err := load.New(load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var bad load.Errors
	if _, err = l.Tree(tree("a.cue", "package a\n"+cuePod("a"))); !errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
}

// counted counts the children that are started.
func counted(t *testing.T) (*load.Loader, *int) {
	n := new(int)
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd { *n++; return evaluate(ctx) }})
	if err != nil {
		t.Fatal(err)
	}
	return l, n
}

// TestCachedPackages: a package is evaluated anew when one of the files changes that it is made of, and only then.
func TestCachedPackages(t *testing.T) {
	base := map[string]string{
		"cue.mod/module.cue": "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n",
		"up.cue":             "package web\n#tag: \"1\"\n",
		"lib/lib.cue":        "package lib\nimport \"test.local/x/deep\"\n#Pod: deep.#Pod\n",
		"deep/deep.cue":      "package deep\n#Pod: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: #name, #name: string, spec: containers: [{name: \"c\", image: \"i:1\"}]}\n",
		"web/web.cue":        "@extern(embed)\npackage web\nimport \"test.local/x/lib\"\nset: _ @embed(file=x/names.txt, type=text)\na: lib.#Pod & {#name: \"a\"}\n",
		"web/x/names.txt":    "a",
		"other/other.cue":    "package other\n",
		"data.yaml":          pod,
		"README.md":          "x",
	}
	base["data.yaml"] = strings.Replace(pod, "name: a", "name: data", 1)
	for name, want := range map[string]int{
		"": 0, "cue.mod/module.cue": 1, "up.cue": 1, "lib/lib.cue": 1, "deep/deep.cue": 1, "web/web.cue": 1, "web/x/names.txt": 1,
		"other/other.cue": 1, "data.yaml": 0, "README.md": 0,
	} {
		t.Run(name, func(t *testing.T) {
			l, n := counted(t)
			in := fstest.MapFS{}
			for k, v := range base {
				in[k] = &fstest.MapFile{Data: []byte(v)}
			}
			if r, err := l.Tree(in); err != nil || r.Set.Len() != 2 {
				t.Fatal(r, err)
			}
			if f := in[name]; f != nil {
				comment := "\n// changed\n"
				if !strings.HasSuffix(name, ".cue") {
					comment = "\n# changed\n"
				}
				f.Data = append(f.Data, comment...)
			}
			*n = 0
			if _, err := l.Tree(in); err != nil {
				t.Fatal(err)
			}
			if *n != want {
				t.Errorf("%d evaluations, want %d", *n, want)
			}
		})
	}
}

// TestConfinement: before it reads anything, the child has given up root and set its limits; it is started without environment.
func TestConfinement(t *testing.T) {
	cmd := evaluate(t.Context())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	var status, limits string
	done := func() bool {
		s, _ := os.ReadFile(proc + "status")
		l, _ := os.ReadFile(proc + "limits")
		status, limits = string(s), string(l)
		limited := false
		for line := range strings.Lines(limits) {
			limited = limited || strings.HasPrefix(line, "Max address space") && !strings.Contains(line, "unlimited")
		}
		return limited && (os.Geteuid() != 0 || strings.Contains(status, "\nUid:\t65534\t65534\t65534\t65534\n") &&
			strings.Contains(status, "\nGid:\t65534\t65534\t65534\t65534\n") && strings.Contains(status, "\nCapEff:\t0000000000000000\n"))
	}
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("the child is not confined:\n%s\n%s", status, limits)
			break
		}
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err == nil {
		t.Error("a request that is empty was taken")
	}

	var started *exec.Cmd
	l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd {
		started = evaluate(ctx)
		started.Env = []string{"TOKEN=secret"}
		return started
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Tree(tree("a.cue", "package a\n")); err != nil {
		t.Fatal(err)
	}
	if started.Env == nil || len(started.Env) > 0 {
		t.Errorf("the child was started with %q", started.Env)
	}
}

// TestDefinitionsGiveTheType: with the definitions, nobody writes apiVersion and kind, and a pod without them is not overlooked.
func TestDefinitionsGiveTheType(t *testing.T) {
	for _, kind := range []string{"Pod", "Service", "ReplicationController"} {
		_, err := newLoader(t, "").Tree(tree("a.cue", "package a\nimport \"reconciler.local/v1\"\nx: v1.#"+kind+" & {metadata: name: \"a\"}\n"))
		if err == nil || !strings.Contains(err.Error(), kind+"/a: spec: field is required") {
			t.Errorf("%s: got %v", kind, err)
		}
	}
}

// TestSpareChild: the next child is ready before it is needed; one that did not survive the wait is replaced, and blames no
// package; Close leaves none. Mutants: a spare that died is a package that cannot be evaluated; Close forgets it.
func TestSpareChild(t *testing.T) {
	var started []*exec.Cmd
	l, err := load.New(load.Config{Spare: true, Evaluate: func(ctx context.Context) *exec.Cmd {
		c := evaluate(ctx)
		started = append(started, c)
		return c
	}})
	if err != nil {
		t.Fatal(err)
	}
	change := func(n int) {
		t.Helper()
		r, err := l.Tree(tree("a.cue", fmt.Sprintf("package a\n// %d\n%s", n, cuePod("a"))))
		if err != nil || len(r.Set.Pods) != 1 {
			t.Fatal(err)
		}
	}
	if _, err := l.Tree(tree("a.yaml", pod)); err != nil || len(started) != 0 {
		t.Fatalf("%d children without a package: %v", len(started), err)
	}
	for n := 1; n < 4; n++ {
		change(n)
		if len(started) != n+1 || started[n].ProcessState != nil {
			t.Fatalf("%d children after %d changes", len(started), n)
		}
	}
	spare := started[len(started)-1]
	if err := spare.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	change(4)
	if spare.ProcessState == nil || len(started) != 6 {
		t.Errorf("the dead child: %v; %d were started", spare.ProcessState, len(started))
	}
	l.Close()
	for i, c := range started {
		if c.ProcessState == nil {
			t.Errorf("child %d is left", i)
		}
	}
	change(5)
	l.Close()
	l.Close()
}
