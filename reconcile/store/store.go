package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
)

const (
	// startTimeout bounds opening: with 150,000 bindings it takes about a second.
	startTimeout = 60 * time.Second
	// timeout bounds one transaction or read. In-process they take a millisecond; a disk that stalls takes seconds.
	timeout = 10 * time.Second
	// quota is the size of the database in bytes after which etcd refuses writes.
	quota = 4 << 30
	// maxRequest is the largest transaction in bytes that etcd takes: twice what this package ever sends.
	maxRequest = 4 << 20
)

// Config is what a [Store] needs.
type Config struct {
	Dir string       // of the embedded etcd; made if missing, readable by its owner only
	Log *slog.Logger // nil: discard
}

// Store is the decisions of one fleet. Its methods may be called concurrently; Load and Save queue.
type Store struct {
	client *clientv3.Client
	etcd   *embed.Etcd
	lock   *os.File

	mu    sync.Mutex // protects the rest; held over a whole Load or Save, which is what makes them queue
	known bool       // head and rev are what etcd holds, as far as this store knows
	head  head       // last loaded or saved; zero if there is none
	rev   int64      // mod revision of the head; 0 if there is none
	cuts  cuts       // how what head lists was cut; zero if nothing was saved since it was loaded

	// fault, if not nil, is asked before each write of a save. Only tests set it.
	fault func(step string) error
}

// Open starts etcd on c.Dir and waits until it answers. A directory that another store has open is an error.
func Open(ctx context.Context, c Config) (_ *Store, err error) {
	if c.Dir == "" {
		return nil, errors.New("open store: no directory is given")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{lock: lock}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.etcd, err = embed.StartEtcd(etcdConfig(c)); err != nil {
		return nil, fmt.Errorf("open store %q: start etcd: %w", c.Dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
	case err := <-s.etcd.Err():
		return nil, fmt.Errorf("open store %q: start etcd: %w", c.Dir, err)
	case <-ctx.Done():
		return nil, fmt.Errorf("open store %q: start etcd: %w", c.Dir, ctx.Err())
	}
	s.client = v3client.New(s.etcd.Server)
	return s, nil
}

// lockDir takes the directory for this process. The kernel gives it back when the process ends, however it ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // never used
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("directory %q is in use by another server", dir)
		}
		return nil, fmt.Errorf("lock directory %q: %w", dir, err)
	}
	return f, nil
}

// etcdConfig is one member that nobody can connect to: it has addresses because a member must, and listens on none.
func etcdConfig(c Config) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "reconciler"
	cfg.Dir = filepath.Join(c.Dir, "etcd")
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.AdvertiseClientUrls = []url.URL{{Scheme: "http", Host: "localhost:2379"}}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.QuotaBackendBytes = quota
	cfg.MaxRequestBytes = maxRequest
	// No history is needed: what is older than a minute goes, and its pages are used again.
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "1m"
	// Entries of the raft log are kept in memory until a snapshot, and are up to 1 MiB each.
	cfg.SnapshotCount, cfg.SnapshotCatchUpEntries = 500, 50
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.New(&zapCore{log: c.Log}))
	return cfg
}

// Close stops etcd and waits for it. Operations that run meanwhile fail.
func (s *Store) Close() error {
	var err error
	if s.client != nil {
		err = s.client.Close()
		if errors.Is(err, context.Canceled) {
			err = nil // the in-process client has no connection to close and says so in this way
		}
	}
	if s.etcd != nil {
		s.etcd.Close()
	}
	if closeErr := s.lock.Close(); closeErr != nil {
		err = errors.Join(err, closeErr)
	}
	if err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
