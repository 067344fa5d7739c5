package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var errNotRoot = errors.New("the local cluster makes network namespaces, mounts and cgroups: run this as root, for example with sudo")

// Preflight says in one sentence what this machine or user lacks for a local cluster and what to do. It changes nothing: what
// it tries is in namespaces that end with the attempt.
func Preflight() error {
	if os.Geteuid() != 0 {
		return errNotRoot
	}
	for _, tool := range []string{"git", "runc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the local cluster needs the program %[1]s, which is not in PATH: apt-get install %[1]s", tool)
		}
	}
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	if len(roots) == 0 {
		return errors.New("no cgroup hierarchy is mounted: mount /sys/fs/cgroup, as systemd does, and try again")
	}
	if fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC); err == nil {
		_ = unix.Close(fd)
	} else if errors.Is(err, unix.ENODEV) {
		return errors.New("this kernel has no overlay file system: load the module with modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS")
	}
	result := make(chan error, 1)
	go func() {
		// The thread is never given back: it ends with the goroutine, and its namespaces with it.
		runtime.LockOSThread()
		result <- tryNetwork()
	}()
	return <-result
}

// tryNetwork makes what the lab needs in a network namespace that goes away with this thread.
func tryNetwork() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		if errors.Is(err, unix.EPERM) {
			return errors.New("this root may not make namespaces (CAP_SYS_ADMIN is missing): use a machine, a virtual machine or a privileged container")
		}
		return fmt.Errorf("this kernel makes no mount and network namespaces (%w): use one with CONFIG_NET_NS", err)
	}
	h, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("this kernel has no netlink (%w): use one with CONFIG_NET", err)
	}
	defer h.Close()
	try := []struct {
		link   netlink.Link
		module string
	}{
		{&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "try0"}, PeerName: "try1"}, "veth"},
		{&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "try2", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}, "bridge"},
	}
	for _, t := range try {
		if err := h.LinkAdd(t.link); err != nil {
			return fmt.Errorf("this kernel makes no %[1]s links (%[2]w): load the module with modprobe %[1]s", t.module, err)
		}
	}
	conn, err := nftables.New()
	if err == nil {
		conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "try"})
		err = conn.Flush()
	}
	if err != nil {
		return fmt.Errorf("this kernel has no nftables (%w): load the module with modprobe nf_tables", err)
	}
	return nil
}
