package v1beta1

import "reconciler/schema"

// The types below are the pod of Kubernetes v0.6 in its order, with what was added until May 2015.

type outManifest struct {
	Version       string           `json:"version"`
	ID            string           `json:"id"`
	Volumes       []outVolume      `json:"volumes"`
	Containers    []outContainer   `json:"containers"`
	RestartPolicy outRestartPolicy `json:"restartPolicy"`
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
	HostDir        *outHostDir `json:"hostDir"`
	EmptyDir       *struct{}   `json:"emptyDir"`
	PersistentDisk *struct{}   `json:"persistentDisk"`
	GitRepo        *struct{}   `json:"gitRepo"`
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
}

type outProbe struct {
	outHook
	TCPSocket           *outTCP `json:"tcpSocket,omitempty"`
	InitialDelaySeconds int32   `json:"initialDelaySeconds,omitempty"`
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
	Path string            `json:"path,omitempty"`
	Port schema.PortOrName `json:"port,omitempty"`
	Host string            `json:"host,omitempty"`
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
	out := outManifest{Version: "v1beta2"}
	for _, v := range s.Volumes {
		w := outVolume{Name: v.Name}
		switch {
		case v.HostPath != nil:
			w.Source.HostDir = &outHostDir{v.HostPath.Path}
		default:
			w.Source.EmptyDir = &struct{}{}
		}
		out.Volumes = append(out.Volumes, w)
	}
	for i := range s.Containers {
		out.Containers = append(out.Containers, outContainerOf(&s.Containers[i]))
	}
	switch s.Restart() {
	case schema.RestartOnFailure:
		out.RestartPolicy.OnFailure = &struct{}{}
	case schema.RestartNever:
		out.RestartPolicy.Never = &struct{}{}
	default:
		out.RestartPolicy.Always = &struct{}{}
	}
	return out
}

func outContainerOf(c *schema.Container) outContainer {
	out := outContainer{
		Name: c.Name, Image: c.Image, Entrypoint: unescape(c.Command), Command: unescape(c.Args), WorkingDir: c.WorkingDir,
		Memory: c.Resources.Memory, CPU: c.Resources.MilliCPU,
		LivenessProbe: outProbeOf(c.LivenessProbe), ReadinessProbe: outProbeOf(c.ReadinessProbe),
		Privileged: c.SecurityContext != nil && c.SecurityContext.Privileged,
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
	out := &outProbe{outHook: *outHookOf(&schema.Hook{Exec: p.Exec, HTTPGet: p.HTTPGet}), InitialDelaySeconds: p.InitialDelaySeconds}
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
		out.HTTPGet = &outHTTP{g.Path, g.Port, g.Host}
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
