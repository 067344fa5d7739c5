package assignment

import (
	"net/netip"
	"time"

	"reconciler/schema"
)

// Report is what a minion observed, after acting. It replaces the minion's earlier report as a whole.
type Report struct {
	Minion    string            `json:"minion"`
	Address   netip.Addr        `json:"address"` // the minion's own
	Labels    map[string]string `json:"labels,omitempty"`
	Capacity  Capacity          `json:"capacity"`
	Version   string            `json:"version"`            // of the agent
	Runtime   string            `json:"runtime,omitempty"`  // name and version, as "containerd 2.4.2"
	Features  []schema.Feature  `json:"features,omitempty"` // what the agent can do for a pod
	BootID    string            `json:"bootID,omitempty"`
	Started   time.Time         `json:"started"`             // of the agent
	Instances []InstanceStatus  `json:"instances,omitempty"` // every instance of ours that was found or is assigned, sorted by ID
	Problems  []string          `json:"problems,omitempty"`  // what is wrong with the minion itself, for people
	Images    []Image           `json:"images,omitzero"`     // that are there, at most MaxImages, sorted by Name; nil: not known
}

// MaxImages is how many images a report names: those that are in use first, then the newest.
const MaxImages = 200

// Image is an image that a minion has.
type Image struct {
	Name   string `json:"name"`           // as people write it, with its tag or digest: "mongo:3.2"
	Digest string `json:"digest"`         // of what the name stood for when it was pulled
	Size   int64  `json:"size,omitempty"` // bytes that a minion without any of it has to fetch; 0: not known
}

// Capacity is what a minion offers to pods.
type Capacity struct {
	MilliCPU int64 `json:"milliCPU"`
	Memory   int64 `json:"memory"` // bytes
	Pods     int   `json:"pods"`
	PIDs     int64 `json:"pids,omitempty"`    // processes and threads; 0: not known
	Storage  int64 `json:"storage,omitempty"` // bytes of disk for what ends with the pods; 0: not known
}

// Fenced is the reason of an instance, and of the end of its containers, that its minion's lease ended.
const Fenced = "Fenced"

// InstanceState is where an instance is on its minion.
type InstanceState string

// The instance states.
const (
	Waiting  InstanceState = "Waiting"  // not yet started; Reason says what for
	Prepared InstanceState = "Prepared" // the images are there
	Running  InstanceState = "Running"  // at least one container runs, or will be restarted
	Ended    InstanceState = "Ended"    // all containers ended and none will be restarted
)

// InstanceStatus is one instance as observed.
type InstanceStatus struct {
	ID         string            `json:"id"`
	UID        string            `json:"uid"`
	Namespace  string            `json:"namespace"`
	Pod        string            `json:"pod"`
	Controller string            `json:"controller,omitempty"`
	Hash       string            `json:"hash"`
	Address    netip.Addr        `json:"address"`
	Fence      bool              `json:"fence,omitempty"` // it is fenced by the assignment that its agent keeps
	State      InstanceState     `json:"state"`
	Reason     string            `json:"reason,omitempty"`     // CamelCase, as "ImagePullBackOff", "PullingImage", "CrashLoopBackOff"
	Message    string            `json:"message,omitempty"`    // for people
	Up         time.Time         `json:"up,omitzero"`          // since when every container runs, by the minion's clock; zero if one does not
	UpFor      time.Duration     `json:"upFor,omitempty"`      // how long that was when the report was made: needs no common clock
	Containers []ContainerStatus `json:"containers,omitempty"` // in the order of the spec
}

// ContainerStatus is one container as observed.
type ContainerStatus struct {
	Name       string    `json:"name"`
	Image      string    `json:"image"`
	ID         string    `json:"id,omitempty"` // "containerd://" and the runtime's id
	State      string    `json:"state"`        // waiting, running or terminated
	Reason     string    `json:"reason,omitempty"`
	Message    string    `json:"message,omitempty"`
	Restarts   int       `json:"restarts"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
	ExitCode   int       `json:"exitCode,omitempty"`
	Last       *LastExit `json:"last,omitempty"` // the run before this one
}

// LastExit is how a container's earlier run ended.
type LastExit struct {
	Reason     string    `json:"reason"` // Completed, Error, OOMKilled, Lost
	ExitCode   int       `json:"exitCode"`
	StartedAt  time.Time `json:"startedAt,omitzero"`
	FinishedAt time.Time `json:"finishedAt,omitzero"`
}
