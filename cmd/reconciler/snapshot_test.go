package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/print"
	"reconciler/schema"
)

func TestReadSnapshot(t *testing.T) {
	const good = `"state":{"fleet":"f"},"settings":{"portalNet":"10.0.0.0/16","podNet":"10.244.0.0/16"}`
	for text, want := range map[string]string{
		"{" + good + "}":                       "",
		"{" + good + `,"set":{"pods":[{}]}}`:   "",
		"":                                     "unexpected end",
		"[]":                                   "cannot unmarshal",
		"{}":                                   "it names no fleet or no networks",
		strings.Repeat("[", 20000):             "exceeded max depth",
		"{" + good + `,"set":{"pods":[null]}}`: "one of its objects is null",
		`{"state":{"fleet":"f","accepted":{"services":[null]}},"settings":{"portalNet":"10.0.0.0/16","podNet":"10.244.0.0/16"}}`: "one of its objects is null",
		`{"state":{"fleet":"f"},"settings":{"portalNet":"fd00::/64","podNet":"10.244.0.0/16"}}`:                                  "no networks",
	} {
		if _, _, err := readSnapshot([]byte(text)); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

// FuzzSnapshot: a file that is taken for a snapshot gives a plan that can be printed, or an error.
func FuzzSnapshot(f *testing.F) {
	in := reconcile.Input{Now: time.Unix(1e9, 0).UTC(), Settings: reconcile.DefaultSettings(), State: reconcile.State{Fleet: "f", Epoch: 1}, Revision: reconcile.Revision{Hash: "c1"}}
	in.Set = &schema.Set{
		Pods:                   []*schema.Pod{{Meta: schema.Meta{Name: "a", Namespace: "default", Labels: map[string]string{"a": "b"}}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i:1"}}}}},
		Services:               []*schema.Service{{Meta: schema.Meta{Name: "s", Namespace: "default"}, Spec: schema.ServiceSpec{Selector: map[string]string{"a": "b"}, Ports: []schema.ServicePort{{Port: 80}}}}},
		ReplicationControllers: []*schema.ReplicationController{{Meta: schema.Meta{Name: "r", Namespace: "default"}}},
	}
	first, err := json.Marshal(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(first)
	in.State = reconcile.Compute(in).State
	second, err := json.Marshal(in)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(second)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, _, err := readSnapshot(b)
		if err != nil || len(b) > 10000 || strings.Contains(string(b), "eplicas") { // so many copies are wanted as it says
			return
		}
		p, forecast, err := compute(in)
		if err != nil {
			return
		}
		if err := print.Plan(io.Discard, in, p, false); err != nil {
			t.Fatal(err)
		}
		if err := print.PlanJSON(io.Discard, in, p, forecast); err != nil {
			t.Fatal(err)
		}
	})
}
