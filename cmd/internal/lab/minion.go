package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pinDirectory makes the directory of mount namespaces. A mount namespace can only be kept on a mount that does not propagate.
func (l *Lab) pinDirectory() error {
	if err := os.MkdirAll(l.pins(), 0o700); err != nil {
		return fmt.Errorf("make namespace directory: %w", err)
	}
	mounted, err := isMountPoint(l.pins())
	if err != nil {
		return err
	}
	if !mounted {
		if err := unix.Mount(l.pins(), l.pins(), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount namespace directory: %w", err)
		}
	}
	if err := unix.Mount("", l.pins(), "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make namespace directory private: %w", err)
	}
	return nil
}

func isMountPoint(path string) (bool, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st); err != nil {
		return false, fmt.Errorf("look at %q: %w", path, err)
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, nil
}

// pinMounts makes the minion's mount namespace and keeps it, unless it is kept.
func (l *Lab) pinMounts(ctx context.Context, minion string) error {
	path := l.mountNS(minion)
	if isNamespace(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(l.MinionDir(minion), "dev"), 0o755); err != nil {
		return fmt.Errorf("make minion directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o400)
	if err != nil {
		return fmt.Errorf("make namespace file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make namespace file: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, l.cfg.Binary, ChildVerb, "mounts", filepath.Join(l.MinionDir(minion), "dev"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	var ready [1]byte
	_, err = io.ReadFull(out, ready[:])
	if err == nil {
		err = unix.Mount(fmt.Sprintf("/proc/%d/ns/mnt", cmd.Process.Pid), path, "", unix.MS_BIND, "")
	}
	_ = in.Close()
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	return nil
}

// childMounts gives this mount namespace a /dev of its own, says so and waits for the end of its input.
func childMounts(dir string) error {
	// Unmounts of the machine still reach the minion, mounts of the minion never reach the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	if err := unix.Mount("dev", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=1m"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	if err := populateDev(dir); err != nil {
		return err
	}
	if err := unix.Mount(dir, "/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move /dev: %w", err)
	}
	if _, err := os.Stdout.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// populateDev copies the machine's character devices and links and takes over its terminals.
func populateDev(dir string) error {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return fmt.Errorf("list /dev: %w", err)
	}
	unix.Umask(0)
	for _, e := range entries {
		from, to := filepath.Join("/dev", e.Name()), filepath.Join(dir, e.Name())
		switch {
		case e.Type()&fs.ModeCharDevice != 0:
			var st unix.Stat_t
			if err := unix.Lstat(from, &st); err != nil {
				return fmt.Errorf("look at %q: %w", from, err)
			}
			if err := unix.Mknod(to, st.Mode, int(st.Rdev)); err != nil {
				return fmt.Errorf("make %q: %w", from, err)
			}
		case e.Type()&fs.ModeSymlink != 0 && e.Name() != "log":
			target, err := os.Readlink(from)
			if err != nil {
				return fmt.Errorf("read %q: %w", from, err)
			}
			if err := os.Symlink(target, to); err != nil {
				return fmt.Errorf("make %q: %w", from, err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "shm"), 0o1777); err != nil {
		return fmt.Errorf("make /dev/shm: %w", err)
	}
	if err := unix.Mount("shm", filepath.Join(dir, "shm"), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	for _, name := range []string{"pts", "net", "mqueue"} {
		from, to := filepath.Join("/dev", name), filepath.Join(dir, name)
		if st, err := os.Stat(from); err != nil || !st.IsDir() {
			continue
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return fmt.Errorf("make %q: %w", from, err)
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %q: %w", from, err)
		}
	}
	return nil
}

// childSyslog stands for a minion's syslog daemon: it appends each datagram to file as a line.
func childSyslog(ctx context.Context, socket, file string) error {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("open syslog file: %w", err)
	}
	defer out.Close()
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove old syslog socket: %w", err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("listen for syslog: %w", err)
	}
	defer c.Close()
	if err := os.Chmod(socket, 0o666); err != nil {
		return fmt.Errorf("open syslog socket to all: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFromUnix(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read syslog: %w", err)
		}
		b := buf[:n]
		for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == 0) {
			b = b[:len(b)-1]
		}
		if _, err := out.Write(append(b[:len(b):len(b)], '\n')); err != nil {
			return fmt.Errorf("write syslog: %w", err)
		}
	}
}
