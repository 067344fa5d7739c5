package load

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// ReportVersion is that of the JSON document. It changes when a field changes its meaning or goes.
const ReportVersion = "1"

// Report is what a check of manifests found, for programs.
type Report struct {
	Errors   Errors
	Warnings []string
}

// JSON writes one document: format_version, valid, errors, warnings.
func (r Report) JSON(w io.Writer) error {
	d := struct {
		FormatVersion string   `json:"format_version"`
		Valid         bool     `json:"valid"`
		Errors        Errors   `json:"errors"`
		Warnings      []string `json:"warnings"`
	}{ReportVersion, len(r.Errors) == 0, r.Errors, r.Warnings}
	if d.Errors == nil {
		d.Errors = Errors{}
	}
	if d.Warnings == nil {
		d.Warnings = []string{}
	}
	return encode(w, d)
}

// GitHub writes workflow commands, which GitHub shows beside the lines of a pull request (GitHub Actions, "Workflow
// commands": error and warning).
func (r Report) GitHub(w io.Writer) error {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	var b strings.Builder
	for _, e := range r.Errors {
		fmt.Fprintf(&b, "::error file=%s", property.Replace(e.Position.File))
		if e.Position.Line > 0 {
			fmt.Fprintf(&b, ",line=%d", e.Position.Line)
		}
		if e.Position.Column > 0 {
			fmt.Fprintf(&b, ",col=%d", e.Position.Column)
		}
		fmt.Fprintf(&b, "::%s\n", data.Replace(e.text()))
	}
	for _, text := range r.Warnings {
		fmt.Fprintf(&b, "::warning::%s\n", data.Replace(text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The part of SARIF 2.1.0 (OASIS, sarif-v2.1.0) that says what is wrong and where.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations,omitempty"`
	}
	sarifLocation struct {
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// SARIF writes one run with a result per error and per warning. File names are as the positions have them, so they should
// be relative to the root of the repository.
func (r Report) SARIF(w io.Writer) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "reconciler", Rules: []sarifRule{
		{"manifest", sarifText{"A manifest is not valid: the commit would change nothing."}},
		{"warning", sarifText{"A manifest is valid and may not do what was meant."}},
	}}}, Results: []sarifResult{}}
	for _, e := range r.Errors {
		at := sarifPhysical{ArtifactLocation: sarifArtifact{e.Position.File}}
		if e.Position.Line > 0 {
			at.Region = &sarifRegion{e.Position.Line, e.Position.Column}
		}
		run.Results = append(run.Results, sarifResult{"manifest", "error", sarifText{e.text()}, []sarifLocation{{at}}})
	}
	for _, text := range r.Warnings {
		run.Results = append(run.Results, sarifResult{"warning", "warning", sarifText{text}, nil})
	}
	return encode(w, sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// text is the error without its position.
func (e *Error) text() string {
	c := *e
	c.Position.File, c.Position.Line, c.Position.Column = "", 0, 0
	return strings.TrimPrefix(c.Error(), ": ")
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
