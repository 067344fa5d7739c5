package v1beta1

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"reconciler/schema"
)

// CUE is the source of the closed definitions of v1beta1 as people wrote it: #Pod, #Service and #ReplicationController.
//
//go:embed v1beta1.cue
var CUE string

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
	Volumes       []volume      `json:"volumes"`
	Containers    []container   `json:"containers"`
	RestartPolicy restartPolicy `json:"restartPolicy"`
}

type restartPolicy struct {
	Always    *struct{} `json:"always"`
	OnFailure *struct{} `json:"onFailure"`
	Never     *struct{} `json:"never"`
}

type volume struct {
	Name   string `json:"name"`
	Source struct {
		EmptyDir *struct{} `json:"emptyDir"`
		HostDir  *struct {
			Path string `json:"path"`
		} `json:"hostDir"`
	} `json:"source"`
}

type container struct {
	Name            string        `json:"name"`
	Image           string        `json:"image"`
	Entrypoint      []string      `json:"entrypoint"`
	Command         []string      `json:"command"`
	WorkingDir      string        `json:"workingDir"`
	Ports           []port        `json:"ports"`
	Env             []envVar      `json:"env"`
	Memory          int64         `json:"memory"`
	CPU             int64         `json:"cpu"`
	VolumeMounts    []volumeMount `json:"volumeMounts"`
	ImagePullPolicy string        `json:"imagePullPolicy"`
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
	out := &schema.Pod{Meta: in.meta(), Spec: c.podSpec(in.DesiredState, []string{"desiredState"})}
	out.Spec.NodeSelector = in.NodeSelector
	return out.Canonical(), c.problems, nil
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
			Spec:        c.podSpec(d.PodTemplate.DesiredState, []string{"desiredState", "podTemplate", "desiredState"}),
		},
	}}
	if d.Replicas == nil {
		zero := 0 // a number without a default in 2014
		out.Spec.Replicas = &zero
	}
	if len(d.ReplicaSelector) == 0 {
		c.add([]string{"desiredState", "replicaSelector"}, "is empty")
	}
	out.Spec.Template.Spec.NodeSelector = d.PodTemplate.NodeSelector
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
	}}
	return out.Canonical(), nil, nil
}

func protocol(s string) schema.Protocol { return schema.Protocol(strings.ToUpper(s)) }

type converter struct{ problems []schema.Problem }

func (c *converter) add(path []string, message string) {
	c.problems = append(c.problems, schema.Problem{Path: path, Message: message})
}

func (c *converter) podSpec(in podState, path []string) schema.PodSpec {
	out := schema.PodSpec{NodeName: in.Host}
	p := append(path[:len(path):len(path)], "manifest")
	at := func(more ...string) []string { return append(p[:len(p):len(p)], more...) }
	var set []schema.RestartPolicy
	if in.Manifest.RestartPolicy.Always != nil {
		set = append(set, schema.RestartAlways)
	}
	if in.Manifest.RestartPolicy.OnFailure != nil {
		set = append(set, schema.RestartOnFailure)
	}
	if in.Manifest.RestartPolicy.Never != nil {
		set = append(set, schema.RestartNever)
	}
	if len(set) > 1 {
		c.add(at("restartPolicy"), "only one of always, onFailure and never may be given")
	}
	if len(set) > 0 {
		out.RestartPolicy = set[0]
	}
	for _, v := range in.Manifest.Volumes {
		w := schema.Volume{Name: v.Name}
		if v.Source.EmptyDir != nil {
			w.EmptyDir = &schema.EmptyDir{}
		}
		if v.Source.HostDir != nil {
			w.HostPath = &schema.HostPath{Path: v.Source.HostDir.Path}
		}
		out.Volumes = append(out.Volumes, w)
	}
	for i := range in.Manifest.Containers {
		out.Containers = append(out.Containers, c.container(&in.Manifest.Containers[i], at("containers", strconv.Itoa(i))))
	}
	return out
}

func (c *converter) container(in *container, path []string) schema.Container {
	at := func(more ...string) []string { return append(path[:len(path):len(path)], more...) }
	out := schema.Container{
		Name:       in.Name,
		Image:      in.Image,
		Command:    in.Entrypoint,
		Args:       in.Command, // the command of 2014 was what Docker calls CMD
		WorkingDir: in.WorkingDir,
		Resources:  schema.Resources{MilliCPU: in.CPU, Memory: in.Memory},
	}
	switch strings.TrimPrefix(strings.ToLower(in.ImagePullPolicy), "pull") {
	case "always":
		out.ImagePullPolicy = schema.PullAlways
	case "never":
		out.ImagePullPolicy = schema.PullNever
	case "ifnotpresent":
		out.ImagePullPolicy = schema.PullIfNotPresent
	}
	for _, p := range in.Ports {
		out.Ports = append(out.Ports, schema.Port{Name: p.Name, HostPort: p.HostPort, ContainerPort: p.ContainerPort, Protocol: protocol(p.Protocol)})
	}
	for i, e := range in.Env {
		if e.Name == "" {
			e.Name = e.Key
		}
		if e.Name == "" {
			c.add(at("env", strconv.Itoa(i), "name"), "is missing")
		}
		out.Env = append(out.Env, schema.EnvVar{Name: e.Name, Value: e.Value})
	}
	for i, m := range in.VolumeMounts {
		if m.MountPath == "" {
			m.MountPath = m.Path
		}
		if m.MountPath == "" {
			c.add(at("volumeMounts", strconv.Itoa(i), "mountPath"), "is missing")
		}
		out.VolumeMounts = append(out.VolumeMounts, schema.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out
}

// Path turns a path of a canonical object into one of the form of 2014.
func Path(kind schema.Kind, path []string) []string {
	for _, r := range renames[kind] {
		if len(path) < len(r.from) {
			continue
		}
		match := true
		for i, e := range r.from {
			match = match && (e == path[i] || e == "*")
		}
		if match {
			return append(append([]string(nil), r.to...), path[len(r.from):]...)
		}
	}
	return path
}

type rename struct{ from, to []string }

func renamed(from, to string) rename {
	return rename{strings.Fields(from), strings.Fields(to)}
}

// renames holds, by kind, the longest first where one begins with the other.
var renames = map[schema.Kind][]rename{
	schema.KindPod: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec nodeSelector", "nodeSelector"),
		renamed("spec nodeName", "desiredState host"),
		renamed("spec", "desiredState manifest"),
	},
	schema.KindReplicationController: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec template metadata", "desiredState podTemplate"),
		renamed("spec template spec nodeSelector", "desiredState podTemplate nodeSelector"),
		renamed("spec template spec nodeName", "desiredState podTemplate desiredState host"),
		renamed("spec template spec", "desiredState podTemplate desiredState manifest"),
		renamed("spec selector", "desiredState replicaSelector"),
		renamed("spec replicas", "desiredState replicas"),
		renamed("spec", "desiredState"),
	},
	schema.KindService: {
		renamed("metadata name", "id"),
		renamed("metadata", ""),
		renamed("spec ports * targetPort", "containerPort"),
		renamed("spec ports *", ""),
		renamed("spec clusterIP", "portalIP"),
		renamed("spec externalIPs", "publicIPs"),
		renamed("spec", ""),
	},
}

// AsWritten is the Go type that each kind is decoded into, for comparing it with the definitions.
func AsWritten() map[schema.Kind]reflect.Type {
	return map[schema.Kind]reflect.Type{
		schema.KindPod:                   reflect.TypeFor[pod](),
		schema.KindService:               reflect.TypeFor[service](),
		schema.KindReplicationController: reflect.TypeFor[replicationController](),
	}
}
