package v1beta1

import (
	"strconv"

	"reconciler/schema"
)

// The types below are the pod of Kubernetes v0.6 in its order, with what was added until May 2015.

type outManifest struct {
	Version       string           `json:"version"`
	ID            string           `json:"id"`
	Volumes       []outVolume      `json:"volumes"`
	Containers    []outContainer   `json:"containers"`
	RestartPolicy outRestartPolicy `json:"restartPolicy"`
	DNSPolicy     schema.DNSPolicy `json:"dnsPolicy,omitempty"`
	HostNetwork   bool             `json:"hostNetwork,omitempty"`
}

type outRestartPolicy struct {
	Always    *struct{} `json:"always,omitempty"`
	OnFailure *struct{} `json:"onFailure,omitempty"`
	Never     *struct{} `json:"never,omitempty"`
}

type outVolume struct {
	Name   string    `json:"name"`
	Source outSource `json:"source"`
}

type outSource struct {
	HostDir        *outHostDir  `json:"hostDir"`
	EmptyDir       *outEmptyDir `json:"emptyDir"`
	PersistentDisk *struct{}    `json:"persistentDisk"`
	GitRepo        *struct{}    `json:"gitRepo"`
	Secret         *outSecret   `json:"secret,omitempty"`
}

type outEmptyDir struct {
	Medium schema.Medium `json:"medium,omitempty"`
}

type outSecret struct {
	Target outTarget `json:"target"`
}

type outTarget struct {
	Kind schema.Kind `json:"kind"`
	Name string      `json:"name"`
}

type outHostDir struct {
	Path string `json:"path"`
}

type outContainer struct {
	Name            string           `json:"name"`
	Image           string           `json:"image"`
	Entrypoint      []string         `json:"entrypoint,omitempty"`
	Command         []string         `json:"command,omitempty"`
	WorkingDir      string           `json:"workingDir,omitempty"`
	Ports           []outPort        `json:"ports,omitempty"`
	Env             []outEnvVar      `json:"env,omitempty"`
	Memory          int64            `json:"memory,omitempty"`
	CPU             int64            `json:"cpu,omitempty"`
	VolumeMounts    []outVolumeMount `json:"volumeMounts,omitempty"`
	LivenessProbe   *outProbe        `json:"livenessProbe,omitempty"`
	ReadinessProbe  *outProbe        `json:"readinessProbe,omitempty"`
	Lifecycle       *outLifecycle    `json:"lifecycle,omitempty"`
	Privileged      bool             `json:"privileged,omitempty"`
	ImagePullPolicy string           `json:"imagePullPolicy"`

	Resources       *outResourceNeeds    `json:"resources,omitempty"`
	Capabilities    *schema.Capabilities `json:"capabilities,omitempty"`
	SecurityContext *outSecurity         `json:"securityContext,omitempty"`
}

// outResourceNeeds has what cpu and memory cannot say: what is reserved.
type outResourceNeeds struct {
	Requests outRequests `json:"requests"`
}

type outRequests struct {
	CPU    schema.Quantity `json:"cpu,omitempty"`
	Memory schema.Quantity `json:"memory,omitempty"`
}

type outSecurity struct {
	RunAsUser *int64 `json:"runAsUser"`
}

type outProbe struct {
	outHook
	TCPSocket           *outTCP `json:"tcpSocket,omitempty"`
	InitialDelaySeconds int32   `json:"initialDelaySeconds,omitempty"`
	TimeoutSeconds      int32   `json:"timeoutSeconds,omitempty"`
}

type outLifecycle struct {
	PostStart *outHook `json:"postStart,omitempty"`
	PreStop   *outHook `json:"preStop,omitempty"`
}

type outHook struct {
	HTTPGet *outHTTP           `json:"httpGet,omitempty"`
	Exec    *schema.ExecAction `json:"exec,omitempty"`
}

type outHTTP struct {
	Path   string            `json:"path,omitempty"`
	Port   schema.PortOrName `json:"port,omitempty"`
	Host   string            `json:"host,omitempty"`
	Scheme string            `json:"scheme,omitempty"`
}

type outTCP struct {
	Port schema.PortOrName `json:"port"`
}

type outPort struct {
	Name          string          `json:"name,omitempty"`
	HostPort      uint16          `json:"hostPort,omitempty"`
	ContainerPort uint16          `json:"containerPort"`
	Protocol      schema.Protocol `json:"protocol,omitempty"`
}

type outEnvVar struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

type outVolumeMount struct {
	Name      string `json:"name"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	MountPath string `json:"mountPath"`
	Path      string `json:"path"`
}

func outManifestOf(s *schema.PodSpec) outManifest {
	out := outManifest{Version: Version2, RestartPolicy: *outRestartPolicyOf(s), DNSPolicy: s.DNSPolicy, HostNetwork: s.HostNetwork}
	for i := range s.Volumes {
		out.Volumes = append(out.Volumes, outVolume{s.Volumes[i].Name, outSourceOf(&s.Volumes[i])})
	}
	for i := range s.Containers {
		out.Containers = append(out.Containers, outContainerOf(&s.Containers[i]))
	}
	return out
}

func outRestartPolicyOf(s *schema.PodSpec) *outRestartPolicy {
	switch s.Restart() {
	case schema.RestartOnFailure:
		return &outRestartPolicy{OnFailure: &struct{}{}}
	case schema.RestartNever:
		return &outRestartPolicy{Never: &struct{}{}}
	}
	return &outRestartPolicy{Always: &struct{}{}}
}

func outSourceOf(v *schema.Volume) (out outSource) {
	switch {
	case v.HostPath != nil:
		out.HostDir = &outHostDir{v.HostPath.Path}
	case v.Secret != nil:
		out.Secret = &outSecret{outTarget{schema.KindSecret, v.Secret.SecretName}}
	case v.EmptyDir != nil:
		out.EmptyDir = &outEmptyDir{v.EmptyDir.Medium}
	default:
		out.EmptyDir = &outEmptyDir{}
	}
	return out
}

func outContainerOf(c *schema.Container) outContainer {
	out := outContainer{
		Name: c.Name, Image: c.Image, Entrypoint: unescape(c.Command), Command: unescape(c.Args), WorkingDir: c.WorkingDir,
		Memory: c.Resources.Memory, CPU: c.Resources.MilliCPU,
		LivenessProbe: outProbeOf(c.LivenessProbe), ReadinessProbe: outProbeOf(c.ReadinessProbe),
	}
	if s := c.SecurityContext; s != nil {
		out.Privileged, out.Capabilities = s.Privileged, s.Capabilities
		if s.RunAsUser != nil {
			out.SecurityContext = &outSecurity{s.RunAsUser}
		}
	}
	if q := c.Resources.Requests; q != nil && (q.MilliCPU != nil || q.Memory != nil) {
		out.Resources = &outResourceNeeds{}
		if q.MilliCPU != nil {
			out.Resources.Requests.CPU = schema.Quantity(strconv.FormatInt(*q.MilliCPU, 10) + "m")
		}
		if q.Memory != nil {
			out.Resources.Requests.Memory = schema.Quantity(strconv.FormatInt(*q.Memory, 10))
		}
	}
	if l := c.Lifecycle; l != nil {
		out.Lifecycle = &outLifecycle{outHookOf(l.PostStart), outHookOf(l.PreStop)}
	}
	if c.ImagePullPolicy != "" {
		out.ImagePullPolicy = "Pull" + string(c.ImagePullPolicy)
	}
	for _, p := range c.Ports {
		out.Ports = append(out.Ports, outPort{p.Name, p.HostPort, p.ContainerPort, p.Protocol.Proto()})
	}
	for _, e := range c.Env {
		out.Env = append(out.Env, outEnvVar{e.Name, e.Name, schema.Unescape(e.Value)})
	}
	for _, m := range c.VolumeMounts {
		out.VolumeMounts = append(out.VolumeMounts, outVolumeMount{m.Name, m.ReadOnly, m.MountPath, m.MountPath})
	}
	return out
}

func outProbeOf(p *schema.Probe) *outProbe {
	if p == nil {
		return nil
	}
	out := &outProbe{outHook: *outHookOf(&schema.Hook{Exec: p.Exec, HTTPGet: p.HTTPGet}), InitialDelaySeconds: p.InitialDelaySeconds, TimeoutSeconds: p.TimeoutSeconds}
	if p.TCPSocket != nil {
		out.TCPSocket = &outTCP{p.TCPSocket.Port}
	}
	return out
}

func outHookOf(h *schema.Hook) *outHook {
	if h == nil {
		return nil
	}
	out := &outHook{Exec: h.Exec}
	if g := h.HTTPGet; g != nil {
		out.HTTPGet = &outHTTP{g.Path, g.Port, g.Host, g.Scheme}
	}
	return out
}

func unescape(l []string) []string {
	var out []string
	for _, s := range l {
		out = append(out, schema.Unescape(s))
	}
	return out
}
