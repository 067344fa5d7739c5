package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"reconciler/reconcile"
	"reconciler/reconcile/link"
	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/server"
	"reconciler/reconcile/store"
	"reconciler/schema"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	dir, repo, branch, path, listen, socket string
	policies, apply, fleet                  string
	recover                                 bool
	recoverWait                             time.Duration
	recoverMinions                          int
	poll                                    time.Duration
	noWatch                                 bool
	portalNet, podNet                       string
	publicNets, sources, tags               []string
	verbose                                 bool
	settings                                reconcile.Settings
}

func newServe() *cobra.Command {
	o := serveOptions{settings: reconcile.DefaultSettings()}
	c := &cobra.Command{
		Use: "serve", Short: "Run the server: follow a branch, plan, instruct the minions", Args: cobra.NoArgs,
		Long: `Follow a branch of a Git repository, plan, keep the decisions in an embedded etcd, and instruct the agents that join.

The server may be stopped or killed at any time: containers and routes stay as they are. Its directory holds the
decisions and the certificate authority; keep it, and a copy.

With --recover the decisions are rebuilt from what the agents keep, where the store is an older copy, or empty: which pod runs
where, with its address, and the services' portal IPs. No pod is started again for it. Until all minions have answered, or for
--recover-wait, nothing else is done. Where no agent has heard of more than the store knows, it does nothing. docs/recovery.md tells
what is to be kept, and what is lost.

The settings may be in Git: an object of apiVersion reconciler/v1 and kind Cluster. Those of the applied revision are in
force, so that a commit is judged by the settings before it. A flag that is given wins over Git, and status says so.

A fleet may be of several sources, each a folder of a branch of a repository, with .reconcilerignore files and CUE
modules of its own: --source for each of them. An object is of one source. If one of them cannot be read or has an error,
nothing changes.`,
		Example: `  reconciler serve --dir /var/lib/reconciler/server --repo /srv/fleet.git --listen 192.0.2.10:7443
  reconciler serve --source web=/srv/web.git --source db=/srv/infra.git#prod:fleets/db
  reconciler serve --dir /var/lib/reconciler/server --repo /srv/fleet.git --recover
  reconciler token create        a token for the next minion`,
	}
	f := c.Flags()
	f.StringVar(&o.dir, "dir", "/var/lib/reconciler/server", "directory of the server's decisions and keys")
	f.StringVar(&o.repo, "repo", "", "path of the Git repository to follow, bare or not")
	f.StringVar(&o.branch, "branch", "main", "branch to follow")
	f.StringVar(&o.path, "path", "", "folder of the repository that holds the manifests (default: all of it)")
	f.StringArrayVar(&o.sources, "source", nil, "one of several sources, as NAME=REPO[#[BRANCH][:PATH]], in place of --repo, --branch and --path; may be repeated")
	f.StringArrayVar(&o.tags, "tag", nil, "value of the fields that CUE packages mark with @tag(name), as name=value; may be repeated")
	f.StringVar(&o.policies, "policies", "", "folder of policies that hold besides those in Git, which no push can change; read at the start")
	f.StringVar(&o.listen, "listen", "127.0.0.1:7443", "address and port for the agents")
	f.StringVar(&o.socket, "socket", defaultSockets[0], "unix socket for the command line")
	f.DurationVar(&o.poll, "poll", 30*time.Second, "how often the branch is looked at without a notification")
	f.BoolVar(&o.noWatch, "no-watch", false, "use no file notifications, only --poll")
	f.StringVar(&o.portalNet, "portal-net", o.settings.PortalNet.String(), "network of the services' portal IPs")
	f.StringVar(&o.podNet, "pod-net", o.settings.PodNet.String(), "network of the pods, a /24 of it for each minion")
	f.StringSliceVar(&o.publicNets, "public-net", nil, "networks that public IPs may be of, besides the minions' own addresses")
	f.DurationVar(&o.settings.MinReady, "min-ready", o.settings.MinReady, "how long a pod must run to be ready")
	f.DurationVar(&o.settings.DrainTimeout, "drain-timeout", o.settings.DrainTimeout, "after it an instance is stopped without every minion's acknowledgement")
	f.DurationVar(&o.settings.LostAfter, "lost-after", o.settings.LostAfter, "how long a minion may be silent before its controllers' pods are placed elsewhere")
	f.StringVar(&o.apply, "apply", "auto", "auto: a new revision is taken into force by itself; manual: it waits for \"reconciler apply\"")
	f.BoolVar(&o.recover, "recover", false, "rebuild the decisions from what the agents keep, if the store is an older copy or empty")
	f.DurationVar(&o.recoverWait, "recover-wait", 2*time.Minute, "of --recover: for how long minions that do not answer are waited for")
	f.IntVar(&o.recoverMinions, "recover-minions", 0, "of --recover: how many minions there are, so that no more are waited for (default: those that the store, the certificates or the routes name)")
	f.StringVar(&o.fleet, "fleet", "", "of --recover: id of the fleet, where the whole directory was lost")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log what did not change, too")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.settings.Manual = o.apply == "manual"; !o.settings.Manual && o.apply != "auto" {
			return fmt.Errorf("--apply %q is neither auto nor manual", o.apply)
		}
		if !o.recover && (o.fleet != "" || cmd.Flags().Changed("recover-wait") || cmd.Flags().Changed("recover-minions")) {
			return errors.New("--fleet, --recover-wait and --recover-minions are of --recover")
		}
		o.settings.Fixed = fixed(cmd.Flags().Changed)
		return o.run(cmd.Context(), newLog(o.verbose))
	}
	return c
}

// fixed is the settings that were given as flags, which a Cluster object in Git cannot change.
func fixed(given func(flag string) bool) map[string]string {
	out := map[string]string{}
	for name, flag := range map[string]string{
		"portalNet": "portal-net", "podNet": "pod-net", "publicNets": "public-net", "update.minReadySeconds": "min-ready",
		"drainTimeoutSeconds": "drain-timeout", "lostAfterSeconds": "lost-after", "apply": "apply",
	} {
		if given(flag) {
			out[name] = "--" + flag
		}
	}
	return out
}

// newLog writes to stderr.
func newLog(verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}

// networks parses the flags that name networks.
func (o *serveOptions) networks() (err error) {
	parse := func(flag, s string) netip.Prefix {
		p, e := netip.ParsePrefix(s)
		if e != nil || !p.Addr().Is4() {
			err = errors.Join(err, fmt.Errorf("--%s %q is not an IPv4 network such as 10.0.0.0/16", flag, s))
			return netip.Prefix{}
		}
		return p.Masked()
	}
	o.settings.PortalNet = parse("portal-net", o.portalNet)
	o.settings.PodNet = parse("pod-net", o.podNet)
	for _, n := range o.publicNets {
		o.settings.PublicNets = append(o.settings.PublicNets, parse("public-net", n))
	}
	if err == nil && o.settings.PortalNet.Overlaps(o.settings.PodNet) {
		err = fmt.Errorf("--portal-net %s and --pod-net %s overlap", o.settings.PortalNet, o.settings.PodNet)
	}
	return err
}

// run wires the server together and runs it until ctx ends.
func (o *serveOptions) run(ctx context.Context, log *slog.Logger) (err error) {
	if err := o.networks(); err != nil {
		return err
	}
	source, of, err := o.follow(log)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return fmt.Errorf("make server directory: %w", err)
	}
	if of.Policies, err = loadPolicies(o.policies); err != nil {
		return err
	}
	of.Cache = openCache(filepath.Join(o.dir, "manifests.cache"), log)
	of.Spare = true
	loader, err := newLoader(of)
	if err != nil {
		return err
	}
	defer loader.Close()
	decisions, err := store.Open(ctx, store.Config{Dir: filepath.Join(o.dir, "etcd"), Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, decisions.Close()) }()
	state, ok, err := decisions.Load(ctx)
	if err != nil {
		return err
	}
	if !ok {
		if state, err = o.identify(); err != nil {
			return err
		}
	}
	if o.recover {
		if state, err = o.rebuild(ctx, state, decisions, log); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	if state.Epoch, err = decisions.NewEpochAbove(ctx, state.Epoch); err != nil {
		return err
	}
	// Minions that join are bound to the fleet's id, so it must not be lost by a crash before the first plan.
	if err := decisions.Save(ctx, state); err != nil {
		return err
	}
	authority, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: filepath.Join(o.dir, "pki"), Fleet: state.Fleet})
	if err != nil {
		return err
	}
	if err := o.noteFleet(state.Fleet); err != nil {
		return err
	}
	fleet, err := link.NewServer(link.ServerConfig{
		Fleet: state.Fleet, Epoch: state.Epoch, Authority: authority, Registry: decisions, Version: version(), Log: log,
	})
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		State: state, Settings: o.settings, Path: o.path, Tags: slices.Sorted(slices.Values(o.tags)), Source: source, Store: decisions, History: decisions, Fleet: fleet, Log: log,
		Load: func(tree fs.FS) (*schema.Set, []string, error) {
			r, err := loader.Tree(tree)
			if err != nil {
				return nil, nil, err
			}
			return r.Set, r.Warnings, nil
		},
	})
	if err != nil {
		return err
	}
	agents, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	api, err := listenUnix(o.socket)
	if err != nil {
		return errors.Join(err, agents.Close())
	}
	log.Info("serving", "repo", o.repo, "branch", o.branch, "sources", o.sources, "listen", agents.Addr().String(), "socket", o.socket, "epoch", state.Epoch)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return source.Run(ctx) })
	g.Go(func() error { return fleet.Serve(ctx, agents) })
	g.Go(func() error { return s.Run(ctx) })
	g.Go(func() error { return server.ServeAPI(ctx, api, s.API(version())) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// listenUnix listens on a socket for root alone. A socket that a killed server left is replaced; one that answers is not.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make directory of socket: %w", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("listen on %s: another server answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace stale socket: %w", err)
	}
	was := unix.Umask(0o177) // the socket is never there with another mode
	l, err := net.Listen("unix", path)
	unix.Umask(was)
	if err != nil {
		return nil, fmt.Errorf("listen for the command line: %w", err)
	}
	return l, nil
}
