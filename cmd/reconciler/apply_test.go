package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestApplyVerb(t *testing.T) {
	r := newRepository(t)
	r.put(t, files{"prod/web.yaml": replicas(2, "web:1")}).push(t)
	_, socket := serve(t, "--repo", r.bare, "--apply", "manual", "--path", "prod")
	t.Setenv("SUDO_USER", "")
	do := func(args ...string) (out, errs string, code int) {
		t.Helper()
		return offline(t, r.work, append(args[:1:1], append([]string{"--server", socket}, args[1:]...)...)...)
	}
	check := func(what, wantOut, wantErrs string, wantCode int, args ...string) string {
		t.Helper()
		out, errs, code := do(args...)
		if wrong(out, errs, code, wantOut, wantErrs, wantCode) {
			t.Errorf("%s: exit %d, want %d\nstdout %s\nwant %q\nstderr %q, want %q", what, code, wantCode, out, wantOut, errs, wantErrs)
		}
		return out
	}
	hash := func(out string) string { return regexp.MustCompile(`sha256:[0-9a-f]+`).FindString(out) }

	status := check("status", "3 changes to do; waits for `reconciler apply --plan sha256:", "hint: `reconciler apply` shows", 0, "status")
	check("status --wait", "", "waiting: revision", 1, "status", "--wait", "--timeout", "1ms")
	shown := check("diff --held", "is held: it waits for `reconciler apply`", "", 1, "diff", "--held")
	if !strings.HasPrefix(hash(shown), hash(status)) || len(hash(status)) != 23 {
		t.Errorf("status names %s, diff %s", hash(status), hash(shown))
	}
	if out := check("diff of the same commit", "Plan hash: "+hash(shown), "", 1, "diff", "main"); hash(out) != hash(shown) {
		t.Errorf("diff main says %s, diff --held %s", hash(out), hash(shown))
	}
	check("diff --held of a revision", "", "--held takes no revision", 2, "diff", "--held", "main")
	check("diff --held --live", "", "exclude each other", 2, "diff", "--held", "--live")
	check("an answer that is no", "Plan hash: "+hash(shown), "Only yes is a yes: reconciler: not applied", 1, "apply")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	var out, errs bytes.Buffer
	if code := run([]string{"reconciler", "apply", "--server", socket}, null, &out, &errs); code != 2 || !strings.Contains(errs.String(), "hint: look at the plan, then say --yes") {
		t.Errorf("without a terminal: exit %d: %s", code, errs.String())
	}
	check("a hash that is none", "", "a hash has 12 digits at least", 2, "apply", "--plan", "nonsense")
	check("an empty hash", "", "`reconciler diff --held` shows", 2, "apply", "--plan=")
	check("an unknown hash", "", "there is no plan sha256:0123456789ab among those", 1, "apply", "--plan", "0123456789ab")

	r.put(t, files{"prod/web.yaml": replicas(3, "web:1")}).push(t)
	check("a stale plan", "", "new:       create ReplicationController/web on no minion yet, blocked", 1, "apply", "--plan", hash(shown))
	check("yes", "is in force, approved by ada (", "", 0, "apply", "--yes", "--as", "ada")
	check("yes again", "is applied already", "", 0, "apply", "--plan", hash(check("status", `"by": "ada (`, "", 0, "status", "-o", "json")))
	check("status for people", ", approved by ada (", "hint: ", 0, "status")
	check("nothing to apply", "nothing waits to be applied", "", 0, "apply")
	check("an argument", "", "unknown command", 2, "apply", "main")
}

func TestServeRefusesAnUnknownWayToApply(t *testing.T) {
	if _, errs, code := offline(t, t.TempDir(), "serve", "--apply", "later", "--dir", "nowhere"); code != 2 || !strings.Contains(errs, `--apply "later" is neither auto nor manual`) {
		t.Errorf("exit %d: %s", code, errs)
	}
}
