package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/schema"
	"reconciler/schema/load"
)

func newSuspend() *cobra.Command {
	c := &cobra.Command{
		Use: "suspend KIND/NAME --reason TEXT", Short: "Have nothing done for a pod or a controller", Args: cobra.ExactArgs(1),
		Long: `Have nothing done for a pod or a replication controller: no start, no update, no scaling. What runs goes on, and a service
goes on leading to it; what leaves Git ends all the same. status, diff and get say that it is suspended, why, by whom and until
when.

It is a decision of the server and not in Git: it holds until it is resumed, its time is over, or the object leaves Git. The
annotations reconciler/suspend and reconciler/suspend-until say the same in Git; where both do, Git's words are shown. Said
again, the new words take the place of the old.

Exit codes: 0 success; 2 error.`,
		Example: `  reconciler suspend pod/db --reason "data is being moved"
  reconciler suspend rc/web --reason INC-7 --for 2h
  reconciler suspend ReplicationController/team/web --reason INC-7 --until 2014-12-15T19:18:36Z --as ada`,
	}
	server, namespace, as := addServerFlag(c), addNamespaceFlag(c), addAsFlag(c)
	f := c.Flags()
	reason := f.String("reason", "", "why, for whoever finds it suspended (required)")
	during := f.Duration("for", 0, "for how long (default: until it is resumed)")
	until := f.String("until", "", "until when, as 2014-12-15T19:18:36Z")
	c.MarkFlagsMutuallyExclusive("for", "until")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var end time.Time
		switch {
		case strings.TrimSpace(*reason) == "":
			return hinted{errors.New("--reason is missing"), `say why, for instance --reason "INC-7: data is being moved"`}
		case cmd.Flags().Changed("for") && *during <= 0:
			return fmt.Errorf("--for %s is not above 0", *during)
		case *until != "":
			var err error
			if end, err = time.Parse(time.RFC3339, *until); err != nil {
				return hinted{fmt.Errorf("--until %q is no time", *until), "write it as 2014-12-15T19:18:36Z, or say --for 2h"}
			}
		}
		k, err := workloadKey(args[0], *namespace)
		if err != nil {
			return err
		}
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		in, err := cl.Snapshot(cmd.Context())
		if err != nil {
			return noServer(err)
		}
		if err := checkDeclared(in.State.Accepted, k); err != nil {
			return err
		}
		s, err := cl.Suspend(cmd.Context(), k, *reason, *during, end, *as)
		if err != nil {
			return noServer(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", k, s)
		return nil
	}
	return c
}

func newResume() *cobra.Command {
	c := &cobra.Command{
		Use: "resume KIND/NAME", Short: "End what suspend began", Args: cobra.ExactArgs(1),
		Long: `End what "reconciler suspend" began: what was left undone meanwhile is done now. What is suspended in Git is resumed by a
commit that takes the annotation out.

Exit codes: 0 success; 2 error.`,
		Example: "  reconciler resume pod/db\n  reconciler resume rc/web -n team",
	}
	server, namespace, as := addServerFlag(c), addNamespaceFlag(c), addAsFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		k, err := workloadKey(args[0], *namespace)
		if err != nil {
			return err
		}
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		in, err := cl.Snapshot(cmd.Context())
		if err != nil {
			return noServer(err)
		}
		if _, ok := in.State.Suspensions[k.String()]; !ok {
			if err := checkDeclared(in.State.Accepted, k); err != nil {
				return err
			}
		}
		if err := cl.Resume(cmd.Context(), k, *as); err != nil {
			return noServer(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is resumed\n", k)
		return nil
	}
	return c
}

// addAsFlag adds --as.
func addAsFlag(c *cobra.Command) *string {
	return c.Flags().String("as", os.Getenv("SUDO_USER"), "who says so (default: the user that sudo was called by; the server adds the user who has the socket open)")
}

// workloadKey reads KIND/NAME or KIND/NAMESPACE/NAME, of a pod or a controller.
func workloadKey(text, namespace string) (schema.Key, error) {
	kind, name, ok := strings.Cut(text, "/")
	if ns, rest, three := strings.Cut(name, "/"); three {
		namespace, name = ns, rest
	}
	if !ok || name == "" || namespace == "" || strings.Contains(name, "/") {
		return schema.Key{}, hinted{fmt.Errorf("%q is not KIND/NAME", text), "for instance pod/db, rc/web or rc/NAMESPACE/web"}
	}
	switch resources[strings.ToLower(kind)] {
	case "pods":
		return schema.Key{Kind: schema.KindPod, Namespace: namespace, Name: name}, nil
	case "rc":
		return schema.Key{Kind: schema.KindReplicationController, Namespace: namespace, Name: name}, nil
	case "":
		return schema.Key{}, hinted{fmt.Errorf("unknown kind %q in %q", kind, text), "one of pod, rc"}
	}
	return schema.Key{}, fmt.Errorf("%q: only pods and replication controllers can be suspended", text)
}

// checkDeclared is an error with what may have been meant if the set has no such pod or controller.
func checkDeclared(set *schema.Set, k schema.Key) error {
	if set == nil {
		return errors.New("no revision is in force yet, so nothing is declared")
	}
	type candidate struct {
		key schema.Key
		far int
	}
	var near []candidate
	look := func(x schema.Key) {
		far := load.Distance(strings.ToLower(x.Name), strings.ToLower(k.Name))
		if far == 2 && letters(x.Name) == letters(k.Name) { // two that changed places
			far = 1
		}
		if far <= max(1, len(k.Name)/3) {
			if x.Kind != k.Kind || x.Namespace != k.Namespace {
				far++
			}
			near = append(near, candidate{x, far})
		}
	}
	for _, p := range set.Pods {
		look(p.Key())
	}
	for _, r := range set.ReplicationControllers {
		look(r.Key())
	}
	if slices.ContainsFunc(near, func(c candidate) bool { return c.key == k }) {
		return nil
	}
	slices.SortFunc(near, func(a, b candidate) int { return cmp.Or(cmp.Compare(a.far, b.far), a.key.Compare(b.key)) })
	hint := "`reconciler get pods -A` and `reconciler get rc -A` list what is declared"
	if len(near) > 0 {
		var names []string
		for _, c := range near[:min(3, len(near))] {
			names = append(names, c.key.String())
		}
		hint = "did you mean " + strings.Join(names, " or ") + "?"
	}
	return hinted{fmt.Errorf("the revision in force declares no %s", k), hint}
}

// letters are those of a name, sorted.
func letters(name string) string {
	b := []byte(strings.ToLower(name))
	slices.Sort(b)
	return string(b)
}

// suspended is what the status says of an object that is suspended, for a cell of a table; "" if it is not.
func suspended(st reconcile.Status, k schema.Key) string {
	for _, o := range st.Objects {
		if o.Key == k && o.Suspended != nil {
			return " (" + o.Suspended.String() + ")"
		}
	}
	return ""
}
