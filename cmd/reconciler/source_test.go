package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/client"
)

// repository is a bare repository and a clone of it.
type repository struct{ bare, work string }

func newRepository(t *testing.T) repository {
	t.Helper()
	dir := t.TempDir()
	r := repository{filepath.Join(dir, "bare.git"), filepath.Join(dir, "work")}
	for _, args := range [][]string{{"init", "-q", "--bare", "-b", "main", r.bare}, {"init", "-q", "-b", "main", r.work}} {
		if _, err := command(t.Context(), dir, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r repository) git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), r.work, "git", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// put writes files, and push commits and pushes what there is.
func (r repository) put(t *testing.T, tree files) repository {
	t.Helper()
	for name, text := range tree {
		path := filepath.Join(r.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r repository) push(t *testing.T) string {
	t.Helper()
	r.git(t, "add", "-A")
	r.git(t, "commit", "-q", "--allow-empty", "-m", "Change")
	r.git(t, "push", "-q", "-f", r.bare, "HEAD:main")
	return r.git(t, "rev-parse", "HEAD")
}

// serve runs a server with these arguments until the test ends, and waits until it answers.
func serve(t *testing.T, args ...string) (*client.Client, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "serve") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(t.Context())
	root := newRoot()
	root.SetArgs(append([]string{"serve", "--dir", filepath.Join(dir, "d"), "--listen", "127.0.0.1:0", "--socket", socket, "--poll", "50ms"}, args...))
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("serve: ", err)
		}
		_ = os.RemoveAll(dir)
	})
	cl := client.New(socket)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := cl.Status(t.Context(), true); err == nil {
			return cl, socket
		}
		select {
		case err := <-done:
			done <- nil
			t.Fatal("serve ended: ", err)
		default:
		}
		if time.Now().After(end) {
			t.Fatal("the server does not answer")
		}
	}
}

func statusNow(t *testing.T, cl *client.Client) reconcile.Status {
	t.Helper()
	st, err := cl.Status(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// declared is the keys of what is in force.
func declared(st reconcile.Status) string {
	var out []string
	for _, o := range st.Objects {
		out = append(out, o.Key.String())
	}
	return strings.Join(out, " ")
}

// cli runs the command line in dir.
func cli(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Chdir(dir)
	var out, errs bytes.Buffer
	code = run(append([]string{"reconciler"}, args...), strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

// TestSeveralSources follows three sources of two repositories for real, without minions. Mutant: Others left out of diff.
func TestSeveralSources(t *testing.T) {
	web := newRepository(t).put(t, files{"web.yaml": pod("web", "app: web", "")})
	infra := newRepository(t).put(t, files{
		"db/.reconcilerignore": "old.yaml\n", "db/db.yaml": pod("db", "app: db", ""), "db/old.yaml": pod("old", "", ""),
		"log/log.cue": "package log\n#site: string @tag(site)\nlog: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: \"log-\\(#site)\", spec: containers: [{name: \"c\", image: \"i:1\"}]}\n",
	})
	webHash, infraHash := web.push(t), infra.push(t)
	cl, socket := serve(t, "--source", "web="+web.bare, "--source", "db="+infra.bare+"#main:db", "--source", "log="+infra.bare+"#:log", "--tag", "site=eu")
	st := statusNow(t, cl)
	if got := declared(st); got != "Pod/db Pod/log-eu Pod/web" {
		t.Fatalf("in force is %q, %q", got, st.Errors)
	}
	t.Setenv("RECONCILER_SERVER", socket)

	out, errs, code := cli(t, web.work, "status")
	if want := "db@" + infraHash[:7] + " log@" + infraHash[:7] + " web@" + webHash[:7]; code != 0 || !strings.Contains(out, want) {
		t.Errorf("status says\n%s%s", out, errs)
	}

	t.Run("diff", func(t *testing.T) {
		if _, errs, code := cli(t, web.work, "diff"); code != exitError || !strings.Contains(errs, "the fleet is of several sources: db, log, web") || !strings.Contains(errs, "hint: ") {
			t.Errorf("exit %d: %s", code, errs)
		}
		if _, errs, code := cli(t, web.work, "diff", "--source", "wbe"); code != exitError || !strings.Contains(errs, `no source "wbe"`) {
			t.Errorf("exit %d: %s", code, errs)
		}
		web.put(t, files{"new.yaml": pod("new", "", "")})
		web.git(t, "config", "reconciler.source", "web")
		out, errs, _ := cli(t, web.work, "diff", "-o", "json")
		var plan struct {
			Revision reconcile.Revision
			Changes  []reconcile.Change
		}
		if err := json.Unmarshal([]byte(out), &plan); err != nil {
			t.Fatal(err, errs)
		}
		var verbs []string
		for _, c := range plan.Changes {
			verbs = append(verbs, string(c.Verb)+" "+c.Object.String())
		}
		if got := strings.Join(verbs, ", "); strings.Contains(got, string(reconcile.Delete)) || !strings.Contains(got, "Pod/new") || !strings.Contains(got, "Pod/db") {
			t.Errorf("the plan is %s", got) // nothing runs without minions, so all of it is to be created
		}
		if s := plan.Revision.Sources; len(s) != 3 || s[2].Hash != "working tree" || s[0].Hash != infraHash {
			t.Errorf("revision %+v", plan.Revision)
		}
		web.put(t, files{"new.yaml": pod("db", "", "")})
		if _, errs, code := cli(t, web.work, "diff"); code != exitError || !strings.Contains(errs, "web/new.yaml:1:1: Pod/db: is declared twice; first at db/db/db.yaml:1:1 (the sources") {
			t.Errorf("exit %d: %s", code, errs)
		}
		if out, errs, code := cli(t, infra.work, "diff", "--source", "log"); code != exitChanges || !strings.Contains(out, "Pod/log-eu") || strings.Contains(out, "Pod/old") {
			t.Errorf("exit %d: %s%s", code, out, errs)
		}
		if out, errs, code := cli(t, infra.work, "diff", "--source", "log", "--tag", "site=us"); code != exitChanges || !strings.Contains(out, "Pod/log-us") || strings.Contains(out, "Pod/log-eu") {
			t.Errorf("exit %d: %s%s", code, out, errs)
		}
		if err := os.Remove(filepath.Join(web.work, "new.yaml")); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("the same object in two", func(t *testing.T) {
		web.put(t, files{"db.yaml": pod("db", "", "")}).push(t)
		st := statusNow(t, cl)
		if got := strings.Join(st.Errors, "\n"); !strings.Contains(got, `web/db.yaml:1:1: Pod/db: is declared twice; first at db/db/db.yaml:1:1 (the sources "db" and "web" both have it`) || declared(st) != "Pod/db Pod/log-eu Pod/web" {
			t.Errorf("in force is %s; %s", declared(st), got)
		}
		web.git(t, "rm", "-q", "db.yaml")
		web.push(t)
	})

	t.Run("a folder vanishes", func(t *testing.T) { // and the other source's new commit waits
		web.put(t, files{"next.yaml": pod("next", "", "")}).push(t)
		if st := statusNow(t, cl); declared(st) != "Pod/db Pod/log-eu Pod/next Pod/web" {
			t.Fatalf("in force is %s; %q", declared(st), st.Errors)
		}
		infra.git(t, "mv", "db", "database")
		infra.push(t)
		web.git(t, "rm", "-q", "next.yaml")
		web.push(t)
		st := statusNow(t, cl)
		if got := strings.Join(st.Errors, "\n"); !strings.Contains(got, `find path "db/db"`) || declared(st) != "Pod/db Pod/log-eu Pod/next Pod/web" {
			t.Errorf("in force is %s; %s", declared(st), got)
		}
		infra.git(t, "mv", "database", "db")
		infra.push(t)
		if st := statusNow(t, cl); declared(st) != "Pod/db Pod/log-eu Pod/web" || len(st.Errors) > 0 {
			t.Errorf("in force is %s; %q", declared(st), st.Errors)
		}
	})

	t.Run("a repository vanishes", func(t *testing.T) {
		if err := os.Rename(infra.bare, infra.bare+".away"); err != nil {
			t.Fatal(err)
		}
		st := statusNow(t, cl)
		if got := strings.Join(st.Errors, "\n"); !strings.Contains(got, `source "db": open repository`) || declared(st) != "Pod/db Pod/log-eu Pod/web" {
			t.Errorf("in force is %s; %s", declared(st), got)
		}
	})
}

func TestParseSource(t *testing.T) {
	for text, want := range map[string]string{
		"a=/r.git":            "a /r.git main ",
		"a=/r.git#prod":       "a /r.git prod ",
		"a=/r.git#:x/y":       "a /r.git main x/y",
		"a=/r.git#prod:x/":    "a /r.git prod x",
		"a=/r:1.git#f/b#1:/x": "a /r:1.git f/b#1 x",
		"a=file:///r.git#b":   "a file:///r.git b ",
		"a":                   "",
		"=/r":                 "",
		"a=#b":                "",
	} {
		n, err := parseSource(text)
		if err != nil {
			n.Name = ""
		}
		got := strings.Join([]string{n.Name, n.Config.Repository, n.Config.Branch, n.Path}, " ")
		if err != nil && want != "" || err == nil && got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

func TestServeRefusesFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "--repo or --source is required"},
		{"--repo /r --source a=/r", "--source stands in place of --repo"},
		{"--path x --source a=/r", "--source stands in place of --repo"},
		{"--source a", "is not NAME=REPO#BRANCH:PATH"},
		{"--source a=/nonexistent", `source "a": open repository`},
	} {
		_, errs, code := cli(t, t.TempDir(), append([]string{"serve"}, strings.Fields(c.args)...)...)
		if code != exitError || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d: %s", c.args, code, errs)
		}
	}
}
