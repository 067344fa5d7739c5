package containerd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Purge removes everything of a minion: its containers' processes, daemon, shims, mounts, cgroups and Dir itself, with or
// without a daemon and after any crash. It does nothing if nothing is there. No agent may run on Dir meanwhile. Only Dir, SocketDir
// and CgroupParent of c are used.
func Purge(c Config) error {
	if err := c.complete(); err != nil {
		return err
	}
	// The daemon first, because it would see to its containers; then the shims.
	if err := killOurs(c.Dir); err != nil {
		return err
	}
	if err := killCgroup(c.CgroupParent, killWait); err != nil {
		return err
	}
	if err := removeCgroup(c.CgroupParent, cgroupWait); err != nil {
		return err
	}
	if err := unmountBelow(c.Dir); err != nil {
		return err
	}
	for _, dir := range []string{c.SocketDir, c.Dir} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove state directory: %w", err)
		}
	}
	return nil
}

// killOurs ends daemon and shims of dir, and waits for their end.
func killOurs(dir string) error {
	for _, is := range []func(argv []string) bool{isDaemon(dir), isShim(dir)} {
		for deadline := time.Now().Add(killWait); ; time.Sleep(2 * time.Millisecond) {
			pids := processes(is)
			if len(pids) == 0 {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("kill containerd's processes of %q: %v are still there", dir, pids)
			}
			for _, pid := range pids {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return nil
}

func isDaemon(dir string) func([]string) bool {
	return func(argv []string) bool {
		return len(argv) >= 4 && argv[1] == DaemonArg && argv[2] == "-dir" && argv[3] == dir
	}
}

// isShim goes by the socket of the daemon that a shim is told.
func isShim(dir string) func([]string) bool {
	c := Config{Dir: dir}
	return func(argv []string) bool {
		if len(argv) == 0 || filepath.Base(argv[0]) != ShimName {
			return false
		}
		i := slices.Index(argv, "-address")
		return i > 0 && i+1 < len(argv) && argv[i+1] == c.socket()
	}
}

// processes lists those whose arguments are as wanted. Zombies have none and are not listed.
func processes(is func(argv []string) bool) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err != nil || len(b) == 0 {
			continue
		}
		if is(strings.Split(string(bytes.TrimSuffix(b, []byte{0})), "\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// unmountBelow takes off everything mounted below dir, the last mounted first.
func unmountBelow(dir string) error {
	var errs []error
	for _, m := range slices.Backward(mounts()) {
		if strings.HasPrefix(m.target, dir+"/") {
			if err := unmountOnce(m.target); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func unmountOnce(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %q: %w", path, err)
	}
	return nil
}
