package v1beta1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"reconciler/schema"
)

// Facts is what is known of an object beside what was written. Zero values are printed as in 2014: no uid, a creation time
// of null.
type Facts struct {
	UID             string
	Created         time.Time
	ResourceVersion uint64
}

// PodView is a pod with what was observed of it. An instance of a controller is a pod with the instance's name.
type PodView struct {
	Facts
	Pod        *schema.Pod
	Host       string // name of the minion, "" before one was chosen
	HostIP     string
	PodIP      string
	Status     string // Waiting, Running or Terminated; "" if it is not known
	Message    string
	Containers []ContainerView
}

// ContainerView is one container as observed.
type ContainerView struct {
	Name         string
	Image        string
	ContainerID  string // as "containerd://..."
	RestartCount int
	State        string // waiting, running or terminated
	Reason       string
	Message      string
	ExitCode     int
	Started      time.Time
	Finished     time.Time
}

// ServiceView is a service with its address.
type ServiceView struct {
	Facts
	Service  *schema.Service
	PortalIP string // "" is what the service asks for
}

// ControllerView is a replication controller with the number of its pods that exist.
type ControllerView struct {
	Facts
	Controller *schema.ReplicationController
	Replicas   int
}

// MinionView is a minion. Conditions are Ready and Reachable, in the words of 2014.
type MinionView struct {
	Facts
	Name      string
	HostIP    string
	MilliCPU  int64
	Memory    int64 // bytes
	Labels    map[string]string
	Reachable bool
	Ready     bool
	Reason    string // why it is not ready
	Since     time.Time
}

// JSON is v as kubectl printed it in 2014: four spaces, fields in the order of the types, a newline at the end.
func JSON(v any) ([]byte, error) {
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return nil, fmt.Errorf("encode v1beta1 object: %w", err)
	}
	return append(bytes.TrimRight(b, "\n"), '\n'), nil
}

// Pod is the value whose JSON is a pod of 2014.
func Pod(v PodView) any { return podObject(v, header{Kind: "Pod", APIVersion: apiVersion}) }

// PodList is as [Pod], for several; as then, items have neither kind nor apiVersion.
func PodList(vs []PodView) any {
	return list("PodList", vs, func(v PodView) any { return podObject(v, header{}) })
}

// Service is the value whose JSON is a service of 2014. A service of several ports shows its first: there was only one.
func Service(v ServiceView) any {
	return serviceObject(v, header{Kind: "Service", APIVersion: apiVersion})
}

// ServiceList is as [Service], for several.
func ServiceList(vs []ServiceView) any {
	return list("ServiceList", vs, func(v ServiceView) any { return serviceObject(v, header{}) })
}

// ReplicationController is the value whose JSON is a replication controller of 2014.
func ReplicationController(v ControllerView) any {
	return controllerObject(v, header{Kind: "ReplicationController", APIVersion: apiVersion})
}

// ReplicationControllerList is as [ReplicationController], for several.
func ReplicationControllerList(vs []ControllerView) any {
	return list("ReplicationControllerList", vs, func(v ControllerView) any { return controllerObject(v, header{}) })
}

// Minion is the value whose JSON is a minion of 2014.
func Minion(v MinionView) any {
	return minionObject(v, header{Kind: "Minion", APIVersion: apiVersion})
}

// MinionList is as [Minion], for several. It has them under two names.
func MinionList(vs []MinionView) any {
	l := list("MinionList", vs, func(v MinionView) any { return minionObject(v, header{}) })
	return outMinionList{l.header, l.Items, l.Items}
}

const apiVersion = Version1

// The types below have the fields of Kubernetes v0.6 in its order (pkg/api/v1beta1/types.go).

type header struct {
	Kind              string            `json:"kind,omitempty"`
	ID                string            `json:"id,omitempty"`
	UID               string            `json:"uid,omitempty"`
	CreationTimestamp *time.Time        `json:"creationTimestamp"`
	SelfLink          string            `json:"selfLink,omitempty"`
	ResourceVersion   uint64            `json:"resourceVersion,omitempty"`
	APIVersion        string            `json:"apiVersion,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
}

func (h header) with(f Facts, resource string, m schema.Meta) header {
	h.ID, h.Namespace, h.Annotations = m.Name, m.Namespace, m.Annotations
	h.UID, h.CreationTimestamp, h.ResourceVersion = f.UID, timestamp(f.Created), f.ResourceVersion
	if f.UID != "" { // it came from a running fleet
		h.SelfLink = "/api/" + apiVersion + "/" + resource + "/" + m.Name
		if m.Namespace != "" {
			h.SelfLink += "?namespace=" + m.Namespace
		}
	}
	return h
}

func timestamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC().Truncate(time.Second)
	return &u
}

type outList struct {
	header
	Items []any `json:"items"`
}

type outMinionList struct {
	header
	Minions []any `json:"minions"`
	Items   []any `json:"items"`
}

func list[T any](kind string, vs []T, item func(T) any) outList {
	l := outList{header: header{Kind: kind, APIVersion: apiVersion}, Items: []any{}}
	for _, v := range vs {
		l.Items = append(l.Items, item(v))
	}
	return l
}

type outPod struct {
	header
	Labels       map[string]string `json:"labels,omitempty"`
	DesiredState outPodState       `json:"desiredState"`
	CurrentState outPodState       `json:"currentState"`
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
}

type outPodState struct {
	Manifest outManifest                   `json:"manifest"`
	Status   string                        `json:"status,omitempty"`
	Message  string                        `json:"message,omitempty"`
	Host     string                        `json:"host,omitempty"`
	HostIP   string                        `json:"hostIP,omitempty"`
	PodIP    string                        `json:"podIP,omitempty"`
	Info     map[string]outContainerStatus `json:"info,omitempty"`
}

type outContainerStatus struct {
	State        outContainerState `json:"state"`
	RestartCount int               `json:"restartCount"`
	Image        string            `json:"image"`
	ContainerID  string            `json:"containerID,omitempty"`
}

type outContainerState struct {
	Waiting     *outWaiting     `json:"waiting,omitempty"`
	Running     *outRunning     `json:"running,omitempty"`
	Termination *outTermination `json:"termination,omitempty"`
}

type outWaiting struct {
	Reason string `json:"reason,omitempty"`
}

type outRunning struct {
	StartedAt *time.Time `json:"startedAt,omitempty"`
}

type outTermination struct {
	ExitCode   int        `json:"exitCode"`
	Reason     string     `json:"reason,omitempty"`
	Message    string     `json:"message,omitempty"`
	StartedAt  *time.Time `json:"startedAt,omitempty"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
}

type outService struct {
	header
	Port          uint16            `json:"port"`
	Protocol      schema.Protocol   `json:"protocol,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Selector      map[string]string `json:"selector,omitempty"`
	PublicIPs     []string          `json:"publicIPs,omitempty"`
	ContainerPort schema.PortOrName `json:"containerPort"`
	PortalIP      string            `json:"portalIP,omitempty"`

	SessionAffinity schema.Affine `json:"sessionAffinity,omitempty"`
}

type outController struct {
	header
	DesiredState outControllerState `json:"desiredState"`
	CurrentState outControllerState `json:"currentState"`
	Labels       map[string]string  `json:"labels,omitempty"`
}

type outControllerState struct {
	Replicas        int               `json:"replicas"`
	ReplicaSelector map[string]string `json:"replicaSelector,omitempty"`
	PodTemplate     outTemplate       `json:"podTemplate"`
}

type outTemplate struct {
	DesiredState outPodState       `json:"desiredState"`
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type outMinion struct {
	header
	HostIP    string            `json:"hostIP,omitempty"`
	Resources *outResources     `json:"resources,omitempty"`
	Status    outMinionStatus   `json:"status"`
	Labels    map[string]string `json:"labels,omitempty"`
}

type outResources struct {
	Capacity outCapacity `json:"capacity"`
}

type outCapacity struct {
	CPU    int64 `json:"cpu"` // thousandths of a core
	Memory int64 `json:"memory"`
}

type outMinionStatus struct {
	Phase      string         `json:"phase"`
	Conditions []outCondition `json:"conditions"`
}

type outCondition struct {
	Kind               string     `json:"kind"`
	Status             string     `json:"status"`
	LastTransitionTime *time.Time `json:"lastTransitionTime,omitempty"`
	Reason             string     `json:"reason,omitempty"`
}

func podObject(v PodView, h header) outPod {
	out := outPod{
		header:       h.with(v.Facts, "pods", v.Pod.Meta),
		Labels:       v.Pod.Labels,
		DesiredState: outPodState{Manifest: outManifestOf(&v.Pod.Spec)},
		CurrentState: outPodState{Status: v.Status, Message: v.Message, Host: v.Host, HostIP: v.HostIP, PodIP: v.PodIP},
		NodeSelector: v.Pod.Spec.NodeSelector,
	}
	if len(v.Containers) > 0 {
		out.CurrentState.Info = map[string]outContainerStatus{}
	}
	for _, c := range v.Containers {
		s := outContainerStatus{RestartCount: c.RestartCount, Image: c.Image, ContainerID: c.ContainerID}
		switch c.State {
		case "running":
			s.State.Running = &outRunning{timestamp(c.Started)}
		case "terminated":
			s.State.Termination = &outTermination{c.ExitCode, c.Reason, c.Message, timestamp(c.Started), timestamp(c.Finished)}
		default:
			s.State.Waiting = &outWaiting{strings.Trim(c.Reason+": "+c.Message, ": ")}
		}
		out.CurrentState.Info[c.Name] = s
	}
	return out
}

func serviceObject(v ServiceView, h header) outService {
	s := &v.Service.Spec
	out := outService{
		header:    h.with(v.Facts, "services", v.Service.Meta),
		Labels:    v.Service.Labels,
		Selector:  s.Selector,
		PublicIPs: s.ExternalIPs,
		PortalIP:  v.PortalIP,

		SessionAffinity: s.SessionAffinity,
	}
	if out.PortalIP == "" {
		out.PortalIP = s.ClusterIP
	}
	if len(s.Ports) > 0 {
		p := s.Ports[0]
		out.Port, out.Protocol = p.Port, p.Protocol.Proto()
		out.ContainerPort = schema.PortOrName{Number: p.Port}
		if p.TargetPort != nil {
			out.ContainerPort = *p.TargetPort
		}
	}
	return out
}

func controllerObject(v ControllerView, h header) outController {
	s := &v.Controller.Spec
	return outController{
		header: h.with(v.Facts, "replicationControllers", v.Controller.Meta),
		DesiredState: outControllerState{
			Replicas:        s.Count(),
			ReplicaSelector: s.Matches(),
			PodTemplate: outTemplate{
				DesiredState: outPodState{Manifest: outManifestOf(&s.Template.Spec)},
				NodeSelector: s.Template.Spec.NodeSelector,
				Labels:       s.Template.Labels,
				Annotations:  s.Template.Annotations,
			},
		},
		CurrentState: outControllerState{Replicas: v.Replicas},
		Labels:       v.Controller.Labels,
	}
}

func minionObject(v MinionView, h header) outMinion {
	out := outMinion{
		header: h.with(v.Facts, "minions", schema.Meta{Name: v.Name}),
		HostIP: v.HostIP,
		Status: outMinionStatus{Phase: "Running"},
		Labels: v.Labels,
	}
	if v.MilliCPU > 0 || v.Memory > 0 {
		out.Resources = &outResources{outCapacity{v.MilliCPU, v.Memory}}
	}
	full := map[bool]string{true: "Full", false: "None"}
	reachable := outCondition{Kind: "Reachable", Status: full[v.Reachable], LastTransitionTime: timestamp(v.Since)}
	ready := outCondition{Kind: "Ready", Status: full[v.Ready], LastTransitionTime: timestamp(v.Since)}
	if !v.Reachable {
		ready.Status = "Unknown"
	}
	if !v.Ready {
		ready.Reason = v.Reason
	}
	out.Status.Conditions = []outCondition{reachable, ready}
	return out
}
