package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/git"
	"reconciler/reconcile/print"
	"reconciler/schema/load"
)

// diffOptions are the flags of diff.
type diffOptions struct {
	server, snapshot, path, source, output string
	tags                                   []string
	live                                   bool
}

func newDiff() *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use: "diff [REV|FOLDER]", Short: "Show what a push would change, without changing anything", Args: cobra.MaximumNArgs(1),
		Long: `Compute the plan that the server would compute, and print it: which pods would be created, replaced, moved or deleted,
on which minions, which routes would change, and why. Nothing is changed.

Without an argument the plan is for the files of the working tree (tracked and unignored); REV is a branch, tag or commit
of this repository; FOLDER is a folder of manifests. With --live it is for the revision in force: what has drifted, or is
still under way.

Where the fleet is of several sources, the tree is that of the source that --source names (default: the Git configuration
reconciler.source); the objects of the others are as the server has them. Tags of CUE packages have the server's values.

Exit codes: 0 nothing would change; 1 something would; 2 error.`,
		Example: `  reconciler diff
  reconciler diff HEAD~1
  reconciler diff --live
  reconciler diff -o json main | jq '.changes[].reason'`,
	}
	server := addServerFlag(c)
	c.Flags().StringVar(&o.snapshot, "snapshot", "", "file with a saved input, instead of a server: what GET /v1/snapshot on the server's socket answers")
	c.Flags().StringVar(&o.path, "path", "", "folder of the repository that holds the manifests (default: the server's)")
	c.Flags().StringVar(&o.source, "source", "", "which of the fleet's sources this tree is")
	c.Flags().StringArrayVar(&o.tags, "tag", nil, "value of the fields that CUE packages mark with @tag(name), as name=value; may be repeated (default: the server's)")
	c.Flags().BoolVar(&o.live, "live", false, "what is to be done for the revision in force")
	c.Flags().StringVarP(&o.output, "output", "o", "", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.server = *server
		in, err := o.input(cmd.Context())
		if err != nil {
			return err
		}
		if o.snapshot == "" {
			in.Now = time.Now()
		}
		if err := o.desired(&in, args); err != nil {
			return printErrors(cmd, err, exitError)
		}
		plan, err := compute(in)
		if err != nil {
			return err
		}
		if plan.Stalled != "" { // what it would do if it were allowed is what one must know before one allows it
			why := plan.Stalled
			allowed := in
			allowed.Revision.Trailers = append(slices.Clone(in.Revision.Trailers), reconcile.Trailer{Key: reconcile.TrailerAllowDelete, Value: "all"})
			if plan, err = compute(allowed); err != nil {
				return err
			}
			plan.Stalled = why
		}
		if o.output != "" && o.output != "json" {
			return fmt.Errorf("unknown output format %q: json", o.output)
		}
		if o.output == "json" {
			err = print.PlanJSON(cmd.OutOrStdout(), in, plan)
		} else {
			err = print.Plan(cmd.OutOrStdout(), in, plan, colour(cmd.OutOrStdout()))
		}
		if err == nil && (len(plan.Changes) > 0 || plan.Stalled != "") {
			return exitCode(exitChanges)
		}
		return err
	}
	return c
}

// input is the live input, or the saved one.
func (o *diffOptions) input(ctx context.Context) (in reconcile.Input, err error) {
	if o.snapshot != "" {
		b, err := os.ReadFile(o.snapshot)
		if err != nil {
			return in, fmt.Errorf("read snapshot: %w", err)
		}
		if in, err = readSnapshot(b); err != nil {
			return in, fmt.Errorf("read snapshot %q: %w", o.snapshot, err)
		}
		return in, nil
	}
	cl, err := connect(o.server)
	if err != nil {
		return in, err
	}
	if in, err = cl.Snapshot(ctx); err != nil {
		return in, noServer(err)
	}
	return in, nil
}

// desired puts what is to be compared into the input.
func (o *diffOptions) desired(in *reconcile.Input, args []string) error {
	if o.live {
		if len(args) > 0 {
			return errors.New("--live takes no revision")
		}
		in.Revision, in.Set = in.State.Applied, in.State.Accepted
		return nil
	}
	if o.tags == nil {
		o.tags = in.Revision.Tags
	}
	if o.source == "" && len(in.Revision.Sources) > 0 {
		o.source = gitSetting("source")
	}
	several := len(in.Revision.Sources) > 0 || o.source != ""
	var part reconcile.Part
	if several {
		var err error
		if part, err = pick(in.Revision.Sources, o.source); err != nil {
			return err
		}
	}
	if o.path == "" {
		o.path = cmp.Or(part.Path, in.State.Applied.Path)
	}
	tree, rev, path, err := o.tree(args)
	if err != nil {
		return err
	}
	rev.Path, rev.Tags = in.State.Applied.Path, slices.Sorted(slices.Values(o.tags))
	of := load.Config{Path: path, Tags: o.tags}
	if several { // nothing is known of the other sources here, so their objects stay as they are
		tree = git.Join(map[string]fs.FS{part.Name: tree})
		of = load.Config{Sources: []load.Source{{Name: part.Name, Path: path}}, Others: in.Set, Tags: o.tags}
		rev.Sources = slices.Clone(in.Revision.Sources)
		i := slices.IndexFunc(rev.Sources, func(p reconcile.Part) bool { return p.Name == part.Name })
		rev.Sources[i] = reconcile.Part{Name: part.Name, Path: part.Path, Hash: rev.Hash, Ref: rev.Ref, Author: rev.Author, Time: rev.Time}
	}
	set, _, err := loadManifests(tree, of)
	if err != nil {
		return err
	}
	in.Revision, in.Set, in.Attempt = rev, set, reconcile.Attempt{}
	return nil
}

// tree finds the files that are meant.
func (o *diffOptions) tree(args []string) (fs.FS, reconcile.Revision, string, error) {
	if len(args) == 1 {
		if i, err := os.Stat(args[0]); err == nil && i.IsDir() {
			return os.DirFS(args[0]), reconcile.Revision{Hash: "folder " + args[0], Time: time.Now()}, "", nil
		}
	}
	w, err := git.OpenWorktree(".")
	if err != nil {
		return nil, reconcile.Revision{}, "", hinted{err, "run it inside a Git working tree, or name a folder of manifests"}
	}
	if len(args) == 0 {
		files, err := w.Files()
		return files, reconcile.Revision{Hash: "working tree", Time: time.Now()}, o.path, err
	}
	rev, files, err := w.Resolve(args[0])
	return files, rev, o.path, err
}

// gitSetting is a value of the section reconciler of the Git configuration here, if there is one.
func gitSetting(key string) string {
	w, err := git.OpenWorktree(".")
	if err != nil {
		return ""
	}
	s, err := w.Setting("reconciler", key)
	if err != nil {
		return ""
	}
	return s
}
