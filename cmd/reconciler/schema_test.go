package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"reconciler/schema/load"
)

// TestSchema: the definitions are printed, or written where CUE finds them; without a module there is a hint and no file.
func TestSchema(t *testing.T) {
	ask := func(args ...string) (string, string, int) {
		var stdout, stderr bytes.Buffer
		code := run(append([]string{"reconciler"}, args...), strings.NewReader(""), &stdout, &stderr)
		return stdout.String(), stderr.String(), code
	}
	if out, _, code := ask("schema"); code != exitOK || out != load.Definitions() {
		t.Errorf("exit code %d, printed %.100q", code, out)
	}
	dir := t.TempDir()
	if _, words, code := ask("schema", "--vendor", dir); code != exitError || !strings.Contains(words, "hint: make one") {
		t.Errorf("exit code %d without a module: %s", code, words)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if err := os.CopyFS(dir, os.DirFS("../../examples/pulp-cue")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // again is the same
		if _, words, code := ask("schema", "--vendor", dir); code != exitOK {
			t.Fatalf("exit code %d: %s", code, words)
		}
	}
	if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(load.DefinitionsFile))); err != nil || string(b) != load.Definitions() {
		t.Errorf("wrote %.100q, %v", b, err)
	}
}
