package reconcile

import (
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Sync says whether an object is as declared.
type Sync string

// The sync words.
const (
	Synced    Sync = "Synced"
	OutOfSync Sync = "OutOfSync"
)

// Health says whether an object does what it is for. The order of the constants is from worst to best.
type Health string

// The health words.
const (
	Degraded    Health = "Degraded"    // it does not, and time alone will not mend it
	Missing     Health = "Missing"     // nothing of it exists yet
	Unknown     Health = "Unknown"     // its minion is silent
	Progressing Health = "Progressing" // it is on its way
	Healthy     Health = "Healthy"
)

// Status is what is true. Objects, Instances and Minions are sorted: worst health first, then by key.
type Status struct {
	Time      time.Time        `json:"time"`
	Attempted Revision         `json:"attempted,omitzero"` // the newest revision seen
	Applied   Revision         `json:"applied,omitzero"`   // the revision in force
	Except    int              `json:"except,omitempty"`   // so many objects of Applied are quarantined, and stay at an earlier spec
	Errors    []string         `json:"errors,omitempty"`   // why Attempted is not in force
	Held      *Held            `json:"held,omitempty"`     // Attempted waits for people; nil: it does not
	Approved  *Approval        `json:"approved,omitempty"` // of Applied; nil: it needed none
	Outcome   *Outcome         `json:"outcome,omitempty"`  // of Applied; nil: unknown
	Warnings  []string         `json:"warnings,omitempty"`
	Sync      Sync             `json:"sync"`   // of the whole: Synced when every object is and Attempted is Applied
	Health    Health           `json:"health"` // the worst of all objects
	Objects   []ObjectStatus   `json:"objects,omitempty"`
	Instances []InstanceStatus `json:"instances,omitempty"`
	Minions   []MinionStatus   `json:"minions,omitempty"`
}

// Held is a revision that waits to be approved.
type Held struct {
	Text    string   `json:"text"` // for people
	Plan    string   `json:"plan"` // hash of what would be done
	Count   int      `json:"changes"`
	Changes []Change `json:"-"` // what would be done
}

// ObjectStatus is one declared object, or one that left Git and is not gone yet.
type ObjectStatus struct {
	Key      schema.Key      `json:"key"`
	Sync     Sync            `json:"sync"`
	Health   Health          `json:"health"`
	Reason   string          `json:"reason,omitempty"`  // for people; empty when Synced and Healthy
	Desired  int             `json:"desired,omitempty"` // pods wanted (controllers, pods) or matching (services)
	Ready    int             `json:"ready,omitempty"`   // of them ready
	Portal   string          `json:"portal,omitempty"`  // of a service
	Drift    []Code          `json:"drift,omitempty"`   // why it is not as it was, though nobody declared anything else
	Position schema.Position `json:"position,omitzero"`

	Suspended *Suspension `json:"suspended,omitempty"` // nil: it is not
}

// InstanceStatus joins a binding with what its minion reports of it.
type InstanceStatus struct {
	Binding  Binding                    `json:"binding"`
	Observed *assignment.InstanceStatus `json:"observed,omitempty"` // nil: not reported
	Minion   string                     `json:"minion"`
	HostIP   string                     `json:"hostIP,omitempty"`
	Ready    bool                       `json:"ready"`
	Health   Health                     `json:"health"`
	Reason   string                     `json:"reason,omitempty"`
	Late     []string                   `json:"late,omitempty"` // services of its namespace that appeared after it was bound
}

// MinionStatus is one minion.
type MinionStatus struct {
	Name      string                `json:"name"`
	Health    Health                `json:"health"`
	Reason    string                `json:"reason,omitempty"`
	Connected bool                  `json:"connected"`
	LastSeen  time.Time             `json:"lastSeen,omitzero"`
	Node      Node                  `json:"node"`
	Labels    map[string]string     `json:"labels,omitempty"`
	Capacity  assignment.Capacity   `json:"capacity"`
	Reserved  assignment.Capacity   `json:"reserved"` // by bound pods
	Version   string                `json:"version,omitempty"`
	Runtime   string                `json:"runtime,omitempty"`
	Table     assignment.Generation `json:"table"`
	Behind    bool                  `json:"behind,omitempty"` // has not acknowledged the newest table
	Problems  []string              `json:"problems,omitempty"`
}
