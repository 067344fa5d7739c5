package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is what `reconciler version` prints: the module's version, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			rev = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if rev == "" {
		return "devel"
	}
	return "devel-" + rev + dirty
}

func newVersion() *cobra.Command {
	c := &cobra.Command{
		Use: "version", Short: "Print the version of this program and of the server", Args: cobra.NoArgs,
		Example: "  reconciler version\n  reconciler version --client",
	}
	only := c.Flags().BoolP("client", "c", false, "this program's only")
	server := addServerFlag(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		fmt.Fprintf(cmd.OutOrStdout(), "Client: %s\n", version())
		if *only {
			return nil
		}
		cl, err := connect(*server)
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "Server: none answers\n")
			return nil
		}
		v, err := cl.Version(cmd.Context())
		if err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "Server: %v\n", err)
			return nil
		}
		fmt.Fprintf(cmd.OutOrStdout(), "Server: %s\n", v)
		return nil
	}
	return c
}
