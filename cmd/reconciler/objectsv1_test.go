package main

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/schema"
	"reconciler/schema/load"
)

// TestGetV1 prints declared objects as v1: what is printed loads again, with the address that was chosen.
func TestGetV1(t *testing.T) {
	set, _, err := checkStdin(strings.NewReader(pod("web", "name: db", "")+"---\n"+oldService), "<stdin>", load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := &view{set: set, state: reconcile.State{Objects: map[string]reconcile.Record{"Service/db": {Portal: netip.MustParseAddr("10.0.0.9")}}}}
	for _, format := range []string{"json", "yaml"} {
		for what, key := range map[string]string{"services": "Service/db", "pods": "Pod/web"} {
			for _, name := range []string{"", strings.Split(key, "/")[1]} {
				v.name = name
				var out bytes.Buffer
				if err := v.printV1(&out, what, format); err != nil {
					t.Fatal(err)
				}
				again, err := loadTree(memory{"a." + format, out.Bytes()}, load.Config{})
				if err != nil {
					t.Fatalf("%v\n%s", err, &out)
				}
				got := keyed(again.Set)
				if s, ok := got[key].(*schema.Service); got[key] == nil || ok && s.Spec.ClusterIP != "10.0.0.9" || (name == "") != strings.Contains(out.String(), "List") {
					t.Errorf("%s %q: %s", what, name, &out)
				}
			}
		}
	}
	v.name = "nosuch"
	if err := v.printV1(&bytes.Buffer{}, "pods", "json"); err == nil {
		t.Error("what is not there was printed")
	}
}

// TestGetOutputVersion: what does not fit is refused before a server is asked.
func TestGetOutputVersion(t *testing.T) {
	for args, want := range map[string]string{
		"get pods -o json --output-version v2": `unknown output version "v2": v1beta1 or v1`,
		"get pods --output-version v1":         "--output-version is of -o json",
	} {
		if _, words, code := ask("", strings.Fields(args)...); code != exitError || !strings.Contains(words, want) {
			t.Errorf("%s: exit %d: %s", args, code, words)
		}
	}
}
