package v1beta1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"reconciler/schema/load"
	"reconciler/schema/v1beta1"
)

const cases = "../../../shared/cases"

// TestOutputAgainstRecordedKubectl compares what is printed with what Kubernetes v0.6.2 printed for the same files. The
// comparison is of bytes, so that the order of fields is compared too.
func TestOutputAgainstRecordedKubectl(t *testing.T) {
	files, err := filepath.Glob(cases + "/expected/*.expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("needs the recorded cases at %s", cases)
	}
	loader, err := load.New(load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var recorded struct {
			File string
			JSON json.RawMessage `json:"json_v1beta1_v0_6_2"`
		}
		if err := json.Unmarshal(b, &recorded); err != nil {
			t.Fatal(err)
		}
		manifest, err := os.ReadFile(filepath.Join(cases, recorded.File))
		if errors.Is(err, fs.ErrNotExist) || len(recorded.JSON) == 0 || string(recorded.JSON) == "null" {
			continue
		}
		result, err := loader.Tree(fstest.MapFS{filepath.Base(recorded.File): {Data: manifest}})
		if err != nil || result.Set.Len() != 1 {
			continue // what is not supported yet has its own test
		}
		var v any
		switch s := result.Set; {
		case len(s.Pods) == 1:
			v = v1beta1.Pod(v1beta1.PodView{Pod: s.Pods[0]})
		case len(s.Services) == 1:
			v = v1beta1.Service(v1beta1.ServiceView{Service: s.Services[0], PortalIP: portalIP(recorded.JSON)})
		default:
			v = v1beta1.ReplicationController(v1beta1.ControllerView{Controller: s.ReplicationControllers[0]})
		}
		got, err := v1beta1.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		want := indented(t, recorded.JSON)
		if got := relaxed(got); got != relaxed(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", recorded.File, got, relaxed(want))
		}
		compared++
	}
	t.Logf("compared %d objects", compared)
	if compared < 60 {
		t.Errorf("compared only %d objects", compared)
	}
}

// portalIP is the address that the recording server chose.
func portalIP(b []byte) string {
	var s struct{ PortalIP string }
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s.PortalIP
}

func indented(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "    "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// relaxed is b without what canonical objects do not keep: the case of a protocol and of a pull policy, and a policy that
// is what the image's tag says anyway.
func relaxed(b []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, `"imagePullPolicy"`), strings.HasPrefix(trimmed, `"mountType"`):
			line = ""
		case strings.HasPrefix(trimmed, `"protocol"`):
			line = strings.Replace(strings.ToUpper(line), "PROTOCOL", "protocol", 1)
		}
		out.WriteString(line)
	}
	return out.String()
}
