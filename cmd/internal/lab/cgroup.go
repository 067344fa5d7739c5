package lab

import (
	"context"
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

// hierarchies are the mount points of all cgroup hierarchies, version 1 and 2.
func hierarchies() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		left, right, ok := strings.Cut(line, " - ")
		f, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(kind) == 0 || kind[0] != "cgroup" && kind[0] != "cgroup2" {
			continue
		}
		if !slices.Contains(out, f[4]) {
			out = append(out, f[4])
		}
	}
	return out, nil
}

// cgroups are the directories of the lab's cgroups in every hierarchy, the deepest first.
func (l *Lab) cgroups() ([]string, error) {
	roots, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, root := range roots {
		err := filepath.WalkDir(filepath.Join(root, l.group), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // also one that ended meanwhile
			}
			if err == nil && d.IsDir() {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out, nil
}

// cgroupPIDs are the processes in the lab's cgroups. A frozen cgroup is thawed: a signal would wait for that.
func (l *Lab) cgroupPIDs() ([]int, error) {
	dirs, err := l.cgroups()
	if err != nil {
		return nil, err
	}
	var out []int
	for _, d := range dirs {
		b, err := os.ReadFile(filepath.Join(d, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list processes of cgroup: %w", err)
		}
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				out = append(out, pid)
			}
		}
		for name, thawed := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
			if f, err := os.OpenFile(filepath.Join(d, name), os.O_WRONLY, 0); err == nil {
				_, _ = f.WriteString(thawed) // the next look would find the processes still there
				_ = f.Close()
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// removeCgroups removes the lab's cgroups. One whose last process has just ended may be busy for a moment.
func (l *Lab) removeCgroups(ctx context.Context) error {
	var last error
	err := poll(ctx, 20*time.Second, func() (bool, error) {
		dirs, err := l.cgroups()
		if err != nil {
			return false, err
		}
		for _, d := range dirs {
			if err := unix.Rmdir(d); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("%q: %w", d, err)
			}
		}
		return len(dirs) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("remove cgroups: %w", errors.Join(last, err))
	}
	return nil
}

// allPIDs are the machine's processes.
func allPIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	return out
}
