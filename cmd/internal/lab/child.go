package lab

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"reconciler/cmd/internal/registry"
)

// ChildVerb is the hidden first argument with which the binary is executed again. main gives what follows to [Child].
const ChildVerb = "local-child"

// Child does what a re-executed binary is for, and returns when that is over:
//
//	run [--netns PATH] [--mntns PATH] [--pid-file FILE --command TEXT] -- PROGRAM ARG...   becomes PROGRAM in the namespaces
//	mounts DIR                      prepares a minion's mount namespace, in which it already is, and holds it until its input ends
//	syslog SOCKET FILE              appends what is sent to SOCKET to FILE
//	registry DIR ADDRESS            serves images
func Child(args []string) error {
	if len(args) == 0 {
		return errors.New("local-child is for the local cluster's own use")
	}
	verb, args := args[0], args[1:]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	switch {
	case verb == "run":
		stop()
		return childRun(args)
	case verb == "mounts" && len(args) == 1:
		return childMounts(args[0])
	case verb == "syslog" && len(args) == 2:
		return childSyslog(ctx, args[0], args[1])
	case verb == "registry" && len(args) == 2:
		return childRegistry(ctx, args[0], args[1])
	}
	return fmt.Errorf("local-child: unknown arguments %q", append([]string{verb}, args...))
}

// childRun enters the namespaces and becomes the program. The process id stays the same.
func childRun(args []string) error {
	flags := flag.NewFlagSet(ChildVerb, flag.ContinueOnError)
	netNS := flags.String("netns", "", "")
	mntNS := flags.String("mntns", "", "")
	pidFile := flags.String("pid-file", "", "")
	command := flags.String("command", "", "")
	dir := flags.String("dir", "/", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	argv := flags.Args()
	if len(argv) == 0 {
		return errors.New("local-child: no program")
	}
	if *pidFile != "" {
		start, ok := startTime(os.Getpid())
		if !ok {
			return errors.New("local-child: read own start time")
		}
		b, err := json.Marshal(identity{PID: os.Getpid(), Start: start, Command: *command})
		if err != nil {
			return fmt.Errorf("local-child: write pid file: %w", err)
		}
		if err := writeFile(*pidFile, b, 0o644); err != nil {
			return fmt.Errorf("local-child: write pid file: %w", err)
		}
	}
	// exec ends the other threads and goes on with this one's namespaces.
	runtime.LockOSThread()
	// Both are opened first: the second path may not be visible in the first namespace.
	enter := []struct {
		path string
		kind int
		fd   int
	}{{*netNS, unix.CLONE_NEWNET, -1}, {*mntNS, unix.CLONE_NEWNS, -1}}
	for i, ns := range enter {
		if ns.path == "" {
			continue
		}
		fd, err := unix.Open(ns.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("local-child: open namespace %q: %w", ns.path, err)
		}
		enter[i].fd = fd
	}
	for _, ns := range enter {
		if ns.fd < 0 {
			continue
		}
		if ns.kind == unix.CLONE_NEWNS {
			// A mount namespace cannot be entered by a thread that shares its root and working directory.
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return fmt.Errorf("local-child: leave shared working directory: %w", err)
			}
		}
		if err := unix.Setns(ns.fd, ns.kind); err != nil {
			return fmt.Errorf("local-child: enter namespace %q: %w", ns.path, err)
		}
	}
	if err := unix.Chdir(*dir); err != nil {
		return fmt.Errorf("local-child: go to %q: %w", *dir, err)
	}
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return &startError{err}
	}
	return &startError{syscall.Exec(program, argv, os.Environ())}
}

// startError is why a program could not be started; its exit code is a shell's.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// ExitCode is 127 for a program that is not there and 126 for one that cannot be run.
func (e *startError) ExitCode() int {
	if errors.Is(e.err, exec.ErrNotFound) || errors.Is(e.err, os.ErrNotExist) {
		return 127
	}
	return 126
}

func childRegistry(ctx context.Context, dir, address string) error {
	r, err := registry.New(dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serve registry: %w", err)
	}
	return r.Serve(ctx, l)
}
