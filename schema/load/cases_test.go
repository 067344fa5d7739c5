package load_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"reconciler/schema/load"
)

const cases = "../../../shared/cases"

// TestCases loads manifests that other people wrote and compares the outcome with what Kubernetes said of each.
//
// A file that every reader took must load, unless what is wrong with it is all not supported yet. A file that every reader
// refused must not load. Readers of several years that disagree bind nothing. The differences are listed with their reasons; each is a rule
// of ours, never a rule for one file.
func TestCases(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(cases, "index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("needs the recorded cases at %s", cases)
	}
	if err != nil {
		t.Fatal(err)
	}
	type verdict struct{ Verdict string }
	var index []struct {
		File  string
		V062  *verdict  `json:"k8s_v0_6_2"`
		V081  *verdict  `json:"k8s_v0_8_1"`
		V2015 *verdict  `json:"k8s_2015_05_30"`
		V134  []verdict `json:"k8s_v1_34_1"`
		Class string
	}
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	// Rules by which a file that was taken is refused, by what the error says.
	refusals := map[string]string{
		`"C:\\`:         "there are no Windows minions",
		"unknown field": "fields that nobody knows were ignored once; here they are errors",
	}
	l, err := load.New(load.Config{Part: true}) // each is one file of several
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, c := range index {
		data, err := os.ReadFile(filepath.Join(cases, c.File))
		if err != nil {
			t.Fatal(err)
		}
		if ext := path.Ext(c.File); ext != ".json" && ext != ".yaml" && ext != ".yml" {
			counts["no manifest by its name"]++
			continue
		}
		taken, refused, documents := true, true, 0
		add := func(v string) {
			switch v {
			case "OK":
				refused = false
			case "INVALID", "PARSE":
				taken = false
			case "DECODE": // for 2014 also what the reader of that year did not know or stopped at: says too little
				taken = false
				refused = refused && c.V134 != nil
			case "LIST": // the list around others
				return
			default:
				taken, refused = false, false
			}
			documents++
		}
		for _, v := range c.V134 {
			add(v.Verdict)
		}
		for _, v := range []*verdict{c.V062, c.V081, c.V2015} {
			if v != nil {
				add(v.Verdict)
			}
		}
		if documents == 0 {
			taken, refused = false, false
		}
		_, err = l.Tree(fstest.MapFS{path.Base(c.File): {Data: data}})
		var bad load.Errors
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		for _, e := range bad {
			if e.Position.Line == 0 || e.Message == "" {
				t.Errorf("%s: no place or message: %v", c.File, e)
			}
		}
		switch {
		case err == nil && refused:
			t.Errorf("%s: loaded, but Kubernetes refused it", c.File)
		case err == nil:
			counts["loaded"]++
		case refused:
			counts["refused as it should be"]++
		case onlyNotYet(bad):
			counts["not supported yet"]++
		case !taken:
			counts["refused, as by some readers"]++
		default:
			for _, e := range bad {
				if !strings.Contains(e.Message, "not supported yet") && !explained(e, refusals) {
					t.Errorf("%s: Kubernetes took it: %v", c.File, e)
				}
			}
			counts["refused by a rule of ours"]++
		}
	}
	t.Logf("%d files: %v", len(index), counts)
	if counts["loaded"] < 255 {
		t.Errorf("only %d files loaded", counts["loaded"])
	}
}

func onlyNotYet(bad load.Errors) bool {
	for _, e := range bad {
		if !strings.Contains(e.Message, "not supported yet") {
			return false
		}
	}
	return true
}

func explained(e *load.Error, refusals map[string]string) bool {
	for text := range refusals {
		if strings.Contains(e.Message, text) {
			return true
		}
	}
	return false
}
