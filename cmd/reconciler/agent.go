package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"reconciler/agent"
	"reconciler/agent/containerd"
	"reconciler/agent/podnet"
	"reconciler/netproxy/kernel"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link"
)

// agentOptions are the flags of agent.
type agentOptions struct {
	dir, name, address, server, token, tokenFile    string
	containerd, socketDir, ociRuntime, cgroupParent string
	insecure                                        []string
	labels                                          map[string]string
	cpu, memory, pids, storage                      int64
	pods                                            int
	verbose                                         bool
}

func newAgent() *cobra.Command {
	var o agentOptions
	c := &cobra.Command{
		Use: "agent", Short: "Run the agent of this minion", Args: cobra.NoArgs,
		Long: `Join a server and run what it assigns: pods on containerd, pod networking, service routes in the kernel.

The agent may be stopped or killed at any time: containers and routes stay, and it goes on with them when it is back,
with or without its server.`,
		Example: `  reconciler agent --server 192.0.2.10:7443 --address 192.0.2.21 --token-file /etc/reconciler/token`,
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "/var/lib/reconciler/agent", "directory of the agent, its containerd and its pods")
	f.StringVar(&o.name, "name", "", "name of this minion (default: its address, as in 2014)")
	f.StringVar(&o.address, "address", "", "this minion's own IPv4 address (required)")
	f.StringVar(&o.server, "server", "", "address and port of the server (required)")
	f.StringVar(&o.token, "token", "", "join token; needed once")
	f.StringVar(&o.tokenFile, "token-file", "", "file that holds the join token")
	f.StringVar(&o.containerd, "containerd", "", "socket of an existing containerd (default: embedded)")
	f.StringVar(&o.socketDir, "socket-dir", "", "short directory for the sockets of the embedded containerd's shims (default: below --dir)")
	f.StringVar(&o.ociRuntime, "oci-runtime", "runc", "runc or crun, by name or path")
	f.StringVar(&o.cgroupParent, "cgroup-parent", "/reconciler", "control group that all pods are below")
	f.StringSliceVar(&o.insecure, "insecure-registry", nil, "registries (host:port) that are spoken to in plain HTTP")
	f.StringToStringVar(&o.labels, "label", nil, "labels of the minion (key=value), for nodeSelector")
	f.Int64Var(&o.cpu, "capacity-cpu", 0, "thousandths of a core that pods may use (default: all)")
	f.Int64Var(&o.memory, "capacity-memory", 0, "bytes that pods may use (default: all but 5 %)")
	f.Int64Var(&o.pids, "capacity-pids", 0, "processes and threads that pods may have (default: what the kernel and the control group allow, less 5 %)")
	f.Int64Var(&o.storage, "capacity-storage", 0, "bytes of disk that pods may use beside volumes (default: the file system of containerd's snapshots, less 15 %)")
	f.IntVar(&o.pods, "capacity-pods", 110, "number of pods")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log what did not change, too")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), newLog(o.verbose)) }
	return c
}

// complete checks the flags and fills in what they leave out.
func (o *agentOptions) complete() (netip.Addr, error) {
	if o.server == "" || o.address == "" {
		return netip.Addr{}, errors.New("--server and --address are required")
	}
	addr, err := netip.ParseAddr(o.address)
	if err != nil || !addr.Is4() {
		return addr, fmt.Errorf("--address %q is not an IPv4 address", o.address)
	}
	if o.name == "" {
		o.name = o.address
	}
	if o.tokenFile != "" {
		b, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return addr, fmt.Errorf("read token: %w", err)
		}
		o.token = strings.TrimSpace(string(b))
	}
	if o.cpu == 0 {
		o.cpu = int64(runtime.NumCPU()) * 1000
	}
	if o.memory == 0 {
		total, err := totalMemory()
		if err != nil {
			return addr, err
		}
		o.memory = total / 20 * 19
	}
	return addr, nil
}

// run wires the agent together and runs it until ctx ends.
func (o *agentOptions) run(ctx context.Context, log *slog.Logger) error {
	addr, err := o.complete()
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return hinted{errors.New("the agent needs root: it runs containers and programs routes"), "run it with sudo"}
	}
	pods, err := containerd.New(containerd.Config{
		Dir: filepath.Join(o.dir, "containerd"), Socket: o.containerd, SocketDir: o.socketDir, OCIRuntime: o.ociRuntime, CgroupParent: o.cgroupParent,
		InsecureRegistries: o.insecure, Log: log,
	})
	if err != nil {
		return err
	}
	if err := o.measure(ctx, pods); err != nil { // not known limits nothing
		log.Warn("capacity was not measured", "err", err)
	}
	network, err := podnet.New(podnet.Config{Log: log})
	if err != nil {
		return err
	}
	router, err := kernel.New(kernel.Config{Log: log})
	if err != nil {
		return err
	}
	var kept atomic.Pointer[agent.Agent] // nil while it is being made
	controller, err := link.NewClient(link.ClientConfig{
		Server: o.server, Minion: o.name, Dir: filepath.Join(o.dir, "pki"), Token: o.token, Version: version(), Log: log, Boottime: agent.Boottime,
		Logs: func(ctx context.Context, r assignment.LogRequest) (io.ReadCloser, error) {
			return pods.Logs(ctx, r.Instance, r.Container, agent.LogOptions{Follow: r.Follow, Tail: r.Tail, Previous: r.Previous})
		},
		Kept: func() (*assignment.Assignment, *assignment.Table) { return kept.Load().Kept() }, // asked on a stream, and none is open yet
	})
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		log.Warn("boot has no id: fenced pods are not started", "err", err)
	}
	a, err := agent.New(agent.Config{
		Dir: filepath.Join(o.dir, "agent"), Minion: o.name, Address: addr, Labels: o.labels, Features: features, Version: version(), BootID: strings.TrimSpace(string(boot)),
		Capacity:   assignment.Capacity{MilliCPU: o.cpu, Memory: o.memory, Pods: o.pods, PIDs: o.pids, Storage: o.storage},
		Controller: controller, Runtime: pods, Network: network, Router: router, Log: log,
	})
	if err != nil {
		return err
	}
	kept.Store(a)
	log.Info("agent started", "minion", o.name, "server", o.server)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return pods.Run(ctx) })
	g.Go(func() error { return network.Run(ctx) })
	g.Go(func() error { return router.Run(ctx) })
	g.Go(func() error { return controller.Run(ctx) })
	g.Go(func() error { return a.Run(ctx) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// measure fills in what the flags leave out of what only the runtime knows.
func (o *agentOptions) measure(ctx context.Context, pods *containerd.Runtime) error {
	if o.pids != 0 && o.storage != 0 {
		return nil
	}
	pids, storage, err := pods.Capacity(ctx)
	o.pids, o.storage = cmp.Or(o.pids, pids), cmp.Or(o.storage, storage)
	return err
}

// totalMemory is MemTotal of /proc/meminfo (proc(5)), in bytes.
func totalMemory() (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("read memory size: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read memory size: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("read memory size: /proc/meminfo has no MemTotal")
}
