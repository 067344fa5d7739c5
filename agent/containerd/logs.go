package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"reconciler/agent"
	"reconciler/agent/containerd/shim"
)

const (
	followEvery = 100 * time.Millisecond // how often a followed log is looked at
	endedEvery  = time.Second            // how often its container is
)

// Logs opens what is kept of the log of the container's newest attempt, or of the one before it: up to two files of
// shim.LogMax bytes. A log that is followed ends with its attempt. It does not need the daemon except for that.
func (r *Runtime) Logs(ctx context.Context, id, container string, o agent.LogOptions) (io.ReadCloser, error) {
	if err := errors.Join(checkID(id), checkID(container)); err != nil {
		return nil, err
	}
	attempt, err := r.cfg.newestLog(id, container)
	if err != nil {
		return nil, err
	}
	if o.Previous {
		attempt--
		o.Follow = false
	}
	path := r.cfg.logFile(id, container, attempt)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && o.Previous {
		return nil, fmt.Errorf("open log: container %q has no attempt before this one", container)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	var parts []io.Reader
	var closers []io.Closer
	if old, err := os.Open(path + shim.Old); err == nil {
		parts, closers = append(parts, old), append(closers, old)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	parts, closers = append(parts, io.NewSectionReader(f, 0, info.Size())), append(closers, f)
	all := io.MultiReader(parts...)
	if o.Tail >= 0 {
		if all, err = tail(all, o.Tail); err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
	l := &kept{Reader: all, closers: closers}
	if o.Follow {
		cid := containerID(id, container, attempt)
		l.Reader = io.MultiReader(all, &follower{ctx: ctx, f: f, at: info.Size(), ended: func() bool { return r.ended(ctx, cid) }})
	}
	return l, nil
}

type kept struct {
	io.Reader
	closers []io.Closer
}

func (l *kept) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// newestLog is the newest attempt that has a log.
func (c *Config) newestLog(id, container string) (int, error) {
	entries, err := os.ReadDir(filepath.Dir(c.logFile(id, container, 0)))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("open log: container %q of instance %q was not started here", container, id)
	}
	if err != nil {
		return 0, fmt.Errorf("open log: %w", err)
	}
	newest := -1
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), shim.Ext)); err == nil {
			newest = max(newest, n)
		}
	}
	if newest < 0 {
		return 0, fmt.Errorf("open log: container %q of instance %q has written none", container, id)
	}
	return newest, nil
}

// tail is the last n lines; what is kept is small enough to be read whole.
func tail(r io.Reader, n int) (io.Reader, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	at := len(b)
	if at > 0 && b[at-1] == '\n' {
		at--
	}
	for ; n > 0 && at >= 0; n-- {
		if at = bytes.LastIndexByte(b[:at], '\n'); at < 0 {
			return bytes.NewReader(b), nil
		}
	}
	return bytes.NewReader(b[min(at+1, len(b)):]), nil
}

// ended tells whether the container is known not to run.
func (r *Runtime) ended(ctx context.Context, id string) bool {
	c, err := r.client.ContainerService().Get(ctx, id)
	if err != nil {
		return gone(err)
	}
	tasks, err := r.tasks(ctx)
	return err == nil && r.observed(ctx, c, tasks[id]).State == agent.Exited
}

// follower reads what is appended to f until the container has ended or ctx has, and begins again when f was cut.
type follower struct {
	ctx    context.Context
	f      *os.File
	at     int64
	looked time.Time
	last   bool // the container has ended: what is there now is all
	ended  func() bool
}

func (w *follower) Read(b []byte) (int, error) {
	for {
		info, err := w.f.Stat()
		if err != nil {
			return 0, err
		}
		if info.Size() < w.at {
			w.at = 0
		}
		n, err := w.f.ReadAt(b, w.at)
		w.at += int64(n)
		switch {
		case n > 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		case w.last:
			return 0, io.EOF
		}
		if time.Since(w.looked) > endedEvery {
			w.looked = time.Now()
			if w.last = w.ended(); w.last {
				continue
			}
		}
		select {
		case <-w.ctx.Done():
			return 0, io.EOF
		case <-time.After(followEvery):
		}
	}
}
