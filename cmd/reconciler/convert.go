package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue/cuecontext"
	cuejson "cuelang.org/go/encoding/json"
	cueyaml "cuelang.org/go/encoding/yaml"
	"github.com/spf13/cobra"

	"reconciler/schema"
	"reconciler/schema/load"
	v1 "reconciler/schema/v1"
	"reconciler/schema/v1beta1"
)

// writable is the versions that objects can be written in.
var writable = []string{v1.Version, v1beta1.Version1, v1beta1.Version2}

func newConvert() *cobra.Command {
	c := &cobra.Command{
		Use: "convert [PATH|REV|-...]", Short: "Write manifests in another apiVersion",
		Long: `Read manifests as validate does, in any apiVersion, and write all their objects to the standard output in one: v1 of today,
or v1beta1 and v1beta2 of 2014. Each object is read again before anything is written, and is the same object then: the server
would change nothing. Several objects are YAML documents, or a List in JSON. CUE packages are written as what they come to.

Comments, the order of fields and what means nothing (status, fields with their default) are not kept. Values of secrets are
written. What a version cannot say is an error for each field, and nothing is written.

One thing has another meaning: a service of v1beta1 without containerPort goes to the first port of the first container.
v1 has no word for that; the port is written if the pods that the service selects are in the same input and agree, else there
is a warning.

Exit codes: 0 written; 1 invalid, or the version cannot say it; 2 could not be read.`,
		Example: `  reconciler convert pulpdb.json > pulpdb.yaml
  reconciler convert --to v1beta1 -o json fleet
  reconciler convert old/*.json | reconciler validate -`,
	}
	to := c.Flags().String("to", v1.Version, strings.Join(writable, ", "))
	output := c.Flags().StringP("output", "o", "yaml", "yaml or json")
	path := c.Flags().String("path", "", "folder of a revision that holds the manifests, as the server's --path")
	tags := c.Flags().StringArray("tag", nil, "value of the fields that CUE packages mark with @tag(name), as name=value; may be repeated")
	stdinName := c.Flags().String("stdin-name", "<stdin>", "name of the standard input in errors; its ending says what it is")
	_ = c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(writable, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"yaml", "json"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(writable, *to) {
			return fmt.Errorf("cannot write apiVersion %q: %s", *to, strings.Join(writable, ", "))
		}
		if *output != "yaml" && *output != "json" {
			return fmt.Errorf("unknown output format %q: yaml or json", *output)
		}
		if len(args) == 0 {
			args = []string{"."}
		}
		inputs, err := readInputs(cmd, args, load.Config{Path: *path, Tags: *tags, Unjudged: true}, *stdinName)
		if err != nil {
			return err
		}
		l, err := load.New(load.Config{Part: true, Unjudged: true})
		if err != nil {
			return err
		}
		w := &conversion{to: *to, format: *output, loader: l, all: everything(inputs)}
		for _, in := range inputs {
			if err := w.add(in); err != nil {
				return err
			}
		}
		slices.SortStableFunc(w.report.Errors, func(a, b *load.Error) int { return comparePositions(a.Position, b.Position) })
		if err := printReport(cmd, w.report, "text"); err != nil {
			return err
		}
		if len(w.texts) == 0 {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: there are no manifests: nothing is written")
		}
		return w.print(cmd.OutOrStdout())
	}
	return c
}

// manifestInput is what one argument declares.
type manifestInput struct {
	*load.Result
	file func(string) string // a file of it, as seen from here
}

// readInputs loads every argument. What is wrong with them is printed.
func readInputs(cmd *cobra.Command, args []string, c load.Config, stdinName string) ([]manifestInput, error) {
	var inputs []manifestInput
	var report load.Report
	var unread error
	for _, arg := range args {
		in := manifestInput{}
		var err error
		if arg == "-" {
			var file string
			in.Result, file, err = checkStdinResult(cmd.InOrStdin(), stdinName, c)
			in.file = func(f string) string {
				if f == file {
					return stdinName
				}
				return f
			}
		} else {
			var below string
			in.Result, below, err = checkResult(arg, c)
			in.file = func(f string) string { return filepath.ToSlash(filepath.Join(below, f)) }
		}
		var all load.Errors
		switch {
		case errors.As(err, &all):
			report.Errors = append(report.Errors, all...)
		case err != nil:
			unread = errors.Join(unread, err)
		default:
			report.Warnings = append(report.Warnings, in.Warnings...)
			inputs = append(inputs, in)
		}
	}
	if err := printReport(cmd, report, "text"); unread == nil {
		return inputs, err
	}
	return nil, unread
}

// everything is the pods and controllers of all inputs.
func everything(inputs []manifestInput) *schema.Set {
	all := &schema.Set{}
	for _, in := range inputs {
		all.Pods = append(all.Pods, in.Set.Pods...)
		all.ReplicationControllers = append(all.ReplicationControllers, in.Set.ReplicationControllers...)
	}
	return all
}

// conversion writes objects in one version.
type conversion struct {
	to, format string
	loader     *load.Loader
	all        *schema.Set // by which target ports are resolved
	texts      [][]byte    // of the objects
	report     load.Report
}

// add writes what one argument declares, in the order of its files.
func (w *conversion) add(in manifestInput) error {
	objects := slices.Collect(in.Set.Objects())
	slices.SortStableFunc(objects, func(a, b schema.Object) int {
		return comparePositions(in.Set.Positions[a.Key().String()], in.Set.Positions[b.Key().String()])
	})
	for _, o := range objects {
		if err := w.object(in, o); err != nil {
			return err
		}
	}
	return nil
}

func comparePositions(a, b schema.Position) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

func (w *conversion) object(in manifestInput, o schema.Object) error {
	written := o
	if s, ok := o.(*schema.Service); ok && w.to == v1.Version {
		written, _ = v1.Resolve(s, w.all)
	}
	v, problems := writeObject(written, w.to)
	if v1.Version == w.to {
		for _, p := range problems {
			at, field := in.place(o, p.Path)
			w.report.Warnings = append(w.report.Warnings, fmt.Sprintf("%s: %s: %s: %s", at, o.Key(), field, p.Message))
		}
	} else if len(problems) > 0 {
		for _, p := range problems {
			w.fail(in, o, p.Path, p.Message, p.Hint)
		}
		return nil
	}
	text, err := encode(v, w.format)
	if err != nil {
		return err
	}
	again, err := w.loader.Tree(memory{"written." + w.format, text})
	var all load.Errors
	switch {
	case errors.As(err, &all): // names and amounts that one version allows and the other does not
		for _, e := range all {
			w.fail(in, o, w.canonical(o, e.Field), w.to+": "+e.Message, e.Hint)
		}
		return nil
	case err != nil:
		return err
	}
	if len(problems) == 0 {
		for got := range again.Set.Objects() {
			if got.Key() != written.Key() || got.Hash() != written.Hash() {
				return fmt.Errorf("convert %s: it would be another object; nothing is written. This is a fault of reconciler, which its authors want to hear of", o.Key())
			}
		}
	}
	w.texts = append(w.texts, text)
	return nil
}

func writeObject(o schema.Object, version string) (any, []schema.Problem) {
	if version == v1.Version {
		return v1.Write(o)
	}
	return v1beta1.Write(o, version)
}

// place is where a path of an object was written, as seen from here.
func (in manifestInput) place(o schema.Object, path []string) (schema.Position, string) {
	at, field := in.Place(o.Key(), path)
	at.File = in.file(at.File)
	return at, field
}

func (w *conversion) fail(in manifestInput, o schema.Object, path []string, message, hint string) {
	at, field := in.place(o, path)
	w.report.Errors = append(w.report.Errors, &load.Error{Position: at, Object: o.Key().String(), Field: field, Message: message, Hint: hint})
}

// canonical is the path of an object whose field in the version that is written is called so.
func (w *conversion) canonical(o schema.Object, field string) []string {
	kind := o.Key().Kind
	if kind == schema.KindNode {
		kind = "Minion"
	}
	want := strings.Trim(strings.NewReplacer(`["`, ".", `"]`, "", "[", ".", "]", "").Replace(field), ".")
	found := []string{"metadata", "name"}
	b, err := json.Marshal(o)
	var v any
	if err != nil || json.Unmarshal(b, &v) != nil {
		return found
	}
	each(v, nil, func(path []string) {
		there := path
		if w.to != v1.Version {
			there = v1beta1.Path(kind, path)
		}
		if strings.Join(there, ".") == want {
			found = slices.Clone(path)
		}
	})
	return found
}

// each calls f with the path of every value in v.
func each(v any, path []string, f func([]string)) {
	f(path)
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			each(x, append(path[:len(path):len(path)], k), f)
		}
	case []any:
		for i, x := range v {
			each(x, append(path[:len(path):len(path)], strconv.Itoa(i)), f)
		}
	}
}

// objectList is a List.
type objectList struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Items      []json.RawMessage `json:"items"`
}

// print writes the objects, separated as the format wants it.
func (w *conversion) print(out io.Writer) error {
	var text []byte
	switch {
	case w.format == "yaml":
		text = bytes.Join(w.texts, []byte("---\n"))
	case len(w.texts) == 1:
		text = w.texts[0]
	case len(w.texts) > 1:
		items := make([]json.RawMessage, len(w.texts))
		for i, t := range w.texts {
			items[i] = t
		}
		var err error
		text, err = encode(objectList{w.to, "List", items}, w.format)
		if err != nil {
			return err
		}
	}
	_, err := out.Write(text)
	return err
}

// encode is v as JSON or YAML, with its fields in the order of its type.
func encode(v any, format string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	if format == "json" {
		return b.Bytes(), nil
	}
	x, err := cuejson.Extract("", b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	text, err := cueyaml.Encode(cuecontext.New().BuildExpr(x)) // the only encoder at hand that keeps the order of fields
	if err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	return text, nil
}
