package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/client"
	"reconciler/reconcile/print"
)

func newPlans() *cobra.Command {
	c := &cobra.Command{
		Use: "plans [HASH|COMMIT]", Short: "List what became of revisions, or print a plan that was carried out", Args: cobra.MaximumNArgs(1),
		Long: `List the revisions that the server has seen, the newest first, and what became of each: with which plan, when and by whom it was
taken into force, and how that ended. With a hash of a plan or of a commit (4 digits of it do; of several the newest counts),
print that plan as diff printed it, or with -o json the very document.

Outcomes: applied (everything became as declared, and well); "applied except N" (N objects failed and are at their last healthy
spec, or are report-only and not as declared); rolled back (all that it changed failed); failed (it was failing when another took its place); superseded by X (another
took its place before it was applied); refused (it does not load); and of the newest ones applying, failing, held (waits for
"reconciler apply") and stalled (waits for a trailer). Commits that were pushed together count as one revision, the last.

The newest 100 that were in force are kept with their plans, up to 64 MiB of them, and the newest 100 that never were.

Exit codes: 0 success; 2 error.`,
		Example: "  reconciler plans\n  reconciler plans 76cc8e37\n  reconciler plans -o json | jq -r '.[] | select(.ending != \"applied\").revision.hash'",
	}
	server := addServerFlag(c)
	output := c.Flags().StringP("output", "o", "", "json, or yaml of the list")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *output != "" && *output != "json" && (*output != "yaml" || len(args) > 0) {
			return fmt.Errorf("unknown output format %q: json, or yaml of the list", *output)
		}
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		all, err := cl.Outcomes(cmd.Context())
		if err != nil {
			return noServer(err)
		}
		w := cmd.OutOrStdout()
		switch {
		case len(args) == 1:
			o, err := outcomeOf(all, args[0])
			if err != nil {
				return err
			}
			return printKept(cmd.Context(), cl, cmd, o, *output)
		case *output != "":
			return printJSON(w, all, *output)
		case len(all) == 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "the server has seen no revision yet")
			return nil
		}
		return print.Outcomes(w, all, colour(w))
	}
	return c
}

// outcomeOf is the newest outcome of which the plan's or the commit's hash begins so.
func outcomeOf(all []reconcile.Outcome, text string) (reconcile.Outcome, error) {
	digits := strings.ToLower(strings.TrimPrefix(text, "sha256:"))
	if len(digits) < 4 {
		return reconcile.Outcome{}, fmt.Errorf("%q is too short: a hash has 4 digits at least", text)
	}
	for _, o := range all {
		if strings.HasPrefix(strings.TrimPrefix(o.Plan, "sha256:"), digits) || strings.HasPrefix(o.Revision.Hash, digits) {
			return o, nil
		}
	}
	return reconcile.Outcome{}, hinted{fmt.Errorf("no plan and no commit that the server remembers begins with %q", text), "`reconciler plans` lists them; `reconciler diff --held` shows one that waits"}
}

// printKept prints the plan that was kept of a revision.
func printKept(ctx context.Context, cl *client.Client, cmd *cobra.Command, o reconcile.Outcome, output string) error {
	w := cmd.OutOrStdout()
	if o.Size == 0 {
		if output == "" {
			if err := print.Outcome(w, o, colour(w)); err != nil {
				return err
			}
		}
		if o.Taken.IsZero() {
			return hinted{errors.New("it was never in force, so that no plan of it was kept"), "`reconciler diff " + o.Revision.Hash + "` computes one"}
		}
		return errors.New("its plan was not kept")
	}
	b, err := cl.KeptPlan(ctx, o.Number)
	if err != nil {
		return noServer(err)
	}
	if output == "json" {
		_, err = w.Write(b)
		return err
	}
	var d print.Document
	if err := json.Unmarshal(b, &d); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	if err := print.Outcome(w, o, colour(w)); err != nil {
		return err
	}
	return d.Text(w, colour(w))
}
