package reconcile

import (
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Plan is what Compute decided. Its fields stand in the order in which they must be obeyed: save State, publish Table,
// publish Assignments.
type Plan struct {
	State       State                            `json:"state"`
	Table       assignment.Table                 `json:"table"`
	Assignments map[string]assignment.Assignment `json:"assignments"` // by minion; Generation is left zero, the server numbers them
	Changes     []Change                         `json:"changes,omitempty"`
	Stalled     string                           `json:"stalled,omitempty"`  // why Revision is not taken into force: the fuse
	Held        string                           `json:"held,omitempty"`     // why Revision is not taken into force: nobody approved it yet
	Warnings    []string                         `json:"warnings,omitempty"` // for people, sorted
	Wake        time.Time                        `json:"wake,omitzero"`      // when time alone changes the answer; zero: never
}

// Verb is what a change does.
type Verb string

// The verbs.
const (
	Create  Verb = "create"  // a pod that is not there yet is bound and started
	Replace Verb = "replace" // an instance gives way to one with another spec
	Move    Verb = "move"    // an instance gives way to one on another minion
	Delete  Verb = "delete"  // an instance is drained and stopped, nothing takes its place
	Route   Verb = "route"   // a service's addresses or endpoints change
	Update  Verb = "update"  // labels, annotations or settings that need no restart
	Restart Verb = "restart" // drift: an instance or container that should run does not
)

// Change is one thing that is still to be done for the fleet to be as declared.
type Change struct {
	Verb     Verb       `json:"verb"`
	Object   schema.Key `json:"object"`             // the declared object, or the one that left Git
	Instance string     `json:"instance,omitempty"` // new or affected instance
	Old      string     `json:"old,omitempty"`      // the instance that gives way
	Minion   string     `json:"minion,omitempty"`
	Reason   string     `json:"reason"`            // why, for people: "new in Git", "image: web:1 -> web:2"
	Code     Code       `json:"code,omitempty"`    // why, for programs
	Commit   *Commit    `json:"commit,omitempty"`  // the commit that causes it; nil: none does, as where a minion is lost
	How      string     `json:"how,omitempty"`     // start-first or stop-first, for Replace and Move
	Waiting  string     `json:"waiting,omitempty"` // what it waits for; empty: happens now
	Blocked  bool       `json:"blocked,omitempty"` // Waiting needs a person: fits nowhere, image does not exist
	Details  []Detail   `json:"details,omitempty"` // what differs, by field path; of drift, from what is observed to what is expected
	Drift    bool       `json:"drift,omitempty"`   // nobody declared anything else: what is observed is not what was decided

	WaitingCode Code `json:"waitingCode,omitempty"` // Waiting, for programs
}

// Detail is one field that differs.
type Detail struct {
	Path string `json:"path"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}
