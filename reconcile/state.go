package reconcile

import (
	"net/netip"
	"reflect"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// State is every decision taken so far and nothing else: no observation, no heartbeat. It is what the store keeps. The maps
// are never nil in a State that Compute returned, but for Resting. Nothing that a State leads to is ever changed.
type State struct {
	Fleet string `json:"fleet"` // id of the fleet, made once
	Epoch uint64 `json:"epoch"` // of the running server
	// Superseded, if not 0, is an epoch that a minion has heard of and this store had not reached: it is an old copy.
	Superseded uint64                   `json:"superseded,omitempty"`
	Quorate    time.Time                `json:"quorate,omitzero"` // since when at least half of the minions are seen; zero: they are not
	Sequence   uint64                   `json:"sequence"`         // last number given to a binding, resource version or uid
	Table      assignment.Generation    `json:"table"`            // of the last table
	TableHash  string                   `json:"tableHash"`        // of its content
	Routes     []netproxy.Service       `json:"routes,omitempty"` // of the last table
	Applied    Revision                 `json:"applied,omitzero"` // in force; its Set is Accepted
	Accepted   *schema.Set              `json:"accepted,omitempty"`
	Bindings   Bindings                 `json:"bindings"`
	Objects    map[string]Record        `json:"objects"`           // by schema.Key.String(): of every object in force
	Minions    map[string]Node          `json:"minions"`           // by name
	Resting    map[netip.Addr]time.Time `json:"resting,omitempty"` // freed addresses, until when
	// Suspensions are those that people asked for by the command line, by schema.Key.String(); nil if there are none. What Git
	// suspends is not among them.
	Suspensions map[string]Suspension `json:"suspensions,omitempty"`
	// Recovered is when the decisions were rebuilt from the agents', if no revision was taken into force since: then nobody knows
	// which one is, and Accepted and Applied only tell by which settings the next is judged.
	Recovered time.Time `json:"recovered,omitzero"`
	// Approved is the last revision that people approved; nil if there is none.
	Approved *Approval `json:"approved,omitempty"`

	memo // says nothing that the other fields do not
}

// memo keeps what a step worked out of a state, so that the next need not. It is in no JSON: a state without it gives the same
// plans.
type memo struct {
	derived *derived // of Accepted; nil where nobody looked yet
	routed  *routed  // what Routes are of; nil where nobody knows
	sight   *sight   // of the step that decided it; nil if there was none
}

// Binding is the decision that one instance of a pod lives on one minion. One that is in a State is not changed any more.
type Binding struct {
	ID          string                `json:"id"`
	UID         string                `json:"uid"`
	Namespace   string                `json:"namespace"`
	Pod         string                `json:"pod"`
	Controller  string                `json:"controller,omitempty"`
	Started     *Names                `json:"started,omitempty"` // what Pod and Controller were when it was bound, if they are not that; never changed
	Minion      string                `json:"minion"`
	Address     netip.Addr            `json:"address"`
	Hash        string                `json:"hash"`
	Spec        *schema.PodSpec       `json:"spec"`             // never nil; empty for what was found on a minion and is not declared
	Labels      map[string]string     `json:"labels,omitempty"` // as now declared: they change without a restart
	Annotations map[string]string     `json:"annotations,omitempty"`
	Env         []schema.EnvVar       `json:"env,omitempty"` // service variables, fixed when bound
	Created     time.Time             `json:"created"`
	Version     uint64                `json:"version"`  // resourceVersion: Sequence when it last changed
	Revision    string                `json:"revision"` // the commit that caused it
	Phase       assignment.Phase      `json:"phase"`
	Since       time.Time             `json:"since"`              // of Phase
	Withdrawn   assignment.Generation `json:"withdrawn,omitzero"` // the first table without it; set when Phase becomes Drain
	Routed      bool                  `json:"routed,omitempty"`   // some table had it as an endpoint, so its withdrawal is to be acknowledged
	Serving     bool                  `json:"serving,omitempty"`  // it was ready: holds until its minion reports when the server restarts
	Ran         bool                  `json:"ran,omitempty"`      // it was ready, and then it was not
	Reason      string                `json:"reason,omitempty"`   // why it drains or stops
	Fence       bool                  `json:"fence,omitempty"`    // its assignment says that it ends with its minion's lease
	Fenced      bool                  `json:"fenced,omitempty"`   // and its agent obeys: it said so, or never had it otherwise
	EndedBy     *Commit               `json:"endedBy,omitempty"`  // the commit that does not declare it any more
}

// Record is what the fleet decided about a declared object: pods and controllers have no address.
type Record struct {
	UID     string     `json:"uid"`
	Created time.Time  `json:"created"`
	Version uint64     `json:"version"`         // resourceVersion
	Hash    string     `json:"hash"`            // of the whole object, to see that it changed
	Portal  netip.Addr `json:"portal,omitzero"` // of a service

	Kept   *KeptService `json:"kept,omitempty"`   // of a service; nil: what is declared is in force. What it points to is never changed
	Commit *Commit      `json:"commit,omitempty"` // that changed the object last, as far as that is known; never changed, as below

	// Of pods and controllers, see [Quarantine]. What they point to is never changed.
	SpecCommit *Commit      `json:"specCommit,omitempty"` // that changed the spec of its pods last
	Healthy    *HealthySpec `json:"healthy,omitempty"`    // nil: never seen healthy, or what it runs is to end
	Update     *Progress    `json:"update,omitempty"`     // nil: none is under way that could be undone
	Quarantine *Quarantine  `json:"quarantine,omitempty"` // nil: what is declared is effective
}

// HealthySpec is the last spec of an object with which all of its pods were ready.
type HealthySpec struct {
	Hash string         `json:"hash"` // of Spec
	Spec schema.PodSpec `json:"spec"`
	// Annotations are the pods' then: they say how long it must run to be ready. Labels are always those declared, as
	// services select by them.
	Annotations map[string]string `json:"annotations,omitempty"`
	Replicas    int               `json:"replicas"` // how many pods that were
	Revision    string            `json:"revision"` // the commit in force when it became healthy
}

// Quarantine is a spec that failed, or that goes back with one that did. As long as the object is declared with it, its last healthy spec is effective instead.
type Quarantine struct {
	Hash   string    `json:"hash"`
	With   string    `json:"with,omitempty"` // the object of its group that failed, if it is not this one
	Reason string    `json:"reason"`         // for people
	Since  time.Time `json:"since"`
	Commit *Commit   `json:"commit,omitempty"` // that brought the spec
}

// Progress is how far an object's pods are from its last healthy spec to another one.
type Progress struct {
	Hash  string    `json:"hash"`  // of the other one
	Ready int       `json:"ready"` // the most pods that were ready with it
	Since time.Time `json:"since"` // when that became so, or the server with this epoch began to look
	Epoch uint64    `json:"epoch"`
}

// Node is what the fleet decided about a minion.
type Node struct {
	UID     string       `json:"uid"`
	Created time.Time    `json:"created"`
	Network netip.Prefix `json:"network"`          // its pod network
	Address netip.Addr   `json:"address,omitzero"` // the last it reported, so that routes stay when the server restarts
	Lost    time.Time    `json:"lost,omitzero"`    // since when it is declared lost

	Lease time.Duration `json:"lease,omitempty"` // of its fenced instances, the longest that it was told; 0 if there are none

	Tainted map[string]time.Time `json:"tainted,omitempty"` // since when it has its NoExecute taints
}

// Equal tells whether two states say the same.
func (s State) Equal(o State) bool {
	if !s.Bindings.Equal(o.Bindings) {
		return false
	}
	s.Bindings, o.Bindings = Bindings{}, Bindings{}
	s.memo, o.memo = memo{}, memo{}
	return reflect.DeepEqual(s, o)
}

// portals is the token of the portal IPs that the routes were made with.
func (s State) portals() *token {
	if s.routed == nil {
		return nil
	}
	return s.routed.portals
}
