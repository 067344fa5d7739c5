package schema_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
)

// The vectors follow the rule that Kubernetes documents under "Define Dependent Environment Variables".
func TestExpand(t *testing.T) {
	vars := map[string]string{"A": "a", "B": "$(A)", "EMPTY": "", "X-Y.z": "dashed"}
	lookup := func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
	for in, want := range map[string]string{
		"":                     "",
		"plain":                "plain",
		"$(A)":                 "a",
		"x$(A)y$(A)":           "xaya",
		"$(B)":                 "$(A)", // what a value holds is not looked at again
		"$(EMPTY)":             "",
		"$(X-Y.z)":             "dashed",
		"$(NONE)":              "$(NONE)",
		"$$(A)":                "$(A)",
		"$$$(A)":               "$a",
		"$$$$(A)":              "$$(A)",
		"$HOME and ${HOME}":    "$HOME and ${HOME}",
		"$":                    "$",
		"a$":                   "a$",
		"$$":                   "$",
		"$(A":                  "$(A",
		"$()":                  "$()",
		"$($(A))":              "$($(A))",
		"é$(A)é":               "éaé",
		"$(date) in a shell":   "$(date) in a shell",
		"echo $$ is not a pid": "echo $ is not a pid",
	} {
		if got := schema.Expand(in, lookup); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// TestEscape: text of 2014 comes out as it went in, whatever variables there are, and unchanged where nothing needs it.
// Mutants: Escape doubles only "$("; Unescape looks variables up.
func TestEscape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringOf(rapid.SampledFrom([]rune("$$$()AB x"))).Draw(t, "text")
		any := func(string) (string, bool) { return "!", true }
		if got := schema.Expand(schema.Escape(in), any); got != in {
			t.Fatalf("%q became %q, then %q", in, schema.Escape(in), got)
		}
		if got := schema.Unescape(schema.Escape(in)); got != in {
			t.Fatalf("%q came back as %q", in, got)
		}
	})
	if got := schema.Escape("$HOME costs 5$"); got != "$HOME costs 5$" {
		t.Errorf("got %q", got)
	}
}

// TestReserved: what is requested or limited, of the containers and sidecars together, or of the init container that needs most.
func TestReserved(t *testing.T) {
	c := func(cpu int64, request *int64, policy schema.RestartPolicy) schema.Container {
		r := schema.Resources{MilliCPU: cpu, Memory: 10 * cpu, PIDs: 2 * cpu}
		if request != nil {
			r.Requests = &schema.Requests{MilliCPU: request}
		}
		return schema.Container{Resources: r, RestartPolicy: policy}
	}
	for name, x := range map[string]struct {
		of          schema.PodSpec
		cpu, memory int64
	}{
		"limits":                      {schema.PodSpec{Containers: []schema.Container{c(100, nil, ""), c(50, nil, "")}}, 150, 1500},
		"requests win":                {schema.PodSpec{Containers: []schema.Container{c(100, ptr(int64(30)), ""), c(50, ptr(int64(0)), "")}}, 30, 1500},
		"an init container of less":   {schema.PodSpec{Containers: []schema.Container{c(100, nil, "")}, InitContainers: []schema.Container{c(60, nil, ""), c(70, nil, "")}}, 100, 1000},
		"an init container of more":   {schema.PodSpec{Containers: []schema.Container{c(100, nil, "")}, InitContainers: []schema.Container{c(60, nil, ""), c(170, nil, "")}}, 170, 1700},
		"a sidecar":                   {schema.PodSpec{Containers: []schema.Container{c(100, nil, "")}, InitContainers: []schema.Container{c(60, nil, schema.RestartAlways)}}, 160, 1600},
		"one after a sidecar":         {schema.PodSpec{Containers: []schema.Container{c(100, nil, "")}, InitContainers: []schema.Container{c(60, nil, schema.RestartAlways), c(110, nil, "")}}, 170, 1700},
		"one before a sidecar":        {schema.PodSpec{Containers: []schema.Container{c(100, nil, "")}, InitContainers: []schema.Container{c(110, nil, ""), c(60, nil, schema.RestartAlways)}}, 160, 1600},
		"more than a number can hold": {schema.PodSpec{Containers: []schema.Container{c(1<<62/10, nil, ""), c(1<<62/10, nil, ""), c(1<<62/10, nil, "")}}, 3 * (1 << 62 / 10), 1<<63 - 1},
	} {
		if r := x.of.Reserved(); r.MilliCPU != x.cpu || r.Memory != x.memory || r.PIDs != x.memory/5 && x.memory < 1<<62 {
			t.Errorf("%s: got %+v", name, r)
		}
	}
}

// TestNeeds: every field that not all agents can do is a feature. Mutant: one that is not looked at.
func TestNeeds(t *testing.T) {
	got := map[schema.Feature]bool{}
	s := everything(t)
	for _, p := range s.Pods {
		for _, f := range p.Spec.Needs() {
			got[f] = true
		}
	}
	for _, v := range s.Services {
		for _, f := range v.Spec.Needs() {
			got[f] = true
		}
	}
	want := []schema.Feature{
		schema.FeatureAffinity, schema.FeatureConfigVolumes, schema.FeatureDNS, schema.FeatureDownwardVolumes, schema.FeatureEnvFrom, schema.FeatureHooks, schema.FeatureHostAliases,
		schema.FeatureHostNamespaces, schema.FeatureHostPathTypes, schema.FeatureHostname, schema.FeatureImageVolumes, schema.FeatureInitContainers, schema.FeatureLocalTraffic,
		schema.FeatureMemoryVolumes, schema.FeatureNodePorts, schema.FeatureNotReady, schema.FeaturePIDLimit, schema.FeaturePriority, schema.FeatureProbes, schema.FeaturePullSecrets,
		schema.FeatureSecurity, schema.FeatureSessionAffinity, schema.FeatureSharedProcesses, schema.FeatureSidecars, schema.FeatureStorageLimit, schema.FeatureSubPaths,
		schema.FeatureSysctls, schema.FeatureTerminals, schema.FeatureTopologySpread, schema.FeatureUDP, schema.FeatureVolumeLimit,
	}
	slices.Sort(want)
	if g := slices.Sorted(maps.Keys(got)); !slices.Equal(g, want) {
		t.Errorf("got %v, want %v", g, want)
	}
	first := golden["pod, everything of the first release"].(*schema.Pod)
	if f := first.Spec.Needs(); len(f) != 1 || f[0] != schema.FeatureUDP { // its host port of UDP
		t.Errorf("the first release needs %v", f)
	}
}
