package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"reconciler/reconcile"
	"reconciler/reconcile/client"
)

func newApply() *cobra.Command {
	c := &cobra.Command{
		Use: "apply", Short: "Take the revision that waits into force", Args: cobra.NoArgs,
		Long: `Take the newest revision into force, where the fleet does not do so by itself: where the Cluster object in Git has
spec.apply: manual, or the server was started with --apply manual. Until then a new commit changes nothing, and what is in force is
kept up.

Without --plan, the plan is shown, and you are asked; --yes answers for you, which it must where there is no terminal. With --plan
HASH, which diff --held and status name (12 digits of it do), it is taken into force without a question, but only if that is still
what would be done: if it is not, it is refused, and what changed since is said.

Where new revisions are taken into force by themselves there is nothing to do, and that is said.

Exit codes: 0 the revision is in force; 1 it is not: the plan went stale, the answer was no, or the newest commit is refused; 2 error.`,
		Example: `  reconciler apply
  reconciler diff --held && reconciler apply --plan sha256:76cc8e370660
  reconciler apply --yes --as deploy && reconciler status --wait`,
	}
	server, as := addServerFlag(c), addAsFlag(c)
	plan := c.Flags().String("plan", "", "hash of the plan that is approved")
	yes := c.Flags().BoolP("yes", "y", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("plan") && *plan == "" {
			return hinted{errors.New("--plan is empty"), "`reconciler diff --held` shows the plan with its hash"}
		}
		if *plan != "" && !planHash.MatchString(*plan) {
			return hinted{fmt.Errorf("--plan %q: a hash has 12 digits at least, of 0 to 9 and a to f", *plan), "`reconciler diff --held` shows the plan with its hash"}
		}
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		hash := *plan
		if hash == "" {
			if hash, err = showHeld(cmd, cl); err != nil {
				return err
			}
			if hash != "" && !*yes {
				if ok, err := confirmed(cmd.InOrStdin(), cmd.ErrOrStderr()); err != nil || !ok {
					if err == nil {
						fmt.Fprintln(cmd.ErrOrStderr(), "reconciler: not applied")
						err = exitCode(exitChanges)
					}
					return err
				}
			}
			if hash == "" {
				hash = strings.Repeat("0", 12) // nothing waits: the server says why
			}
		}
		text, err := cl.Apply(cmd.Context(), hash, *as)
		var refused client.Refused
		if errors.As(err, &refused) {
			fmt.Fprintf(cmd.ErrOrStderr(), "reconciler: %v\n", refused)
			return exitCode(exitChanges)
		}
		if err != nil {
			return noServer(err)
		}
		fmt.Fprintln(cmd.OutOrStdout(), text)
		return nil
	}
	return c
}

// planHash is how people write a plan's hash.
var planHash = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)

// showHeld prints the plan of the revision that waits and returns its hash, which is "" if none does.
func showHeld(cmd *cobra.Command, cl *client.Client) (string, error) {
	in, err := held(cmd.Context(), cl)
	if err != nil {
		return "", err
	}
	p, _, err := compute(in)
	if err != nil || p.Held == "" || p.Stalled != "" {
		return "", err
	}
	if _, err := printPlan(cmd, in, ""); err != nil {
		return "", err
	}
	return reconcile.PlanHash(in.Revision, p.Changes), nil
}

// held is the live input with the newest revision that the server has seen.
func held(ctx context.Context, cl *client.Client) (in reconcile.Input, err error) {
	if _, err := cl.Status(ctx, true); err != nil {
		return in, noServer(err)
	}
	if in, err = cl.Snapshot(ctx); err != nil {
		return in, noServer(err)
	}
	in.Now = time.Now().UTC()
	return in, nil
}

// confirmed asks on a terminal. Where there is none that is an error, because nobody can answer.
func confirmed(in io.Reader, w io.Writer) (bool, error) {
	if f, ok := in.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
			return false, hinted{errors.New("there is no terminal to ask on, and nothing was applied"), "look at the plan, then say --yes, or --plan HASH"}
		}
	}
	fmt.Fprint(w, "Apply this? Only yes is a yes: ")
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "yes" || answer == "y", nil
}
