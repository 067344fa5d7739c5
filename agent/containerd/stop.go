package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	ctr "github.com/containerd/containerd/v2/client"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/signal"
	"golang.org/x/sync/errgroup"
)

const (
	killWait   = 10 * time.Second // for a process to go after SIGKILL
	cgroupWait = 5 * time.Second  // for the kernel to let go of a cgroup
)

// Stop ends the instance's containers, all at the same time, and removes everything of it. It needs the daemon.
func (r *Runtime) Stop(ctx context.Context, id string, grace time.Duration) error {
	if err := checkID(id); err != nil {
		return err
	}
	list, err := r.client.Containers(ctx, byInstance(id))
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, c := range list {
		g.Go(func() error { return r.end(gctx, c, grace) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, c := range list {
		if err := r.remove(ctx, c.ID(), id); err != nil {
			return err
		}
	}
	if err := r.cfg.removePod(id); err != nil {
		return err
	}
	r.mu.Lock()
	delete(r.groups, id)
	r.mu.Unlock()
	return nil
}

// end has no process of the container running any more.
func (r *Runtime) end(ctx context.Context, c ctr.Container, grace time.Duration) error {
	task, err := c.Task(ctx, nil)
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find task of %q: %w", c.ID(), err)
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exited, err := task.Wait(wctx)
	if err != nil {
		return ignoreMissing(err, "wait for task of", c.ID())
	}
	labels, err := c.Labels(ctx)
	if err != nil {
		return ignoreMissing(err, "read labels of", c.ID())
	}
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{stopSignal(labels[labelStopSignal]), grace}, {syscall.SIGKILL, killWait}} {
		if err := task.Kill(ctx, step.signal, ctr.WithKillAll); err != nil && !gone(err) {
			return fmt.Errorf("kill %q: %w", c.ID(), err)
		}
		timer := time.NewTimer(step.wait)
		select {
		case status := <-exited:
			timer.Stop()
			if err := status.Error(); err != nil && !gone(err) {
				return fmt.Errorf("wait for task of %q: %w", c.ID(), err)
			}
			return nil
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return fmt.Errorf("kill %q: it is still there %v after SIGKILL", c.ID(), killWait)
}

func gone(err error) bool { return errdefs.IsNotFound(err) || errdefs.IsFailedPrecondition(err) }

func ignoreMissing(err error, verb, id string) error {
	if gone(err) {
		return nil
	}
	return fmt.Errorf("%s %q: %w", verb, id, err)
}

// stopSignal is the image's, SIGTERM if it names none that there is.
func stopSignal(name string) syscall.Signal {
	if s, err := signal.ParseSignal(name); err == nil {
		return s
	}
	return syscall.SIGTERM
}

// remove removes an ended container's task, record and snapshot, and what runc and a crash may have left of it.
func (r *Runtime) remove(ctx context.Context, id, instance string) error {
	c, err := r.client.LoadContainer(ctx, id)
	if err != nil {
		return ignoreMissing(err, "find container", id)
	}
	task, err := c.Task(ctx, nil)
	if err == nil {
		_, err = task.Delete(ctx, ctr.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete task of %q: %w", id, err)
	}
	if err := c.Delete(ctx, ctr.WithSnapshotCleanup); err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("delete container %q: %w", id, err)
	}
	if err := os.Remove(r.cfg.recordFile(instance, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove record of %q: %w", id, err)
	}
	// A shim that was killed leaves runc's state, which would stand in the way of nothing and is just litter.
	if err := os.RemoveAll(filepath.Join(r.cfg.runcRoot(), namespace, id)); err != nil {
		return fmt.Errorf("remove runc state of %q: %w", id, err)
	}
	return nil
}

// removePod removes what an instance has outside containerd.
func (c *Config) removePod(id string) error {
	cgroup := filepath.Join(c.CgroupParent, id)
	if err := killCgroup(cgroup, killWait); err != nil { // processes that outlived their shim
		return err
	}
	if err := removeCgroup(cgroup, cgroupWait); err != nil {
		return err
	}
	if err := unmountBelow(c.podDir(id)); err != nil {
		return err
	}
	if err := os.RemoveAll(c.podDir(id)); err != nil {
		return fmt.Errorf("remove pod directory: %w", err)
	}
	return nil
}
