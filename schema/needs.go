package schema

import (
	"maps"
	"slices"
)

// Feature is something that not every release of the plan, the agent or the routes can do. An object that needs one is
// right; it waits until all who have to act on it can.
type Feature string

// The features of pods.
const (
	FeatureInitContainers  Feature = "init-containers"
	FeatureSidecars        Feature = "sidecars"
	FeatureEnvFrom         Feature = "variables-from" // of fields, resources, ConfigMaps and Secrets
	FeatureStorageLimit    Feature = "storage-limits"
	FeaturePIDLimit        Feature = "pid-limits"
	FeatureMemoryVolumes   Feature = "memory-volumes"
	FeatureVolumeLimit     Feature = "volume-limits"
	FeatureHostPathTypes   Feature = "host-path-types"
	FeatureConfigVolumes   Feature = "config-volumes" // of ConfigMaps and Secrets
	FeatureDownwardVolumes Feature = "downward-volumes"
	FeatureImageVolumes    Feature = "image-volumes"
	FeatureSubPaths        Feature = "sub-paths"
	FeatureProbes          Feature = "probes"
	FeatureHooks           Feature = "hooks"
	FeatureSecurity        Feature = "security-context"
	FeatureSysctls         Feature = "sysctls"
	FeatureHostNamespaces  Feature = "host-namespaces" // network, processes, ipc
	FeatureSharedProcesses Feature = "shared-processes"
	FeatureHostname        Feature = "hostname"
	FeatureDNS             Feature = "dns"
	FeatureHostAliases     Feature = "host-aliases"
	FeaturePullSecrets     Feature = "pull-secrets"
	FeatureTerminals       Feature = "terminals" // stdin and tty
	FeatureAffinity        Feature = "affinity"
	FeatureTopologySpread  Feature = "topology-spread"
	FeaturePriority        Feature = "priority"
	FeatureFence           Feature = "fence" // by the setting when-lost: pods that end with their minion's lease
)

// PlanFeatures are those that a pod needs of the plan, which can do them, and not of its minion.
var PlanFeatures = []Feature{FeatureAffinity, FeatureTopologySpread, FeaturePriority}

// The features of services and of ports.
const (
	FeatureUDP             Feature = "udp"
	FeatureNodePorts       Feature = "node-ports"
	FeatureSessionAffinity Feature = "session-affinity"
	FeatureLocalTraffic    Feature = "local-traffic"
	FeatureNotReady        Feature = "not-ready-addresses"
)

type features map[Feature]bool

func (f features) add(x Feature, needed bool) {
	if needed {
		f[x] = true
	}
}

func (f features) sorted() []Feature { return slices.Sorted(maps.Keys(f)) }

// Needs is the features that the pod needs, sorted.
func (s *PodSpec) Needs() []Feature {
	f := features{}
	for k := range s.AllContainers() {
		f.container(k)
	}
	for i := range s.InitContainers {
		f.add(FeatureSidecars, s.InitContainers[i].Sidecar())
		f.add(FeatureInitContainers, true)
	}
	for i := range s.Volumes {
		v := &s.Volumes[i]
		if e := v.EmptyDir; e != nil {
			f.add(FeatureMemoryVolumes, e.Medium == MediumMemory)
			f.add(FeatureVolumeLimit, e.SizeLimit != 0)
		}
		f.add(FeatureHostPathTypes, v.HostPath != nil && v.HostPath.Type != "")
		f.add(FeatureConfigVolumes, v.ConfigMap != nil || v.Secret != nil)
		f.add(FeatureDownwardVolumes, v.DownwardAPI != nil)
		f.add(FeatureImageVolumes, v.Image != nil)
	}
	f.add(FeatureDNS, s.DNSPolicy != "" || s.DNSConfig != nil)
	f.add(FeatureHostAliases, len(s.HostAliases) > 0)
	f.add(FeatureHostname, s.Hostname != "")
	f.add(FeatureHostNamespaces, s.HostNetwork || s.HostPID || s.HostIPC)
	f.add(FeatureSharedProcesses, s.ShareProcessNamespace)
	if x := s.SecurityContext; x != nil {
		f.add(FeatureSysctls, len(x.Sysctls) > 0)
		y := *x
		y.Sysctls = nil
		f.add(FeatureSecurity, filled(&y, canonicalPodSecurity) != nil)
	}
	f.add(FeaturePullSecrets, len(s.ImagePullSecrets) > 0)
	f.add(FeatureAffinity, s.Affinity != nil)
	f.add(FeatureTopologySpread, len(s.TopologySpreadConstraints) > 0)
	f.add(FeaturePriority, s.Priority != 0)
	return f.sorted()
}

func (f features) container(k *Container) {
	f.add(FeatureEnvFrom, len(k.EnvFrom) > 0)
	for _, e := range k.Env {
		f.add(FeatureEnvFrom, e.ValueFrom != nil)
	}
	f.add(FeatureStorageLimit, k.Resources.Storage != 0)
	f.add(FeaturePIDLimit, k.Resources.PIDs != 0)
	for _, m := range k.VolumeMounts {
		f.add(FeatureSubPaths, m.SubPath != "")
	}
	for _, p := range k.Ports {
		f.add(FeatureUDP, p.HostPort != 0 && p.Protocol.Proto() == UDP)
	}
	f.add(FeatureProbes, k.StartupProbe != nil || k.ReadinessProbe != nil || k.LivenessProbe != nil)
	f.add(FeatureHooks, k.Lifecycle != nil)
	f.add(FeatureSecurity, k.SecurityContext != nil)
	f.add(FeatureTerminals, k.Stdin || k.StdinOnce || k.TTY)
}

// Needs is the features that the service needs, sorted.
func (s *ServiceSpec) Needs() []Feature {
	f := features{}
	for _, p := range s.Ports {
		f.add(FeatureUDP, p.Protocol.Proto() == UDP)
	}
	f.add(FeatureNodePorts, s.Type == ServiceNodePort)
	f.add(FeatureSessionAffinity, s.SessionAffinity == AffineClientIP)
	f.add(FeatureLocalTraffic, s.InternalTrafficPolicy == TrafficLocal || s.ExternalTrafficPolicy == TrafficLocal)
	f.add(FeatureNotReady, s.PublishNotReadyAddresses)
	return f.sorted()
}
