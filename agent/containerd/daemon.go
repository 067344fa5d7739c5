package containerd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/cmd/containerd/server"
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	_ "github.com/containerd/containerd/v2/core/runtime/v2"
	_ "github.com/containerd/containerd/v2/plugins/content/local/plugin"
	_ "github.com/containerd/containerd/v2/plugins/diff/walking/plugin"
	_ "github.com/containerd/containerd/v2/plugins/events"
	_ "github.com/containerd/containerd/v2/plugins/gc"
	_ "github.com/containerd/containerd/v2/plugins/leases"
	_ "github.com/containerd/containerd/v2/plugins/metadata"
	_ "github.com/containerd/containerd/v2/plugins/mount"
	_ "github.com/containerd/containerd/v2/plugins/server/grpc"
	_ "github.com/containerd/containerd/v2/plugins/server/ttrpc"
	_ "github.com/containerd/containerd/v2/plugins/services/containers"
	_ "github.com/containerd/containerd/v2/plugins/services/content"
	_ "github.com/containerd/containerd/v2/plugins/services/diff"
	_ "github.com/containerd/containerd/v2/plugins/services/events"
	_ "github.com/containerd/containerd/v2/plugins/services/images"
	_ "github.com/containerd/containerd/v2/plugins/services/introspection"
	_ "github.com/containerd/containerd/v2/plugins/services/leases"
	_ "github.com/containerd/containerd/v2/plugins/services/namespaces"
	_ "github.com/containerd/containerd/v2/plugins/services/snapshots"
	_ "github.com/containerd/containerd/v2/plugins/services/tasks"
	_ "github.com/containerd/containerd/v2/plugins/services/version"
	_ "github.com/containerd/containerd/v2/plugins/services/warning"
	_ "github.com/containerd/containerd/v2/plugins/snapshots/overlay/plugin"
)

// DaemonArg is the first argument of a process of our own program that is to call [Daemon] with the others.
const DaemonArg = "containerd-daemon"

// Daemon is the embedded containerd: it serves until SIGTERM or SIGINT. Its flags are -dir and -sockets, as Dir and
// SocketDir in [Config].
func Daemon(args []string) error {
	flags := flag.NewFlagSet(DaemonArg, flag.ContinueOnError)
	dir := flags.String("dir", "", "state directory of the minion")
	sockets := flags.String("sockets", "", "directory of the shims' sockets")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c := Config{Dir: *dir, SocketDir: *sockets}
	if err := c.complete(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP)
	// Before anything else: a second containerd on one root waits for ever for its database.
	lock, err := lockDaemon(c.lockFile())
	if err != nil {
		return err
	}
	defer lock.Close()

	_ = log.SetLevel("warn")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := c.daemonConfig()
	if err := server.CreateTopLevelDirectories(cfg); err != nil {
		return fmt.Errorf("make containerd's directories: %w", err)
	}
	for _, sock := range []string{c.socket(), c.socket() + ".ttrpc"} { // of a daemon that was killed
		if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove old socket: %w", err)
		}
	}
	go func() { // containerd's start takes no signal
		<-signals
		cancel()
		time.AfterFunc(2*time.Second, func() { os.Exit(0) })
	}()
	s, err := server.New(ctx, cfg)
	if err != nil {
		return fmt.Errorf("make containerd: %w", err)
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("start containerd: %w", err)
	}
	s.Wait()
	<-ctx.Done()
	s.Stop()
	return nil
}

func (c *Config) daemonConfig() *srvconfig.Config {
	return &srvconfig.Config{
		Version: 4,
		Root:    c.root(),
		State:   c.state(),
		RequiredPlugins: []string{
			"io.containerd.server.v1.grpc", "io.containerd.server.v1.ttrpc", "io.containerd.runtime.v2.task",
			"io.containerd.snapshotter.v1.overlayfs", "io.containerd.service.v1.tasks-service",
		},
		Plugins: map[string]any{
			"io.containerd.server.v1.grpc":  map[string]any{"address": c.socket()},
			"io.containerd.server.v1.ttrpc": map[string]any{"address": c.socket() + ".ttrpc"},
			"io.containerd.shim.v1.manager": map[string]any{"socket_dir": c.SocketDir},
		},
	}
}

// lockDaemon takes the lock of the one daemon of a state directory and writes the process id into it. The lock goes with
// the process, and is not inherited by shims.
func lockDaemon(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open daemon lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q, is an other containerd using it: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeAt(f, strconv.Itoa(os.Getpid()))); err != nil {
		f.Close()
		return nil, fmt.Errorf("write daemon lock: %w", err)
	}
	return f, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// daemonPID is the process that holds the daemon's lock, 0 if none does.
func (c *Config) daemonPID() (int, error) {
	f, err := os.Open(c.lockFile())
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open daemon lock: %w", err)
	}
	defer f.Close()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return 0, nil // and the lock goes with f
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return 0, fmt.Errorf("test daemon lock: %w", err)
	}
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(string(b[:n]))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("read daemon lock: no process id in it")
	}
	return pid, nil
}
