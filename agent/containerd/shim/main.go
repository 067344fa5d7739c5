package shim

import (
	"context"
	"flag"

	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/manager"
	"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2/task"
	"github.com/containerd/containerd/v2/pkg/shim"
	"github.com/containerd/containerd/v2/pkg/shutdown"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
)

// Name is the runtime's name in containerd.
const Name = "io.containerd.reconciler.v2"

// Main is the whole program, with the command line that containerd gives a shim. It ends the process on error. The plugin
// registry must be empty.
func Main() {
	registry.Register(&plugin.Registration{
		Type:     plugins.TTRPCPlugin,
		ID:       "task",
		Requires: []plugin.Type{plugins.EventPlugin, plugins.InternalPlugin},
		InitFn:   newTask,
	})
	shim.RunShim(context.Background(), manager.NewShimManager(Name))
}

// newTask is called in the serving process only, not in the short-lived ones that start and delete.
func newTask(ic *plugin.InitContext) (any, error) {
	publisher, err := ic.GetByID(plugins.EventPlugin, "publisher")
	if err != nil {
		return nil, err
	}
	sd, err := ic.GetByID(plugins.InternalPlugin, "shutdown")
	if err != nil {
		return nil, err
	}
	if flag.Arg(0) == "" {
		// It ends with the process: there is no moment at which a log may go unbounded.
		go boundLogs(ic.Context, "/proc/self/fd", interval)
	}
	// The watcher of memory shortage ends only on the plain errors of a context, and not on the cause that a shim's shutdown
	// has: until the process is gone it would spin, and write each turn into the daemon's log.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ic.Context))
	context.AfterFunc(ic.Context, cancel)
	return task.NewTaskService(ctx, publisher.(shim.Publisher), sd.(shutdown.Service))
}
