package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateExplain = flag.Bool("update-explain", false, "rewrite testdata/explain")

// TestExplain compares what is told with files; the first line of each is the command line.
func TestExplain(t *testing.T) {
	for name, args := range map[string]string{
		"kinds":             "",
		"version":           "--api-version reconciler/v1",
		"service":           "svc",
		"list":              "pods.spec.containers.ports",
		"leaf":              "rc.spec.replicas",
		"limited":           "pod.spec.hostUsers",
		"old":               "minion --api-version v1beta2",
		"recursive":         "endpoints --recursive",
		"unknown-kind":      "nod.spec",
		"unknown-field":     "service.spec.port",
		"below-text":        "pod.spec.containers.image.tag",
		"unknown-version":   "pod --api-version v2",
		"not-of-a-version":  "configmap --api-version v1beta1",
		"unknown-old-field": "pod.spec --api-version v1beta1",
	} {
		t.Run(name, func(t *testing.T) {
			out, words, code := ask("", append([]string{"explain"}, strings.Fields(args)...)...)
			if want := map[bool]int{true: exitOK, false: exitError}[words == ""]; code != want {
				t.Errorf("exit %d, want %d", code, want)
			}
			got := []byte("$ reconciler explain " + args + "\n" + out + words)
			file := filepath.Join("testdata", "explain", name+".txt")
			if *updateExplain {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// TestExplainCompletes: kinds, then fields.
func TestExplainCompletes(t *testing.T) {
	for typed, want := range map[string]string{
		"replic":              "replicationcontroller",
		"pod.spec.con":        "pod.spec.containers",
		"svc.spec.ports.targ": "svc.spec.ports.targetPort",
		"nosuch.":             "",
		"pod.metadata.uid":    "", // it means nothing
	} {
		if got := strings.Join(completePath(typed, ""), " "); got != want {
			t.Errorf("%q goes on as %q, want %q", typed, got, want)
		}
	}
}
