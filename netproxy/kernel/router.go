package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"reconciler/netproxy"
)

// Config is what [New] needs.
type Config struct {
	// Log takes what was changed and refused; nil discards it.
	Log *slog.Logger
	// Table is the name of the table, "reconciler" if empty. Whatever has that name in family ip is replaced.
	Table string
}

// Router keeps the kernel's service routes. Its methods may be called concurrently; calls that touch the kernel wait for
// each other.
type Router struct {
	log     *slog.Logger
	name    string
	conn    *nftables.Conn
	host    *netlink.Handle
	events  *nl.NetlinkSocket
	port    uint32        // netlink port of conn: what it changes is no news
	changed chan struct{} // room for one
	stale   atomic.Bool   // what is known of the kernel may be wrong
	turn    chan struct{} // holds the token of whoever may use conn, host and the fields below it

	known  bool             // have and chains are what the kernel holds
	have   netproxy.Content // content of the kernel's maps
	chains int              // balancing chains in the kernel
	public []netip.AddrPort // the public addresses for which held was last looked up
	held   netproxy.Minion

	mu      sync.Mutex // protects refused
	refused []string
}

// New opens its sockets in the network namespace of the calling thread and changes nothing. The kernel holds a router's
// sockets until the process ends or the router is collected.
func New(c Config) (*Router, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Table == "" {
		c.Table = "reconciler"
	}
	if len(c.Table) >= unix.NFT_TABLE_MAXNAMELEN {
		return nil, fmt.Errorf("table name %q is too long", c.Table)
	}
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	r := &Router{log: c.Log, name: c.Table, conn: conn, changed: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	if r.port, err = conn.GetPortID(); err != nil {
		return nil, errors.Join(fmt.Errorf("read netlink port: %w", err), conn.CloseLasting())
	}
	if r.host, err = netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_INET_DIAG); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), conn.CloseLasting())
	}
	if r.events, err = subscribe(); err != nil {
		r.host.Close()
		return nil, errors.Join(fmt.Errorf("subscribe to nftables: %w", err), conn.CloseLasting())
	}
	return r, nil
}

// Changed receives when somebody else may have changed our table, while [Router.Run] runs; it has room for one.
func (r *Router) Changed() <-chan struct{} { return r.changed }

// Refused says which services or addresses of the last Apply are not routed, and why; sorted. Nil if none.
func (r *Router) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.refused)
}

// attempts is how often Apply tries: the second time it reads the kernel first, since somebody may have changed it.
const attempts = 2

// Apply makes the kernel route exactly services, in one transaction, and returns when it does. local is the minion's pod
// network. A service that cannot be routed is left out and named by [Router.Refused]; it is no error. After an error the
// routes are as before, and the next Apply reads the kernel.
func (r *Router) Apply(ctx context.Context, services []netproxy.Service, local netip.Prefix) error {
	if err := r.take(ctx); err != nil {
		return fmt.Errorf("apply routes: %w", err)
	}
	defer r.give()
	if err := forward(); err != nil {
		return fmt.Errorf("apply routes: %w", err)
	}
	if r.stale.Swap(false) {
		r.known = false
	}
	m, err := r.observe(services, local)
	if err != nil {
		return fmt.Errorf("apply routes: %w", err)
	}
	want, refusals := netproxy.Compute(services, m)
	r.refuse(refusals)
	for range attempts {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = r.apply(want); err == nil {
			return nil
		}
		r.known = false
	}
	return fmt.Errorf("apply routes: %w", err)
}

// apply brings the kernel from what it holds to want.
func (r *Router) apply(want netproxy.Content) error {
	state := table{exists: true, chains: r.chains, content: r.have}
	if !r.known {
		var err error
		if state, err = read(r.conn, r.name); err != nil {
			return fmt.Errorf("read table %q: %w", r.name, err)
		}
		if state.foreign != "" {
			r.log.Info("table replaced", "reason", state.foreign)
		}
	}
	n := max(netproxy.Chains(want.Widest()), state.chains)
	have, strays := state.content, state.strays
	rebuilt := !state.whole() || n > state.chains
	if rebuilt {
		var err error
		if have, strays, err = state.repair(r.conn, r.name, n); err != nil {
			return err
		}
	}
	changes, after := netproxy.Diff(have, want)
	changes.Delete = append(strays, changes.Delete...)
	if err := queue(r.conn, r.name, changes); err != nil {
		return err
	}
	if rebuilt || !changes.Empty() {
		if err := r.conn.Flush(); err != nil {
			return fmt.Errorf("write table %q: %w", r.name, err)
		}
		r.log.Info("routes changed", "services", len(after.Slots), "added", len(changes.Add), "deleted", len(changes.Delete))
	} else {
		r.log.Debug("routes unchanged", "services", len(after.Slots))
	}
	r.known, r.have, r.chains = true, after, n
	return nil
}

// observe looks up the minion's listeners, only if there are public addresses and only when those changed: a process that
// starts to listen later does not take a route away.
func (r *Router) observe(services []netproxy.Service, local netip.Prefix) (netproxy.Minion, error) {
	var public []netip.AddrPort
	for _, s := range services {
		for i, address := range s.Addresses {
			if i > 0 {
				public = append(public, netip.AddrPortFrom(address, s.Port))
			}
		}
	}
	slices.SortFunc(public, netip.AddrPort.Compare)
	if len(public) > 0 && !slices.Equal(public, r.public) {
		m, err := minion(r.host, local)
		if err != nil {
			return m, err
		}
		r.held = m
	}
	r.public = public
	m := r.held
	m.Local = local
	return m, nil
}

func (r *Router) refuse(refusals []netproxy.Refusal) {
	var list []string
	for _, refusal := range refusals {
		list = append(list, refusal.String())
	}
	r.mu.Lock()
	before := r.refused
	r.refused = list
	r.mu.Unlock()
	for _, reason := range list {
		if !slices.Contains(before, reason) {
			r.log.Warn("route refused", "err", reason)
		}
	}
}

// Remove deletes our table, if it is there. Connections that it rewrote stall, unless another table rewrites addresses in
// this namespace: the kernel translates nobody's packets once nobody has a chain for it. A later Apply revives them.
func (r *Router) Remove(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return fmt.Errorf("remove routes: %w", err)
	}
	defer r.give()
	r.known = false
	tables, err := r.conn.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("remove routes: list tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == r.name {
			r.conn.DelTable(&nftables.Table{Name: r.name, Family: nftables.TableFamilyIPv4})
			if err := r.conn.Flush(); err != nil {
				return fmt.Errorf("remove routes: delete table %q: %w", r.name, err)
			}
			r.log.Info("routes removed")
		}
	}
	return nil
}

func (r *Router) take(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Router) give() { <-r.turn }
