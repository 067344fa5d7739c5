package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// imports is every package of the module with the packages of the module that it imports. A new line or word here is a
// decision about the structure: data flows one way, and adapters never import each other.
var imports = map[string]string{
	"schema":                            "",
	"schema/explain":                    "schema/load",
	"schema/load":                       "schema schema/v1 schema/v1beta1",
	"schema/load/kept":                  "",
	"schema/v1":                         "schema",
	"schema/v1beta1":                    "schema",
	"netproxy":                          "",
	"netproxy/kernel":                   "netproxy",
	"reconcile/assignment":              "netproxy schema",
	"reconcile":                         "netproxy reconcile/assignment reconcile/place schema",
	"reconcile/place":                   "schema",
	"reconcile/print":                   "reconcile reconcile/assignment",
	"reconcile/git":                     "reconcile reconcile/server",
	"reconcile/store":                   "reconcile schema",
	"reconcile/link":                    "reconcile reconcile/assignment reconcile/link/linkpb reconcile/link/pki",
	"reconcile/link/linkpb":             "",
	"reconcile/link/pki":                "",
	"reconcile/link/pki/registrytest":   "reconcile/link/pki",
	"reconcile/server":                  "reconcile reconcile/assignment reconcile/print schema",
	"reconcile/reconciletest":           "agent netproxy reconcile reconcile/assignment reconcile/server schema",
	"reconcile/client":                  "reconcile reconcile/assignment schema",
	"agent":                             "netproxy reconcile/assignment schema",
	"agent/containerd":                  "agent agent/containerd/shim reconcile/assignment schema",
	"agent/containerd/shim":             "",
	"agent/podnet":                      "reconcile/assignment",
	"cmd/containerd-shim-reconciler-v2": "agent/containerd/shim",
	"cmd/internal/lab":                  "cmd/internal/registry",
	"cmd/internal/registry":             "",
	"cmd/reconciler":                    "*", // the only place that knows all
}

// pure are the packages that decide: of the standard library they import nothing that touches the world.
var pure = []string{"schema", "schema/v1", "schema/v1beta1", "netproxy", "reconcile/assignment", "reconcile", "reconcile/place", "reconcile/print"}

// worldly are the imports that a pure package must not have. net/netip is a type, and embed is read when it is built.
var worldly = []string{"os", "net", "context", "log", "log/slog", "io/ioutil", "os/exec", "os/signal", "net/http", "syscall", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand", "path/filepath", "runtime", "unsafe"}

func TestImports(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "reconciler/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "reconciler/")
		seen[name] = true
		var own []string
		for _, i := range p.Imports {
			if rest, ok := strings.CutPrefix(i, "reconciler/"); ok {
				own = append(own, rest)
			}
			if slices.Contains(pure, name) && (slices.Contains(worldly, i) || strings.Contains(strings.SplitN(i, "/", 2)[0], ".")) {
				t.Errorf("%s is pure and imports %s", name, i)
			}
		}
		slices.Sort(own)
		want, ok := imports[name]
		if got := strings.Join(own, " "); !ok || want != "*" && got != want {
			t.Errorf("package %s imports %q, the table says %q", name, got, want)
		}
	}
	for _, name := range pure {
		sources, err := filepath.Glob("../../" + name + "/*.go")
		if err != nil || len(sources) == 0 {
			t.Errorf("package %s has no sources: %v", name, err)
		}
		for _, path := range sources {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, clock := range []string{"time.Now(", "time.Since(", "time.Until(", "time.Sleep(", "time.After("} {
				if !strings.HasSuffix(path, "_test.go") && strings.Contains(string(text), clock) {
					t.Errorf("%s is pure and looks at the clock: %s", path, clock)
				}
			}
		}
	}
	for name := range imports {
		if !seen[name] {
			t.Errorf("package %s is in the table and not in the module", name)
		}
	}
}
