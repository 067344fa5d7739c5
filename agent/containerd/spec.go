package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	ctr "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/contrib/seccomp"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"reconciler/agent"
	"reconciler/schema"
)

const (
	groupAnnotation = "io.containerd.runc.v2.group" // of containers that share a shim
	cpuPeriod       = 100_000                       // microseconds, the kernel's default
	ociVersion      = "1.0.2"                       // the newest that every runtime of today takes
)

// find is the container's part of the pod's spec.
func find(p agent.Pod, container string) (*schema.Container, error) {
	for i := range p.Spec.Containers {
		if p.Spec.Containers[i].Name == container {
			return &p.Spec.Containers[i], nil
		}
	}
	return nil, fmt.Errorf("pod has no container %q", container)
}

// specOpts is everything that runc is told of a container. Everything that is not said is containerd's default: its
// capabilities, devices and masked paths.
func (r *Runtime) specOpts(p agent.Pod, c *schema.Container, image imagespec.ImageConfig, group string) ([]oci.SpecOpts, error) {
	args, err := arguments(p, c, image)
	if err != nil {
		return nil, err
	}
	binds, err := r.binds(p, c)
	if err != nil {
		return nil, err
	}
	opts := []oci.SpecOpts{
		oci.WithoutRunMount, // images bring files in /run that a tmpfs would hide
		oci.WithProcessArgs(args...),
		oci.WithProcessCwd(workingDir(c, image)),
		oci.WithMounts(binds),
		oci.WithCgroup(r.cgroup(p.ID, c.Name)),
		oci.WithAnnotations(map[string]string{groupAnnotation: group}),
	}
	for _, ns := range []struct {
		kind specs.LinuxNamespaceType
		name string
	}{{specs.NetworkNamespace, "net"}, {specs.IPCNamespace, "ipc"}, {specs.UTSNamespace, "uts"}} {
		opts = append(opts, oci.WithLinuxNamespace(specs.LinuxNamespace{Type: ns.kind, Path: r.cfg.pinned(p.ID, ns.name)}))
	}
	if image.User != "" {
		opts = append(opts, oci.WithUser(image.User), oci.WithAdditionalGIDs(image.User))
	}
	opts = append(opts, func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Version = ociVersion
		s.Hostname = "" // the pinned namespace has it
		s.Process.Env = environment(p, c, image)
		s.Process.Rlimits = nil // those of the daemon; raising them needs a capability that it may not have
		limit(s, c.Resources)
		return nil
	})
	if r.features() {
		opts = append(opts, seccomp.WithDefaultProfile()) // after the capabilities, which it depends on
	}
	return opts, nil
}

func (r *Runtime) cgroup(id, container string) string {
	return filepath.Join(r.cfg.CgroupParent, id, container)
}

// arguments are Kubernetes' (kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container): Command
// takes the place of the image's entrypoint and Args that of its CMD, and an image's CMD is of no use without its entrypoint.
// References to variables are replaced in what the pod says, not in what the image does.
func arguments(p agent.Pod, c *schema.Container, image imagespec.ImageConfig) ([]string, error) {
	known := lookup(variables(p, c))
	expand := func(l []string) []string {
		out := slices.Clone(l)
		for i := range out {
			out[i] = schema.Expand(out[i], known)
		}
		return out
	}
	entrypoint, args := image.Entrypoint, image.Cmd
	if len(c.Command) > 0 {
		entrypoint, args = expand(c.Command), nil
	}
	if len(c.Args) > 0 {
		args = expand(c.Args)
	}
	if all := slices.Concat(entrypoint, args); len(all) > 0 {
		return all, nil
	}
	return nil, errors.New("neither the container nor its image has a command")
}

func workingDir(c *schema.Container, image imagespec.ImageConfig) string {
	for _, dir := range []string{c.WorkingDir, image.WorkingDir} {
		if dir != "" {
			return dir
		}
	}
	return "/"
}

// environment has each name once, the last value winning: host name, image, service variables, the container's own.
func environment(p agent.Pod, c *schema.Container, image imagespec.ImageConfig) []string {
	var env []string
	at := map[string]int{}
	set := func(name, value string) {
		if i, ok := at[name]; ok {
			env[i] = name + "=" + value
			return
		}
		at[name] = len(env)
		env = append(env, name+"="+value)
	}
	set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	set("HOSTNAME", p.Name)
	for _, e := range image.Env {
		name, value, _ := strings.Cut(e, "=")
		set(name, value)
	}
	for _, e := range variables(p, c) {
		set(e.Name, e.Value)
	}
	return env
}

// variables are those of services and the container's own, in which references to those before them are replaced.
func variables(p agent.Pod, c *schema.Container) []schema.EnvVar {
	out := slices.Clone(p.Env)
	for _, e := range c.Env {
		e.Value = schema.Expand(e.Value, lookup(out))
		out = append(out, e)
	}
	return out
}

// lookup finds the last value of a variable.
func lookup(env []schema.EnvVar) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		for _, e := range slices.Backward(env) {
			if e.Name == name {
				return e.Value, true
			}
		}
		return "", false
	}
}

// binds are the files of /etc and the container's volumes.
func (r *Runtime) binds(p agent.Pod, c *schema.Container) ([]specs.Mount, error) {
	var binds []specs.Mount
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		binds = append(binds, specs.Mount{
			Destination: "/etc/" + name, Source: filepath.Join(r.cfg.podDir(p.ID), name),
			Type: "bind", Options: []string{"bind", "rprivate", "rw"},
		})
	}
	for _, m := range c.VolumeMounts {
		i := slices.IndexFunc(p.Spec.Volumes, func(v schema.Volume) bool { return v.Name == m.Name })
		if i < 0 {
			return nil, fmt.Errorf("mount volume %q: the pod has no such volume", m.Name)
		}
		var source string
		switch v := &p.Spec.Volumes[i]; {
		case v.HostPath != nil:
			source = v.HostPath.Path
			if _, err := os.Stat(source); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return nil, fmt.Errorf("mount volume %q: %q is not on this minion", m.Name, source)
				}
				return nil, fmt.Errorf("mount volume %q: %w", m.Name, err)
			}
		case v.EmptyDir != nil:
			source = r.cfg.emptyDir(p.ID, v.Name)
		default:
			return nil, fmt.Errorf("mount volume %q: it has no source", m.Name)
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		binds = append(binds, specs.Mount{
			Destination: m.MountPath, Source: source, Type: "bind", Options: []string{"rbind", "rprivate", mode},
		})
	}
	return binds, nil
}

// limit sets memory and CPU; swap beyond the memory limit is not given where swap is counted.
func limit(s *oci.Spec, want schema.Resources) {
	if s.Linux.Resources == nil {
		s.Linux.Resources = &specs.LinuxResources{}
	}
	if want.Memory > 0 {
		m := &specs.LinuxMemory{Limit: &want.Memory}
		if swapCounted() {
			m.Swap = &want.Memory
		}
		s.Linux.Resources.Memory = m
	}
	if want.MilliCPU > 0 {
		quota, period, shares := max(want.MilliCPU*cpuPeriod/1000, 1000), uint64(cpuPeriod), uint64(max(want.MilliCPU*1024/1000, 2))
		s.Linux.Resources.CPU = &specs.LinuxCPU{Quota: &quota, Period: &period, Shares: &shares}
	}
}

// swapCounted tells whether the kernel limits swap: v1 with swap accounting, or v2.
func swapCounted() bool {
	for _, h := range hierarchies() {
		if _, err := os.Stat(filepath.Join(h, "memory.memsw.limit_in_bytes")); err == nil {
			return true
		}
	}
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// imageConfig is the image's own configuration.
func imageConfig(ctx context.Context, image ctr.Image) (imagespec.ImageConfig, error) {
	spec, err := image.Spec(ctx)
	if err != nil {
		return imagespec.ImageConfig{}, fmt.Errorf("read image configuration: %w", err)
	}
	return spec.Config, nil
}
