package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// offline runs the command line in this process, without a server, in dir.
func offline(t *testing.T, dir string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Chdir(dir)
	var out, errs bytes.Buffer
	code = run(append([]string{"reconciler"}, args...), strings.NewReader(""), &out, &errs)
	return out.String(), errs.String(), code
}

func TestValidate(t *testing.T) {
	dir := t.TempDir()
	tree := files{
		"good/web.yaml":   pod("web", "app: web", "", "-http", ":8080"),
		"bad/web.yaml":    strings.Replace(pod("web", "app: web", ""), "image:", "imge:", 1),
		"bad/broken.json": `{"kind": "Pod",`,
		"notes.txt":       "not a manifest",
	}
	for name, text := range tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "--quiet", "-b", "main"}, {"add", "."}, {"commit", "--quiet", "-m", "All"}} {
		if _, err := command(t.Context(), dir, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args string
		code int
		out  string
		errs string
	}{
		{"a folder that is valid", "good", exitOK, "good: valid: 1 pod", ""},
		{"a file that is valid", "good/web.yaml", 0, "good/web.yaml: valid", ""},
		{"errors have their place as seen from here", "bad", 1, "", "bad/web.yaml:7:5: Pod/web: spec.containers[0].imge: unknown field"},
		{"all errors of all files", "bad", 1, "", "bad/broken.json:"},
		{"several arguments", "good bad/web.yaml", 1, "good: valid", "reconciler: "},
		{"a revision", "--path good main", 0, "main: valid: 1 pod", ""},
		{"a revision with errors", "main", 1, "", "bad/web.yaml:7:5:"},
		{"errors, and what cannot be checked", "bad nosuch", 2, "", "bad/broken.json:"},
		{"neither a path nor a revision", "nosuch", 2, "", "neither a path nor a revision"},
		{"a file of another sort", "notes.txt", 2, "", "is no manifest"},
		{"GitHub's commands", "-o github bad", 1, "::error file=bad/web.yaml,line=7,col=5::", ""},
		{"an unknown format", "-o xml good", 2, "", "unknown output format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := offline(t, dir, append([]string{"validate"}, strings.Fields(c.args)...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) || c.errs == "" && errs != "" {
				t.Errorf("exit %d, want %d\nstdout %q, want %q\nstderr %q, want %q", code, c.code, out, c.out, errs, c.errs)
			}
		})
	}
	for _, format := range []string{"json", "sarif"} {
		for _, what := range []string{"good", "bad"} {
			out, errs, code := offline(t, dir, "validate", "-o", format, what)
			if !json.Valid([]byte(out)) || errs != "" || (code == 0) != (what == "good") {
				t.Errorf("%s of %s: exit %d, %q, stderr %q", format, what, code, out, errs)
			}
		}
	}
}

func TestDiffOfWhatIsNoSnapshot(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := offline(t, dir, "diff", "--snapshot", "empty.json", "."); code != exitError || !strings.Contains(errs, "is no snapshot") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
