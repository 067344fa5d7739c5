package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"reconciler/cmd/internal/registry"
)

// Up makes the lab be there and all its processes run. progress, if not nil, hears of each step when it is done. What is
// there already is left alone; a process whose program or arguments changed is started anew, which touches no container.
// After an error or an interruption Up can be called again and goes on.
func (l *Lab) Up(ctx context.Context, progress func(step string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if err := Preflight(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("make local cluster's directory: %w", err)
	}
	release, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer release()
	n, err := l.claim()
	if err != nil {
		return err
	}
	if err := l.network(n); err != nil {
		return fmt.Errorf("make network: %w", err)
	}
	progress(fmt.Sprintf("network: master %s, minions %s, desktop %s, no way out", MasterAddress, strings.Join(MinionNames(n), " "), DesktopAddress))
	if err := l.repository(ctx); err != nil {
		return err
	}
	progress("repository: git remote add local " + l.Repository())
	if err := l.startRegistry(ctx); err != nil {
		return err
	}
	progress("registry: " + RegistryAddress)
	if err := l.startServer(ctx); err != nil {
		return err
	}
	progress("server: " + ServerAddress)
	milli, memory, err := Share(n)
	if err != nil {
		return err
	}
	if err := l.pinDirectory(); err != nil {
		return err
	}
	for _, m := range MinionNames(n) {
		if err := l.startMinion(ctx, m, milli, memory); err != nil {
			return fmt.Errorf("start minion %s: %w", m, err)
		}
		progress(fmt.Sprintf("minion %s: %d milli-cores, %d MiB", m, milli, memory>>20))
	}
	return l.allRun(n)
}

// repository makes the bare repository that the server follows.
func (l *Lab) repository(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(l.Repository(), "HEAD")); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.Repository()), 0o755); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	// Made beside its place, so that an interrupted init leaves no half repository.
	tmp := l.Repository() + ".new"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	cmd := exec.CommandContext(ctx, "git", "init", "--quiet", "--bare", "-b", "main", tmp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make repository: git init: %w: %s", err, bytes.TrimSpace(out))
	}
	if err := os.Rename(tmp, l.Repository()); err != nil {
		return fmt.Errorf("make repository: %w", err)
	}
	return nil
}

func (l *Lab) startRegistry(ctx context.Context) error {
	dir := filepath.Join(l.cfg.Dir, "master", "registry")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make registry directory: %w", err)
	}
	argv := []string{l.cfg.Binary, ChildVerb, "registry", dir, RegistryAddress}
	if _, err := l.start(ctx, process{name: "registry", namespace: Master, argv: argv}); err != nil {
		return err
	}
	return l.listens(ctx, "registry", RegistryAddress)
}

func (l *Lab) startServer(ctx context.Context) error {
	dir := l.ServerDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make server directory: %w", err)
	}
	argv := []string{
		l.cfg.Binary, "serve", "--dir", dir, "--repo", l.Repository(), "--branch", "main",
		"--listen", ServerAddress, "--socket", l.Socket(),
	}
	argv = append(argv, l.cfg.Serve...)
	if _, err := l.start(ctx, process{name: "server", namespace: Master, argv: argv}); err != nil {
		return err
	}
	return l.listens(ctx, "server", ServerAddress)
}

// listens waits until a process of the master accepts connections.
func (l *Lab) listens(ctx context.Context, name, address string) error {
	err := poll(ctx, time.Minute, func() (bool, error) {
		if _, ok := l.find(name); !ok {
			return false, errors.New("it ended")
		}
		c, err := l.Dial(ctx, Master, "tcp", address)
		if err != nil {
			return false, nil
		}
		return true, c.Close()
	})
	if err != nil {
		return fmt.Errorf("wait for %s at %s: %w%s", name, address, err, l.tail(name))
	}
	return nil
}

func (l *Lab) startMinion(ctx context.Context, minion string, milli, memory int64) error {
	if err := l.pinMounts(ctx, minion); err != nil {
		return err
	}
	syslog := process{
		name: "syslog-" + minion, namespace: minion, mountNS: l.mountNS(minion),
		argv: []string{l.cfg.Binary, ChildVerb, "syslog", "/dev/log", l.Syslog(minion)},
	}
	if _, err := l.start(ctx, syslog); err != nil {
		return err
	}
	if err := l.readsSyslog(ctx, syslog.name); err != nil {
		return err
	}
	agent := l.agent(minion, milli, memory)
	command, err := commandOf(agent.argv)
	if err != nil {
		return err
	}
	if i, ok := l.find(agent.name); ok && i.Command == command {
		return nil
	}
	// The token matters at the first contact only. It is asked for at every start, as an interrupted one leaves no trace of
	// whether there was a contact.
	token, err := l.token(ctx)
	if err != nil {
		return err
	}
	if err := writeFile(l.tokenFile(minion), token, 0o600); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	_, err = l.start(ctx, agent)
	return err
}

// readsSyslog waits until the minion's /dev/log is there: a container that is started earlier would get a directory.
func (l *Lab) readsSyslog(ctx context.Context, name string) error {
	err := poll(ctx, 10*time.Second, func() (bool, error) {
		i, ok := l.find(name)
		if !ok {
			return false, errors.New("it ended")
		}
		c, err := net.Dial("unixgram", fmt.Sprintf("/proc/%d/root/dev/log", i.PID))
		if err != nil {
			return false, nil
		}
		return true, c.Close()
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w%s", name, err, l.tail(name))
	}
	return nil
}

func (l *Lab) tokenFile(minion string) string { return filepath.Join(l.MinionDir(minion), "token") }

func (l *Lab) agent(minion string, milli, memory int64) process {
	return process{
		name: "agent-" + minion, namespace: minion, mountNS: l.mountNS(minion),
		argv: []string{
			l.cfg.Binary, "agent", "--dir", filepath.Join(l.MinionDir(minion), "agent"), "--name", minion, "--address", minion,
			"--server", ServerAddress, "--token-file", l.tokenFile(minion), "--insecure-registry", RegistryAddress,
			"--capacity-cpu", strconv.FormatInt(milli, 10), "--capacity-memory", strconv.FormatInt(memory, 10),
			"--cgroup-parent", l.CgroupParent(minion), "--socket-dir", l.socketDir(minion),
		},
	}
}

// token asks the server for a join token. The server may listen before its socket answers, so it is asked again for a while.
func (l *Lab) token(ctx context.Context) ([]byte, error) {
	var out, said bytes.Buffer
	err := poll(ctx, 30*time.Second, func() (bool, error) {
		out.Reset()
		said.Reset()
		cmd := exec.CommandContext(ctx, l.cfg.Binary, "token", "create", "--server", l.Socket(), "--uses", "0", "--valid", "24h")
		cmd.Stdout, cmd.Stderr = &out, &said
		if cmd.Run() != nil {
			if _, ok := l.find("server"); !ok {
				return false, fmt.Errorf("the server ended%s", l.tail("server"))
			}
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("create join token: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n'), nil
}

// allRun says which process ended although it was started.
func (l *Lab) allRun(n int) error {
	var errs []error
	for _, name := range processes(n) {
		if _, ok := l.find(name); !ok {
			errs = append(errs, fmt.Errorf("start %s: it ended%s", name, l.tail(name)))
		}
	}
	return errors.Join(errs...)
}

// processes are the names of all processes, in the order in which they are ended.
func processes(n int) []string {
	var out []string
	for _, m := range MinionNames(n) {
		out = append(out, "agent-"+m)
	}
	out = append(out, "server", "registry")
	for _, m := range MinionNames(n) {
		out = append(out, "syslog-"+m)
	}
	return out
}

// Push adds the images of an OCI layout or a docker-save archive to the lab's registry and returns their names. as replaces
// the name of the only image; "" keeps what the images carry.
func (l *Lab) Push(ctx context.Context, path, as string) ([]string, error) {
	if _, ok := l.find("registry"); !ok {
		return nil, fmt.Errorf("push %q: %w whose registry runs: run up first", path, ErrAbsent)
	}
	t := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return l.Dial(ctx, Master, network, address)
	}}
	defer t.CloseIdleConnections()
	return registry.Pusher{Host: RegistryAddress, Transport: t}.Push(ctx, path, as)
}
