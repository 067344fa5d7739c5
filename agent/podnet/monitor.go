package podnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func subscribe() (*nl.NetlinkSocket, error) {
	return nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE)
}

// Run watches the kernel's notifications since [New] until ctx ends, and makes Changed receive when one tells that
// something that we need may have gone, or when one was lost. Our own removals count too: they need a look as well. It may
// be called once.
func (n *Network) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, n.events.Close)
	defer stop()
	for {
		messages, _, err := n.events.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			n.log.Debug("notifications lost")
			n.signal()
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("watch links and routes: %w", err)
		}
		if slices.ContainsFunc(messages, loss) {
			n.signal()
		}
	}
}

func (n *Network) signal() {
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

// loss tells whether a notification may mean that something we made is gone. The kernel does not name the routes that end
// with a link, so a link that went down or came back counts, whoever's it is; a new link does not.
func loss(m syscall.NetlinkMessage) bool {
	switch m.Header.Type {
	case unix.RTM_DELADDR:
		return true
	case unix.RTM_DELROUTE:
		return len(m.Data) >= unix.SizeofRtMsg && netlink.RouteProtocol(nl.DeserializeRtMsg(m.Data).Protocol) == Protocol
	case unix.RTM_DELLINK, unix.RTM_NEWLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return false
		}
		link, err := netlink.LinkDeserialize(&unix.NlMsghdr{Type: m.Header.Type}, m.Data)
		if err != nil {
			return true
		}
		ours := strings.HasPrefix(link.Attrs().Name, linkPrefix)
		if m.Header.Type == unix.RTM_DELLINK {
			return ours
		}
		info := nl.DeserializeIfInfomsg(m.Data)
		turned := info.Change&unix.IFF_UP != 0 && info.Change != ^uint32(0)
		return turned && (!ours || info.Flags&unix.IFF_UP == 0)
	}
	return false
}
