// Command reconciler runs containers on a fleet of Linux hosts from a Git repository.
//
// One binary is the server, the agent, the embedded containerd with its shim, the local cluster and the command line: one
// file per verb, which reads flags, wires packages together and prints. Everything that decides is in the packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"reconciler/agent/containerd"
	"reconciler/cmd/internal/lab"
	"reconciler/reconcile/client"
	"reconciler/schema/load"
)

func main() { os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes, the same for every verb; local exec has those of its command.
const (
	exitOK      = 0
	exitChanges = 1 // apply: the revision is not in force; diff: there is something to do; local status: something does not run; status --wait: it does not become as declared
	exitInvalid = 1 // validate, convert: a manifest is not valid; convert: the version cannot say it
	exitError   = 2
)

// exitCode is an error that only sets the exit code: everything was said already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// hinted is an error with a line that says what to do.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if filepath.Base(args[0]) == containerd.ShimName {
		containerd.Shim()
		return exitOK
	}
	if len(args) > 1 {
		switch args[1] { // programs that this binary re-executes itself as
		case containerd.DaemonArg:
			return ended(stderr, containerd.Daemon(args[2:]))
		case load.ChildArg:
			return ended(stderr, load.Child(stdin, stdout))
		case lab.ChildVerb:
			return ended(stderr, lab.Child(args[2:]))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return ended(stderr, root.ExecuteContext(ctx))
}

// ended prints an error with its hint and turns it into an exit code.
func ended(stderr io.Writer, err error) int {
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	}
	var other interface{ ExitCode() int } // of a program that was to be run for somebody
	if ran := (*exec.ExitError)(nil); errors.As(err, &other) && !errors.As(err, &ran) {
		fmt.Fprintf(stderr, "reconciler: %v\n", err)
		return other.ExitCode()
	}
	fmt.Fprintf(stderr, "reconciler: %v\n", err)
	var h hinted
	if errors.As(err, &h) {
		fmt.Fprintf(stderr, "hint: %s\n", h.hint)
	}
	return exitError
}

// newRoot is the command line.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "reconciler",
		Short: "Run containers on a fleet of Linux hosts from Git",
		Long: `reconciler runs containers on a fleet of Linux hosts (minions) from a Git repository of Pod, Service and
ReplicationController definitions. There is no API server: push to the repository, and the fleet follows.

Exit codes: 0 success; 1 diff found changes, validate or convert found errors, or what status --wait waits for does not come;
2 error.`,
		Example: `  reconciler local up              a cluster of three minions on this machine
  reconciler diff                  what a push of this working tree would change
  reconciler status --wait         wait until everything is as declared
  reconciler get pods`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
	}
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "run", Title: "Run:"})
	for _, c := range []*cobra.Command{newDiff(), newSnapshot(), newReplay(), newPlans(), newStatus(), newGet(), newDescribe(), newLogs(), newValidate(), newConvert(), newExplain()} {
		c.GroupID = "look"
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{newLocal(), newServe(), newAgent(), newToken(), newApply(), newSuspend(), newResume()} {
		c.GroupID = "run"
		root.AddCommand(c)
	}
	root.AddCommand(newSchema(), newVersion())
	return root
}

// defaultSockets are where a server on this machine listens: a real one, then the local cluster's.
var defaultSockets = []string{"/run/reconciler/reconciler.sock", filepath.Join(lab.DefaultDir, "reconciler.sock")}

// addServerFlag adds --server, whose value connect takes.
func addServerFlag(c *cobra.Command) *string {
	return c.Flags().String("server", "", "unix socket of the server (default: $RECONCILER_SERVER, the Git configuration reconciler.server,\n"+
		defaultSockets[0]+", "+defaultSockets[1]+")")
}

// connect finds the server: the flag, the environment, the Git configuration, the sockets on this machine, in that order.
func connect(flag string) (*client.Client, error) {
	candidates := defaultSockets
	for _, named := range []string{flag, os.Getenv("RECONCILER_SERVER"), gitSetting("server")} {
		if named != "" {
			candidates = []string{named}
			break
		}
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil || len(candidates) == 1 {
			return client.New(path), nil
		}
	}
	return nil, noServer(client.ErrNoServer)
}

// noServer adds the hint to an error that says that no server answers.
func noServer(err error) error {
	if errors.Is(err, client.ErrNoServer) {
		return hinted{err, "start a local cluster with `reconciler local up`, or name the server's socket with --server"}
	}
	return err
}
