package assignment

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"reconciler/netproxy"
	"reconciler/schema"
)

// Generation orders what servers have said. Epoch rises with every start and every change of leadership, Counter with
// every change within an epoch. The zero value is before everything.
type Generation struct {
	Epoch   uint64 `json:"epoch"`
	Counter uint64 `json:"counter"`
}

// Compare orders by Epoch, then Counter.
func (g Generation) Compare(o Generation) int {
	return cmp.Or(cmp.Compare(g.Epoch, o.Epoch), cmp.Compare(g.Counter, o.Counter))
}

// IsZero tells whether g is before everything.
func (g Generation) IsZero() bool { return g == Generation{} }

// String is "epoch.counter".
func (g Generation) String() string { return fmt.Sprintf("%d.%d", g.Epoch, g.Counter) }

// Phase is what a minion is to do with an instance.
type Phase string

// The phases, in the order in which an instance goes through them. It may skip some, and never goes back.
const (
	Prepare Phase = "Prepare" // have the image ready, start nothing
	Run     Phase = "Run"     // run it, restart its containers by the restart policy
	Drain   Phase = "Drain"   // let it run, start nothing: minions are taking it out of their routes
	Stop    Phase = "Stop"    // stop and remove it, then report that it is gone by no longer reporting it
)

// Assignment is all that one minion is to run. An instance of ours that is found on the minion and is not listed is left
// alone and reported: only Stop stops.
type Assignment struct {
	Fleet      string       `json:"fleet"` // id of the fleet; an agent takes no assignment of another
	Minion     string       `json:"minion"`
	Generation Generation   `json:"generation"`
	Network    netip.Prefix `json:"network"`             // the minion's pod network; its first address is the gateway
	Instances  []Instance   `json:"instances,omitempty"` // sorted by ID

	// Of fenced instances, see [Contact]; both are left out if there are none.
	Lease   time.Duration `json:"lease,omitempty"`   // how long they may run without contact: 0 = for ever, else [MinLease] or more
	Contact uint64        `json:"contact,omitempty"` // number of the newest contact that the server knew of when it decided this
}

// Instance is one pod bound to one minion. Nothing but Phase and Fence ever changes in an instance.
type Instance struct {
	ID         string          `json:"id"` // pod name, "-", a few hex digits of UID; unique in the fleet
	UID        string          `json:"uid"`
	Namespace  string          `json:"namespace"`
	Pod        string          `json:"pod"`                  // name of the pod, which is its host name too
	Controller string          `json:"controller,omitempty"` // name of its replication controller
	Created    time.Time       `json:"created"`
	Hash       string          `json:"hash"`          // of Spec, by schema.PodSpec.Hash
	Spec       []byte          `json:"spec"`          // canonical JSON of a schema.PodSpec; decoded strictly, checked against Hash
	Address    netip.Addr      `json:"address"`       // of the pod, inside the minion's pod network
	Env        []schema.EnvVar `json:"env,omitempty"` // service variables; the containers' own variables win
	Phase      Phase           `json:"phase"`
	Fence      bool            `json:"fence,omitempty"` // it ends with the minion's lease, and begins with none
}

// Table is what every minion routes: the services, and where the other minions' pods are.
type Table struct {
	Fleet      string             `json:"fleet"`
	Generation Generation         `json:"generation"`
	Minions    []Peer             `json:"minions,omitempty"`  // sorted by Name
	Services   []netproxy.Service `json:"services,omitempty"` // sorted by Namespace, Name, Port
}

// Peer is a minion as the others see it: pods of Network are reached through Address.
type Peer struct {
	Name    string       `json:"name"`
	Address netip.Addr   `json:"address"`
	Network netip.Prefix `json:"network"`
}

// LogRequest names a container's log.
type LogRequest struct {
	Instance  string `json:"instance"`
	Container string `json:"container"`
	Follow    bool   `json:"follow,omitempty"` // go on until the container ends or the reader goes
	Tail      int    `json:"tail"`             // last lines only; negative: all
	Previous  bool   `json:"previous,omitempty"`
}
