package containerd

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"reconciler/reconcile/assignment"
)

// daemonWait is how long a daemon may take over what is not the containers' own time, before they are killed without it.
const daemonWait = 5 * time.Second

// Halt ends the instance's containers and leaves all else there. What the daemon does not end in time, the kernel does, by the
// instance's cgroup.
func (r *Runtime) Halt(ctx context.Context, id string, grace time.Duration) error {
	if err := checkID(id); err != nil {
		return err
	}
	live := r.cfg.live(id)
	dctx, cancel := context.WithTimeout(ctx, grace+daemonWait)
	defer cancel()
	if err := r.endAll(dctx, id, grace); err != nil {
		r.cfg.Log.Warn("instance was not ended by containerd and is killed", "instance", id, "err", err)
	}
	if err := killCgroup(filepath.Join(r.cfg.CgroupParent, id), killWait); err != nil {
		return err
	}
	for container, rec := range live {
		var ok bool
		if rec.ExitCode, rec.FinishedAt, ok, _ = r.cfg.exitStatus(container); !ok {
			rec.ExitCode, rec.FinishedAt = 137, time.Now() // SIGKILL, as a shell reports it
		}
		rec.Reason, rec.Message = assignment.Fenced, "ended because the lease of its minion was over"
		if err := r.cfg.writeRecord(id, container, rec); err != nil {
			return err
		}
	}
	return nil
}

// endAll ends the containers of an instance, all at the same time.
func (r *Runtime) endAll(ctx context.Context, id string, grace time.Duration) error {
	list, err := r.client.Containers(ctx, byInstance(id))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range list {
		g.Go(func() error { return r.end(ctx, c, grace) })
	}
	return g.Wait()
}

// live are the records of an instance's containers that have processes, by container id. It needs no daemon.
func (c *Config) live(instance string) map[string]record {
	out := map[string]record{}
	files, _ := filepath.Glob(filepath.Join(c.podDir(instance), "state", "*.json")) // the pattern is sound: the id was checked
	for _, file := range files {
		id := filepath.Base(file[:len(file)-len(".json")])
		rec, ok := c.readRecord(instance, id)
		if ok && rec.FinishedAt.IsZero() && len(pidsBelow(filepath.Join(c.CgroupParent, instance, rec.Container))) > 0 {
			out[id] = rec
		}
	}
	return out
}
