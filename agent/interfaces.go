package agent

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Controller is the link to the server. Its methods may be called concurrently; none blocks on the network.
type Controller interface {
	// Latest is the newest assignment and table received, nil until there is one. The values are not changed afterwards.
	Latest() (*assignment.Assignment, *assignment.Table)
	// Contact is the newest contact with the server, the zero value before the first; Sent is by the agent's Boottime.
	Contact() assignment.Contact
	// Changed receives after Latest or the number of the contact changed; it has room for one.
	Changed() <-chan struct{}
	// Ack says which generations are in force here: the table when the kernel has it, the assignment when it is kept on
	// disk. A zero generation says nothing; err, if not empty, is why a newer one is not in force.
	Ack(table, work assignment.Generation, err string)
	// Report replaces the last report. It is sent when the link is up, the newest only.
	Report(assignment.Report)
}

// Pod is what a Runtime needs to know of an instance.
type Pod struct {
	ID, UID, Namespace, Name, Controller, Hash string
	Address                                    netip.Addr
	Spec                                       schema.PodSpec
	Env                                        []schema.EnvVar // service variables; a container's own win
}

// Observed is one instance as the runtime has it.
type Observed struct {
	ID, UID, Namespace, Name, Controller, Hash string
	Address                                    netip.Addr
	Namespaces                                 string // path of the pinned network namespace, "" if it is not there
	Containers                                 []ObservedContainer
}

// ObservedContainer is one container as the runtime has it.
type ObservedContainer struct {
	Name       string
	Image      string
	ID         string // the runtime's id, without scheme
	State      ContainerState
	Attempt    int // 0 for the first start, one more for each restart
	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int
	Reason     string // Completed, Error, OOMKilled, Lost (ended while nobody could see how), StartError, assignment.Fenced
	Message    string
	Last       *assignment.LastExit // the attempt before this one
}

// ContainerState is the state of a container.
type ContainerState string

// The container states.
const (
	Created ContainerState = "created" // made and not started
	Running ContainerState = "running"
	Exited  ContainerState = "exited" // also a container whose task is gone
)

// ErrImage is wrapped by [Runtime.Pull] when the registry answered and the image cannot be had: unknown name or tag, access
// denied, wrong platform. It is tried again only with the capped back-off.
var ErrImage = errors.New("image cannot be pulled")

// PullProgress is told while an image is fetched. Total is 0 while unknown.
type PullProgress struct{ Done, Total int64 }

// LogOptions select a part of a container's log.
type LogOptions struct {
	Follow   bool // go on until the container's end or ctx's
	Tail     int  // last lines only; negative: all
	Previous bool // of the attempt before
}

// Runtime runs pods. Every method is idempotent: called again after a crash or an error it goes on from what is there.
// Different instances may be worked on concurrently, one instance by one caller at a time.
type Runtime interface {
	// Version is the runtime's name and version; an error means that it does not answer.
	Version(ctx context.Context) (string, error)
	// Observe lists every instance that carries our label, whatever its state, sorted by id.
	Observe(ctx context.Context) ([]Observed, error)
	// Events receives when anything that Observe shows may have changed; it has room for one.
	Events() <-chan struct{}
	// HasImage tells whether ref is unpacked and ready to start.
	HasImage(ctx context.Context, ref string) (bool, error)
	// Images lists the images that were pulled, at most assignment.MaxImages: those in use first, then the newest. They are
	// sorted by name, and the list is never nil.
	Images(ctx context.Context) ([]assignment.Image, error)
	// Pull fetches and unpacks ref. A wrapped ErrImage means that trying again soon is of no use.
	Pull(ctx context.Context, ref string, progress func(PullProgress)) error
	// Sandbox makes the pod's namespaces, directories and files and returns the path of its network namespace.
	Sandbox(ctx context.Context, p Pod) (netns string, err error)
	// Start makes and starts attempt number attempt of the container, removing an ended attempt before it. It does nothing if
	// that attempt already runs. The images must be there.
	Start(ctx context.Context, p Pod, container string, attempt int) error
	// Halt ends the instance's containers as Stop does and removes nothing: those that it ended are observed as exited with
	// the reason assignment.Fenced. It ends them too, then without grace, where the runtime does not answer.
	Halt(ctx context.Context, id string, grace time.Duration) error
	// Stop sends SIGTERM to the instance's containers and SIGKILL after grace, then removes containers, snapshots, empty
	// directories, namespaces and cgroups. It does nothing if none of them is there.
	Stop(ctx context.Context, id string, grace time.Duration) error
	// Logs opens the kept log of a container.
	Logs(ctx context.Context, id, container string, o LogOptions) (io.ReadCloser, error)
}

// Network gives pods their address and minions their way to each other. Every method is idempotent.
type Network interface {
	// Attach links the pod's network namespace to the minion and gives it address; gateway is the minion's end.
	Attach(ctx context.Context, id, netns string, address, gateway netip.Addr) error
	// Detach removes the link, if it is there.
	Detach(ctx context.Context, id string) error
	// SetRoutes makes the minion's routes to other minions' pods be exactly those of peers (self excluded).
	SetRoutes(ctx context.Context, self string, peers []assignment.Peer) error
	// Changed receives when somebody else may have changed what this package made; it has room for one.
	Changed() <-chan struct{}
}

// Disk keeps what the agent goes on with while the server is away.
type Disk interface {
	// Load returns what was saved last, nil if nothing ever was.
	Load() ([]byte, error)
	// Save replaces it as a whole or not at all; it is durable when Save returns nil. After an error either may be there.
	Save([]byte) error
}

// Router programs service routes in the kernel.
type Router interface {
	// Apply makes the kernel route exactly services and returns when it does. local is the minion's pod network, whose
	// endpoints may be their own clients.
	Apply(ctx context.Context, services []netproxy.Service, local netip.Prefix) error
	// Refused says, for people, which services or addresses of the last Apply are not routed here, and why.
	Refused() []string
	// Changed receives when somebody else may have changed our table; it has room for one. Apply then repairs it.
	Changed() <-chan struct{}
}
