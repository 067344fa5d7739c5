package main

import (
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
		Use: "validate [PATH|REV...]", Short: "Check manifests without a server",
		Long: `Check folders of manifests, files, or revisions of this repository (a branch, tag or commit; a path of that name goes
first), as the server would check a commit. Every error is printed with its file, line and column. Each argument is checked
by itself: what two of them declare both is not noticed.

-o json prints one document with a format_version; -o sarif is for code scanning; -o github prints workflow commands that
GitHub shows beside the lines.

Exit codes: 0 all is valid; 2 something is not, or could not be read.`,
		Example: `  reconciler validate
  reconciler validate examples/pulp one-more.yaml
  reconciler validate main
  reconciler validate -o github       in a check of pull requests`,
	}
	output := c.Flags().StringP("output", "o", "text", "text, json, sarif or github")
	path := c.Flags().String("path", "", "folder of a revision that holds the manifests, as the server's --path")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "sarif", "github"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{"text", "json", "sarif", "github"}, *output) {
			return fmt.Errorf("unknown output format %q: text, json, sarif or github", *output)
		}
		if len(args) == 0 {
			args = []string{"."}
		}
		var report load.Report
		for _, arg := range args {
			set, warnings, err := check(arg, *path)
			var all load.Errors
			if err != nil && !errors.As(err, &all) {
				return err
			}
			report.Errors = append(report.Errors, all...)
			report.Warnings = append(report.Warnings, warnings...)
			if err == nil && *output == "text" {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %d pods, %d services, %d replication controllers\n", arg, len(set.Pods), len(set.Services), len(set.ReplicationControllers))
			}
		}
		return printReport(cmd, report, *output)
	}
	return c
}

// check loads what an argument names. Positions are given as seen from here.
func check(arg, path string) (*schema.Set, []string, error) {
	i, err := os.Stat(arg)
	if errors.Is(err, fs.ErrNotExist) {
		w, notHere := git.OpenWorktree(".")
		if notHere != nil {
			return nil, nil, err
		}
		_, tree, unknown := w.Resolve(arg)
		if unknown != nil {
			return nil, nil, hinted{fmt.Errorf("%q is neither a path nor a revision here", arg), "name a folder, a file, a branch, a tag or a commit"}
		}
		return loadManifests(tree, path)
	}
	if err != nil {
		return nil, nil, err
	}
	tree, below := os.DirFS(arg), arg
	if !i.IsDir() {
		if !slices.Contains(manifests, filepath.Ext(arg)) {
			return nil, nil, fmt.Errorf("%q is no manifest: its name ends in none of %s", arg, strings.Join(manifests, " "))
		}
		below = filepath.Dir(arg)
		tree = oneFile{os.DirFS(below), filepath.Base(arg)}
	}
	set, warnings, err := loadManifests(tree, "")
	var all load.Errors
	if errors.As(err, &all) {
		for _, e := range all {
			e.Position.File = filepath.ToSlash(filepath.Join(below, e.Position.File))
		}
	}
	return set, warnings, err
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
			return printErrors(cmd, r.Errors)
		}
	}
	if err == nil && len(r.Errors) > 0 {
		return exitCode(exitError)
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

// printErrors prints each error of a load on a line of its own, then how many there were.
func printErrors(cmd *cobra.Command, err error) error {
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
	return exitCode(exitError)
}
