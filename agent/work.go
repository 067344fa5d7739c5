package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"reconciler/schema"
)

// outcome is what became of an action.
type outcome struct {
	id       string
	verb     Verb
	images   []string // had
	attached bool
	reason   string // of the failure, "" if there was none
	err      error
}

// do carries an action out. It is called by one worker per instance at a time.
func (a *Agent) do(ctx context.Context, d Desired, action *Action, gateway netip.Addr) outcome {
	o := outcome{id: d.ID, verb: action.Verb}
	if action.Verb == Halt {
		grace := d.PodSpec.Grace()
		hctx, cancel := context.WithTimeout(ctx, grace+time.Minute)
		defer cancel()
		if o.err = a.Runtime.Halt(hctx, d.ID, grace); o.err != nil {
			o.reason = "HaltError"
		} else {
			a.Log.Warn("halted fenced instance: the lease is over", "instance", d.ID)
		}
		return o
	}
	if action.Verb == TakeOff {
		grace := d.PodSpec.Grace()
		tctx, cancel := context.WithTimeout(ctx, grace+time.Minute)
		defer cancel()
		if o.err = a.Runtime.Stop(tctx, d.ID, grace); o.err == nil {
			o.err = a.Network.Detach(tctx, d.ID)
		}
		if o.err != nil {
			o.reason = "StopError"
		} else {
			a.Log.Info("removed instance", "instance", d.ID)
		}
		return o
	}
	for i := range d.PodSpec.Containers {
		c := &d.PodSpec.Containers[i]
		if !slices.Contains(action.Images, c.Image) || slices.Contains(o.images, c.Image) {
			continue
		}
		restart := action.Start[c.Name] > 0
		if o.reason, o.err = a.image(ctx, d.ID, c, restart); o.err != nil {
			return o
		}
		o.images = append(o.images, c.Image)
	}
	if !action.Attach {
		return o
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		o.err = ctx.Err()
		return o
	}
	defer func() { <-a.slots }()
	o.reason, o.attached, o.err = a.bringUp(ctx, d, action, gateway)
	return o
}

// image has one image as the container's pull policy demands. A restart needs it only to be there.
func (a *Agent) image(ctx context.Context, id string, c *schema.Container, restart bool) (reason string, err error) {
	policy := c.PullPolicy()
	if policy != schema.PullAlways || restart {
		has, err := a.Runtime.HasImage(ctx, c.Image)
		if err != nil {
			return "ImageInspectError", fmt.Errorf("look for image %q: %w", c.Image, err)
		}
		if has {
			return "", nil
		}
		if policy == schema.PullNever {
			return "ErrImageNeverPull", fmt.Errorf("image %q is not on this minion, and imagePullPolicy is Never", c.Image)
		}
	}
	began, told := time.Now(), time.Time{}
	defer a.setProgress(id, "")
	a.setProgress(id, fmt.Sprintf("pulling %s", c.Image))
	poke(a.wake)
	err = a.Runtime.Pull(ctx, c.Image, func(p PullProgress) {
		if time.Since(told) < progressEvery {
			return
		}
		told = time.Now()
		if p.Total > 0 {
			a.setProgress(id, fmt.Sprintf("pulling %s: %d of %d MB", c.Image, p.Done>>20, p.Total>>20))
		} else {
			a.setProgress(id, fmt.Sprintf("pulling %s: %d MB", c.Image, p.Done>>20))
		}
		poke(a.wake)
	})
	if err != nil {
		return "ErrImagePull", fmt.Errorf("pull image %q: %w", c.Image, err)
	}
	a.Log.Info("pulled image", "instance", id, "image", c.Image, "took", time.Since(began).Round(time.Millisecond).String())
	return "", nil
}

// bringUp makes namespaces and network and starts the named containers, in the order of the spec.
func (a *Agent) bringUp(ctx context.Context, d Desired, action *Action, gateway netip.Addr) (reason string, attached bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	p := Pod{ID: d.ID, UID: d.UID, Namespace: d.Namespace, Name: d.Pod, Controller: d.Controller, Hash: d.Hash, Address: d.Address, Spec: d.PodSpec, Env: d.Env}
	netns, err := a.Runtime.Sandbox(ctx, p)
	if err != nil {
		return "SandboxError", false, fmt.Errorf("make namespaces: %w", err)
	}
	if err := a.Network.Attach(ctx, d.ID, netns, d.Address, gateway); err != nil {
		return "NetworkError", false, fmt.Errorf("attach network: %w", err)
	}
	var errs []error
	for i := range d.PodSpec.Containers {
		name := d.PodSpec.Containers[i].Name
		attempt, ok := action.Start[name]
		if !ok {
			continue
		}
		if err := a.Runtime.Start(ctx, p, name, attempt); err != nil {
			errs = append(errs, fmt.Errorf("start container %q: %w", name, err))
			continue
		}
		a.Log.Info("started container", "instance", d.ID, "container", name, "attempt", attempt, "took", time.Since(began).Round(time.Millisecond).String())
	}
	if err := errors.Join(errs...); err != nil {
		return "StartError", true, err
	}
	return "", true, nil
}

// finish takes over what became of an action.
func (a *Agent) finish(o outcome) {
	delete(a.workers, o.id)
	m := a.memory[o.id]
	if m == nil {
		return
	}
	for _, image := range o.images {
		m.Images[image], a.imagesAt = true, time.Time{}
	}
	m.Attached = m.Attached || o.attached
	now := a.Now()
	switch {
	case o.err == nil:
		m.Failures, m.Next, m.Reason, m.Message = 0, time.Time{}, "", ""
		if o.verb == TakeOff {
			m.Stopped, m.Next, m.Failing = true, now.Add(retryAfter), TakeOff
		}
		m.Halted = o.verb == Halt
	case errors.Is(o.err, context.Canceled): // an other phase interrupted it, or the agent ends
		m.Reason, m.Message = "", ""
	default:
		if m.Failing != o.verb {
			m.Failures = 0
		}
		m.Next, m.Failing = now.Add(backoff(m.Failures)), o.verb
		m.Failures++
		m.Reason, m.Message = o.reason, o.err.Error()
		if o.reason == "ErrImagePull" && m.Failures > 1 {
			m.Reason = "ImagePullBackOff"
		}
		if o.reason == "StartError" {
			clear(m.Images) // an image may have been removed
		}
		if o.verb == BringUp {
			m.Attached = false
		}
		a.Log.Warn("action failed", "instance", o.id, "action", string(o.verb), "err", o.err, "next", m.Next.Format(time.TimeOnly))
	}
}

func (a *Agent) setProgress(id, s string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s == "" {
		delete(a.progress, id)
		return
	}
	a.progress[id] = s
}

func compare(a, b string) int { return strings.Compare(a, b) }
