package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"reconciler/cmd/internal/lab"
)

func newLocal() *cobra.Command {
	c := &cobra.Command{
		Use: "local", Short: "A cluster of several minions on this machine",
		Long: `The Vagrant cluster of 2014 without virtual machines: one master and several minions, each in network namespaces of its
own with its own agent and containerd, on a network without a way out. Needs root.`,
		Example: `  reconciler local up
  reconciler local push dist/images/testpod
  reconciler local exec desktop -- mongo 10.245.2.2
  reconciler local down`,
	}
	var cfg lab.Config
	c.PersistentFlags().StringVar(&cfg.Dir, "dir", lab.DefaultDir, "where the cluster is kept")
	up := newLocalUp(&cfg)
	up.Flags().IntVar(&cfg.Minions, "minions", 0, "how many minions (default: as many as there are, or 3)")
	c.AddCommand(up, newLocalDown(&cfg), newLocalStatus(&cfg), newLocalExec(&cfg), newLocalPush(&cfg))
	return c
}

func newLocalUp(cfg *lab.Config) *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Bring the cluster up, or what is missing of it", Args: cobra.NoArgs,
		Example: "  reconciler local up --minions 5",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(*cfg)
			if err != nil {
				return err
			}
			if err := l.Up(cmd.Context(), func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), "✔", step) }); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "up. Push manifests to %s (branch main), images with `reconciler local push`.\n", l.Repository())
			if cfg.Dir != lab.DefaultDir {
				fmt.Fprintf(cmd.OutOrStdout(), "This cluster is not the default one: export RECONCILER_SERVER=%s, and give --dir to local.\n", l.Socket())
			}
			return nil
		},
	}
}

func newLocalDown(cfg *lab.Config) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End the cluster and remove every trace of it", Args: cobra.NoArgs,
		Long: "End what up started, and remove its namespaces, mounts, control groups and files. Works after a crash, too.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := lab.Open(*cfg)
			if err != nil {
				return err
			}
			return l.Down(cmd.Context(), func(step string) { fmt.Fprintln(cmd.ErrOrStderr(), "✔", step) })
		},
	}
}

func newLocalStatus(cfg *lab.Config) *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Say which processes of the cluster run", Args: cobra.NoArgs,
		Long: "Say which processes of the cluster run and where their logs are. Exit codes: 0 all run; 1 some do not; 2 error.",
	}
	output := addOutputFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := lab.Open(*cfg)
		if err != nil {
			return err
		}
		s, err := l.Status()
		if err != nil {
			return err
		}
		if *output != "" {
			if err := printJSON(cmd.OutOrStdout(), s, *output); err != nil {
				return err
			}
		} else if err := printLocal(cmd, s); err != nil {
			return err
		}
		if !s.Healthy() {
			return exitCode(exitChanges)
		}
		return nil
	}
	return c
}

func printLocal(cmd *cobra.Command, s lab.Status) error {
	if !s.Present {
		fmt.Fprintf(cmd.ErrOrStderr(), "there is no local cluster in %s; `reconciler local up` makes one\n", s.Dir)
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "Repository:\t%s\nRegistry:\t%s\nSocket:\t%s\nMinions:\t%s\n\n", s.Repository, s.Registry, s.Socket, strings.Join(s.Minions, " "))
	fmt.Fprintln(w, "PROCESS\tPID\tLOG")
	for _, p := range s.Processes {
		pid := fmt.Sprint(p.PID)
		if p.PID == 0 {
			pid = "ended"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", p.Name, pid, p.Log)
	}
	return w.Flush()
}

func newLocalExec(cfg *lab.Config) *cobra.Command {
	return &cobra.Command{
		Use: "exec desktop|master|MINION -- COMMAND...", Short: "Run a command where a person, the master or a minion is", Args: cobra.MinimumNArgs(1),
		Long: `Run a command in the network of the desktop (which is outside of the minions, as a person is), of the master or of a
minion. Without a place it is the desktop. The exit code is the command's.`,
		Example: "  echo 'show dbs' | reconciler local exec -- mongo 10.245.2.2\n  reconciler local exec 10.245.2.3 -- nft list ruleset",
		RunE: func(cmd *cobra.Command, args []string) error {
			where := lab.Desktop
			switch dash := cmd.ArgsLenAtDash(); {
			case dash == 0:
			case dash == 1 || dash < 0:
				where, args = args[0], args[1:]
			default:
				return errors.New("more than one place before --")
			}
			if len(args) == 0 {
				return hinted{errors.New("no command"), "for instance: reconciler local exec desktop -- sh"}
			}
			l, err := lab.Open(*cfg)
			if err != nil {
				return err
			}
			code, err := l.Exec(cmd.Context(), where, args, lab.Stdio{In: os.Stdin, Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			return exitCode(code)
		},
	}
}

func newLocalPush(cfg *lab.Config) *cobra.Command {
	c := &cobra.Command{
		Use: "push ARCHIVE|OCI-LAYOUT", Short: "Add an image to the cluster's registry", Args: cobra.ExactArgs(1),
		Long:    "Add an image, as an archive (docker save, OCI) or a folder in OCI layout, to the cluster's registry, and print its name there.",
		Example: "  reconciler local push dist/images/testpod --as testpod:2",
	}
	as := c.Flags().String("as", "", "name and tag in the registry (default: as the image says)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := lab.Open(*cfg)
		if err != nil {
			return err
		}
		names, err := l.Push(cmd.Context(), args[0], *as)
		for _, n := range names {
			fmt.Fprintln(cmd.OutOrStdout(), n)
		}
		return err
	}
	return c
}
