package reconcile

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Input is everything a plan depends on. It encodes to JSON, so any plan can be computed again from a file. Compute
// changes nothing in it.
type Input struct {
	Now      time.Time         `json:"now"`
	Revision Revision          `json:"revision"` // of Set
	Set      *schema.Set       `json:"set"`      // what Revision declares; nil when no revision was ever accepted
	Attempt  Attempt           `json:"attempt,omitzero"`
	Settings Settings          `json:"settings"`
	State    State             `json:"state"`
	Minions  map[string]Minion `json:"minions,omitempty"` // every minion that ever joined, by name
}

// Revision is one commit of the followed ref, or one of each source where there are several.
type Revision struct {
	Hash     string    `json:"hash,omitempty"` // of the commit; of several: SHA-256 over Sources' names, commits and paths
	Ref      string    `json:"ref,omitempty"`  // as "main"
	Path     string    `json:"path,omitempty"` // folder of the manifests, "" for all of the tree
	Author   string    `json:"author,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	Time     time.Time `json:"time,omitzero"`
	Trailers []Trailer `json:"trailers,omitempty"` // of all commits since the applied revision, newest first
	Tags     []string  `json:"tags,omitempty"`     // values of CUE tags that the manifests are read with, as "name=value", sorted
	Sources  []Part    `json:"sources,omitempty"`  // sorted by name; empty if there is one source without a name

	// Commits are those since the applied revision, newest first, as far as they are known; empty where nothing is known of
	// what came before.
	Commits []Touch `json:"commits,omitempty"`
}

// Commit is a commit as a plan names it.
type Commit struct {
	Hash    string    `json:"hash"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// String names the commit shortly: "4f2a9c1 by Ada"; "" for nil.
func (c *Commit) String() string {
	if c == nil {
		return ""
	}
	hash := c.Hash
	if len(hash) > 7 && !strings.ContainsAny(hash, " /") {
		hash = hash[:7]
	}
	author, _, _ := strings.Cut(c.Author, " <")
	if author == "" || author == hash {
		return hash
	}
	return hash + " by " + author
}

// Touch is a commit with the manifests that it changed, by their paths in the tree; of several sources they begin with their names. The
// oldest may stand for all before it.
type Touch struct {
	Commit
	Files []string `json:"files,omitempty"`
}

// Part is the commit of one of several sources.
type Part struct {
	Name   string    `json:"name"` // positions begin with it
	Hash   string    `json:"hash"`
	Ref    string    `json:"ref,omitempty"`
	Path   string    `json:"path,omitempty"` // as Revision.Path
	Author string    `json:"author,omitempty"`
	Time   time.Time `json:"time,omitzero"`
}

// same tells whether r and x are the same commits, read in the same way.
func (r Revision) same(x Revision) bool {
	return r.Hash == x.Hash && r.Path == x.Path && slices.Equal(r.Tags, x.Tags)
}

// Trailer is a "Key: value" line at the end of a commit message. Keys compare without regard to case.
type Trailer struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Attempt is what became of the newest revision seen, where that is not the one in force.
type Attempt struct {
	Revision Revision  `json:"revision,omitzero"` // zero when Git itself could not be read
	Errors   []string  `json:"errors,omitempty"`  // why it was not accepted, each with its position
	Since    time.Time `json:"since,omitzero"`
}

// Minion is a minion as the server knows it.
type Minion struct {
	Report    *assignment.Report    `json:"report,omitempty"` // nil: has not reported since the server started
	Connected bool                  `json:"connected"`
	LastSeen  time.Time             `json:"lastSeen,omitzero"` // last message of any sort
	Contact   uint64                `json:"contact,omitempty"` // its number, see assignment.Contact; 0 before the first message
	Reported  time.Time             `json:"reported,omitzero"` // when Report was received
	Table     assignment.Generation `json:"table"`             // acknowledged: the kernel has it
	Work      assignment.Generation `json:"work"`              // acknowledged: taken over
	Error     string                `json:"error,omitempty"`   // what it said instead of acknowledging
}

// Settings are the fleet's, by default [DefaultSettings]. What the Cluster object of the applied revision sets stands in their
// place, see [Settings.With].
type Settings struct {
	PortalNet    netip.Prefix   `json:"portalNet"`
	PodNet       netip.Prefix   `json:"podNet"`               // cut in /24s, one per minion
	PublicNets   []netip.Prefix `json:"publicNets,omitempty"` // where public IPs may lie besides the minions' own addresses
	MinReady     time.Duration  `json:"minReady"`             // how long a pod without probes must run to be ready
	DrainTimeout time.Duration  `json:"drainTimeout"`         // after it an instance is stopped without every minion's acknowledgement
	LostAfter    time.Duration  `json:"lostAfter"`            // a minion silent for this long is lost
	Rest         time.Duration  `json:"rest"`                 // how long a freed address rests
	FuseShare    float64        `json:"fuseShare"`            // a plan that deletes more than this share of all pods stalls ...
	FuseCount    int            `json:"fuseCount"`            // ... if that is also more than this many

	// How many pods of a controller may be missing, and be there in addition, while it replaces them: a number, or a
	// percentage of its replicas. "" is 0 and 1. Where MaxUnavailable is not set, a pod that fits nowhere beside its old
	// instance is stopped first all the same.
	MaxUnavailable string `json:"maxUnavailable,omitempty"`
	MaxSurge       string `json:"maxSurge,omitempty"`

	// An object whose update fails goes back to its last healthy spec, unless NoRollback. It has failed when, among other
	// reasons, no further pod became ready for Progress; 0 is 10 minutes.
	NoRollback bool          `json:"noRollback,omitempty"`
	Progress   time.Duration `json:"progress,omitempty"`

	// Manual has each new revision wait until people approve its plan.
	Manual bool `json:"manual,omitempty"`

	// Fixed are the settings that Git cannot change because the server was told them: by their names in a Cluster object
	// ("portalNet"), with how it was told ("--portal-net").
	Fixed map[string]string `json:"fixed,omitempty"`
}

// DefaultSettings are the settings of a fleet that sets none.
func DefaultSettings() Settings {
	return Settings{
		PortalNet:    netip.MustParsePrefix("10.0.0.0/16"),
		PodNet:       netip.MustParsePrefix("10.244.0.0/16"),
		MinReady:     3 * time.Second,
		DrainTimeout: 30 * time.Second,
		LostAfter:    60 * time.Second,
		Rest:         60 * time.Second,
		FuseShare:    0.5,
		FuseCount:    4,
	}
}

// Annotations and trailers that the plan obeys.
const (
	// AnnotationMinReady on a pod or a controller's template: seconds (0 or more) that replace Settings.MinReady.
	AnnotationMinReady = schema.AnnotationMinReady
	// TrailerAllowDelete opens the deletion fuse for as many pods as its value says, or for all with "all".
	TrailerAllowDelete = "Allow-Delete"
)
