package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"reconciler/agent"
)

// pins are the namespaces of a pod, by the names of /proc/PID/ns.
var pins = []string{"net", "ipc", "uts"}

// hostnameMax is Linux's limit, HOST_NAME_MAX.
const hostnameMax = 64

// Sandbox makes the pod's directory, its pinned namespaces with the pod's name as host name and lo up, and the files that
// its containers see in /etc.
func (r *Runtime) Sandbox(_ context.Context, p agent.Pod) (string, error) {
	if err := checkID(p.ID); err != nil {
		return "", err
	}
	dir := r.cfg.podDir(p.ID)
	for _, d := range []string{dir, filepath.Join(dir, "ns"), filepath.Join(dir, "logs"), filepath.Join(dir, "state")} {
		if err := os.MkdirAll(d, 0o711); err != nil {
			return "", fmt.Errorf("make pod directory: %w", err)
		}
	}
	// First of all: what is here must be seen by Observe, even half made.
	if err := writeIdentity(dir, p); err != nil {
		return "", err
	}
	hostname := p.Name[:min(len(p.Name), hostnameMax)]
	for name, text := range map[string]string{
		"hostname":    hostname + "\n",
		"hosts":       hosts(p, hostname),
		"resolv.conf": "# This pod has no name server: services are found by their variables.\n",
	} {
		// In place, because containers have the file itself mounted.
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", fmt.Errorf("write pod's %s: %w", name, err)
		}
	}
	for i := range p.Spec.Volumes {
		if p.Spec.Volumes[i].EmptyDir == nil {
			continue
		}
		v := r.cfg.emptyDir(p.ID, p.Spec.Volumes[i].Name)
		if err := os.MkdirAll(filepath.Dir(v), 0o711); err != nil {
			return "", fmt.Errorf("make volume %q: %w", p.Spec.Volumes[i].Name, err)
		}
		if err := os.Mkdir(v, 0o777); err == nil {
			err = os.Chmod(v, 0o777) // whatever the umask
			if err != nil {
				return "", fmt.Errorf("make volume %q: %w", p.Spec.Volumes[i].Name, err)
			}
		} else if !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("make volume %q: %w", p.Spec.Volumes[i].Name, err)
		}
	}
	if err := r.pin(p.ID, hostname); err != nil {
		return "", fmt.Errorf("pin namespaces: %w", err)
	}
	return r.cfg.pinned(p.ID, "net"), nil
}

func (c *Config) pinned(id, ns string) string { return filepath.Join(c.podDir(id), "ns", ns) }
func (c *Config) emptyDir(id, name string) string {
	return filepath.Join(c.podDir(id), "volumes", name)
}

// checkID keeps what is used as a directory name from being a path.
func checkID(id string) error {
	if id == "" || id[0] == '.' || strings.ContainsAny(id, "/\x00") || len(id) > 255 {
		return fmt.Errorf("instance id %q cannot be a directory name", id)
	}
	return nil
}

func hosts(p agent.Pod, hostname string) string {
	s := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if p.Address.IsValid() {
		s += p.Address.String() + "\t" + hostname + "\n"
	}
	return s
}

// identity is what Observe tells of an instance that has no container.
type identity struct {
	ID, UID, Namespace, Name, Controller, Hash, Address string
}

func writeIdentity(dir string, p agent.Pod) error {
	b, err := json.Marshal(identity{p.ID, p.UID, p.Namespace, p.Name, p.Controller, p.Hash, addrString(p)})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "pod.json"), b)
}

func addrString(p agent.Pod) string {
	if !p.Address.IsValid() {
		return ""
	}
	return p.Address.String()
}

// writeFile replaces a file whole.
func writeFile(path string, b []byte) error {
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return os.Rename(path+".new", path)
}

// pin has all three namespaces pinned: those that are, those of a process of the pod that is still running (somebody
// unmounted the pins), or new ones.
func (r *Runtime) pin(id, hostname string) error {
	whole := true
	for _, ns := range pins {
		whole = whole && isNamespace(r.cfg.pinned(id, ns))
	}
	if whole {
		return nil
	}
	for _, ns := range pins {
		path := r.cfg.pinned(id, ns)
		if err := unmountAll(path); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
		if err != nil {
			return err
		}
		f.Close()
	}
	if pids := pidsBelow(filepath.Join(r.cfg.CgroupParent, id)); len(pids) > 0 {
		return bindNamespaces("/proc/"+strconv.Itoa(pids[0])+"/ns", r.cfg.podDir(id))
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is in the pod's namespaces and must end
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS); err != nil {
				return fmt.Errorf("unshare: %w", err)
			}
			if err := unix.Sethostname([]byte(hostname)); err != nil {
				return fmt.Errorf("set host name: %w", err)
			}
			if err := loopbackUp(); err != nil {
				return fmt.Errorf("set lo up: %w", err)
			}
			return bindNamespaces("/proc/thread-self/ns", r.cfg.podDir(id))
		}()
	}()
	return <-done
}

func bindNamespaces(from, podDir string) error {
	for _, ns := range pins {
		if err := unix.Mount(filepath.Join(from, ns), filepath.Join(podDir, "ns", ns), "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s namespace: %w", ns, err)
		}
	}
	return nil
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

func isNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// unmountAll takes everything off path, which may have been mounted on more than once.
func unmountAll(path string) error {
	for {
		switch err := unix.Unmount(path, unix.MNT_DETACH); {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
			return nil
		default:
			return fmt.Errorf("unmount %q: %w", path, err)
		}
	}
}
