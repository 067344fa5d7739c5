package containerd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/plugins"
	"golang.org/x/sys/unix"
)

// What is kept back from pods. Of the disk it is what images and logs lie in, beside what the file system itself reserves for
// root; of the processes, what the machine itself runs.
const (
	storageReserve = 15 // percent of the file system
	pidReserve     = 5  // percent of what the kernel allows
)

// Capacity is how many processes and threads pods may have on this minion, and how many bytes of disk for what ends with
// them. It is measured now and does not change with what runs: processes by the lowest of kernel.pid_max, kernel.threads-max
// (sysctl/kernel.rst of the kernel) and pids.max of the cgroups that pods are below; storage by the size of the file system
// that holds containerd's snapshots. What cannot be measured is 0.
func (r *Runtime) Capacity(ctx context.Context) (pids, storage int64, err error) {
	if pids, err = r.cfg.pids("/proc/sys/kernel"); err != nil {
		return 0, 0, err
	}
	root, err := r.snapshotRoot(ctx)
	if err != nil {
		return pids, 0, err
	}
	if storage, err = diskOf(root); err != nil {
		return pids, 0, err
	}
	return pids, storage, nil
}

// pids is how many processes pods may have; sysctls is the directory of the kernel's settings.
func (c *Config) pids(sysctls string) (int64, error) {
	var lowest int64
	for _, name := range []string{"pid_max", "threads-max"} {
		b, err := os.ReadFile(filepath.Join(sysctls, name))
		if err != nil {
			return 0, fmt.Errorf("measure processes: %w", err)
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("measure processes: %s: %w", name, err)
		}
		if lowest == 0 || n < lowest {
			lowest = n
		}
	}
	lowest -= lowest * pidReserve / 100
	// A limit of the pods' own cgroups is theirs alone, so nothing is kept back from it.
	if n, limited := pidsMax(hierarchies(), c.CgroupParent); limited {
		lowest = min(lowest, n)
	}
	return lowest, nil
}

// pidsMax is the lowest pids.max of the cgroup and of those above it, in every hierarchy. A cgroup that is not made yet has no
// limit of its own.
func pidsMax(hierarchies []string, cgroup string) (lowest int64, limited bool) {
	for _, h := range hierarchies {
		for dir := cgroup; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
			b, err := os.ReadFile(filepath.Join(h, dir, "pids.max"))
			if err != nil {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64) // "max" is none
			if err == nil && (!limited || n < lowest) {
				lowest, limited = n, true
			}
		}
	}
	return lowest, limited
}

// snapshotRoot is a directory in the file system that pods' files are in.
func (r *Runtime) snapshotRoot(ctx context.Context) (string, error) {
	if r.cfg.embedded() {
		return r.cfg.Dir, nil // root is made by the daemon, below it
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := r.client.IntrospectionService().Plugins(ctx, "type=="+plugins.SnapshotPlugin.String())
	if err != nil {
		return "", fmt.Errorf("find containerd's snapshots: %w", err)
	}
	for _, p := range resp.Plugins {
		if p.ID == defaults.DefaultSnapshotter && p.Exports["root"] != "" {
			return p.Exports["root"], nil
		}
	}
	return "", fmt.Errorf("find containerd's snapshots: it does not say where %s keeps them", defaults.DefaultSnapshotter)
}

// diskOf is how much of the file system of a directory pods may use.
func diskOf(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("measure file system of %q: %w", dir, err)
	}
	// What is free and not available is for root (statfs(2)).
	return int64(st.Blocks-(st.Bfree-st.Bavail)) / 100 * (100 - storageReserve) * st.Bsize, nil
}
