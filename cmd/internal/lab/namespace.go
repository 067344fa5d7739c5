package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// within calls f on a thread that is in the network namespace at path. f must not start goroutines that are to be in it.
func within(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer own.Close()
		to, err := netns.GetFromPath(path)
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open network namespace %q: %w", path, err)
			return
		}
		defer to.Close()
		if err := netns.Set(to); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter network namespace %q: %w", path, err)
			return
		}
		err = f()
		// A thread that cannot go back stays locked and ends with the goroutine: it must not run anything else.
		if back := netns.Set(own); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
		}
		result <- err
	}()
	return <-result
}

// pinNetNS makes a network namespace and keeps it at path, unless one is kept there.
func pinNetNS(path string) error {
	if isNamespace(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make namespace directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("make namespace file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("make namespace file: %w", err)
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer own.Close()
		made, err := netns.New() // enters it
		if err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("make network namespace: %w", err)
			return
		}
		defer made.Close()
		from := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err = unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
			err = fmt.Errorf("keep network namespace at %q: %w", path, err)
		}
		if back := netns.Set(own); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = errors.Join(err, fmt.Errorf("leave network namespace: %w", back))
		}
		result <- err
	}()
	return <-result
}

// isNamespace tells whether a namespace is kept at path.
func isNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// unpin forgets the namespace kept at path and removes the file.
func unpin(path string) error {
	if err := unmountAll(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove namespace file: %w", err)
	}
	return nil
}

// unmountAll takes every mount off path: mounts stack.
func unmountAll(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unmount %q: %w", path, err)
		}
	}
}

// inode identifies a namespace; zero if there is none at path.
func inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

// Dial connects from a namespace of the lab: the master, the desktop or a minion. The address must be an IP address.
func (l *Lab) Dial(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	var c net.Conn
	err := within(l.NetNS(namespace), func() error {
		var d net.Dialer
		var err error
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}
