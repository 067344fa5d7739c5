package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"reconciler/reconcile"
	"reconciler/reconcile/link"
	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/server"
	"reconciler/reconcile/store"
)

// fleetFile holds the fleet's id beside its certificate authority, so that it is known where the store is lost.
const fleetFile = "fleet"

// identify is the state of an empty store: of a new fleet, or of one whose decisions were lost, if --recover says that it is to be
// rebuilt.
func (o *serveOptions) identify() (reconcile.State, error) {
	dir := filepath.Join(o.dir, "pki")
	was, err := os.ReadFile(filepath.Join(dir, fleetFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return reconcile.State{}, fmt.Errorf("read id of the fleet: %w", err)
	}
	_, err = os.Stat(filepath.Join(dir, "ca.key"))
	id := strings.TrimSpace(string(was))
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return reconcile.State{}, fmt.Errorf("look for the certificate authority: %w", err)
	case o.recover && o.fleet != "" && id != "" && id != o.fleet:
		return reconcile.State{}, fmt.Errorf("--fleet %q: the certificate authority here is of fleet %q", o.fleet, id)
	case o.recover && id == "" && o.fleet == "":
		return reconcile.State{}, hinted{errors.New("nothing here tells which fleet is to be recovered"), "name it with --fleet: it stands in agent/kept.json below the --dir of each agent"}
	case o.recover && id == "":
		id = o.fleet
	case o.recover:
	case err == nil:
		return reconcile.State{}, hinted{fmt.Errorf("the store in %s is empty, but the certificate authority of a fleet is there: its decisions were lost", o.dir),
			"restore a copy of the directory, then start with --recover; without a copy --recover rebuilds them from the agents. For a new fleet take another --dir"}
	default:
		return server.NewState(), nil
	}
	return reconcile.State{Fleet: id}, nil
}

// noteFleet keeps the fleet's id beside its authority.
func (o *serveOptions) noteFleet(id string) error {
	dir := filepath.Join(o.dir, "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep id of the fleet: %w", err)
	}
	if was, err := os.ReadFile(filepath.Join(dir, fleetFile)); err == nil && strings.TrimSpace(string(was)) == id {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, fleetFile), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep id of the fleet: %w", err)
	}
	return nil
}

// rebuild serves nobody but the agents until they have handed over what they keep, and returns the state that follows from it. If
// none has heard of what the store does not know, that is the state as it is.
func (o *serveOptions) rebuild(ctx context.Context, st reconcile.State, decisions *store.Store, log *slog.Logger) (reconcile.State, error) {
	authority, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: filepath.Join(o.dir, "pki"), Fleet: st.Fleet})
	if err != nil {
		return st, err
	}
	fleet, err := link.NewServer(link.ServerConfig{
		Fleet: st.Fleet, Epoch: max(st.Epoch, 1), Authority: authority, Registry: decisions, Version: version(), Log: log, Recover: true,
	})
	if err != nil {
		return st, err
	}
	agents, err := net.Listen("tcp", o.listen)
	if err != nil {
		return st, fmt.Errorf("listen for agents: %w", err)
	}
	api, err := listenUnix(o.socket)
	if err != nil {
		return st, errors.Join(err, agents.Close())
	}
	log.Info("rebuilding decisions from the agents", "took", o.recoverWait.String(), "epoch", st.Epoch)
	empty := len(st.Minions) == 0
	gathering := &server.Gathering{Agents: fleet, Known: slices.Collect(maps.Keys(st.Minions)), Enough: o.recoverMinions, Wait: o.recoverWait}
	var kept map[string]reconcile.Kept
	var missing []string
	inner, done := context.WithCancel(ctx)
	defer done()
	g, inner := errgroup.WithContext(inner)
	g.Go(func() error { return fleet.Serve(inner, agents) })
	g.Go(func() error { return server.ServeAPI(inner, api, gathering.Handler()) })
	g.Go(func() (err error) {
		defer done()
		kept, missing, err = gathering.Run(inner)
		return err
	})
	if err := g.Wait(); err != nil {
		return st, err
	}
	if !empty && !reconcile.NeedsRecovery(st, kept) {
		log.Info("nothing is to be rebuilt: no agent has heard of what the store does not know")
		return st, nil
	}
	for _, name := range missing {
		log.Warn("minion did not hand over what it keeps", "minion", name)
	}
	rebuilt, notes, err := reconcile.Recover(st, kept, o.settings, time.Now().UTC())
	if err != nil {
		return st, hinted{err, "only agents of one fleet can be recovered from"}
	}
	for _, n := range notes {
		log.Warn("decision was not clear from what agents keep", "err", n)
	}
	log.Info("rebuilt decisions", "minions", len(kept), "instances", rebuilt.Bindings.Len(), "epoch", rebuilt.Epoch)
	return rebuilt, nil
}
