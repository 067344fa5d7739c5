package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// monitorBuffer holds the notifications of a large transaction until they are read. If it overflows that is noticed.
const monitorBuffer = 8 << 20

func subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, err
	}
	if err := s.SetReceiveBufferSize(monitorBuffer, true); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Run watches the kernel's notifications since [New] until ctx ends, and makes Changed receive when one tells of a change
// of our table by somebody else, or when one was lost. It may be called once.
func (r *Router) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.events.Close)
	defer stop()
	for {
		messages, _, err := r.events.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			r.log.Debug("notifications lost")
			r.signal()
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("watch nftables: %w", err)
		}
		if slices.ContainsFunc(messages, r.news) {
			r.signal()
		}
	}
}

// news tells whether a notification is about our table and not about what we did.
func (r *Router) news(m syscall.NetlinkMessage) bool {
	return m.Header.Pid != r.port && concerns(m, r.name)
}

func (r *Router) signal() {
	r.stale.Store(true)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// concerns tells whether a notification is about the table, or anything in it. All nf_tables messages carry the family
// in their first byte and the table's name as attribute 1 (linux/netfilter/nf_tables.h); the message that ends a
// transaction carries a number there, and no table.
func concerns(m syscall.NetlinkMessage, table string) bool {
	const header = 4 // struct nfgenmsg
	if m.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Header.Type&0xff == unix.NFT_MSG_NEWGEN ||
		len(m.Data) < header || m.Data[0] != unix.NFPROTO_IPV4 {
		return false
	}
	for b := m.Data[header:]; len(b) >= unix.SizeofNlAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return false
		}
		if binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED == 1 {
			value := b[unix.SizeofNlAttr:size]
			return len(value) == len(table)+1 && string(value[:len(table)]) == table
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false
}
