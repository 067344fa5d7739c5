package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"reconciler/schema"
	"reconciler/schema/load"
	v1 "reconciler/schema/v1"
)

const recordedCases = "../../../shared/cases"

// ask runs a verb.
func ask(in string, args ...string) (stdout, stderr string, code int) {
	var out, words bytes.Buffer
	code = run(append([]string{"reconciler"}, args...), strings.NewReader(in), &out, &words)
	return out.String(), words.String(), code
}

const oldService = `{"apiVersion": "v1beta1", "kind": "Service", "id": "db", "port": 80, "selector": {"name": "db"}}
---
`

// TestConvert: what is written, what is said and the exit code.
func TestConvert(t *testing.T) {
	oldPod := `{"apiVersion": "v1beta1", "kind": "Pod", "id": "db", "labels": {"name": "db"}, "desiredState": {"manifest": {"containers": [
  {"name": "c", "image": "i:1", "command": ["$(A)"], "cpu": 250, "memory": 67108864, "ports": [{"containerPort": 8080}]}]}}}
`
	web := pod("web", "app: web", "")
	for _, c := range []struct {
		name, args, in string
		code           int
		out, words     string // in what is printed
	}{
		{"to v1", "-", oldPod, exitOK, "      args:\n        - $$(A)\n", ""},
		{"quantities", "-", oldPod, exitOK, "          cpu: 250m\n          memory: 64Mi\n", ""},
		{"as JSON", "-o json -", oldPod, exitOK, `{
  "apiVersion": "v1",
  "kind": "Pod",
  "metadata": {
    "name": "db",`, ""},
		{"several as JSON", "-o json -", web + "---\n" + pod("db", "", ""), exitOK, "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    {\n", ""},
		{"several as YAML", "-", web + "---\n" + pod("db", "", ""), exitOK, "\n---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: db\n", ""},
		{"the port of the pods", "-", oldService + oldPod, exitOK, "      targetPort: 8080\n", ""},
		{"no pods to ask", "-", oldService, exitOK, "    - port: 80\n", `warning: <stdin>:1:1: Service/db: containerPort: v1 cannot say "the first port`},
		{"to v1beta1", "--to v1beta1 -", web, exitOK, "apiVersion: v1beta1\nkind: Pod\nid: web\n", ""},
		{"to v1beta2", "--to v1beta2 -", web, exitOK, "apiVersion: v1beta2\nkind: Pod\nid: web\n", ""},
		{"text in and out", "--to v1beta1 -o json -", oldPod, exitOK, `"$(A)"`, ""},
		{"what v1beta1 cannot say", "--to v1beta1 -", strings.Replace(web, "spec:", "spec:\n  hostPID: true", 1), exitInvalid, "", "Pod/web: spec.hostPID: v1beta1 cannot say it\nreconciler: 1 error\n"},
		{"a limit of v1", "--to v1beta1 -", strings.Replace(web, "  containers:", "  containers:\n  - {name: x, image: i, resources: {limits: {pids: 3}, requests: {ephemeral-storage: 1Gi}}}", 1), exitInvalid, "", "spec.containers[0].resources.limits.pids: v1beta1 cannot say it\n"},
		{"a kind of v1", "--to v1beta1 -", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", exitInvalid, "", "<stdin>:2:7: ConfigMap/a: kind: v1beta1 has no ConfigMap\n"},
		{"two ports", "--to v1beta2 -", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - {name: x, port: 1}\n  - {name: y, port: 2}\n", exitInvalid, "",
			"<stdin>:6:12: Service/a: spec.ports[0].name: the port of a service has no name in v1beta2\n<stdin>:7:5: Service/a: spec.ports[1]: a service of v1beta2 has one port (write a service for each port)\n"},
		{"an id of 2014", "-", strings.Replace(oldPod, `"db"`, `"dbPod"`, 1), exitInvalid, "", `<stdin>:1:48: Pod/dbPod: id: v1: got "dbPod", want a DNS name`},
		{"a service's name", "--to v1beta1 -", "apiVersion: v1\nkind: Service\nmetadata: {name: a-name-that-is-far-too-long}\nspec: {ports: [{port: 1}]}\n", exitInvalid, "", "<stdin>:3:18: Service/a-name-that-is-far-too-long: metadata.name: v1beta1: got"},
		{"an error in the input", "-", strings.Replace(web, "image:", "imge:", 1), exitInvalid, "", "unknown field"},
		{"nothing", "-", "", exitOK, "", "warning: there are no manifests"},
		{"an unknown version", "--to v2 -", web, exitError, "", `cannot write apiVersion "v2": v1, v1beta1, v1beta2`},
		{"an unknown format", "-o xml -", web, exitError, "", `unknown output format "xml"`},
		{"no file", "nosuch.yaml", "", exitError, "", "nosuch.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, words, code := ask(c.in, append([]string{"convert"}, strings.Fields(c.args)...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(words, c.words) || c.words == "" && words != "" || code != exitOK && out != "" {
				t.Errorf("exit %d, want %d\n%s%s", code, c.code, out, words)
			}
		})
	}
}

// TestConvertKeepsPositions: an error of a file in a folder is told as seen from here.
func TestConvertKeepsPositions(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, words, code := ask("", "convert", "--to", "v1beta1", dir); code != exitInvalid || !strings.HasPrefix(words, dir+"/a.yaml:2:7: Secret/a: kind: ") {
		t.Errorf("exit %d: %s", code, words)
	}
}

// TestConvertRecordedCases: what other people wrote is the same after it was converted, unless the version cannot say it
// for one of the reasons below.
func TestConvertRecordedCases(t *testing.T) {
	files, err := filepath.Glob(recordedCases + "/v*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("needs the recorded cases at %s", recordedCases)
	}
	reasons := map[string][]string{
		"v1": {
			"want a DNS name", // ids of 2014 had any case
			"want a port name",
			"want the name of a variable", "want a DNS label",
		},
		"v1beta1": {"v1beta1 has no ", "v1beta1 cannot say it", "a service of v1beta1 has one port", "no name in v1beta1", "want a service id", "v1beta1 lists addresses"},
	}
	l, err := newLoader(load.Config{Part: true})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, file := range files {
		if !slices.Contains(manifests, path.Ext(file)) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, err := l.Tree(memory{path.Base(file), text})
		if err != nil {
			counts["not loaded"]++
			continue
		}
		for to, allowed := range reasons {
			w := &conversion{to: to, format: "yaml", loader: l, all: &schema.Set{}}
			if err := w.add(manifestInput{before, func(f string) string { return f }}); err != nil {
				t.Fatal(err)
			}
			for _, e := range w.report.Errors {
				if !slices.ContainsFunc(allowed, func(r string) bool { return strings.Contains(e.Message, r) }) {
					t.Errorf("%s to %s: %v", file, to, e)
				}
				if e.Position.Line == 0 {
					t.Errorf("%s to %s: no place: %v", file, to, e)
				}
			}
			if len(w.report.Errors) > 0 {
				counts["cannot be said in "+to]++
				continue
			}
			var out bytes.Buffer
			if err := w.print(&out); err != nil {
				t.Fatal(err)
			}
			after, err := l.Tree(memory{"out.yaml", out.Bytes()})
			if err != nil {
				t.Errorf("%s to %s: %v\n%s", file, to, err, &out)
				continue
			}
			got := keyed(after.Set)
			if len(got) != before.Set.Len() {
				t.Errorf("%s to %s: %d objects became %d", file, to, before.Set.Len(), len(got))
			}
			for k, o := range keyed(before.Set) {
				switch g := got[k]; {
				case g != nil && o.Hash() == g.Hash():
					counts["equal in "+to]++
				case g != nil && to == "v1" && firstPort(o):
					counts["first port in v1"]++
				default:
					t.Errorf("%s to %s: %s is another object:\n%s", file, to, k, &out)
				}
			}
		}
	}
	t.Logf("%v", counts)
	if counts["equal in v1"] < 200 || counts["equal in v1beta1"] < 150 {
		t.Errorf("too few were compared: %v", counts)
	}
}

// firstPort tells whether o is a service that leaves its port to the pods.
func firstPort(o schema.Object) bool {
	s, ok := o.(*schema.Service)
	return ok && len(s.Spec.Ports) == 1 && s.Spec.Ports[0].TargetPort != nil && *s.Spec.Ports[0].TargetPort == (schema.PortOrName{})
}

func keyed(s *schema.Set) map[string]schema.Object {
	out := map[string]schema.Object{}
	for o := range s.Objects() {
		out[o.Key().String()] = o
	}
	return out
}

// TestConvertAgainstRecordedConverter compares v1 with what the converter of Kubernetes of May 2015 made of the same files.
func TestConvertAgainstRecordedConverter(t *testing.T) {
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
	compared, ids := 0, 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var recorded struct {
			File string
			JSON any `json:"json_v1_2015_05_30"`
		}
		if err := json.Unmarshal(b, &recorded); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(recordedCases, recorded.File))
		if errors.Is(err, fs.ErrNotExist) || recorded.JSON == nil {
			continue
		}
		result, err := l.Tree(memory{path.Base(recorded.File), text})
		if err != nil || result.Set.Len() != 1 {
			continue // what is not supported has its own test
		}
		v, _ := v1.Write(slices.Collect(result.Set.Objects())[0])
		now, err := encode(v, "json")
		if err != nil {
			t.Fatal(err)
		}
		var ours any
		if err := json.Unmarshal(now, &ours); err != nil {
			t.Fatal(err)
		}
		if meta := field(recorded.JSON, "metadata"); meta != nil && field(ours, "metadata")["labels"] == nil && recorded.JSON.(map[string]any)["kind"] == "ReplicationController" {
			delete(meta, "labels") // of a controller without labels that converter made the template's
		}
		hashes := map[string]bool{}
		for _, x := range []any{recorded.JSON, ours} {
			today(x)
			b, err := encode(x, "json")
			if err != nil {
				t.Fatal(err)
			}
			r, err := l.Tree(memory{"a.json", b})
			if err != nil && strings.Contains(err.Error(), "metadata.name: ") {
				ids++ // of 2014, which v1 has never allowed
				hashes = nil
				break
			} else if err != nil {
				t.Errorf("%s: %v\n%s", recorded.File, err, b)
				continue
			}
			hashes[slices.Collect(r.Set.Objects())[0].Hash()] = true
		}
		if hashes == nil {
			continue
		}
		if compared++; len(hashes) != 1 {
			then, _ := encode(recorded.JSON, "json")
			t.Errorf("%s:\ngot  %s\nthen %s", recorded.File, now, then)
		}
	}
	t.Logf("compared %d objects; %d have ids of 2014", compared, ids)
	if compared < 60 {
		t.Errorf("compared only %d", compared)
	}
}

func field(v any, name string) map[string]any {
	m, _ := v.(map[string]any)
	f, _ := m[name].(map[string]any)
	return f
}

// today is the v1 of May 2015 as v1 is now: public IPs have another name, a port of 0 is left out, the number of a port is
// a number. Pull policies are left out: the default of that year was by the tag, but for images without one.
func today(v any) {
	switch v := v.(type) {
	case map[string]any:
		if ips, ok := v["deprecatedPublicIPs"]; ok {
			v["externalIPs"] = ips
			delete(v, "deprecatedPublicIPs")
		}
		delete(v, "imagePullPolicy")
		for k, x := range v {
			if k == "targetPort" && x == float64(0) {
				delete(v, k)
			}
			if text, ok := x.(string); ok && k == "port" {
				if n, err := strconv.Atoi(text); err == nil {
					v[k] = n
				}
			}
			today(x)
		}
	case []any:
		for _, x := range v {
			today(x)
		}
	}
}
