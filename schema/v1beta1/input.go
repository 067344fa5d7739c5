package v1beta1

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"

	"reconciler/schema"
)

// CUE is the source of the closed definitions of v1beta1 as people wrote it: one for each kind, and #ContainerManifest.
//
//go:embed v1beta1.cue
var CUE string

// V1beta2CUE is the same for v1beta2, which lacks some spellings.
func V1beta2CUE() string {
	var b strings.Builder
	for line := range strings.Lines(CUE) {
		if !strings.HasSuffix(line, "// not v1beta2\n") {
			b.WriteString(strings.Replace(line, `"v1beta1"`, `"v1beta2"`, 1))
		}
	}
	return b.String()
}

// The types below are the as-written form. What is accepted and dropped has no field.

type typeMeta struct {
	APIVersion  string            `json:"apiVersion"`
	Kind        string            `json:"kind"`
	ID          string            `json:"id"`
	Namespace   string            `json:"namespace"`
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
}

func (m typeMeta) meta() schema.Meta {
	return schema.Meta{Name: m.ID, Namespace: m.Namespace, Labels: m.Labels, Annotations: m.Annotations}
}

type pod struct {
	typeMeta
	DesiredState podState          `json:"desiredState"`
	NodeSelector map[string]string `json:"nodeSelector"`
}

type podState struct {
	Manifest manifest `json:"manifest"`
	Host     string   `json:"host"`
}

type manifest struct {
	Volumes       []volume         `json:"volumes"`
	Containers    []container      `json:"containers"`
	RestartPolicy restartPolicy    `json:"restartPolicy"`
	DNSPolicy     schema.DNSPolicy `json:"dnsPolicy"`
	HostNetwork   bool             `json:"hostNetwork"`
}

type restartPolicy struct {
	Always    *struct{} `json:"always"`
	OnFailure *struct{} `json:"onFailure"`
	Never     *struct{} `json:"never"`
}

type volume struct {
	Name   string `json:"name"`
	Source struct {
		EmptyDir *struct {
			Medium schema.Medium `json:"medium"`
		} `json:"emptyDir"`
		HostDir *struct {
			Path string `json:"path"`
		} `json:"hostDir"`
		Secret *struct {
			Target struct {
				Name string `json:"name"`
			} `json:"target"`
			SecretName string `json:"secretName"`
		} `json:"secret"`
	} `json:"source"`
}

type container struct {
	Name            string               `json:"name"`
	Image           string               `json:"image"`
	Entrypoint      []string             `json:"entrypoint"`
	Command         []string             `json:"command"`
	WorkingDir      string               `json:"workingDir"`
	Ports           []port               `json:"ports"`
	Env             []envVar             `json:"env"`
	Memory          int64                `json:"memory"`
	CPU             int64                `json:"cpu"`
	Resources       resources            `json:"resources"`
	VolumeMounts    []volumeMount        `json:"volumeMounts"`
	LivenessProbe   *probe               `json:"livenessProbe"`
	ReadinessProbe  *probe               `json:"readinessProbe"`
	Lifecycle       *lifecycle           `json:"lifecycle"`
	Privileged      bool                 `json:"privileged"`
	Capabilities    *schema.Capabilities `json:"capabilities"`
	SecurityContext struct {
		Privileged   bool                 `json:"privileged"`
		Capabilities *schema.Capabilities `json:"capabilities"`
		RunAsUser    *int64               `json:"runAsUser"`
	} `json:"securityContext"`
	ImagePullPolicy string `json:"imagePullPolicy"`
}

type resources struct {
	Limits   resourceList `json:"limits"`
	Requests resourceList `json:"requests"`
}

type resourceList struct {
	CPU    schema.Quantity `json:"cpu"`
	Memory schema.Quantity `json:"memory"`
}

type probe struct {
	action
	TCPSocket *struct {
		Port schema.PortOrName `json:"port"`
	} `json:"tcpSocket"`
	InitialDelaySeconds int32 `json:"initialDelaySeconds"`
	TimeoutSeconds      int32 `json:"timeoutSeconds"`
}

type lifecycle struct {
	PostStart *action `json:"postStart"`
	PreStop   *action `json:"preStop"`
}

type action struct {
	Exec    *schema.ExecAction `json:"exec"`
	HTTPGet *struct {
		Path   string            `json:"path"`
		Port   schema.PortOrName `json:"port"`
		Host   string            `json:"host"`
		Scheme string            `json:"scheme"`
	} `json:"httpGet"`
}

type port struct {
	Name          string `json:"name"`
	HostPort      uint16 `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort"`
	Protocol      string `json:"protocol"`
}

type envVar struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

type volumeMount struct {
	Name      string `json:"name"`
	ReadOnly  bool   `json:"readOnly"`
	MountPath string `json:"mountPath"`
	Path      string `json:"path"`
}

type service struct {
	typeMeta
	Port          uint16             `json:"port"`
	Protocol      string             `json:"protocol"`
	Selector      map[string]string  `json:"selector"`
	ContainerPort *schema.PortOrName `json:"containerPort"`
	PortalIP      string             `json:"portalIP"`
	PublicIPs     []string           `json:"publicIPs"`
	Affinity      schema.Affine      `json:"sessionAffinity"`
}

type endpoints struct {
	typeMeta
	Endpoints []string `json:"endpoints"`
	Protocol  string   `json:"protocol"`
}

type minion struct {
	typeMeta
	Spec struct {
		Unschedulable bool `json:"unschedulable"`
	} `json:"spec"`
}

type bareManifest struct {
	ID string `json:"id"`
	manifest
}

type replicationController struct {
	typeMeta
	DesiredState struct {
		Replicas        *int              `json:"replicas"`
		ReplicaSelector map[string]string `json:"replicaSelector"`
		PodTemplate     podTemplate       `json:"podTemplate"`
	} `json:"desiredState"`
}

type podTemplate struct {
	DesiredState podState          `json:"desiredState"`
	NodeSelector map[string]string `json:"nodeSelector"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
}

// DecodePod reads the JSON of a pod that has passed #Pod. The problems are those of its own form, with paths of it; what
// canonical objects can contradict in is left to [schema.Pod.Check]. The error means that b has not passed #Pod.
func DecodePod(b []byte) (*schema.Pod, []schema.Problem, error) {
	var in pod
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 pod: %w", err)
	}
	c := &converter{}
	out := &schema.Pod{Meta: in.meta(), Spec: c.podSpec(&in.DesiredState.Manifest, []string{"desiredState", "manifest"})}
	out.Spec.NodeSelector, out.Spec.NodeName = in.NodeSelector, in.DesiredState.Host
	return out.Canonical(), c.problems, nil
}

// DecodeManifest is as [DecodePod], for a container manifest without a pod around it: #ContainerManifest.
func DecodeManifest(b []byte) (*schema.Pod, []schema.Problem, error) {
	var in bareManifest
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode container manifest: %w", err)
	}
	c := &converter{}
	out := &schema.Pod{Meta: schema.Meta{Name: in.ID}, Spec: c.podSpec(&in.manifest, nil)}
	return out.Canonical(), c.problems, nil
}

// DecodeEndpoints is as [DecodePod].
func DecodeEndpoints(b []byte) (*schema.Endpoints, []schema.Problem, error) {
	var in endpoints
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 endpoints: %w", err)
	}
	c := &converter{}
	out := &schema.Endpoints{Meta: in.meta()}
	at := map[uint16]int{} // subset by port
	for i, e := range in.Endpoints {
		a, err := netip.ParseAddrPort(e)
		if err != nil || a.Port() == 0 {
			c.add([]string{"endpoints", strconv.Itoa(i)}, fmt.Sprintf("got %q, want an address and a port, as \"10.1.2.3:80\"", e))
			continue
		}
		j, ok := at[a.Port()]
		if !ok {
			j = len(out.Subsets)
			at[a.Port()] = j
			out.Subsets = append(out.Subsets, schema.EndpointSubset{Ports: []schema.EndpointPort{{Port: a.Port(), Protocol: protocol(in.Protocol)}}})
		}
		out.Subsets[j].Addresses = append(out.Subsets[j].Addresses, schema.EndpointAddress{IP: a.Addr().String()})
	}
	return out.Canonical(), c.problems, nil
}

// DecodeNamespace is as [DecodePod].
func DecodeNamespace(b []byte) (*schema.Namespace, []schema.Problem, error) {
	var in typeMeta
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 namespace: %w", err)
	}
	return (&schema.Namespace{Meta: in.meta()}).Canonical(), nil, nil
}

// DecodeMinion is as [DecodePod].
func DecodeMinion(b []byte) (*schema.Node, []schema.Problem, error) {
	var in minion
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 minion: %w", err)
	}
	return (&schema.Node{Meta: in.meta(), Spec: schema.NodeSpec{Unschedulable: in.Spec.Unschedulable}}).Canonical(), nil, nil
}

// DecodeReplicationController is as [DecodePod].
func DecodeReplicationController(b []byte) (*schema.ReplicationController, []schema.Problem, error) {
	var in replicationController
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 replication controller: %w", err)
	}
	c := &converter{}
	d := &in.DesiredState
	out := &schema.ReplicationController{Meta: in.meta(), Spec: schema.ControllerSpec{
		Replicas: d.Replicas,
		Selector: d.ReplicaSelector,
		Template: schema.Template{
			Labels:      d.PodTemplate.Labels,
			Annotations: d.PodTemplate.Annotations,
			Spec:        c.podSpec(&d.PodTemplate.DesiredState.Manifest, []string{"desiredState", "podTemplate", "desiredState", "manifest"}),
		},
	}}
	if d.Replicas == nil {
		zero := 0 // a number without a default in 2014
		out.Spec.Replicas = &zero
	}
	if len(d.ReplicaSelector) == 0 {
		c.add([]string{"desiredState", "replicaSelector"}, "is empty")
	}
	out.Spec.Template.Spec.NodeSelector, out.Spec.Template.Spec.NodeName = d.PodTemplate.NodeSelector, d.PodTemplate.DesiredState.Host
	return out.Canonical(), c.problems, nil
}

// DecodeService is as [DecodePod].
func DecodeService(b []byte) (*schema.Service, []schema.Problem, error) {
	var in service
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode v1beta1 service: %w", err)
	}
	target := in.ContainerPort
	if target == nil {
		target = &schema.PortOrName{}
	}
	out := &schema.Service{Meta: in.meta(), Spec: schema.ServiceSpec{
		Ports:       []schema.ServicePort{{Protocol: protocol(in.Protocol), Port: in.Port, TargetPort: target}},
		Selector:    in.Selector,
		ClusterIP:   in.PortalIP,
		ExternalIPs: in.PublicIPs,

		SessionAffinity: in.Affinity,
	}}
	return out.Canonical(), nil, nil
}

func protocol(s string) schema.Protocol { return schema.Protocol(strings.ToUpper(s)) }

// AsWritten is the Go type that each kind is decoded into, for comparing it with the definitions.
func AsWritten() map[schema.Kind]reflect.Type {
	return map[schema.Kind]reflect.Type{
		schema.KindPod:                   reflect.TypeFor[pod](),
		schema.KindService:               reflect.TypeFor[service](),
		schema.KindReplicationController: reflect.TypeFor[replicationController](),
		schema.KindEndpoints:             reflect.TypeFor[endpoints](),
		schema.KindNamespace:             reflect.TypeFor[typeMeta](),
		"Minion":                         reflect.TypeFor[minion](),
		"ContainerManifest":              reflect.TypeFor[bareManifest](),
	}
}
