package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/git"
	"reconciler/reconcile/print"
	"reconciler/schema"
	"reconciler/schema/load"
)

// diffOptions are the flags of diff.
type diffOptions struct {
	server, snapshot, path, source, output, save string
	tags, without, drain, add                    []string
	live, held, json, exitCode                   bool
	salt                                         []byte // of the snapshot, if its secrets are masked
}

func newDiff() *cobra.Command {
	var o diffOptions
	c := &cobra.Command{
		Use: "diff [REV|A..B|FOLDER]", Short: "Show what a push would change, without changing anything", Args: cobra.MaximumNArgs(1),
		Long: `Compute the plan that the server would compute, and print it: which pods would be created, replaced, moved or deleted,
on which minions, which routes would change, and why; for each service that it touches, how few ready endpoints it may have
on the way; and the plan's hash. Nothing is changed.

Without an argument the plan is for the files of the working tree (tracked and unignored); REV is a branch, tag or commit
of this repository; FOLDER is a folder of manifests. With --live it is for the revision in force: what has drifted, or is
still under way. With --held it is for the newest revision that the server has seen, which waits for "reconciler apply" or for
a trailer. A..B is the plan of B for the fleet as it would be once A was carried out: every connected minion did what
it was told, and every image was there. If that leaves something to do, it is said; if A comes to no rest, it is an error.

--without, --drain and --add-minion change the fleet and not the manifests: a minion that is lost for good, that is cordoned
and drained, or that is new.

--snapshot needs no server: the file is what "reconciler snapshot" saved. --save keeps what the plan was computed of, for
"reconciler replay".

Where the fleet is of several sources, the tree is that of the source that --source names (default: the Git configuration
reconciler.source); the objects of the others are as the server has them. Tags of CUE packages have the server's values.

Exit codes: 0 nothing would change, or --exit-code=false; 1 something would, if only a route; 2 error.`,
		Example: `  reconciler diff
  reconciler diff HEAD~1
  reconciler diff v1..v2
  reconciler diff --live --without m3
  reconciler diff --held
  reconciler diff --drain m2 --add-minion name=m9,cpu=4,memory=8Gi,pods=110,label=zone:b
  reconciler diff --snapshot fleet.json main
  reconciler diff -o json main | jq '.changes[].code'`,
	}
	server := addServerFlag(c)
	f := c.Flags()
	f.StringVar(&o.snapshot, "snapshot", "", "file with a saved input, instead of a server")
	f.StringVar(&o.save, "save", "", "file to keep what the plan was computed of in, secrets masked")
	f.StringVar(&o.path, "path", "", "folder of the repository that holds the manifests (default: the server's)")
	f.StringVar(&o.source, "source", "", "which of the fleet's sources this tree is")
	f.StringArrayVar(&o.tags, "tag", nil, "value of the fields that CUE packages mark with @tag(name), as name=value; may be repeated (default: the server's)")
	f.BoolVar(&o.live, "live", false, "what is to be done for the revision in force")
	f.BoolVar(&o.held, "held", false, "what the revision would do that waits to be applied")
	f.StringArrayVar(&o.without, "without", nil, "a minion that is lost and does not come back; may be repeated")
	f.StringArrayVar(&o.drain, "drain", nil, "a minion that is cordoned and drained; may be repeated")
	f.StringArrayVar(&o.add, "add-minion", nil, "a minion that is new, as name=NAME,cpu=4,memory=8Gi[,pods=110][,pids=32768][,storage=100Gi][,label=KEY:VALUE]; may be repeated")
	f.StringVarP(&o.output, "output", "o", "", "json")
	f.BoolVar(&o.json, "json", false, "the same as -o json")
	f.BoolVar(&o.exitCode, "exit-code", true, "exit with 1 if something would change")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		o.server = *server
		if o.json {
			o.output = "json"
		}
		if o.output != "" && o.output != "json" {
			return fmt.Errorf("unknown output format %q: json", o.output)
		}
		in, err := o.input(cmd.Context())
		if err != nil {
			return err
		}
		if o.snapshot == "" {
			in.Now = time.Now().UTC()
		}
		if err := o.desired(cmd.Context(), &in, args, cmd.ErrOrStderr()); err != nil {
			return printErrors(cmd, err, exitError)
		}
		if in, err = o.whatIf(in); err != nil {
			return err
		}
		if o.save != "" {
			if err := saveSnapshot(o.save, in, o.salt); err != nil {
				return err
			}
		}
		changes, err := printPlan(cmd, in, o.output)
		if err == nil && changes && o.exitCode {
			return exitCode(exitChanges)
		}
		return err
	}
	return c
}

// printPlan computes the plan of an input and prints it, and tells whether there is anything to do.
func printPlan(cmd *cobra.Command, in reconcile.Input, output string) (changes bool, err error) {
	plan, forecast, err := compute(in)
	if err != nil {
		return false, err
	}
	w, doc := cmd.OutOrStdout(), print.NewDocument(in, plan, forecast)
	if output == "json" {
		err = doc.JSON(w)
	} else {
		err = doc.Text(w, colour(w))
	}
	return len(plan.Changes) > 0 || plan.Stalled != "" || plan.Held != "", err
}

// whatIf changes the fleet as the flags say.
func (o *diffOptions) whatIf(in reconcile.Input) (reconcile.Input, error) {
	for _, text := range o.add {
		r, err := parseMinion(text)
		if err != nil {
			return in, err
		}
		if in, err = reconcile.AddMinion(in, r); err != nil {
			return in, err
		}
	}
	var err error
	for _, name := range o.without {
		if in, err = reconcile.Without(in, name); err != nil {
			return in, err
		}
	}
	for _, name := range o.drain {
		if in, err = reconcile.Drain(in, name); err != nil {
			return in, err
		}
	}
	return in, nil
}

// parseMinion reads name=NAME,cpu=4,memory=8Gi,pods=110,pids=32768,storage=100Gi,label=KEY:VALUE. Without pids and storage, it has
// as much of them as it takes.
func parseMinion(text string) (r assignment.Report, err error) {
	r.Capacity.Pods = 110
	for _, part := range strings.Split(text, ",") {
		k, v, ok := strings.Cut(part, "=")
		switch {
		case !ok:
			err = fmt.Errorf("%q is not KEY=VALUE", part)
		case k == "name":
			r.Minion = v
		case k == "cpu":
			r.Capacity.MilliCPU, err = schema.ParseMilliCPU(v)
		case k == "memory":
			r.Capacity.Memory, err = schema.ParseBytes(v)
		case k == "pods":
			r.Capacity.Pods, err = strconv.Atoi(v)
		case k == "pids":
			r.Capacity.PIDs, err = strconv.ParseInt(v, 10, 64)
		case k == "storage":
			r.Capacity.Storage, err = schema.ParseBytes(v)
		case k == "label":
			key, value, _ := strings.Cut(v, ":")
			if r.Labels == nil {
				r.Labels = map[string]string{}
			}
			r.Labels[key] = value
		default:
			err = fmt.Errorf("%q is none of name, cpu, memory, pods, pids, storage, label", k)
		}
		if err != nil {
			break
		}
	}
	if err == nil && (r.Minion == "" || r.Capacity.MilliCPU <= 0 || r.Capacity.Memory <= 0 || r.Capacity.Pods <= 0 || r.Capacity.PIDs < 0 || r.Capacity.Storage < 0) {
		err = errors.New("name, cpu and memory are required, and pods is above 0, and nothing below 0")
	}
	if err != nil {
		return r, hinted{fmt.Errorf("--add-minion %q: %w", text, err), "for instance --add-minion name=m9,cpu=4,memory=8Gi,pods=110,label=zone:b"}
	}
	return r, nil
}

// input is the live input, or the saved one.
func (o *diffOptions) input(ctx context.Context) (in reconcile.Input, err error) {
	if o.snapshot != "" {
		b, err := os.ReadFile(o.snapshot)
		if err != nil {
			return in, fmt.Errorf("read snapshot: %w", err)
		}
		if in, o.salt, err = readSnapshot(b); err != nil {
			return in, fmt.Errorf("read snapshot %q: %w", o.snapshot, err)
		}
		return in, nil
	}
	cl, err := connect(o.server)
	if err != nil {
		return in, err
	}
	if o.held {
		return held(ctx, cl)
	}
	if in, err = cl.Snapshot(ctx); err != nil {
		return in, noServer(err)
	}
	return in, nil
}

// desired puts what is to be compared into the input. What was left to do of A, of A..B, is said on w.
func (o *diffOptions) desired(ctx context.Context, in *reconcile.Input, args []string, w io.Writer) error {
	if o.held && o.live {
		return errors.New("--held and --live exclude each other")
	}
	if o.held {
		if len(args) > 0 {
			return errors.New("--held takes no revision")
		}
		return nil // as the server, or the snapshot, has it
	}
	if o.live {
		if len(args) > 0 {
			return errors.New("--live takes no revision")
		}
		in.Revision, in.Set = in.State.Applied, in.State.Accepted
		return nil
	}
	from, to, several := "", "", false
	if len(args) == 1 {
		from, to, several = strings.Cut(args[0], "..")
	}
	if i, err := os.Stat(strings.Join(args, "")); err == nil && i.IsDir() || !several {
		return o.revise(ctx, in, args)
	}
	if from == "" || to == "" || strings.HasPrefix(to, ".") {
		return hinted{fmt.Errorf("%q is not A..B", args[0]), "name both revisions, for instance v1..v2"}
	}
	if err := o.revise(ctx, in, []string{from}); err != nil {
		return err
	}
	settled, left, err := reconcile.Settle(*in)
	if err != nil {
		return fmt.Errorf("carry out %s: %w", from, err)
	}
	for _, c := range left {
		fmt.Fprintf(w, "reconciler: after %s, %s %s would still wait for: %s\n", from, c.Verb, c.Object, c.Waiting)
	}
	*in = settled
	return o.revise(ctx, in, []string{to})
}

// revise puts one tree of manifests into the input.
func (o *diffOptions) revise(ctx context.Context, in *reconcile.Input, args []string) error {
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
		o.path = cmp.Or(part.Path, in.State.Applied.Path, in.Revision.Path)
	}
	tree, rev, path, err := o.tree(args)
	if err != nil {
		return err
	}
	rev.Path, rev.Tags = cmp.Or(in.State.Applied.Path, in.Revision.Path), slices.Sorted(slices.Values(o.tags))
	rev.Commits = commitsSince(ctx, rev, in.State.Applied, part.Name)
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
	if o.salt != nil {
		set = masked(set, o.salt)
	}
	in.Revision, in.Set, in.Attempt = rev, set, reconcile.Attempt{}
	return nil
}

// tree finds the files that are meant.
func (o *diffOptions) tree(args []string) (fs.FS, reconcile.Revision, string, error) {
	if len(args) == 1 {
		if i, err := os.Stat(args[0]); err == nil && i.IsDir() {
			return os.DirFS(args[0]), reconcile.Revision{Hash: "folder " + args[0]}, "", nil
		}
	}
	w, err := git.OpenWorktree(".")
	if err != nil {
		return nil, reconcile.Revision{}, "", hinted{err, "run it inside a Git working tree, or name a folder of manifests"}
	}
	if len(args) == 0 {
		files, err := w.Files()
		return files, reconcile.Revision{Hash: workingTree, Author: workingTree}, o.path, err
	}
	rev, files, err := w.Resolve(args[0])
	return files, rev, o.path, err
}

// workingTree stands for the hash and the author of what is not committed.
const workingTree = "working tree"

// commitsSince are the commits of a revision of the repository here since the applied one, of the source of that name if there are
// several. Where they cannot be read, nothing is known of them: that is no reason to show no plan.
func commitsSince(ctx context.Context, rev, applied reconcile.Revision, source string) []reconcile.Touch {
	since := applied.Hash
	for _, p := range applied.Sources {
		if p.Name == source {
			since = p.Hash
		}
	}
	w, err := git.OpenWorktree(".")
	if err != nil {
		return nil
	}
	commits, err := w.Commits(ctx, rev.Hash, since)
	if err != nil {
		return nil
	}
	for i := range commits {
		for j, f := range commits[i].Files {
			commits[i].Files[j] = path.Join(source, f)
		}
	}
	return commits
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
