package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

func newLogs() *cobra.Command {
	c := &cobra.Command{
		Use: "logs POD [CONTAINER]", Aliases: []string{"log"}, Short: "Print a container's log", Args: cobra.RangeArgs(1, 2),
		Long: `Print what a container wrote. POD is the name of a pod, or of one instance as get pods shows it; CONTAINER may be left
out where the pod has one.`,
		Example: "  reconciler logs pulpdb\n  reconciler logs -f --tail 20 worker-0\n  reconciler logs --previous beat",
	}
	server := addServerFlag(c)
	namespace := addNamespaceFlag(c)
	var r assignment.LogRequest
	c.Flags().BoolVarP(&r.Follow, "follow", "f", false, "go on until the container ends")
	c.Flags().IntVar(&r.Tail, "tail", -1, "the last lines only; -1: all that is kept")
	c.Flags().BoolVarP(&r.Previous, "previous", "p", false, "of the run before the last restart")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		st, err := cl.Status(cmd.Context(), false)
		if err != nil {
			return noServer(err)
		}
		i, err := findInstance(st, *namespace, args[0])
		if err != nil {
			return err
		}
		if r.Container, err = pickContainer(i, args[1:]); err != nil {
			return err
		}
		r.Instance = i.Binding.ID
		log, err := cl.Logs(cmd.Context(), i.Minion, r)
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		if _, err := io.Copy(cmd.OutOrStdout(), log); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("read log: %w", err)
		}
		return nil
	}
	return c
}

// findInstance finds an instance by its id or by its pod's name; of several, the one that runs and is not going away.
func findInstance(st reconcile.Status, namespace, name string) (*reconcile.InstanceStatus, error) {
	var found *reconcile.InstanceStatus
	for i := range st.Instances {
		b := &st.Instances[i].Binding
		if b.Namespace != namespace || b.Pod != name && b.ID != name {
			continue
		}
		if found == nil || b.ID == name || found.Binding.Phase != assignment.Run && b.Phase == assignment.Run {
			found = &st.Instances[i]
		}
	}
	if found == nil {
		return nil, hinted{fmt.Errorf("pod %q not found in namespace %q", name, namespace), "`reconciler get pods` lists them"}
	}
	return found, nil
}

func pickContainer(i *reconcile.InstanceStatus, args []string) (string, error) {
	var names []string
	for _, c := range i.Binding.Spec.Containers {
		if len(args) == 1 && c.Name == args[0] {
			return c.Name, nil
		}
		names = append(names, c.Name)
	}
	switch {
	case len(args) == 1:
		return "", hinted{fmt.Errorf("pod %q has no container %q", i.Binding.Pod, args[0]), "it has " + strings.Join(names, ", ")}
	case len(names) == 0:
		return "", fmt.Errorf("nothing is known of the containers of %q: it was found on its minion and is not wanted", i.Binding.ID)
	case len(names) > 1:
		return "", hinted{fmt.Errorf("pod %q has %d containers", i.Binding.Pod, len(names)), "name one of " + strings.Join(names, ", ")}
	}
	return names[0], nil
}
