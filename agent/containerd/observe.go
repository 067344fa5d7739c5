package containerd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
)

// Observe reads our containers from containerd, and from the pod directories those instances that have none yet.
func (r *Runtime) Observe(ctx context.Context) ([]agent.Observed, error) {
	list, err := r.client.ContainerService().List(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	processes, err := r.tasks(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]*agent.Observed{}
	for _, c := range list {
		who := labelled(c)
		o := found[who.ID]
		if o == nil {
			v := who.observed()
			o = &v
			found[who.ID] = o
		}
		seen := r.observed(ctx, c, processes[c.ID])
		// After a crash in the middle of a restart there may be two attempts; only the newer one counts.
		switch i := slices.IndexFunc(o.Containers, func(x agent.ObservedContainer) bool { return x.Name == seen.Name }); {
		case i < 0:
			o.Containers = append(o.Containers, seen)
		case o.Containers[i].Attempt < seen.Attempt:
			o.Containers[i] = seen
		}
	}
	for _, who := range r.cfg.identities() {
		if found[who.ID] == nil {
			v := who.observed()
			found[who.ID] = &v
		}
	}
	all := make([]agent.Observed, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		o := found[id]
		if path := r.cfg.pinned(id, "net"); isNamespace(path) {
			o.Namespaces = path
		}
		slices.SortFunc(o.Containers, func(a, b agent.ObservedContainer) int { return cmp.Compare(a.Name, b.Name) })
		all = append(all, *o)
	}
	return all, nil
}

// tasks are the processes that containerd knows, by container id.
func (r *Runtime) tasks(ctx context.Context) (map[string]*tasktypes.Process, error) {
	resp, err := r.client.TaskService().List(namespaces.WithNamespace(ctx, namespace), &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	m := make(map[string]*tasktypes.Process, len(resp.Tasks))
	for _, t := range resp.Tasks {
		m[t.ID] = t
	}
	return m, nil
}

// task asks for one task alone; nil only if containerd says that there is none. A shim that does not answer is a process of
// which nothing else is known.
func (r *Runtime) task(ctx context.Context, id string) *tasktypes.Process {
	resp, err := r.client.TaskService().Get(namespaces.WithNamespace(ctx, namespace), &tasks.GetRequest{ContainerID: id})
	switch {
	case status.Code(err) == codes.NotFound:
		return nil
	case err != nil:
		r.cfg.Log.Warn("task does not answer", "container", id, "err", err)
		return &tasktypes.Process{ID: id, Status: tasktypes.Status_UNKNOWN}
	}
	return resp.Process
}

// observed is one container with its process, nil if the list of tasks had none: a list leaves out the task of a shim that
// does not answer in time, so only the answer that there is no such task makes a container that was started a lost one.
func (r *Runtime) observed(ctx context.Context, c containers.Container, p *tasktypes.Process) agent.ObservedContainer {
	o := agent.ObservedContainer{Name: c.Labels[labelContainer], Image: c.Image, ID: c.ID, State: agent.Created}
	o.Attempt, o.Last = attemptOf(c)
	instance := c.Labels[labelInstance]
	rec, started := r.cfg.readRecord(instance, c.ID)
	if o.StartedAt = rec.StartedAt; !started {
		o.StartedAt = c.CreatedAt
	}
	if p == nil && started && rec.FinishedAt.IsZero() {
		p = r.task(ctx, c.ID)
	}
	switch {
	case !rec.FinishedAt.IsZero():
		o.State, o.ExitCode, o.FinishedAt, o.Reason, o.Message = agent.Exited, rec.ExitCode, rec.FinishedAt, rec.Reason, rec.Message
	case p != nil && p.Status == tasktypes.Status_STOPPED:
		o.State, o.ExitCode, o.FinishedAt = agent.Exited, int(p.ExitStatus), p.ExitedAt.AsTime()
		o.Reason = reason(o.ExitCode, o.ExitCode != 0 && oomKills(r.cgroup(instance, o.Name)) > 0)
	case p != nil && p.Status == tasktypes.Status_CREATED:
	case p != nil:
		o.State = agent.Running // paused and unknown ones included: unknown is never absent
	case started:
		// It had a task. Say once when that was noticed, so that the time stands still.
		rec.FinishedAt, rec.Reason, rec.ExitCode = time.Now(), lost, 255
		rec.Message = "ended while nobody could see how"
		if err := r.cfg.writeRecord(instance, c.ID, rec); err != nil {
			r.cfg.Log.Warn("record was not kept", "instance", instance, "err", err)
		}
		o.State, o.ExitCode, o.FinishedAt, o.Reason, o.Message = agent.Exited, rec.ExitCode, rec.FinishedAt, rec.Reason, rec.Message
	}
	if o.State == agent.Created {
		o.StartedAt = time.Time{}
	}
	return o
}

// lastExit is how o ended, for the labels of the attempt after it.
func lastExit(o agent.ObservedContainer) *assignment.LastExit {
	if o.State != agent.Exited {
		return o.Last
	}
	return &assignment.LastExit{Reason: o.Reason, ExitCode: o.ExitCode, StartedAt: o.StartedAt, FinishedAt: o.FinishedAt}
}

// identities are the instances that have a directory.
func (c *Config) identities() []identity {
	entries, err := os.ReadDir(c.podsDir())
	if err != nil {
		return nil
	}
	var all []identity
	for _, e := range entries {
		var who identity
		b, err := os.ReadFile(filepath.Join(c.podsDir(), e.Name(), "pod.json"))
		if err == nil && json.Unmarshal(b, &who) == nil && who.ID == e.Name() {
			all = append(all, who)
		}
	}
	return all
}
