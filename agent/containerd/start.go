package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	ctr "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/errdefs"

	"reconciler/agent"
	"reconciler/agent/containerd/shim"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// createTries is how often a task's creation is tried when its shim ended under it: the last container of a group was
// deleted in the same moment, and the shim with it.
const createTries = 4

// Start makes the attempt's container and starts it. The container record comes first, with the exit of the attempt before
// it in its labels, and only then is that attempt removed, so that no crash forgets how often it was started.
func (r *Runtime) Start(ctx context.Context, p agent.Pod, container string, attempt int) error {
	c, err := find(p, container)
	if err != nil {
		return err
	}
	if err := checkID(p.ID); err != nil {
		return err
	}
	if c.Name == "" || strings.ContainsAny(c.Name, "/\x00") || c.Name[0] == '.' {
		return fmt.Errorf("container name %q cannot be a file name", c.Name)
	}
	defer r.timed("start")()
	listed := r.timed("list what is there")
	list, err := r.client.ContainerService().List(ctx, byInstance(p.ID)+`,labels."`+labelContainer+`"==`+strconv.Quote(container))
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var processes = map[string]agent.ObservedContainer{}
	if len(list) > 0 {
		tasks, err := r.tasks(ctx)
		if err != nil {
			return err
		}
		for _, old := range list {
			processes[old.ID] = r.observed(ctx, old, tasks[old.ID])
		}
	}
	listed()
	var last *assignment.LastExit
	slices.SortFunc(list, func(a, b containers.Container) int {
		return cmp.Compare(processes[a.ID].Attempt, processes[b.ID].Attempt)
	})
	for _, old := range list {
		o := processes[old.ID]
		switch {
		case o.Attempt == attempt && o.State != agent.Created:
			return nil // it runs, or it ran
		case o.Attempt > attempt:
			return fmt.Errorf("attempt %d was started already", o.Attempt)
		case o.State == agent.Running:
			return fmt.Errorf("attempt %d still runs", o.Attempt)
		}
		last = lastExit(o)
	}
	id := containerID(p.ID, container, attempt)
	for _, old := range list { // made and never started: made again
		if old.ID == id {
			if err := r.remove(ctx, old.ID, p.ID); err != nil {
				return err
			}
		}
	}
	recorded := r.timed("record and snapshot")
	made, err := r.create(ctx, p, c, id, attempt, last)
	if err != nil {
		return err
	}
	recorded()
	for _, old := range list {
		if old.ID != id {
			if err := r.remove(ctx, old.ID, p.ID); err != nil {
				return err
			}
		}
	}
	if err := r.cfg.dropLogs(p.ID, container, attempt); err != nil {
		return err
	}
	return r.run(ctx, p, c, made, attempt)
}

// timed begins to measure a part of what the runtime does; the result ends it. It costs nothing unless a benchmark asks.
func (r *Runtime) timed(part string) (end func()) {
	if r.took == nil {
		return func() {}
	}
	began := time.Now()
	return func() { r.took(part, time.Since(began)) }
}

func byInstance(id string) string { return ours + "==" + strconv.Quote(id) }

// create makes the container record and its snapshot.
func (r *Runtime) create(ctx context.Context, p agent.Pod, c *schema.Container, id string, attempt int, last *assignment.LastExit) (ctr.Container, error) {
	ref, err := normal(c.Image)
	if err != nil {
		return nil, err
	}
	image, err := r.client.GetImage(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("find image %q: %w", c.Image, err)
	}
	config, err := imageConfig(ctx, image)
	if err != nil {
		return nil, err
	}
	group, slot, err := r.group(ctx, p)
	if err != nil {
		return nil, err
	}
	opts, err := r.specOpts(p, c, config, group)
	if err != nil {
		return nil, err
	}
	labels, err := podLabels(p, c.Name, attempt, slot, config.StopSignal, last)
	if err != nil {
		return nil, err
	}
	runtime := runtimeName
	if !r.cfg.embedded() {
		runtime = plainShim
	}
	// A snapshot without a container is what a crash between the two leaves.
	if err := r.client.SnapshotService("").Remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("remove old snapshot: %w", err)
	}
	made, err := r.client.NewContainer(ctx, id,
		ctr.WithImage(image),
		ctr.WithImageName(c.Image),
		ctr.WithContainerLabels(labels), // in place of the image's own, which must not pass for ours
		ctr.WithNewSnapshot(id, image),
		ctr.WithRuntime(runtime, &options.Options{BinaryName: r.runc, Root: r.cfg.runcRoot()}),
		ctr.WithNewSpec(opts...),
	)
	if err != nil {
		return nil, fmt.Errorf("make container: %w", err)
	}
	return made, nil
}

// run makes the task and starts it. A container that the OCI runtime refuses is kept as one that ended with StartError.
func (r *Runtime) run(ctx context.Context, p agent.Pod, c *schema.Container, made ctr.Container, attempt int) error {
	logs := cio.LogFile(r.cfg.logFile(p.ID, c.Name, attempt))
	created := r.timed("create task (shim, runc create)")
	var task ctr.Task
	var err error
	for try := range createTries {
		task, err = made.NewTask(ctx, logs)
		if err == nil || !shimGone(err) || ctx.Err() != nil {
			break
		}
		r.cfg.Log.Debug("shim ended while a task was made", "instance", p.ID, "try", try, "err", err)
	}
	created()
	rec := record{Container: c.Name, StartedAt: time.Now()}
	if err == nil {
		defer r.timed("start task (runc start)")()
		// Before the start, so that no process that ran is ever taken for one that did not.
		if err := r.cfg.writeRecord(p.ID, made.ID(), rec); err != nil {
			return fmt.Errorf("keep start: %w", err)
		}
		err = task.Start(ctx)
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || errdefs.IsUnavailable(err) || errdefs.IsDeadlineExceeded(err) || errdefs.IsCanceled(err) || shimGone(err) {
		return fmt.Errorf("start task: %w", err)
	}
	rec.FinishedAt, rec.Reason, rec.ExitCode, rec.Message = time.Now(), startError, startErrorCode, err.Error()
	err = fmt.Errorf("start task: %w", err)
	if task != nil {
		_, derr := task.Delete(ctx, ctr.WithProcessKill)
		if !errdefs.IsNotFound(derr) {
			err = errors.Join(err, derr)
		}
	}
	return errors.Join(err, r.cfg.writeRecord(p.ID, made.ID(), rec))
}

// shimGone tells whether a call failed because the shim was not there (any more).
func shimGone(err error) bool {
	s := err.Error()
	return strings.Contains(s, "ttrpc: closed") || strings.Contains(s, "connection refused") || strings.Contains(s, "shim disconnected")
}

// seccomp asks the OCI runtime whether it can filter system calls.
func (r *Runtime) seccomp() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.runc, "--version").Output()
	if err != nil {
		r.cfg.Log.Warn("OCI runtime did not say its version", "err", err)
		return false
	}
	s := strings.ToLower(string(out))
	can := strings.Contains(s, "libseccomp") || strings.Contains(s, "+seccomp")
	if !can {
		r.cfg.Log.Warn("containers run without system call filter: the OCI runtime was built without seccomp", "runtime", r.runc)
	}
	return can
}

// group chooses the shim for a pod: that of its other containers, else the first with room in which no pod of the same
// controller is. The name says which program the shim is, so that a new one begins new groups.
func (r *Runtime) group(ctx context.Context, p agent.Pod) (name string, slot int, err error) {
	r.mu.Lock()
	base, known := r.groupBase, r.groups != nil
	r.mu.Unlock()
	if base == "" {
		base = "external"
		if r.cfg.embedded() {
			if base, err = fileHash(r.cfg.shim()); err != nil {
				return "", 0, fmt.Errorf("identify shim: %w", err)
			}
		}
	}
	var list []containers.Container
	if !known {
		if list, err = r.client.ContainerService().List(ctx, ours); err != nil {
			return "", 0, fmt.Errorf("list containers: %w", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groupBase = base
	if r.groups == nil {
		r.groups = map[string]seat{}
		for _, c := range list {
			n, err := strconv.Atoi(c.Labels[labelGroup])
			if err == nil {
				r.groups[c.Labels[labelInstance]] = seat{n, workload(c.Labels[labelNamespace], c.Labels[labelController])}
			}
		}
	}
	s, ok := r.groups[p.ID]
	if !ok {
		s = choose(r.groups, r.cfg.PodsPerShim, workload(p.Namespace, p.Controller))
		r.groups[p.ID] = s
	}
	return base + "-" + strconv.Itoa(s.slot), s.slot, nil
}

// seat is a pod's place in a shim.
type seat struct {
	slot     int
	workload string // "" for a bare pod
}

func workload(namespace, controller string) string {
	if controller == "" {
		return ""
	}
	return namespace + "/" + controller
}

// choose is the first slot with less than most pods and none of the same workload.
func choose(taken map[string]seat, most int, workload string) seat {
	for slot := 0; ; slot++ {
		n, same := 0, false
		for _, s := range taken {
			if s.slot == slot {
				n++
				same = same || workload != "" && s.workload == workload
			}
		}
		if n < most && !same {
			return seat{slot, workload}
		}
	}
}

// logFile of an attempt.
func (c *Config) logFile(instance, container string, attempt int) string {
	return filepath.Join(c.podDir(instance), "logs", container, strconv.Itoa(attempt)+shim.Ext)
}

// dropLogs removes the logs of all attempts but the last two.
func (c *Config) dropLogs(instance, container string, attempt int) error {
	dir := filepath.Dir(c.logFile(instance, container, attempt))
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list logs: %w", err)
	}
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), ".")
		if n, err := strconv.Atoi(number); err == nil && n < attempt-1 {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("remove old log: %w", err)
			}
		}
	}
	return nil
}
