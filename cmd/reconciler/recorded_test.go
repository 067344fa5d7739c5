package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/schema"
	"reconciler/schema/load"
)

// recordedText is what Kubernetes v0.6.2 and v0.8.1 printed of a file.
type recordedText struct {
	File   string
	Get062 string   `json:"kubectl_get_v0_6_2"`
	Get081 string   `json:"kubectl_get_v0_8_1"`
	Env    []string `json:"service_env_v0_6_2"`
	JSON   struct {
		PortalIP string
	} `json:"json_v1beta1_v0_6_2"`
}

// eachRecorded calls f with every recorded file of one object that loads.
func eachRecorded(t *testing.T, f func(r recordedText, set *schema.Set)) {
	t.Helper()
	files, err := filepath.Glob(recordedCases + "/expected/*.expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("needs the recorded cases at %s", recordedCases)
	}
	l, err := newLoader(load.Config{Part: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var r recordedText
		if err := json.Unmarshal(b, &r); err != nil {
			var wrongType *json.UnmarshalTypeError
			if errors.As(err, &wrongType) {
				continue
			}
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(recordedCases, r.File))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if result, err := l.Tree(memory{path.Base(r.File), text}); err == nil && result.Set.Len() == 1 {
			f(r, result.Set)
		}
	}
}

// TestGetAgainstRecordedKubectl compares the table with what kubectl v0.6.2 printed, byte for byte. That of v0.8 is the same for services; for
// pods and controllers it had another first word and a column of containers, which get does not print.
func TestGetAgainstRecordedKubectl(t *testing.T) {
	compared := map[string]int{}
	eachRecorded(t, func(r recordedText, set *schema.Set) {
		v := &view{set: set, state: reconcile.State{Objects: map[string]reconcile.Record{}}}
		what := "pods"
		switch {
		case len(set.Services) == 1:
			what = "services"
			if a, err := netip.ParseAddr(r.JSON.PortalIP); err == nil { // the address that the recording server chose
				v.state.Objects[set.Services[0].Key().String()] = reconcile.Record{Portal: a}
			}
		case len(set.ReplicationControllers) == 1:
			what = "rc"
		case len(set.Pods) != 1:
			return
		}
		var got bytes.Buffer
		if err := v.printTable(&got, what, true); err != nil {
			t.Fatal(err)
		}
		if r.Get062 == "" {
			return
		}
		compared[what]++
		printed := strings.Replace(got.String(), "Pending\n", "\n", 1) // the recording printed files, which have no status
		if printed != r.Get062 {
			t.Errorf("%s:\ngot\n%swant\n%s", r.File, printed, r.Get062)
		}
		if what == "services" && r.Get081 != "" {
			compared["services of v0.8"]++
			if got.String() != r.Get081 {
				t.Errorf("%s, v0.8:\ngot\n%swant\n%s", r.File, &got, r.Get081)
			}
		}
	})
	t.Log(compared)
	for _, what := range []string{"pods", "rc", "services"} {
		if compared[what] < 10 {
			t.Errorf("only %d %s were compared", compared[what], what)
		}
	}
}

// TestVariablesAgainstRecordedKubelet compares the variables of each service with those of v0.6.2, in their order. Ours may have the same
// under a second prefix behind them, that of the selector's name; and a pod has those of its own namespace alone.
func TestVariablesAgainstRecordedKubelet(t *testing.T) {
	compared := 0
	eachRecorded(t, func(r recordedText, set *schema.Set) {
		if len(set.Services) != 1 || len(r.Env) == 0 {
			return
		}
		s := set.Services[0]
		a, err := netip.ParseAddr(r.JSON.PortalIP)
		if err != nil {
			return
		}
		var got []string
		for _, e := range schema.ServiceVariables([]schema.ServiceAddress{{Name: s.Name, Selector: s.Spec.Selector, Portal: a, Ports: s.Spec.Ports}}) {
			got = append(got, e.Name+"="+e.Value)
		}
		compared++
		if len(got) < len(r.Env) || !slices.Equal(got[:len(r.Env)], r.Env) {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", r.File, strings.Join(got, "\n"), strings.Join(r.Env, "\n"))
		}
		second := schema.VariablePrefix(s.Spec.Selector["name"]) + "_"
		for _, e := range got[min(len(r.Env), len(got)):] {
			if !strings.HasPrefix(e, second) {
				t.Errorf("%s: %s is of no prefix", r.File, e)
			}
		}
	})
	if t.Logf("compared %d services", compared); compared < 20 {
		t.Errorf("only %d services were compared", compared)
	}
}
