package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	ctr "github.com/containerd/containerd/v2/client"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

const (
	daemonReady  = 30 * time.Second       // for the daemon to answer; it cleans up after dead shims first
	daemonAgain  = 250 * time.Millisecond // between the end of a daemon and its next start
	watchEvery   = 500 * time.Millisecond // how long a wait for the daemon's end goes without looking at ctx
	daemonLogMax = 4 << 20                // bytes kept of the daemon's own log
)

// Run keeps the embedded daemon alive, if it is embedded, and feeds Events, until ctx ends. The daemon and everything that
// it runs stay. An error means that no daemon can be started.
func (r *Runtime) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	if r.cfg.embedded() {
		g.Go(func() error { return r.keepDaemon(ctx) })
	}
	g.Go(func() error { return r.listen(ctx) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (r *Runtime) keepDaemon(ctx context.Context) error {
	if err := r.placeShim(); err != nil {
		return err
	}
	for {
		pid, err := r.cfg.daemonPID()
		var child *exec.Cmd
		if err == nil && pid == 0 {
			child, err = r.startDaemon()
			if err == nil {
				pid = child.Process.Pid
			}
		}
		if err == nil {
			err = r.watchDaemon(ctx, pid, child)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			r.cfg.Log.Warn("containerd ended", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(daemonAgain):
		}
	}
}

// startDaemon re-executes our program in a session of its own, so that nothing that ends the agent ends the daemon.
func (r *Runtime) startDaemon() (*exec.Cmd, error) {
	if err := r.cfg.keepExits(); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	if err := bound(r.cfg.daemonLog()); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(r.cfg.daemonLog(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open daemon log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(self, DaemonArg, "-dir", r.cfg.Dir, "-sockets", r.cfg.SocketDir)
	cmd.Dir = r.cfg.Dir
	cmd.Env = append(os.Environ(), "PATH="+r.cfg.binDir()+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	r.cfg.Log.Info("started containerd", "pid", cmd.Process.Pid)
	return cmd, nil
}

// bound empties a log that has grown too large; it is written in append mode.
func bound(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() < daemonLogMax {
		return nil
	}
	if err := os.Truncate(path, 0); err != nil {
		return fmt.Errorf("cut daemon log: %w", err)
	}
	return nil
}

// watchDaemon returns when the process has ended. child is set if it is ours to reap.
func (r *Runtime) watchDaemon(ctx context.Context, pid int, child *exec.Cmd) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if child != nil {
			return errors.Join(child.Wait(), err)
		}
		return fmt.Errorf("watch containerd: %w", err)
	}
	defer unix.Close(fd)
	go0 := time.Now()
	ready := false
	for ctx.Err() == nil {
		wait := watchEvery
		if !ready {
			wait = 5 * time.Millisecond
			if _, err := os.Stat(r.cfg.socket()); err == nil {
				vctx, cancel := context.WithTimeout(ctx, time.Second)
				_, err := r.client.Version(vctx)
				cancel()
				if err == nil {
					ready = true
					r.poke()
					r.cfg.Log.Debug("containerd answers", "took", time.Since(go0).String())
				}
			}
			if !ready && time.Since(go0) > daemonReady {
				r.cfg.Log.Error("containerd does not answer", "pid", pid)
				go0 = time.Now()
			}
		} else if err := bound(r.cfg.daemonLog()); err != nil {
			return err
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch containerd: %w", err)
		}
		if n > 0 {
			if child != nil {
				return errors.Join(errors.New("process ended"), child.Wait())
			}
			return errors.New("process ended")
		}
	}
	return nil
}

// listen turns containerd's events into one kind of our own. A stream ends with the daemon; what changed meanwhile is
// unknown, so a new one begins with an event.
func (r *Runtime) listen(ctx context.Context) error {
	for {
		events, errs := r.client.EventService().Subscribe(ctx, `namespace==`+namespace+`,topic~="^/tasks/"`)
		r.poke()
	stream:
		for {
			select {
			case <-events:
				r.poke()
			case err := <-errs:
				if ctx.Err() != nil {
					return nil
				}
				r.cfg.Log.Debug("event stream ended", "err", err)
				break stream
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(daemonAgain):
		}
	}
}

// dial makes a client that connects when it is used, and again soon after the connection broke: the daemon is on this machine
// and back within milliseconds, where gRPC's own back-off goes up to some seconds.
func dial(socket string) (*ctr.Client, error) {
	again := grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
		MinConnectTimeout: 2 * time.Second,
	}
	return ctr.New(socket, ctr.WithDefaultNamespace(namespace), ctr.WithTimeout(10*time.Second), ctr.WithExtraDialOpts([]grpc.DialOption{grpc.WithConnectParams(again)}))
}

// placeShim has the shim's program under its name in our own directory, which is first in the daemon's PATH: the lean one
// that stands beside our program, or else our program itself. A hard link, because a shim finds its name in the path of
// its executable.
func (r *Runtime) placeShim() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	from := filepath.Join(filepath.Dir(self), ShimName)
	if _, err := os.Stat(from); err != nil {
		from = self
	}
	if err := os.MkdirAll(r.cfg.binDir(), 0o755); err != nil {
		return fmt.Errorf("place shim: %w", err)
	}
	if err := linkOrCopy(from, r.cfg.shim()); err != nil {
		return fmt.Errorf("place shim: %w", err)
	}
	return nil
}
