package reconciletest_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutate = flag.Bool("mutants", false, "with -run TestMutants: break the code in each listed way and expect the simulation to notice")

// mutants are small changes of the code that each break a rule. Every one of them has to fail within 1,000 seeds.
var mutants = []struct{ rule, file, from, to string }{
	{"an instance is stopped after every leased minion acknowledged its withdrawal", "reconcile/withdraw.go",
		"case len(missing) == 0:", "case true:"},
	{"that an instance was routed is not forgotten", "reconcile/route.go",
		"b.Routed = true", "b.Routed = false"},
	{"what its minion never listed is not taken for stopped", "reconcile/withdraw.go",
		"case c.observedOf(id) == nil:", "case false:"},
	{"an instance is forgotten when its minion reports without it", "reconcile/withdraw.go",
		"m.Report == nil || m.Reported.Before(b.Since) || ", "m.Reported.IsZero() && false || "},
	{"a minion that has not reported is not an empty one", "reconcile/observe.go",
		"readinessOf(t.at(n).Serving && !lost)", "readinessOf(false)"},
	{"a freed address rests", "reconcile/address.go",
		"if _, rests := c.st.Resting[address]; rests {", "if false {"},
	{"no address is given twice", "reconcile/address.go",
		"s.take(n)", ""},
	{"what may still run on a lost minion is waited for", "reconcile/pods.go",
		"leaving = leaving || !gone || stuck\n\t\t\tif stuck {", "leaving = leaving || !gone\n\t\t\tif false {"},
	{"what is kept on a lost minion is not moved", "reconcile/whenlost.go",
		"return true // kept", "return false"},
	{"what is fenced is moved when the lease is over", "reconcile/whenlost.go",
		"return end.IsZero() || end.After(c.now)", "return end.IsZero()"},
	{"nothing begins for a declared change before what it waits for is well", "reconcile/wave.go",
		"Quarantine == nil && c.waits(wants[0].key) {", "Quarantine == nil && false {"},
	{"what is not as declared is not well", "reconcile/wave.go",
		"if b.Hash == w.hash && c.reported(b.ID) && (ends", "if c.reported(b.ID) && (ends"},
	{"what is not ready is not well", "reconcile/wave.go",
		"!ends && c.ready(b)) {", "!ends) {"},
	{"what is in one group goes back together", "reconcile/group.go",
		"case i >= 0 && c.goesBack(m, r):", "case false:"},
	{"a group goes back to what it had when all of it was well", "reconcile/group.go",
		"well := !slices.ContainsFunc(", "well := true || !slices.ContainsFunc("},
	{"a group goes on when what failed has changed", "reconcile/group.go",
		"case !alone:", "case false:"},
	{"nothing is done for what is report-only", "reconcile/suspend.go",
		"!ok {\n\t\treturn Suspension{Reason: report, ReportOnly: reportOnly}, reportOnly", "!ok {\n\t\treturn Suspension{Reason: report, ReportOnly: reportOnly}, false"},
	{"an older assignment is not obeyed", "agent/keep.go",
		"a.Generation.Compare(k.Assignment.Generation) < 0", "false"},
	{"older routes are not obeyed", "agent/keep.go",
		"t.Generation.Compare(k.Table.Generation) < 0", "false"},
	{"save, then publish", "reconcile/server/server.go",
		`return now, fmt.Errorf("save state: %w", err)`, ""},
	{"after an unknown outcome the state is loaded anew", "reconcile/server/server.go",
		"s.mustLoad = true", "s.mustLoad = false"},
	{"only Stop stops", "agent/diff.go",
		"case assignment.Stop:", "case assignment.Stop, assignment.Drain:"},
	{"what is fenced does not run without a lease", "agent/diff.go",
		"if desired.Held && desired.Phase != assignment.Prepare {", "if false {"},
	{"a lease ends", "agent/lease.go",
		"l.Sent+a.Lease > now", "l.Sent+a.Lease > 0"},
	{"a lease is counted from what was sent", "agent/lease.go",
		"l.Sent = max(l.Sent, heard.Sent)", "l.Sent = max(heard.Sent, now)"},
	{"a lease ends with the boot", "agent/lease.go",
		"l.Boot == boot && ", ""},
}

// TestMutantsAreUpToDate: what each mutant changes stands in its file once.
func TestMutantsAreUpToDate(t *testing.T) {
	for _, m := range mutants {
		text, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), m.from); n != 1 {
			t.Errorf("%s: %s has %q %d times", m.rule, m.file, m.from, n)
		}
	}
}

// TestMutants builds the simulation with each mutant in place of the file and lets it run until it fails.
func TestMutants(t *testing.T) {
	if !*mutate {
		t.Skip("no -mutants")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.rule, func(t *testing.T) {
			file := filepath.Join(root, m.file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), m.from) {
				t.Fatalf("%s has no %q any more: the list of mutants is out of date", m.file, m.from)
			}
			dir := t.TempDir()
			mutant := filepath.Join(dir, "mutant.go")
			if err := os.WriteFile(mutant, []byte(strings.ReplaceAll(string(text), m.from, m.to)), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {file: mutant}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
				t.Fatal(err)
			}
			sim := filepath.Join(dir, "sim.test")
			if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", sim, ".").CombinedOutput(); err != nil {
				t.Fatalf("the mutant does not build: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), sim, "-test.run", "^TestSim$", "-seeds", "1000").CombinedOutput()
			var exit *exec.ExitError
			switch {
			case err == nil:
				t.Error("it lives: 1,000 seeds show nothing wrong")
			case !errors.As(err, &exit) || !strings.Contains(string(out), "replay: "):
				t.Errorf("it ended in another way: %v\n%s", err, out)
			default:
				t.Log(verdict(string(out)))
			}
		})
	}
}

// verdict is the line that says what a simulation found.
func verdict(out string) string {
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "seed ") {
			return line
		}
	}
	return ""
}
