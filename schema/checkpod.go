package schema

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

func (c *checker) podSpec(path []string, s *PodSpec) {
	volumes := map[string]bool{}
	for i := range s.Volumes {
		v, p := &s.Volumes[i], at(path, "volumes", strconv.Itoa(i))
		if volumes[v.Name] {
			c.add(at(p, "name"), "", "a second volume of this pod is named %q", v.Name)
		}
		volumes[v.Name] = true
		if v.sources() > 1 {
			c.add(p, "make two volumes of it", "volume %q has two sources", v.Name).because(at(p, "name"))
		}
		c.volume(path, p, v, s)
	}
	if len(s.Containers) == 0 {
		c.add(at(path, "containers"), "", "a pod needs at least one container")
	}
	names, taken := map[string]bool{}, &takenPorts{names: map[string]owner{}, numbers: map[string]owner{}}
	for _, l := range []struct {
		field string
		of    []Container
	}{{"containers", s.Containers}, {"initContainers", s.InitContainers}} {
		for i := range l.of {
			k := &l.of[i]
			p := at(path, l.field, strconv.Itoa(i))
			if names[k.Name] {
				c.add(at(p, "name"), "", "a second container of this pod is named %q", k.Name)
			}
			names[k.Name] = true
			c.ports(p, k, taken)
			c.mounts(path, p, k, volumes)
			c.container(path, p, k, s, l.field == "initContainers")
		}
	}
	c.podWide(path, s)
	c.scheduling(path, s)
}

func (c *checker) mounts(spec, path []string, k *Container, volumes map[string]bool) {
	mounts := map[string]bool{}
	for j, m := range k.VolumeMounts {
		q := at(path, "volumeMounts", strconv.Itoa(j))
		if !volumes[m.Name] {
			c.add(at(q, "name"), "add it to the pod's volumes", "the pod has no volume %q", m.Name).also(at(spec, "volumes", "*", "name"))
		}
		if mounts[m.MountPath] {
			c.add(at(q, "mountPath"), "", "a second volume is mounted at %q", m.MountPath)
		}
		mounts[m.MountPath] = true
		if m.SubPath != "" {
			c.inside(at(q, "subPath"), m.SubPath)
		}
	}
}

// inside reports a path that is not below the directory it is relative to.
func (c *checker) inside(path []string, p string) {
	if strings.HasPrefix(p, "/") || slices.Contains(strings.Split(p, "/"), "..") {
		c.add(path, "write a path without a leading '/' and without '..'", "%q leads out of the volume", p)
	}
}

// owner is a port of a container, and where they are.
type owner struct {
	container  string
	path, port []string
}

// takenPorts is the names and the host ports that the containers of a pod have.
type takenPorts struct{ names, numbers map[string]owner }

func (c *checker) ports(path []string, k *Container, taken *takenPorts) {
	inside := map[string]bool{}
	for j, port := range k.Ports {
		p := at(path, "ports", strconv.Itoa(j))
		if port.Name != "" {
			if inside[port.Name] {
				c.add(at(p, "name"), "", "a second port of this container is named %q", port.Name)
			}
			if o, ok := taken.names[port.Name]; ok && !slices.Equal(o.path, path) {
				c.add(at(p, "name"), "", "container %q has a port named %q too, so that a service could not tell them apart", o.container, port.Name).also(at(o.path, "name"))
			} else if !ok {
				taken.names[port.Name] = owner{k.Name, path, p}
			}
			inside[port.Name] = true
		}
		if port.HostPort == 0 {
			continue
		}
		n := fmt.Sprintf("%d/%s", port.HostPort, port.Protocol.Proto())
		if o, ok := taken.numbers[n]; ok {
			c.add(at(p, "hostPort"), "", "container %q has host port %s already", o.container, n).also(at(p, "protocol"), at(o.path, "name"), at(o.port, "protocol"))
			continue
		}
		taken.numbers[n] = owner{k.Name, path, p}
	}
}

func (c *checker) container(spec, path []string, k *Container, s *PodSpec, init bool) {
	if k.RestartPolicy != "" && !init {
		c.add(at(path, "restartPolicy"), "set the pod's restartPolicy", "only init containers have a restart policy of their own")
	}
	for i := range k.Env {
		c.env(spec, at(path, "env", strconv.Itoa(i)), &k.Env[i], s)
	}
	for i, e := range k.EnvFrom {
		c.exactlyOne(at(path, "envFrom", strconv.Itoa(i)), "a source of variables", given{"configMapRef", e.ConfigMapRef != nil}, given{"secretRef", e.SecretRef != nil})
	}
	for _, x := range []struct {
		name  string
		probe *Probe
	}{{"startupProbe", k.StartupProbe}, {"readinessProbe", k.ReadinessProbe}, {"livenessProbe", k.LivenessProbe}} {
		switch {
		case x.probe == nil:
		case init && !k.Sidecar():
			c.add(at(path, x.name), "give it restartPolicy: Always to make it a sidecar", "an init container that ends has no probes").because(at(path, "restartPolicy"))
		default:
			c.probe(path, at(path, x.name), x.probe, k, x.name == "readinessProbe")
		}
	}
	if l := k.Lifecycle; l != nil {
		if init && !k.Sidecar() {
			c.add(at(path, "lifecycle"), "", "an init container that ends has no hooks").because(at(path, "restartPolicy"))
		}
		c.hook(path, at(path, "lifecycle", "postStart"), l.PostStart, k)
		c.hook(path, at(path, "lifecycle", "preStop"), l.PreStop, k)
	}
	if x := k.SecurityContext; x != nil {
		p := at(path, "securityContext")
		if x.Privileged && x.AllowPrivilegeEscalation != nil {
			c.add(at(p, "allowPrivilegeEscalation"), "remove one of the two", "a privileged container cannot be kept from gaining privileges").also(at(p, "privileged"))
		}
		c.seccomp(at(p, "seccompProfile"), x.SeccompProfile)
	}
}

// given is one of several fields of which exactly one is to be there.
type given struct {
	name string
	set  bool
}

func (c *checker) exactlyOne(path []string, what string, of ...given) {
	var names, all []string
	for _, g := range of {
		all = append(all, g.name)
		if g.set {
			names = append(names, g.name)
		}
	}
	if len(names) == 1 {
		return
	}
	given := make([][]string, len(all))
	for i, name := range all {
		given[i] = something(at(path, name))
	}
	if len(names) == 0 {
		c.add(path, "", "%s is missing: give one of %s", what, strings.Join(all, ", ")).because(given...)
		return
	}
	c.add(at(path, names[1]), "", "%s and %s cannot be given together", names[0], strings.Join(names[1:], ", ")).because(given...)
}

func (c *checker) probe(container, path []string, p *Probe, k *Container, readiness bool) {
	c.exactlyOne(path, "what to probe", given{"exec", p.Exec != nil}, given{"httpGet", p.HTTPGet != nil}, given{"tcpSocket", p.TCPSocket != nil}, given{"grpc", p.GRPC != nil})
	c.action(container, path, p.Exec, p.HTTPGet, p.TCPSocket, k)
	switch {
	case readiness && p.TerminationGracePeriodSeconds != nil:
		c.add(at(path, "terminationGracePeriodSeconds"), "", "a readiness probe stops no container")
	case !readiness && p.SuccessThreshold > 1:
		c.add(at(path, "successThreshold"), "leave it out", "only a readiness probe can need several successes")
	}
}

func (c *checker) hook(container, path []string, h *Hook, k *Container) {
	if h == nil {
		return
	}
	c.exactlyOne(path, "what to do", given{"exec", h.Exec != nil}, given{"httpGet", h.HTTPGet != nil}, given{"tcpSocket", h.TCPSocket != nil}, given{"sleep", h.Sleep != nil})
	c.action(container, path, h.Exec, h.HTTPGet, h.TCPSocket, k)
}

// action checks what probes and hooks have in common.
func (c *checker) action(container, path []string, e *ExecAction, h *HTTPAction, t *TCPAction, k *Container) {
	if e != nil && len(e.Command) == 0 {
		c.add(at(path, "exec", "command"), "", "the command is empty")
	}
	port := func(p PortOrName, path []string) {
		if p.Name != "" && !slices.ContainsFunc(k.Ports, func(x Port) bool { return x.Name == p.Name }) {
			c.add(path, "add it to the container's ports or write the number", "container %q has no port named %q", k.Name, p.Name).
				also(at(container, "name"), at(container, "ports", "*", "name"))
		}
	}
	if h != nil {
		port(h.Port, at(path, "httpGet", "port"))
	}
	if t != nil {
		port(t.Port, at(path, "tcpSocket", "port"))
	}
}

func (c *checker) seccomp(path []string, s *Seccomp) {
	switch {
	case s == nil:
	case s.Type == "Localhost" && s.LocalhostProfile == "":
		c.add(at(path, "localhostProfile"), "", "is missing: it names the file with the profile").also(at(path, "type"))
	case s.Type != "Localhost" && s.LocalhostProfile != "":
		c.add(at(path, "localhostProfile"), "write type: Localhost", "type %s has no file", s.Type).also(at(path, "type"))
	}
}

// podWide checks what is the pod's and no container's.
func (c *checker) podWide(path []string, s *PodSpec) {
	if s.HostPID && s.ShareProcessNamespace {
		c.add(at(path, "shareProcessNamespace"), "remove one of the two", "hostPID shares the minion's processes already").also(at(path, "hostPID"))
	}
	if s.HostNetwork {
		c.hostNetworkPorts(path, "containers", s.Containers)
		c.hostNetworkPorts(path, "initContainers", s.InitContainers)
	}
	if x := s.SecurityContext; x != nil {
		c.seccomp(at(path, "securityContext", "seccompProfile"), x.SeccompProfile)
		names := map[string]bool{}
		for i, y := range x.Sysctls {
			if names[y.Name] {
				c.add(at(path, "securityContext", "sysctls", strconv.Itoa(i), "name"), "", "%s is listed twice", y.Name)
			}
			names[y.Name] = true
			n := strings.ReplaceAll(y.Name, "/", ".")
			if s.HostNetwork && strings.HasPrefix(n, "net.") || s.HostIPC && (strings.HasPrefix(n, "kernel.shm") || strings.HasPrefix(n, "kernel.msg") || n == "kernel.sem" || strings.HasPrefix(n, "fs.mqueue.")) {
				c.add(at(path, "securityContext", "sysctls", strconv.Itoa(i), "name"), "", "%s would be the minion's, whose namespace the pod has", y.Name).
					also(at(path, "hostNetwork"), at(path, "hostIPC"))
			}
		}
	}
	d := s.DNSConfig
	if s.DNSPolicy == DNSNone && (d == nil || len(d.Nameservers) == 0) {
		c.add(at(path, "dnsConfig", "nameservers"), "", "dnsPolicy None needs at least one name server").also(at(path, "dnsPolicy"))
	}
	if d != nil {
		const most = 3 // resolv.conf(5), MAXNS
		if len(d.Nameservers) > most {
			c.add(at(path, "dnsConfig", "nameservers"), "", "there are %d name servers, more than %d", len(d.Nameservers), most)
		}
		for i, ip := range d.Nameservers {
			c.ip(at(path, "dnsConfig", "nameservers", strconv.Itoa(i)), ip)
		}
	}
	for i, h := range s.HostAliases {
		c.ip(at(path, "hostAliases", strconv.Itoa(i), "ip"), h.IP)
	}
}

func (c *checker) hostNetworkPorts(path []string, field string, of []Container) {
	for i := range of {
		for j, p := range of[i].Ports {
			if p.HostPort != 0 && p.HostPort != p.ContainerPort {
				q := at(path, field, strconv.Itoa(i), "ports", strconv.Itoa(j))
				c.add(at(q, "hostPort"), "leave it out", "with hostNetwork the host port is the container port, %d", p.ContainerPort).also(at(q, "containerPort"), at(path, "hostNetwork"))
			}
		}
	}
}

func (c *checker) ip(path []string, s string) {
	if _, err := netip.ParseAddr(s); err != nil {
		c.add(path, "", "%q is not an IP address", s)
	}
}
