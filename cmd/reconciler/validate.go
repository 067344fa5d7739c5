package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"reconciler/schema"
	"reconciler/schema/load"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate [PATH]", Short: "Check manifests without a server", Args: cobra.MaximumNArgs(1),
		Long: `Check a folder of manifests, or one file, as the server would check a commit. Every error is printed with its file, line
and column.

Exit codes: 0 all is valid; 2 something is not.`,
		Example: "  reconciler validate\n  reconciler validate examples/pulp",
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "."
			if len(args) == 1 {
				path = args[0]
			}
			tree, err := folder(path)
			if err != nil {
				return err
			}
			set, warnings, err := loadTree(tree, "")
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			if err != nil {
				return printErrors(cmd, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid: %d pods, %d services, %d replication controllers\n", path, len(set.Pods), len(set.Services), len(set.ReplicationControllers))
			return nil
		},
	}
}

// folder is the file tree below path, or of one file alone.
func folder(path string) (fs.FS, error) {
	i, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if i.IsDir() {
		return os.DirFS(path), nil
	}
	return oneFile{os.DirFS(filepath.Dir(path)), filepath.Base(path)}, nil
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

// loadTree loads the folder path of a tree.
func loadTree(tree fs.FS, path string) (*schema.Set, []string, error) {
	l, err := load.New(load.Config{Path: path})
	if err != nil {
		return nil, nil, err
	}
	r, err := l.Tree(tree)
	if err != nil {
		return nil, nil, err
	}
	return r.Set, r.Warnings, nil
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
	fmt.Fprintf(cmd.ErrOrStderr(), "reconciler: %d errors\n", len(all))
	return exitCode(exitError)
}
