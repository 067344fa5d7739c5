package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Down ends everything that belongs to the lab and removes it: first the processes by name, so that they end in good order,
// then whatever else runs in the lab's namespaces and cgroups, then namespaces, cgroups and files. It needs none of the lab's
// daemons, does nothing where there is no lab, and can be called again after an error or an interruption.
func (l *Lab) Down(ctx context.Context, progress func(step string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	if _, err := os.Stat(l.cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		// The directory goes last: without it nothing else can be there, unless somebody else removed it.
		return l.purge(ctx, progress)
	}
	_, err := l.readMarker()
	if errors.Is(err, ErrAbsent) {
		// An Up that was interrupted before it wrote its marker leaves a lock only.
		entries, err := os.ReadDir(l.cfg.Dir)
		if err != nil {
			return fmt.Errorf("read local cluster: %w", err)
		}
		for _, e := range entries {
			if e.Name() != lockName && e.Name() != filepath.Base(l.marker())+".new" {
				return fmt.Errorf("remove local cluster: %w in %s, which holds other files", ErrAbsent, l.cfg.Dir)
			}
		}
	}
	release, err := l.lock(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	var running []string
	for _, name := range processes(MaxMinions) {
		if _, err := os.Stat(l.pidFile(name)); err == nil {
			running = append(running, name)
		}
	}
	for _, name := range running {
		if err := l.stop(ctx, name, 10*time.Second); err != nil {
			return err
		}
	}
	progress(fmt.Sprintf("ended %d daemons", len(running)))
	if err := l.purge(ctx, progress); err != nil {
		return err
	}
	if err := l.removeFiles(ctx); err != nil {
		return err
	}
	progress("removed " + l.cfg.Dir)
	return nil
}

// purge removes everything of the lab that is in the kernel.
func (l *Lab) purge(ctx context.Context, progress func(string)) error {
	nets, err := filepath.Glob("/run/netns/" + l.prefix + "*")
	if err != nil {
		return fmt.Errorf("list network namespaces: %w", err)
	}
	nets = slices.DeleteFunc(nets, func(path string) bool { return !l.owns(filepath.Base(path)) })
	mounts, err := filepath.Glob(l.pins() + "/*")
	if err != nil {
		return fmt.Errorf("list mount namespaces: %w", err)
	}
	killed, err := l.killAll(ctx, nets, mounts)
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("ended %d processes of containers and others in the lab", killed))
	for _, path := range append(mounts, nets...) {
		if err := unpin(path); err != nil {
			return err
		}
	}
	if err := unmountAll(l.pins()); err != nil {
		return err
	}
	progress(fmt.Sprintf("forgot %d namespaces", len(nets)+len(mounts)))
	if err := l.removeCgroups(ctx); err != nil {
		return err
	}
	progress("removed cgroups")
	return nil
}

// owns tells whether a name in /run/netns is this lab's: the default lab's prefix is also the beginning of other labs'.
func (l *Lab) owns(name string) bool {
	rest, ok := strings.CutPrefix(name, l.prefix)
	if !ok {
		return false
	}
	return rest == hub || rest == Master || rest == Desktop || slices.Contains(MinionNames(MaxMinions), rest)
}

// killAll ends every process that is in one of the lab's namespaces or cgroups, until a look finds none. It cannot be asked
// nicely: a containerd or shim that is told to end takes care of containers first.
func (l *Lab) killAll(ctx context.Context, nets, mounts []string) (killed int, err error) {
	netInodes, mntInodes := map[uint64]bool{}, map[uint64]bool{}
	for _, path := range nets {
		if isNamespace(path) {
			netInodes[inode(path)] = true
		}
	}
	for _, path := range mounts {
		if isNamespace(path) {
			mntInodes[inode(path)] = true
		}
	}
	own := map[int]bool{os.Getpid(): true}
	seen := map[identity]bool{}
	var left []int
	err = poll(ctx, 30*time.Second, func() (bool, error) {
		pids, err := l.cgroupPIDs()
		if err != nil {
			return false, err
		}
		for _, pid := range allPIDs() {
			proc := fmt.Sprintf("/proc/%d/ns/", pid)
			if netInodes[inode(proc+"net")] || mntInodes[inode(proc+"mnt")] {
				pids = append(pids, pid)
			}
		}
		left = left[:0]
		for _, pid := range pids {
			start, ok := startTime(pid)
			if own[pid] || !ok {
				continue
			}
			left = append(left, pid)
			i := identity{PID: pid, Start: start}
			seen[i] = true
			if err := i.signal(unix.SIGKILL); err != nil {
				return false, err
			}
		}
		return len(left) == 0, nil
	})
	if err != nil {
		return len(seen), fmt.Errorf("end processes of the lab: %v are left: %w", left, err)
	}
	return len(seen), nil
}

// removeFiles removes the directory, the marker and the lock last. Mounts of a namespace that has just been forgotten may keep
// a directory busy for a moment.
func (l *Lab) removeFiles(ctx context.Context) error {
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list local cluster: %w", err)
	}
	remove := func(path string) error {
		var last error
		err := poll(ctx, 20*time.Second, func() (bool, error) {
			last = os.RemoveAll(path)
			if last != nil && !errors.Is(last, unix.EBUSY) && !errors.Is(last, unix.ENOTEMPTY) {
				return false, last
			}
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("remove %q: %w", path, errors.Join(last, err))
		}
		return nil
	}
	for _, e := range entries {
		if path := filepath.Join(l.cfg.Dir, e.Name()); path != l.marker() && e.Name() != lockName {
			if err := remove(path); err != nil {
				return err
			}
		}
	}
	sockets, err := filepath.Glob("/run/" + l.prefix + "*")
	if err != nil {
		return fmt.Errorf("list socket directories: %w", err)
	}
	for _, path := range sockets {
		if l.owns(filepath.Base(path)) {
			if err := remove(path); err != nil {
				return err
			}
		}
	}
	if err := remove(l.marker()); err != nil {
		return err
	}
	if err := remove(l.cfg.Dir); err != nil {
		return err
	}
	if l.cfg.Dir == DefaultDir {
		// The parent is ours if nothing else is in it.
		_ = os.Remove(filepath.Dir(l.cfg.Dir))
	}
	return nil
}
