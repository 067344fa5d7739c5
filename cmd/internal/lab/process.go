package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a daemon of the lab.
type process struct {
	name      string // unique in the lab; names its files
	namespace string // network namespace
	mountNS   string // path, "" for the machine's
	argv      []string
}

// identity is what a pid file holds: a process id is re-used, a process id with its start time is not.
type identity struct {
	PID     int    `json:"pid"`
	Start   uint64 `json:"start"`   // clock ticks since boot, proc(5)
	Command string `json:"command"` // what was started, to see that something else is wanted now
}

func (l *Lab) pidFile(name string) string { return filepath.Join(l.cfg.Dir, "run", safe(name)+".pid") }

// Log is the file with what a process wrote: "server", "registry", "agent-MINION", "syslog-MINION".
func (l *Lab) Log(name string) string { return filepath.Join(l.cfg.Dir, "log", safe(name)+".log") }

// startTime reads when a process started; ok is false if it is gone or a zombie. A process that executes a program from another
// thread than its first is not gone: the first is a zombie for a moment, with the other beside it.
func startTime(pid int) (start uint64, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	// The name in parentheses may hold anything; the state is field 3, the number of threads field 20 and
	// the start time field 22 (proc_pid_stat(5)).
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 || f[0] == "X" {
		return 0, false
	}
	if threads, err := strconv.Atoi(f[17]); f[0] == "Z" && (err != nil || threads < 2) {
		return 0, false
	}
	start, err = strconv.ParseUint(f[19], 10, 64)
	return start, err == nil
}

func (i identity) alive() bool {
	s, ok := startTime(i.PID)
	return ok && s == i.Start
}

// signal sends s if the process is still the one that was started. The pidfd closes the gap between look and signal.
func (i identity) signal(s syscall.Signal) error {
	fd, err := unix.PidfdOpen(i.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", i.PID, err)
	}
	defer unix.Close(fd)
	if !i.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	return nil
}

// find reads a pid file; ok is false if that process does not run.
func (l *Lab) find(name string) (identity, bool) {
	b, err := os.ReadFile(l.pidFile(name))
	if err != nil {
		return identity{}, false
	}
	var i identity
	if json.Unmarshal(b, &i) != nil {
		return identity{}, false
	}
	return i, i.alive()
}

// start makes the process run, once. One that runs with another command line or program is ended first. The child writes its
// own pid file before it becomes the program, so that there is no moment in which it runs unknown.
func (l *Lab) start(ctx context.Context, p process) (started bool, err error) {
	command, err := commandOf(p.argv)
	if err != nil {
		return false, err
	}
	err = poll(ctx, 10*time.Second, func() (bool, error) { return !l.starting(p.name), nil })
	if err != nil {
		return false, fmt.Errorf("start %s: wait for an earlier start: %w", p.name, err)
	}
	if i, ok := l.find(p.name); ok {
		if i.Command == command {
			return false, nil
		}
		if err := l.stop(ctx, p.name, 10*time.Second); err != nil {
			return false, err
		}
	}
	for _, d := range []string{filepath.Dir(l.pidFile(p.name)), filepath.Dir(l.Log(p.name))} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return false, fmt.Errorf("start %s: %w", p.name, err)
		}
	}
	log, err := os.OpenFile(l.Log(p.name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return false, fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close()
	args := []string{ChildVerb, "run", "--netns", l.NetNS(p.namespace), "--pid-file", l.pidFile(p.name), "--command", command}
	if p.mountNS != "" {
		args = append(args, "--mntns", p.mountNS)
	}
	cmd := exec.Command(l.cfg.Binary, append(append(args, "--"), p.argv...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := os.Remove(l.pidFile(p.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	// Outlives this call on purpose: the process is meant to outlive this program, and until then somebody must reap it.
	go func() { _ = cmd.Wait(); close(ended) }()
	err = poll(ctx, 10*time.Second, func() (bool, error) {
		select {
		case <-ended:
			return false, errors.New("it ended")
		default:
		}
		i, ok := l.find(p.name)
		return ok && i.PID == cmd.Process.Pid, nil
	})
	if err != nil {
		return false, fmt.Errorf("start %s: %w%s", p.name, err, l.tail(p.name))
	}
	return true, nil
}

// starting tells whether a child that an interrupted start left is about to become the process and has not said so yet.
func (l *Lab) starting(name string) bool {
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return false
	}
	mark := []byte("\x00--pid-file\x00" + l.pidFile(name) + "\x00")
	for _, path := range entries {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, mark) && bytes.Contains(b, []byte("\x00"+ChildVerb+"\x00")) {
			return true
		}
	}
	return false
}

// commandOf describes an argument list and the program file, so that a new program is noticed.
func commandOf(argv []string) (string, error) {
	st, err := os.Stat(argv[0])
	if err != nil {
		return "", fmt.Errorf("find program: %w", err)
	}
	return fmt.Sprintf("%d:%d %q", st.Size(), st.ModTime().UnixNano(), argv), nil
}

// tail is the end of a process's log, for an error.
func (l *Lab) tail(name string) string {
	b, err := os.ReadFile(l.Log(name))
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if len(lines) > 5 {
		lines = lines[len(lines)-5:]
	}
	return "\n  " + strings.Join(lines, "\n  ") + "\n  (" + l.Log(name) + ")"
}

// stop ends a process with SIGTERM and, after grace, with SIGKILL.
func (l *Lab) stop(ctx context.Context, name string, grace time.Duration) error {
	i, ok := l.find(name)
	if ok {
		if err := i.signal(unix.SIGTERM); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
		gone := func() (bool, error) { return !i.alive(), nil }
		if poll(ctx, grace, gone) != nil {
			if err := i.signal(unix.SIGKILL); err != nil {
				return fmt.Errorf("stop %s: %w", name, err)
			}
			if err := poll(ctx, 10*time.Second, gone); err != nil {
				return fmt.Errorf("stop %s: process %d does not end: %w", name, i.PID, err)
			}
		}
	}
	if err := os.Remove(l.pidFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Kill ends a process with SIGKILL and waits until it is gone: a fault to try. Up starts it again.
func (l *Lab) Kill(ctx context.Context, name string) error {
	i, ok := l.find(name)
	if !ok {
		return fmt.Errorf("kill %s: it does not run", name)
	}
	if err := i.signal(unix.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	if err := poll(ctx, 10*time.Second, func() (bool, error) { return !i.alive(), nil }); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	return nil
}

// PID is the process id of a process of the lab, 0 if it does not run.
func (l *Lab) PID(name string) int {
	if i, ok := l.find(name); ok {
		return i.PID
	}
	return 0
}
