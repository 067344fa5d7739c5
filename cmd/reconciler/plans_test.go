package main

import (
	"strings"
	"testing"
	"time"
)

func TestPlansVerb(t *testing.T) {
	r := newRepository(t)
	first := r.put(t, files{"web.yaml": replicas(2, "web:1")}).push(t)
	cl, socket := serve(t, "--repo", r.bare)
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
	// What diff would print before a push is what is kept of it.
	r.put(t, files{"web.yaml": replicas(3, "web:2")})
	r.git(t, "commit", "-q", "-am", "More")
	shown := check("diff", "Plan hash: sha256:", "", 1, "diff", "HEAD")
	r.git(t, "push", "-q", r.bare, "HEAD:main")
	second := r.git(t, "rev-parse", "HEAD")
	for end := time.Now().Add(20 * time.Second); statusNow(t, cl).Applied.Hash != second; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the second commit is not in force")
		}
	}
	bad := r.put(t, files{"web.yaml": "kind: Nonsense\napiVersion: v1\n"}).push(t)
	statusNow(t, cl)
	list := check("plans", "PLAN", "", 0, "plans")
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], bad[:12]) || !strings.HasSuffix(lines[1], "refused") || !strings.HasSuffix(lines[2], "failing") ||
		!strings.Contains(lines[3], first[:12]) || !strings.HasSuffix(lines[3], "failed") {
		t.Errorf("listed\n%s", list)
	}
	hash := strings.Fields(lines[2])[0]
	kept := check("a plan by its hash", "3 to create", "", 0, "plans", hash)
	if _, body, ok := strings.Cut(kept, "\n\n"); !ok || body[strings.Index(body, "Plan:"):] != shown[strings.Index(shown, "Plan:"):] {
		t.Errorf("diff said\n%s\nkept is\n%s", shown, kept)
	}
	check("a plan by its commit", "Outcome:    failing\n  ReplicationController/web: ", "", 0, "plans", second[:8])
	check("its document", `"format_version": "2"`, "", 0, "plans", "-o", "json", hash)
	check("one that never was in force", "Outcome:    refused since", "it was never in force", 2, "plans", bad)
	check("one that nobody knows", "", "no plan and no commit that the server remembers begins with \"0000000\"", 2, "plans", "0000000")
	check("too short", "", "is too short", 2, "plans", "00")
	check("a format", "", "unknown output format", 2, "plans", "-o", "xml")
	check("the list as JSON", `"ending": "refused"`, "", 0, "plans", "-o", "json")
	check("status", ", failing", "hint", 0, "status")
}
