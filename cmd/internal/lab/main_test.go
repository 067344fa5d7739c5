package lab_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"reconciler/cmd/internal/lab"
)

// The test program stands for the reconciler program: the lab's own verbs are the real ones, and serve, token and agent do what
// matters to the lab. The agent leaves behind what a real one does: a container in namespaces of its own and in a cgroup,
// and a shim that outlives it.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || strings.HasPrefix(os.Args[1], "-") {
		// A program that is built with -race waits a second at its end by default: here dozens end.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	if err := standIn(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func standIn(verb string, args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	value := map[string]*string{}
	for _, name := range []string{
		"dir", "repo", "branch", "listen", "socket", "uses", "valid", "name", "address", "server", "token-file",
		"insecure-registry", "capacity-cpu", "capacity-memory", "cgroup-parent", "socket-dir",
	} {
		value[name] = f.String(name, "", "")
	}
	switch verb {
	case lab.ChildVerb:
		return lab.Child(args)
	case "preflight":
		return lab.Preflight()
	case "up": // DIR
		l, err := lab.Open(lab.Config{Dir: args[0], Minions: 1})
		if err != nil {
			return err
		}
		return l.Up(ctx, nil)
	case "serve":
		if err := f.Parse(args); err != nil {
			return err
		}
		l, err := net.Listen("tcp", *value["listen"])
		if err != nil {
			return err
		}
		defer l.Close()
		<-ctx.Done()
		return nil
	case "token":
		fmt.Println("a-token")
		return nil
	case "sleep": // as a container or a shim, which do not end on SIGTERM
		signal.Ignore(syscall.SIGTERM)
		select {}
	case "agent":
		if err := f.Parse(args); err != nil {
			return err
		}
		if err := leaveContainer(*value["dir"], *value["cgroup-parent"]); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func leaveContainer(dir, parent string) error {
	if err := os.MkdirAll(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", filepath.Join(dir, "rootfs"), "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	shim := exec.Command(os.Args[0], "sleep", "shim")
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	container := exec.Command(os.Args[0], "sleep", "container")
	container.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	for _, c := range []*exec.Cmd{shim, container} {
		if err := c.Start(); err != nil {
			return err
		}
	}
	hierarchies := []string{"memory", "pids", "unified"}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		hierarchies = []string{""} // one for all controllers
	}
	for _, h := range hierarchies {
		group := filepath.Join("/sys/fs/cgroup", h, parent, "pod", "container")
		if _, err := os.Stat(filepath.Join("/sys/fs/cgroup", h)); err != nil {
			continue
		}
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(container.Process.Pid)), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "left"), fmt.Appendf(nil, "%d %d", shim.Process.Pid, container.Process.Pid), 0o644)
}
