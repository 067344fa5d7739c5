package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"reconciler/netproxy"
)

// forwarding is relative to the calling thread's network namespace, like everything under /proc/sys/net.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// forward lets the kernel pass on packets that are not its own: without it no rewritten packet would leave.
func forward() error {
	if now, err := os.ReadFile(forwarding); err == nil && bytes.Equal(bytes.TrimSpace(now), []byte("1")) {
		return nil
	}
	if err := os.WriteFile(forwarding, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("turn on forwarding: %w", err)
	}
	return nil
}

// dumpAttempts is how often a listing is read that others change meanwhile.
const dumpAttempts = 5

// whole repeats a listing that the kernel says was interrupted by a change. The last one is taken as it is: what changes
// all the time is connections and pods' links, not the minion's addresses and listeners.
func whole[T any](list func() ([]T, error)) ([]T, error) {
	var found []T
	var err error
	for range dumpAttempts {
		if found, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return found, err
		}
	}
	return found, nil
}

// stateListen is TCP_LISTEN of the kernel's net/tcp_states.h.
const stateListen = 10

// minion observes the minion's addresses and where its processes listen.
func minion(h *netlink.Handle, local netip.Prefix) (netproxy.Minion, error) {
	m := netproxy.Minion{Local: local}
	addresses, err := whole(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return m, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addresses {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			m.Own = append(m.Own, ip.Unmap())
		}
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := whole(func() ([]*netlink.Socket, error) { return h.SocketDiagTCP(family) })
		if err != nil {
			return m, fmt.Errorf("list sockets: %w", err)
		}
		for _, s := range sockets {
			if ip, ok := netip.AddrFromSlice(s.ID.Source); ok && s.State == stateListen {
				m.Listening = append(m.Listening, netip.AddrPortFrom(ip.Unmap(), s.ID.SourcePort))
			}
		}
	}
	return m, nil
}
