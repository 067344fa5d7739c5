package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	ctr "github.com/containerd/containerd/v2/client"

	"reconciler/agent"
)

var _ agent.Runtime = (*Runtime)(nil)

// Config is where a minion's containers are kept and how they are run.
type Config struct {
	// Dir holds everything, see the package comment. Absolute.
	Dir string
	// SocketDir is where the shims' sockets are, which is all that may be outside of Dir. Absolute, this minion's alone, and
	// at most 42 bytes, because a socket's path ends at 107 (unix(7)). Default "s" below Dir.
	SocketDir string
	// Socket is that of an existing containerd. Empty: the embedded one, which Run keeps alive.
	Socket string
	// OCIRuntime is runc or a program with its command line: a path, or a name that is looked up in PATH. Default runc.
	OCIRuntime string
	// CgroupParent is the cgroup, in every hierarchy, below which pods get theirs; absolute, not the root. Default
	// /reconciler. It must be this minion's alone: Purge kills all that is in it.
	CgroupParent string
	// InsecureRegistries are hosts ("host" or "host:port") that are spoken to by plain HTTP. localhost always is.
	InsecureRegistries []string
	// PodsPerShim is how many pods share a shim process, whose death ends their containers. Default 8; 1 is a shim each.
	PodsPerShim int
	// Log is required.
	Log *slog.Logger
}

// The limits and names that are not settings.
const (
	namespace   = "reconciler"                  // containerd's, for everything of ours
	runtimeName = "io.containerd.reconciler.v2" // resolves to ShimName in the daemon's PATH
	plainShim   = "io.containerd.runc.v2"       // what an external daemon has
)

// Runtime is the containers of one minion. Its methods may be called concurrently, for one instance by one caller at a
// time.
type Runtime struct {
	cfg    Config
	runc   string // path
	client *ctr.Client
	events chan struct{}

	mu        sync.Mutex
	groups    map[string]seat // by instance; nil until read from containerd
	groupBase string          // hash of the shim's program; "" until needed

	features func() bool                        // the OCI runtime can filter system calls
	took     func(part string, d time.Duration) // set by the benchmark only
}

// New checks c and starts nothing: unless Run runs, or a daemon from before is there, no method of the runtime gets an
// answer.
func New(c Config) (*Runtime, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Log == nil {
		return nil, errors.New("configure containerd: no log")
	}
	path, err := exec.LookPath(c.OCIRuntime)
	if err != nil {
		return nil, fmt.Errorf("find OCI runtime: %w (apt install runc)", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find OCI runtime: %w", err)
	}
	for _, dir := range []string{c.Dir, c.podsDir()} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, fmt.Errorf("make state directory: %w", err)
		}
	}
	r := &Runtime{cfg: c, runc: path, events: make(chan struct{}, 1)}
	r.features = sync.OnceValue(r.seccomp)
	// The connection is made at the first call and again whenever it broke.
	if r.client, err = dial(c.socket()); err != nil {
		return nil, fmt.Errorf("make containerd client: %w", err)
	}
	return r, nil
}

// complete checks what Purge needs too and fills in defaults.
func (c *Config) complete() error {
	if !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/" {
		return fmt.Errorf("configure containerd: state directory %q is not an absolute path", c.Dir)
	}
	c.Dir = filepath.Clean(c.Dir)
	if c.CgroupParent == "" {
		c.CgroupParent = "/reconciler"
	}
	if !filepath.IsAbs(c.CgroupParent) || filepath.Clean(c.CgroupParent) == "/" {
		return fmt.Errorf("configure containerd: cgroup parent %q is not an absolute path below /", c.CgroupParent)
	}
	c.CgroupParent = filepath.Clean(c.CgroupParent)
	if c.OCIRuntime == "" {
		c.OCIRuntime = "runc"
	}
	if c.PodsPerShim == 0 {
		c.PodsPerShim = 8
	}
	if c.PodsPerShim < 0 {
		return fmt.Errorf("configure containerd: %d pods per shim", c.PodsPerShim)
	}
	if c.SocketDir == "" {
		c.SocketDir = c.path("s")
	}
	if c.SocketDir = filepath.Clean(c.SocketDir); !filepath.IsAbs(c.SocketDir) || c.SocketDir == "/" {
		return fmt.Errorf("configure containerd: socket directory %q is not an absolute path", c.SocketDir)
	}
	if n := len(c.SocketDir) + 1 + 64; n > 107 {
		return fmt.Errorf("configure containerd: socket directory %q is %d bytes too long for the sockets in it", c.SocketDir, n-107)
	}
	return nil
}

func (c *Config) path(elem ...string) string {
	return filepath.Join(append([]string{c.Dir}, elem...)...)
}
func (c *Config) root() string            { return c.path("root") }
func (c *Config) state() string           { return c.path("state") }
func (c *Config) runcRoot() string        { return c.path("runc") }
func (c *Config) binDir() string          { return c.path("bin") }
func (c *Config) lockFile() string        { return c.path("daemon.lock") }
func (c *Config) podsDir() string         { return c.path("pods") }
func (c *Config) podDir(id string) string { return c.path("pods", id) }
func (c *Config) embedded() bool          { return c.Socket == "" }
func (c *Config) daemonLog() string       { return c.path("daemon.log") }
func (c *Config) bundle(id string) string {
	return c.path("state", "io.containerd.runtime.v2.task", namespace, id)
}
func (c *Config) socket() string {
	if c.embedded() {
		return c.path("containerd.sock")
	}
	return c.Socket
}

// Version is containerd's version, "containerd v2.4.2".
func (r *Runtime) Version(ctx context.Context) (string, error) {
	v, err := r.client.Version(ctx)
	if err != nil {
		return "", fmt.Errorf("ask containerd for its version: %w", err)
	}
	return "containerd " + v.Version, nil
}

// Events receives when a task of ours changed, and when the daemon was started.
func (r *Runtime) Events() <-chan struct{} { return r.events }

func (r *Runtime) poke() {
	select {
	case r.events <- struct{}{}:
	default:
	}
}
