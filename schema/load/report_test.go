package load_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"reconciler/schema"
	"reconciler/schema/load"
)

func TestReport(t *testing.T) {
	r := load.Report{
		Errors: load.Errors{
			{Position: schema.Position{File: "a,b.yaml", Line: 3, Column: 7}, Object: "Pod/web", Field: "spec.containers[0].imge", Message: "unknown field", Hint: "did you mean image?"},
			{Position: schema.Position{File: "c.json"}, Message: "100% wrong\non two lines"},
		},
		Warnings: []string{"Pod/Web: not a name in v1"},
	}
	var b bytes.Buffer
	if err := r.GitHub(&b); err != nil {
		t.Fatal(err)
	}
	want := "::error file=a%2Cb.yaml,line=3,col=7::Pod/web: spec.containers[0].imge: unknown field (did you mean image?)\n" +
		"::error file=c.json::100%25 wrong%0Aon two lines\n::warning::Pod/Web: not a name in v1\n"
	if b.String() != want {
		t.Errorf("GitHub:\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if err := r.JSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		FormatVersion string       `json:"format_version"`
		Valid         bool         `json:"valid"`
		Errors        []load.Error `json:"errors"`
		Warnings      []string     `json:"warnings"`
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || doc.Valid || doc.FormatVersion != "1" || len(doc.Errors) != 2 || doc.Errors[0].Position.Line != 3 || len(doc.Warnings) != 1 {
		t.Errorf("JSON: %+v, %v", doc, err)
	}
	b.Reset()
	if err := r.SARIF(&b); err != nil {
		t.Fatal(err)
	}
	var s struct {
		Version string
		Runs    []struct {
			Results []struct {
				RuleID    string
				Level     string
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &s); err != nil || s.Version != "2.1.0" || len(s.Runs) != 1 || len(s.Runs[0].Results) != 3 {
		t.Fatalf("SARIF: %+v, %v", s, err)
	}
	first, second := s.Runs[0].Results[0].Locations[0].PhysicalLocation, s.Runs[0].Results[1].Locations[0].PhysicalLocation
	if first.ArtifactLocation.URI != "a,b.yaml" || first.Region == nil || first.Region.StartLine != 3 || first.Region.StartColumn != 7 || second.Region != nil {
		t.Errorf("SARIF places: %+v, %+v", first, second)
	}
}

func TestReportOfValidManifests(t *testing.T) {
	var b bytes.Buffer
	if err := (load.Report{}).JSON(&b); err != nil || b.String() != "{\n  \"format_version\": \"1\",\n  \"valid\": true,\n  \"errors\": [],\n  \"warnings\": []\n}\n" {
		t.Errorf("%v %s", err, b.String())
	}
}
