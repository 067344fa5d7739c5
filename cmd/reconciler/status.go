package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/client"
	"reconciler/reconcile/print"
)

// waitEvery is the time between two looks of status --wait.
const waitEvery = 200 * time.Millisecond

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Say what is true: revisions, objects, minions", Args: cobra.NoArgs,
		Long: `Say what is true, the worst first: the revision that was attempted and the one in force, sync and health of each object
with the reason, and the minions.

With --wait, wait until every object is Synced and Healthy. It does not wait for a commit that was refused.

Exit codes: 0 success; 1 --wait ran out of time, or the newest commit is refused; 2 error.`,
		Example: "  reconciler status\n  reconciler status --wait --timeout 2m\n  reconciler status -o json | jq .health",
	}
	server, output := addServerFlag(c), addOutputFlag(c)
	wait := c.Flags().Bool("wait", false, "wait until everything is Synced and Healthy; what was pushed before is waited for")
	timeout := c.Flags().Duration("timeout", 5*time.Minute, "of --wait")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		st, err := cl.Status(cmd.Context(), true)
		if err != nil {
			return noServer(err)
		}
		done := true
		if *wait {
			if st, done, err = waitFor(cmd.Context(), cl, st, *timeout, cmd.ErrOrStderr()); err != nil {
				return err
			}
		}
		if *output != "" {
			err = printJSON(cmd.OutOrStdout(), st, *output)
		} else {
			err = print.Status(cmd.OutOrStdout(), st, colour(cmd.OutOrStdout()))
			if !settled(st) {
				fmt.Fprintln(cmd.ErrOrStderr(), nextStep(st))
			}
		}
		if err == nil && !done {
			why := fmt.Sprintf("not Synced and Healthy after %s", *timeout)
			if hopeless(st) {
				why = "the newest commit is refused; waiting does not help"
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "reconciler: %s\n", why)
			return exitCode(exitChanges)
		}
		return err
	}
	return c
}

// settled tells whether there is nothing to wait for: all is as declared and well.
func settled(st reconcile.Status) bool {
	return st.Sync == reconcile.Synced && st.Health == reconcile.Healthy
}

// nextStep is what to do about a fleet that is not as declared and well.
func nextStep(st reconcile.Status) string {
	switch {
	case hopeless(st):
		return "hint: correct the commit, `reconciler validate` checks it before a push; or revert it"
	case st.Held != nil:
		return "hint: `reconciler apply` shows the plan of the revision that waits, and asks; `reconciler diff --held` only shows it"
	case len(st.Minions) == 0:
		return "hint: `reconciler token create` prints a token with which a minion joins"
	}
	return "hint: `reconciler diff --live` says what is to be done, what each waits for and what helps"
}

// hopeless tells whether waiting is in vain: the newest commit is refused, and only another commit changes that.
func hopeless(st reconcile.Status) bool {
	return len(st.Errors) > 0 && st.Attempted.Hash != "" && st.Attempted.Hash != st.Applied.Hash
}

// waitFor looks again and again until all is settled, and says on w what it waits for whenever that changes.
func waitFor(ctx context.Context, cl *client.Client, st reconcile.Status, timeout time.Duration, w io.Writer) (reconcile.Status, bool, error) {
	deadline := time.Now().Add(timeout)
	said := ""
	tick := time.NewTicker(waitEvery)
	defer tick.Stop()
	for !settled(st) {
		if text := waiting(st); text != said {
			fmt.Fprintln(w, text)
			said = text
		}
		if time.Now().After(deadline) || hopeless(st) {
			return st, false, nil
		}
		select {
		case <-ctx.Done():
			return st, false, ctx.Err()
		case <-tick.C:
		}
		var err error
		if st, err = cl.Status(ctx, false); err != nil {
			return st, false, noServer(err)
		}
	}
	return st, true, nil
}

// waiting says in a line what is not yet well.
func waiting(st reconcile.Status) string {
	if len(st.Errors) > 0 {
		return "waiting: " + st.Errors[0]
	}
	if st.Held != nil {
		return "waiting: " + st.Held.Text
	}
	n, first := 0, ""
	for _, o := range st.Objects {
		if o.Sync == reconcile.Synced && o.Health == reconcile.Healthy {
			n++
		} else if first == "" {
			first = fmt.Sprintf("%s %s: %s", o.Key, o.Health, o.Reason)
		}
	}
	return fmt.Sprintf("waiting: %d of %d objects are well; %s", n, len(st.Objects), first)
}

// colour tells whether w is a terminal that wants colour.
func colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
