package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultDir is the directory of the local cluster of `reconciler local`.
const DefaultDir = "/var/lib/reconciler/local"

// Addresses of the lab. They are in the lab's own namespaces, so that several labs do not meet.
const (
	MasterAddress   = "10.245.1.2"
	DesktopAddress  = "10.245.3.2"
	ServerAddress   = MasterAddress + ":7443"
	RegistryAddress = MasterAddress + ":5000"
)

// MaxMinions is how many minions one lab can have.
const MaxMinions = 64

// The namespaces that are not minions.
const (
	Master  = "master"
	Desktop = "desktop"
	hub     = "hub"
)

// Config says which lab.
type Config struct {
	Dir     string // absolute; everything the lab keeps is below it; default [DefaultDir]
	Minions int    // 1 to [MaxMinions]; 0: as many as there are, or 3
	Binary  string // the reconciler program that is started; default: the running one

	// Serve are further flags that a server is started with. One that runs is left as it is.
	Serve []string
}

// Lab is a local cluster, there or not. Its methods may be called concurrently; Up and Down wait for each other, in other
// processes too.
type Lab struct {
	cfg    Config
	prefix string // of the names of network namespaces
	group  string // cgroup of all minions, below each hierarchy's root
}

// Open checks the configuration and touches nothing.
func Open(cfg Config) (*Lab, error) {
	if cfg.Dir == "" {
		cfg.Dir = DefaultDir
	}
	if !filepath.IsAbs(cfg.Dir) {
		return nil, fmt.Errorf("open local cluster: directory %q is not absolute", cfg.Dir)
	}
	cfg.Dir = filepath.Clean(cfg.Dir)
	if cfg.Minions < 0 || cfg.Minions > MaxMinions {
		return nil, fmt.Errorf("open local cluster: %d minions: want 1 to %d", cfg.Minions, MaxMinions)
	}
	if cfg.Binary == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("open local cluster: find own program: %w", err)
		}
		cfg.Binary = exe
	}
	l := &Lab{cfg: cfg, prefix: "reconciler-", group: "/reconciler-local"}
	if cfg.Dir != DefaultDir {
		h := sha256.Sum256([]byte(cfg.Dir))
		short := hex.EncodeToString(h[:3])
		l.prefix, l.group = "reconciler-"+short+"-", "/reconciler-"+short
	}
	return l, nil
}

// Paths for people and tests.

// Repository is the bare Git repository to push to.
func (l *Lab) Repository() string { return filepath.Join(l.cfg.Dir, "master", "repo.git") }

// ServerDir is the directory that the server keeps its decisions and its certificates in.
func (l *Lab) ServerDir() string { return filepath.Join(l.cfg.Dir, "master", "server") }

// Socket is the server's unix socket; it can be reached from every namespace.
func (l *Lab) Socket() string { return filepath.Join(l.cfg.Dir, "reconciler.sock") }

// MinionDir is where a minion's state is: agent, dev, syslog.
func (l *Lab) MinionDir(minion string) string { return filepath.Join(l.cfg.Dir, "minions", minion) }

// Syslog is the file with what was written to a minion's /dev/log.
func (l *Lab) Syslog(minion string) string { return filepath.Join(l.MinionDir(minion), "syslog") }

// NetNS is the path of the network namespace of the master, the desktop or a minion.
func (l *Lab) NetNS(name string) string { return filepath.Join("/run/netns", l.prefix+name) }

// CgroupParent is a minion's cgroup, below the root of every hierarchy.
func (l *Lab) CgroupParent(minion string) string { return l.group + "/" + minion }

// socketDir is short, which the lab's directory need not be: a unix socket's path ends at 107 bytes.
func (l *Lab) socketDir(minion string) string { return "/run/" + l.prefix + minion }

func (l *Lab) mountNS(minion string) string { return filepath.Join(l.pins(), minion) }
func (l *Lab) pins() string                 { return filepath.Join(l.cfg.Dir, "ns") }
func (l *Lab) marker() string               { return filepath.Join(l.cfg.Dir, "lab.json") }

// marker says that a directory is a lab's and how many minions it has.
type marker struct {
	Minions int `json:"minions"`
}

// ErrAbsent is returned where a lab is needed and there is none.
var ErrAbsent = errors.New("there is no local cluster")

func (l *Lab) readMarker() (marker, error) {
	b, err := os.ReadFile(l.marker())
	if errors.Is(err, fs.ErrNotExist) {
		return marker{}, fmt.Errorf("%w in %s", ErrAbsent, l.cfg.Dir)
	}
	if err != nil {
		return marker{}, fmt.Errorf("read local cluster: %w", err)
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil {
		return marker{}, fmt.Errorf("read local cluster %q: %w", l.marker(), err)
	}
	return m, nil
}

// claim makes the directory and its marker, and decides the number of minions.
func (l *Lab) claim() (minions int, err error) {
	m, err := l.readMarker()
	switch {
	case err == nil:
		if l.cfg.Minions != 0 && l.cfg.Minions < m.Minions {
			return 0, fmt.Errorf("shrink local cluster: it has %d minions and %d are wanted: run down first", m.Minions, l.cfg.Minions)
		}
		m.Minions = max(m.Minions, l.cfg.Minions)
	case errors.Is(err, ErrAbsent):
		entries, err := os.ReadDir(l.cfg.Dir)
		if err != nil {
			return 0, fmt.Errorf("read local cluster: %w", err)
		}
		for _, e := range entries {
			if e.Name() != lockName {
				return 0, fmt.Errorf("make local cluster: directory %q is not empty and not a local cluster's", l.cfg.Dir)
			}
		}
		m.Minions = l.cfg.Minions
		if m.Minions == 0 {
			m.Minions = 3
		}
	default:
		return 0, err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return 0, fmt.Errorf("write local cluster: %w", err)
	}
	if err := writeFile(l.marker(), b, 0o644); err != nil {
		return 0, fmt.Errorf("write local cluster: %w", err)
	}
	return m.Minions, nil
}

// writeFile replaces a file in one step.
func writeFile(name string, b []byte, mode fs.FileMode) error {
	tmp := name + ".new"
	if err := os.WriteFile(tmp, b, mode); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}

// MinionNames are the names, which are the addresses, of n minions.
func MinionNames(n int) []string {
	var out []string
	a := netip.AddrFrom4([4]byte{10, 245, 2, 2})
	for range n {
		out = append(out, a.String())
		a = a.Next()
	}
	return out
}

const lockName = "lock"

// lock waits until no other Up or Down works on the directory, which must exist.
func (l *Lab) lock(ctx context.Context) (release func(), err error) {
	name := filepath.Join(l.cfg.Dir, lockName)
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock local cluster: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			// The holder before may have removed the directory with the file.
			mine, err1 := f.Stat()
			there, err2 := os.Stat(name)
			if err1 == nil && err2 == nil && os.SameFile(mine, there) {
				return func() { _ = f.Close() }, nil
			}
			_ = f.Close()
			if err2 != nil {
				return nil, fmt.Errorf("lock local cluster: %w", err2)
			}
			continue
		}
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock local cluster: %w", err)
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("lock local cluster: another up or down is at work: %w", err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// poll calls ready until it returns true, for at most d.
func poll(ctx context.Context, d time.Duration, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		ok, err := ready()
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Share is what a minion says it has: an even part of the machine, less a tenth for what is not a pod.
func Share(minions int) (milliCPU, memory int64, err error) {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0, 0, fmt.Errorf("read machine's memory: %w", err)
	}
	total := int64(si.Totalram) * int64(si.Unit)
	cpu := int64(runtime.NumCPU()) * 1000
	n := int64(minions)
	// Whole tens of milli-cores and MiB read better.
	return cpu * 9 / 10 / n / 10 * 10, total * 9 / 10 / n >> 20 << 20, nil
}

func safe(name string) string { return strings.ReplaceAll(name, "/", "_") }
