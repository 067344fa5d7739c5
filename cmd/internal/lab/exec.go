package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stdio is where a command reads and writes; nil reads nothing and writes nowhere.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exec runs a command in the namespaces of the desktop, the master or a minion and returns its exit code, 128 plus the signal
// if one ended it. The command finds the programs beside the lab's binary, and the directory is the caller's. An error means
// that it was not run. When ctx ends the command gets SIGTERM, and SIGKILL some seconds later.
func (l *Lab) Exec(ctx context.Context, namespace string, argv []string, stdio Stdio) (int, error) {
	if len(argv) == 0 {
		return 0, errors.New("run command in local cluster: no command")
	}
	if os.Geteuid() != 0 {
		return 0, errNotRoot
	}
	m, err := l.readMarker()
	if err != nil {
		return 0, fmt.Errorf("run %q: %w", argv[0], err)
	}
	args := []string{ChildVerb, "run", "--netns", l.NetNS(namespace)}
	switch minions := MinionNames(m.Minions); {
	case namespace == Desktop || namespace == Master:
	case slices.Contains(minions, namespace):
		args = append(args, "--mntns", l.mountNS(namespace))
	default:
		return 0, fmt.Errorf("run %q: %q is none of %s, %s, %s", argv[0], namespace, Desktop, Master, strings.Join(minions, ", "))
	}
	if dir, err := os.Getwd(); err == nil {
		args = append(args, "--dir", dir)
	}
	cmd := exec.CommandContext(ctx, l.cfg.Binary, append(append(args, "--"), argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio.In, stdio.Out, stdio.Err
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(l.cfg.Binary)+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("run %q: %w", argv[0], err)
	}
	return 0, nil
}
