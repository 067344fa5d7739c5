package containerd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchies are the mount points of all cgroup hierarchies, v1 and v2.
func hierarchies() []string {
	var dirs []string
	for _, m := range mounts() {
		if (m.kind == "cgroup" || m.kind == "cgroup2") && !slices.Contains(dirs, m.target) {
			dirs = append(dirs, m.target)
		}
	}
	return dirs
}

type mountPoint struct{ target, kind string }

// mounts lists what is mounted in this mount namespace, in order of mounting (proc_pid_mountinfo(5)).
func mounts() []mountPoint {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var all []mountPoint
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if ok && len(f) > 4 && len(g) > 0 {
			all = append(all, mountPoint{unescape.Replace(f[4]), g[0]})
		}
	}
	return all
}

// cgroupDirs are the directories of the cgroup and all below it, in every hierarchy, deepest first.
func cgroupDirs(cgroup string) []string {
	var dirs []string
	for _, h := range hierarchies() {
		_ = filepath.WalkDir(filepath.Join(h, cgroup), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // what vanishes meanwhile needs no removing
		})
	}
	slices.Reverse(dirs)
	return dirs
}

// pidsBelow are the processes in the cgroup and all below it.
func pidsBelow(cgroup string) []int {
	var pids []int
	for _, dir := range cgroupDirs(cgroup) {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 && pid != os.Getpid() && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// killCgroup ends every process in the cgroup and below it, and waits until they are gone.
func killCgroup(cgroup string, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		pids := pidsBelow(cgroup)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill processes of cgroup %q: %d are still there", cgroup, len(pids))
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// removeCgroup removes the cgroup and all below it in every hierarchy. Its processes must have ended; the kernel may take a
// moment more.
func removeCgroup(cgroup string, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		var errs []error
		for _, dir := range cgroupDirs(cgroup) {
			if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, fmt.Errorf("remove cgroup %q: %w", dir, err))
			}
		}
		if len(errs) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(errs...)
		}
	}
}

// oomKills counts the processes of the cgroup that the kernel killed for want of memory.
func oomKills(cgroup string) int {
	for _, h := range hierarchies() {
		for _, file := range []string{"memory.oom_control", "memory.events"} {
			b, err := os.ReadFile(filepath.Join(h, cgroup, file))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(b)) {
				if v, ok := strings.CutPrefix(line, "oom_kill "); ok {
					n, _ := strconv.Atoi(strings.TrimSpace(v))
					return n
				}
			}
		}
	}
	return 0
}
