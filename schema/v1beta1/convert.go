package v1beta1

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"reconciler/schema"
)

type converter struct{ problems []schema.Problem }

// add adds a problem that follows from its path and from others.
func (c *converter) add(path []string, message string, others ...[]string) {
	c.problems = append(c.problems, schema.Problem{Path: path, Message: message, Because: append(others, path)})
}

func (c *converter) podSpec(in *manifest, path []string) schema.PodSpec {
	out := schema.PodSpec{DNSPolicy: in.DNSPolicy, HostNetwork: in.HostNetwork}
	at := func(more ...string) []string { return append(path[:len(path):len(path)], more...) }
	var set []schema.RestartPolicy
	if in.RestartPolicy.Always != nil {
		set = append(set, schema.RestartAlways)
	}
	if in.RestartPolicy.OnFailure != nil {
		set = append(set, schema.RestartOnFailure)
	}
	if in.RestartPolicy.Never != nil {
		set = append(set, schema.RestartNever)
	}
	if len(set) > 1 {
		c.add(at("restartPolicy"), "only one of always, onFailure and never may be given")
	}
	if len(set) > 0 {
		out.RestartPolicy = set[0]
	}
	for i, v := range in.Volumes {
		w := schema.Volume{Name: v.Name}
		if v.Source.EmptyDir != nil {
			w.EmptyDir = &schema.EmptyDir{Medium: v.Source.EmptyDir.Medium}
		}
		if x := v.Source.Secret; x != nil {
			w.Secret = &schema.SecretFiles{SecretName: cmp.Or(x.SecretName, x.Target.Name)}
			if w.Secret.SecretName == "" {
				c.add(at("volumes", strconv.Itoa(i), "source", "secret", "target"), "is missing", at("volumes", strconv.Itoa(i), "source", "secret", "secretName"))
			}
		}
		if v.Source.HostDir != nil {
			w.HostPath = &schema.HostPath{Path: v.Source.HostDir.Path}
		}
		out.Volumes = append(out.Volumes, w)
	}
	for i := range in.Containers {
		out.Containers = append(out.Containers, c.container(&in.Containers[i], at("containers", strconv.Itoa(i))))
	}
	return out
}

func (c *converter) container(in *container, path []string) schema.Container {
	at := func(more ...string) []string { return append(path[:len(path):len(path)], more...) }
	out := schema.Container{
		Name:       in.Name,
		Image:      in.Image,
		Command:    escape(in.Entrypoint),
		Args:       escape(in.Command), // the command of 2014 was what Docker calls CMD
		WorkingDir: in.WorkingDir,

		Resources:       c.resources(in, path),
		LivenessProbe:   in.LivenessProbe.canonical(),
		ReadinessProbe:  in.ReadinessProbe.canonical(),
		SecurityContext: c.security(in, at("securityContext")),
	}
	if l := in.Lifecycle; l != nil {
		out.Lifecycle = &schema.Lifecycle{PostStart: l.PostStart.hook(), PreStop: l.PreStop.hook()}
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
			c.add(at("env", strconv.Itoa(i), "name"), "is missing", at("env", strconv.Itoa(i), "key"))
		}
		out.Env = append(out.Env, schema.EnvVar{Name: e.Name, Value: schema.Escape(e.Value)})
	}
	for i, m := range in.VolumeMounts {
		if m.MountPath == "" {
			m.MountPath = m.Path
		}
		if m.MountPath == "" {
			c.add(at("volumeMounts", strconv.Itoa(i), "mountPath"), "is missing", at("volumeMounts", strconv.Itoa(i), "path"))
		}
		out.VolumeMounts = append(out.VolumeMounts, schema.VolumeMount{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out
}

// escape keeps text as it is: 2014 had no references to variables.
func escape(l []string) []string {
	out := slices.Clone(l)
	for i := range out {
		out[i] = schema.Escape(out[i])
	}
	return out
}

// resources takes the later form where it is there.
func (c *converter) resources(in *container, path []string) schema.Resources {
	at := func(more ...string) []string { return append(path[:len(path):len(path)], more...) }
	list := func(l resourceList) schema.ResourceList { return schema.ResourceList{CPU: l.CPU, Memory: l.Memory} }
	out, problems := schema.Resources{MilliCPU: in.CPU, Memory: in.Memory}.With(list(in.Resources.Limits), list(in.Resources.Requests), at("resources")...)
	for i := range problems {
		problems[i].Because = append(problems[i].Because, at("cpu"), at("memory"))
	}
	c.problems = append(c.problems, problems...)
	return out
}

// security takes the later form where it is there.
func (c *converter) security(in *container, path []string) *schema.ContainerSecurity {
	s := &in.SecurityContext
	out := &schema.ContainerSecurity{Privileged: in.Privileged || s.Privileged, Capabilities: in.Capabilities, RunAsUser: s.RunAsUser}
	if s.Capabilities != nil {
		if in.Capabilities != nil {
			c.add(append(slices.Clone(path), "capabilities"), "is given twice: under the container too")
		}
		out.Capabilities = s.Capabilities
	}
	return out
}

func (p *probe) canonical() *schema.Probe {
	if p == nil {
		return nil
	}
	h := p.hook()
	out := &schema.Probe{Exec: h.Exec, HTTPGet: h.HTTPGet, InitialDelaySeconds: p.InitialDelaySeconds, TimeoutSeconds: p.TimeoutSeconds}
	if p.TCPSocket != nil {
		out.TCPSocket = &schema.TCPAction{Port: numbered(p.TCPSocket.Port)}
	}
	return out
}

func (a *action) hook() *schema.Hook {
	if a == nil {
		return nil
	}
	out := &schema.Hook{Exec: a.Exec}
	if g := a.HTTPGet; g != nil {
		out.HTTPGet = &schema.HTTPAction{Path: g.Path, Port: numbered(g.Port), Host: g.Host, Scheme: g.Scheme}
	}
	return out
}

// numbered is a port whose number was written as text: it was looked up as a name first, and then taken for a number. A name
// that is a number had no letter, as names need now.
func numbered(p schema.PortOrName) schema.PortOrName {
	if n, err := strconv.ParseUint(p.Name, 10, 16); err == nil && n > 0 {
		return schema.PortOrName{Number: uint16(n)}
	}
	return p
}
