package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"reconciler/schema/explain"
)

func newExplain() *cobra.Command {
	c := &cobra.Command{
		Use: "explain [KIND[.FIELD...]]", Short: "Tell what can be written in a manifest", Args: cobra.MaximumNArgs(1),
		Long: `Tell what a kind, or a field of one, is for: its type, whether it must be there, what a value must be, and the fields below
it. What is known and not supported yet, and what is accepted and means nothing, is marked. Without an argument, list the kinds.

Exit codes: 0 told; 2 there is no such kind or field.`,
		Example: `  reconciler explain
  reconciler explain pod.spec.containers
  reconciler explain rc.spec.template --recursive
  reconciler explain service.containerPort --api-version v1beta1`,
	}
	version := c.Flags().String("api-version", "", "v1, v1beta1, v1beta2 or reconciler/v1 (default: the first that has the kind)")
	recursive := c.Flags().Bool("recursive", false, "all fields below, by name and type")
	_ = c.RegisterFlagCompletionFunc("api-version", cobra.FixedCompletions([]string{"v1", "v1beta1", "v1beta2", "reconciler/v1"}, cobra.ShellCompDirectiveNoFileComp))
	c.ValidArgsFunction = func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return completePath(typed, *version), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		kinds, err := kindsOf(*version)
		if err != nil {
			return err
		}
		if len(args) == 0 {
			printKinds(cmd.OutOrStdout(), kinds)
			return nil
		}
		kind, path, err := kindOf(kinds, args[0])
		if err != nil {
			return err
		}
		f, err := explain.Find(kind, path)
		var unknown *explain.Unknown
		if errors.As(err, &unknown) {
			return hinted{err, unknown.Hint}
		}
		if err != nil {
			return err
		}
		return printField(cmd.OutOrStdout(), kind, f, *recursive)
	}
	return c
}

// kindsOf is the kinds of a version, "" of all.
func kindsOf(version string) ([]explain.Field, error) {
	kinds, err := explain.Kinds()
	if err != nil || version == "" {
		return kinds, err
	}
	of := slices.DeleteFunc(slices.Clone(kinds), func(k explain.Field) bool { return k.Version != version })
	if len(of) == 0 {
		var versions []string
		for _, k := range kinds {
			if !slices.Contains(versions, k.Version) {
				versions = append(versions, k.Version)
			}
		}
		return nil, hinted{fmt.Errorf("unknown apiVersion %q", version), "one of " + strings.Join(versions, ", ")}
	}
	return of, nil
}

// kindNames are the other names of kinds, as kubectl has them.
var kindNames = map[string][]string{
	"po": {"Pod"}, "svc": {"Service"}, "se": {"Service"}, "rc": {"ReplicationController"}, "ep": {"Endpoints"}, "cm": {"ConfigMap"}, "ns": {"Namespace"},
	"no": {"Node", "Minion"}, "node": {"Node", "Minion"}, "mi": {"Minion", "Node"}, "minion": {"Minion", "Node"}, "manifest": {"ContainerManifest"},
}

// kindOf is the kind that a path begins with, and the rest of the path.
func kindOf(kinds []explain.Field, path string) (explain.Field, []string, error) {
	parts := strings.Split(strings.TrimSuffix(path, "."), ".")
	name := strings.ToLower(parts[0])
	var known []string
	for _, n := range []string{name, strings.TrimSuffix(name, "s"), strings.TrimSuffix(name, "ies") + "y"} {
		for _, want := range append([]string{n}, kindNames[n]...) {
			for _, k := range kinds {
				if strings.EqualFold(k.Name, want) {
					return k, parts[1:], nil
				}
			}
		}
	}
	for _, k := range kinds {
		if !slices.Contains(known, k.Name) {
			known = append(known, k.Name)
		}
	}
	err := fmt.Errorf("unknown kind %q", parts[0])
	if all, _ := kindsOf(""); len(all) > len(kinds) { // of one version
		if k, _, elsewhere := kindOf(all, parts[0]); elsewhere == nil {
			return explain.Field{}, nil, hinted{fmt.Errorf("%s has no %s", kinds[0].Version, k.Name), "it is a kind of " + k.Version}
		}
	}
	return explain.Field{}, nil, hinted{err, explain.DidYouMean(parts[0], known)}
}

func printKinds(w io.Writer, kinds []explain.Field) {
	version := ""
	for _, k := range kinds {
		if k.Version != version {
			if version != "" {
				fmt.Fprintln(w)
			}
			version = k.Version
			fmt.Fprintln(w, version)
		}
		first, _, _ := strings.Cut(k.Doc, ". ")
		fmt.Fprintf(w, "  %-23s %s.\n", k.Name, strings.TrimSuffix(first, "."))
	}
}

func printField(w io.Writer, kind, f explain.Field, recursive bool) error {
	fmt.Fprintf(w, "KIND:     %s\nVERSION:  %s\n", kind.Name, kind.Version)
	if f.Path != "" {
		fmt.Fprintf(w, "FIELD:    %s <%s>%s\n", f.Path, f.Type, marks(f))
	}
	if f.Doc != "" {
		fmt.Fprintf(w, "\n%s\n", wrap(f.Doc, "  ", 100))
	}
	if f.Want != "" {
		fmt.Fprintf(w, "\nWANT:\n%s\n", wrap(f.Want, "  ", 100))
	}
	fields, err := f.Fields()
	if err != nil || len(fields) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nFIELDS:")
	if recursive {
		return printBelow(w, fields, "  ")
	}
	for _, x := range fields {
		fmt.Fprintf(w, "  %s <%s>%s\n", x.Name, x.Type, marks(x))
		if x.Doc != "" {
			fmt.Fprintln(w, wrap(x.Doc, "      ", 100))
		}
	}
	return nil
}

func printBelow(w io.Writer, fields []explain.Field, indent string) error {
	for _, x := range fields {
		fmt.Fprintf(w, "%s%s <%s>%s\n", indent, x.Name, x.Type, marks(x))
		if x.Ignored {
			continue
		}
		more, err := x.Fields()
		if err != nil {
			return err
		}
		if err := printBelow(w, more, indent+"  "); err != nil {
			return err
		}
	}
	return nil
}

// marks is what is special about a field.
func marks(f explain.Field) string {
	switch {
	case f.Ignored:
		return " (accepted and ignored)"
	case f.Limited && len(f.Only) == 0:
		return " (not supported yet)"
	case f.Limited:
		return " (supported yet: " + strings.Join(f.Only, ", ") + ")" + required(f)
	}
	return required(f)
}

func required(f explain.Field) string {
	if f.Required {
		return " required"
	}
	return ""
}

// wrap breaks text into lines of at most width characters, each indented.
func wrap(text, indent string, width int) string {
	var lines []string
	line := indent
	for _, word := range strings.Fields(text) {
		if line != indent && len(line)+1+len(word) > width {
			lines, line = append(lines, line), indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}

// completePath is the paths that go on from what was typed by one name.
func completePath(typed, version string) []string {
	kinds, err := kindsOf(version)
	if err != nil {
		return nil
	}
	var out []string
	i := strings.LastIndexByte(typed, '.')
	if i < 0 {
		for _, k := range kinds {
			if n := strings.ToLower(k.Name); strings.HasPrefix(n, strings.ToLower(typed)) && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
		return out
	}
	kind, path, err := kindOf(kinds, typed[:i])
	if err != nil {
		return nil
	}
	f, err := explain.Find(kind, path)
	if err != nil {
		return nil
	}
	fields, err := f.Fields()
	if err != nil {
		return nil
	}
	for _, x := range fields {
		if strings.HasPrefix(x.Name, typed[i+1:]) && !x.Ignored {
			out = append(out, typed[:i+1]+x.Name)
		}
	}
	return out
}
