package schema

// PodSecurity holds for all containers of a pod; a container's own wins.
type PodSecurity struct {
	RunAsUser           *int64   `json:"runAsUser,omitempty"`  // nil = what the image says
	RunAsGroup          *int64   `json:"runAsGroup,omitempty"` // nil = what the image says
	RunAsNonRoot        bool     `json:"runAsNonRoot,omitempty"`
	FSGroup             *int64   `json:"fsGroup,omitempty"`             // group of the pod's volumes, and of its processes besides
	FSGroupChangePolicy string   `json:"fsGroupChangePolicy,omitempty"` // "" = Always; or OnRootMismatch
	SupplementalGroups  []int64  `json:"supplementalGroups,omitempty"`
	SeccompProfile      *Seccomp `json:"seccompProfile,omitempty"`
	Sysctls             []Sysctl `json:"sysctls,omitempty"`
}

// ContainerSecurity is what a container's processes may do.
type ContainerSecurity struct {
	RunAsUser                *int64        `json:"runAsUser,omitempty"`
	RunAsGroup               *int64        `json:"runAsGroup,omitempty"`
	RunAsNonRoot             *bool         `json:"runAsNonRoot,omitempty"`
	Privileged               bool          `json:"privileged,omitempty"`
	ReadOnlyRootFilesystem   bool          `json:"readOnlyRootFilesystem,omitempty"`
	AllowPrivilegeEscalation *bool         `json:"allowPrivilegeEscalation,omitempty"` // nil = true; false sets no_new_privs
	Capabilities             *Capabilities `json:"capabilities,omitempty"`
	SeccompProfile           *Seccomp      `json:"seccompProfile,omitempty"`
}

// Capabilities are changes to the default set of capabilities(7), named without CAP_; ALL is all of them.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// Seccomp chooses a filter of system calls: RuntimeDefault, Unconfined, or Localhost with a file of the minion.
type Seccomp struct {
	Type             string `json:"type"`
	LocalhostProfile string `json:"localhostProfile,omitempty"`
}

// Sysctl is a kernel parameter of the pod's own namespaces, as "net.core.somaxconn".
type Sysctl struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// DNSPolicy says how a pod's names are resolved.
type DNSPolicy string

// The DNS policies. ClusterFirst is the default: services by name, the rest as the minion does it.
const (
	DNSClusterFirst            DNSPolicy = "ClusterFirst"
	DNSClusterFirstWithHostNet DNSPolicy = "ClusterFirstWithHostNet"
	DNSDefault                 DNSPolicy = "Default" // as the minion does it
	DNSNone                    DNSPolicy = "None"    // by DNSConfig alone
)

// DNSConfig is added to what the policy gives.
type DNSConfig struct {
	Nameservers []string    `json:"nameservers,omitempty"`
	Searches    []string    `json:"searches,omitempty"`
	Options     []DNSOption `json:"options,omitempty"`
}

// DNSOption is one option of resolv.conf(5).
type DNSOption struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// HostAlias is a line of the pod's hosts file.
type HostAlias struct {
	IP        string   `json:"ip"`
	Hostnames []string `json:"hostnames,omitempty"`
}
