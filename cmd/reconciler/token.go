package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newToken() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "Make join tokens for minions"}
	create := &cobra.Command{
		Use: "create", Short: "Print a new join token", Args: cobra.NoArgs,
		Long: `Print a new join token. It names the server's certificate authority by its hash, so that a minion that joins with it
can trust the server; whoever has it can join as a new minion until it expires.`,
		Example: "  reconciler token create --uses 3 --valid 1h\n  reconciler token create --minion 192.0.2.21",
	}
	server := addServerFlag(create)
	uses := create.Flags().Int("uses", 1, "how many minions may join with it; 0: any number")
	minion := create.Flags().String("minion", "", "for the minion of this name alone, once, which may have joined before and lost its key")
	valid := create.Flags().Duration("valid", time.Hour, "for how long")
	create.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := connect(*server)
		if err != nil {
			return err
		}
		t, err := cl.Token(cmd.Context(), *minion, *uses, *valid)
		if err != nil {
			return noServer(err)
		}
		fmt.Fprintln(cmd.OutOrStdout(), t)
		return nil
	}
	c.AddCommand(create)
	return c
}
