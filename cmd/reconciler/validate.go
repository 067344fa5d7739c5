package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"reconciler/reconcile/git"
	"reconciler/schema"
	"reconciler/schema/load"
)

// manifests are the endings of files that are read.
var manifests = []string{".json", ".yaml", ".yml", ".cue"}

func newValidate() *cobra.Command {
	c := &cobra.Command{
		Use: "validate [PATH|REV|-...]", Short: "Check manifests without a server",
		Long: `Check folders of manifests, files, or revisions of this repository (a branch, tag or commit; a path of that name goes
first), as the server would check a commit. Every error is printed with its file, line and column. Each argument is checked
by itself: what two of them declare both is not noticed, and what a single file refers to may be elsewhere. - is the standard input: JSON or YAML, or what --stdin-name says.

With --since REV, which may be any revision of this repository, what REV declares immutable must not have changed.

-o json prints one document with a format_version; -o sarif is for code scanning; -o github prints workflow commands that
GitHub shows beside the lines.

A file may have 4 MiB; a folder or revision 500,000 manifests, 1 GiB in them, and 500,000 objects.

Exit codes: 0 valid; 1 invalid; 2 could not be checked.`,
		Example: `  reconciler validate
  reconciler validate examples/pulp one-more.yaml
  reconciler validate main
  reconciler validate --since origin/main fleets/prod       in a hook before a push
  kubectl create --dry-run=client -o yaml -f x.yaml | reconciler validate -
  reconciler validate -o github       in a check of pull requests`,
	}
	output := c.Flags().StringP("output", "o", "text", "text, json, sarif or github")
	path := c.Flags().String("path", "", "folder of a revision that holds the manifests, as the server's --path")
	tags := c.Flags().StringArray("tag", nil, "value of the fields that CUE packages mark with @tag(name), as name=value; may be repeated")
	policies := c.Flags().String("policies", "", "folder of policies that hold besides those of the manifests, as the server's --policies")
	since := c.Flags().String("since", "", "revision before: what it declares immutable must not have changed")
	stdinName := c.Flags().String("stdin-name", "<stdin>", "name of the standard input in errors; its ending says what it is")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "sarif", "github"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"text", "json", "sarif", "github"}, *output) {
			return fmt.Errorf("unknown output format %q: text, json, sarif or github", *output)
		}
		if len(args) == 0 {
			args = []string{"."}
		}
		own, err := loadPolicies(*policies)
		if err != nil {
			return err
		}
		var report load.Report
		var unchecked error
		for _, arg := range args {
			var set *schema.Set
			var warnings []string
			var err error
			of := load.Config{Path: *path, Tags: *tags, Policies: own}
			if *since != "" {
				var unread string
				if of.Before, unread, err = before(*since, arg, of); err != nil {
					return err
				} else if unread != "" {
					report.Warnings = append(report.Warnings, unread)
				}
			}
			if arg == "-" {
				of.Path = ""
				set, warnings, err = checkStdin(cmd.InOrStdin(), *stdinName, of)
			} else {
				set, warnings, err = check(arg, of)
			}
			var all load.Errors
			if err != nil && !errors.As(err, &all) {
				unchecked = errors.Join(unchecked, err)
			}
			report.Errors = append(report.Errors, all...)
			report.Warnings = append(report.Warnings, warnings...)
			if err == nil {
				report.Warnings = append(report.Warnings, unsupported(set)...)
			}
			if err == nil && *output == "text" {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %s\n", arg, counts(set))
			}
		}
		if err := printReport(cmd, report, *output); unchecked == nil {
			return err
		}
		return unchecked
	}
	return c
}

// counts is how many objects of each kind there are.
func counts(set *schema.Set) string {
	words := map[schema.Kind]string{schema.KindPod: "pod", schema.KindService: "service", schema.KindReplicationController: "replication controller"}
	count := map[string]int{}
	var kinds []string // in the order of the set
	for o := range set.Objects() {
		k := cmp.Or(words[o.Key().Kind], string(o.Key().Kind))
		if count[k]++; count[k] == 1 {
			kinds = append(kinds, k)
		}
	}
	for i, k := range kinds {
		plural := k
		switch {
		case count[k] == 1 || strings.HasSuffix(k, "s"):
		case strings.HasSuffix(k, "y"):
			plural = strings.TrimSuffix(k, "y") + "ies"
		default:
			plural += "s"
		}
		kinds[i] = fmt.Sprintf("%d %s", count[k], plural)
	}
	return cmp.Or(strings.Join(kinds, ", "), "it declares nothing")
}

// check loads what an argument names. Positions of errors are given as seen from here.
func check(arg string, c load.Config) (*schema.Set, []string, error) {
	r, _, err := checkResult(arg, c)
	if err != nil {
		return nil, nil, err
	}
	return r.Set, r.Warnings, nil
}

// checkResult is as check; below is where the files of the result are, as seen from here.
func checkResult(arg string, c load.Config) (r *load.Result, below string, err error) {
	i, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		w, notHere := git.OpenWorktree(".")
		if notHere != nil {
			return nil, "", err
		}
		_, tree, unknown := w.Resolve(arg)
		if unknown != nil {
			return nil, "", hinted{fmt.Errorf("%q is neither a path nor a revision here", arg), "name a folder, a file, a branch, a tag or a commit"}
		}
		r, err := loadTree(tree, c)
		return r, "", err
	}
	if err != nil {
		return nil, "", err
	}
	tree, below := os.DirFS(arg), arg
	if !i.IsDir() {
		if !slices.Contains(manifests, filepath.Ext(arg)) {
			return nil, "", fmt.Errorf("%q is no manifest: its name ends in none of %s", arg, strings.Join(manifests, " "))
		}
		below = filepath.Dir(arg)
		tree = oneFile{os.DirFS(below), filepath.Base(arg)}
		c.Part = true
	}
	c.Path = ""
	r, err = loadTree(tree, c)
	var all load.Errors
	if errors.As(err, &all) {
		for _, e := range all {
			e.Position.File = filepath.ToSlash(filepath.Join(below, e.Position.File))
		}
	}
	return r, below, err
}

// before is what an argument had at a revision; nil if nothing was there. If that cannot be known because it does not load, which
// somebody may be about to mend, unread says so.
func before(rev, arg string, c load.Config) (set *schema.Set, unread string, err error) {
	if arg == "-" {
		return nil, "", hinted{errors.New("--since needs to know where the manifests are in the repository"), "name the folder or the file"}
	}
	from, name := ".", "" // on disk, and of the only file
	i, notHere := os.Stat(arg)
	switch {
	case notHere != nil: // a revision
	case i.IsDir():
		from = arg
	default:
		from, name = filepath.Dir(arg), filepath.Base(arg)
	}
	w, err := git.OpenWorktree(from)
	if err != nil {
		return nil, "", err
	}
	_, tree, err := w.Resolve(rev)
	if err != nil {
		return nil, "", hinted{fmt.Errorf("--since: %w", err), "name a branch, a tag or a commit"}
	}
	if notHere == nil {
		below, err := w.Inside(from)
		if err != nil {
			return nil, "", err
		}
		if tree, err = fs.Sub(tree, below); err != nil {
			return nil, "", err
		}
		c.Path = ""
	}
	if name != "" {
		tree, c.Part = oneFile{tree, name}, true
	}
	c.Policies, c.Unjudged = nil, true
	r, err := loadTree(tree, c)
	var all load.Errors
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case errors.As(err, &all):
		first := *all[0]
		first.Position.File = filepath.ToSlash(filepath.Join(from, first.Position.File))
		return nil, fmt.Sprintf("nothing is compared with %s, which does not load: %v", rev, &first), nil
	case err != nil:
		return nil, "", err
	}
	return r.Set, "", nil
}

// printReport prints what was found, and is an error if anything was.
func printReport(cmd *cobra.Command, r load.Report, output string) error {
	var err error
	switch output {
	case "json":
		err = r.JSON(cmd.OutOrStdout())
	case "sarif":
		err = r.SARIF(cmd.OutOrStdout())
	case "github":
		err = r.GitHub(cmd.OutOrStdout())
	default:
		for _, w := range r.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
		}
		if len(r.Errors) > 0 {
			return printErrors(cmd, r.Errors, exitInvalid)
		}
	}
	if err == nil && len(r.Errors) > 0 {
		return exitCode(exitInvalid)
	}
	return err
}

// oneFile shows only one file of a folder.
type oneFile struct {
	fs.FS
	name string
}

func (o oneFile) Open(name string) (fs.File, error) {
	if name != "." && name != o.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.FS.Open(name)
}

func (o oneFile) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	i, err := fs.Stat(o.FS, o.name)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(i)}, nil
}

// printErrors prints each error of a load on a line of its own, then how many there were; code is the exit code then.
func printErrors(cmd *cobra.Command, err error, code exitCode) error {
	var all load.Errors
	if !errors.As(err, &all) {
		return err
	}
	for _, e := range all {
		fmt.Fprintln(cmd.ErrOrStderr(), e)
	}
	word := "errors"
	if len(all) == 1 {
		word = "error"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "reconciler: %d %s\n", len(all), word)
	return code
}
