package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"reconciler/reconcile"
)

// TestDiffNamesCommits: each change names the commit that touched its file, also where a revision is several commits ahead; what is
// not committed is the working tree's. Mutants: the commits are not read; those since nothing are.
func TestDiffNamesCommits(t *testing.T) {
	r := newRepository(t).put(t, files{"a.yaml": pod("a", "", ""), "b.yaml": pod("b", "", "")})
	r.push(t)
	r.git(t, "tag", "v1")
	var hashes []string
	for name, author := range map[string]string{"a": "Ann <ann@example.com>", "b": "Bob <bob@example.com>"} {
		r.put(t, files{name + ".yaml": pod(name, "", "", "other")})
		r.git(t, "add", "-A")
		r.git(t, "commit", "-q", "-m", "Change "+name, "--author", author)
		hashes = append(hashes, name+" "+r.git(t, "rev-parse", "HEAD"))
	}
	snapshot := filepath.Join(t.TempDir(), "fleet.json")
	if err := saveSnapshot(snapshot, fleetOf("m1"), nil); err != nil {
		t.Fatal(err)
	}
	commits := func(args ...string) map[string]*reconcile.Commit {
		out, errs, code := cli(t, r.work, append([]string{"diff", "--snapshot", snapshot, "-o", "json"}, args...)...)
		var plan struct {
			Revision struct{ Commits []any }
			Changes  []reconcile.Change
		}
		if err := json.Unmarshal([]byte(out), &plan); err != nil || code != exitChanges {
			t.Fatalf("%v, exit %d: %s", err, code, errs)
		}
		if len(plan.Revision.Commits) > 0 {
			t.Error("the document has all commits")
		}
		by := map[string]*reconcile.Commit{}
		for _, c := range plan.Changes {
			by[c.Object.Name] = c.Commit
		}
		return by
	}
	by := commits("v1..HEAD")
	for _, x := range hashes {
		name, hash, _ := strings.Cut(x, " ")
		c := by[name]
		if c == nil || c.Hash != hash || c.Subject != "Change "+name || !strings.HasPrefix(c.Author, map[string]string{"a": "Ann", "b": "Bob"}[name]) || c.Time.IsZero() {
			t.Errorf("%s is changed by %+v, want %s", name, c, hash)
		}
		out, errs, _ := cli(t, r.work, "diff", "--snapshot", snapshot, "v1..HEAD")
		if want := hash[:7] + " by "; !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s%s", want, out, errs)
		}
	}
	r.put(t, files{"a.yaml": pod("a", "", "", "more")})
	for name, c := range commits() {
		if c == nil || c.Author != "working tree" {
			t.Errorf("%s is changed by %+v, want the working tree", name, c)
		}
	}
	if out, _, _ := cli(t, r.work, "diff", "--snapshot", snapshot); !strings.Contains(out, "new in Git, working tree\n") {
		t.Errorf("got\n%s", out)
	}
}
