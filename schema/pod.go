package schema

// RestartPolicy says what happens when a container ends.
type RestartPolicy string

// The restart policies. Always is the default.
const (
	RestartAlways    RestartPolicy = "Always"
	RestartOnFailure RestartPolicy = "OnFailure"
	RestartNever     RestartPolicy = "Never"
)

// PullPolicy says when an image is fetched.
type PullPolicy string

// The pull policies. The default is PullAlways for images tagged latest or not at all, else PullIfNotPresent.
const (
	PullAlways       PullPolicy = "Always"
	PullIfNotPresent PullPolicy = "IfNotPresent"
	PullNever        PullPolicy = "Never"
)

// Protocol of a port, upper case.
type Protocol string

// The protocols. TCP is the default and omitted in canonical form.
const (
	TCP Protocol = "TCP"
	UDP Protocol = "UDP"
)

// PodSpec is what a pod runs. Containers has at least one entry; names are unique among Containers and InitContainers.
type PodSpec struct {
	Volumes                       []Volume          `json:"volumes,omitempty"`
	InitContainers                []Container       `json:"initContainers,omitempty"` // run one after the other, before Containers
	Containers                    []Container       `json:"containers"`
	RestartPolicy                 RestartPolicy     `json:"restartPolicy,omitempty"`                 // "" = Always
	TerminationGracePeriodSeconds *int64            `json:"terminationGracePeriodSeconds,omitempty"` // nil = 30
	DNSPolicy                     DNSPolicy         `json:"dnsPolicy,omitempty"`                     // "" = ClusterFirst
	DNSConfig                     *DNSConfig        `json:"dnsConfig,omitempty"`
	HostAliases                   []HostAlias       `json:"hostAliases,omitempty"`
	Hostname                      string            `json:"hostname,omitempty"` // "" = the pod's name
	HostNetwork                   bool              `json:"hostNetwork,omitempty"`
	HostPID                       bool              `json:"hostPID,omitempty"`
	HostIPC                       bool              `json:"hostIPC,omitempty"`
	ShareProcessNamespace         bool              `json:"shareProcessNamespace,omitempty"`
	EnableServiceLinks            *bool             `json:"enableServiceLinks,omitempty"` // nil = true: service variables are given
	SecurityContext               *PodSecurity      `json:"securityContext,omitempty"`
	ImagePullSecrets              []LocalReference  `json:"imagePullSecrets,omitempty"` // secrets of the pod's namespace
	NodeSelector                  map[string]string `json:"nodeSelector,omitempty"`
	NodeName                      string            `json:"nodeName,omitempty"` // "" = the plan chooses
	Affinity                      *Affinity         `json:"affinity,omitempty"`
	Tolerations                   []Toleration      `json:"tolerations,omitempty"`
	TopologySpreadConstraints     []TopologySpread  `json:"topologySpreadConstraints,omitempty"`
	Priority                      int32             `json:"priority,omitempty"` // the higher goes first, and may displace the lower
}

// LocalReference names an object of the same namespace.
type LocalReference struct {
	Name string `json:"name"`
}

// Container is one process tree from an image. Command replaces the image's entrypoint, Args its arguments. In both, and in
// values of Env, $(NAME) stands for a variable and $$(NAME) for itself, see [Expand].
type Container struct {
	Name            string             `json:"name"`
	Image           string             `json:"image"`
	Command         []string           `json:"command,omitempty"`
	Args            []string           `json:"args,omitempty"`
	WorkingDir      string             `json:"workingDir,omitempty"`
	Ports           []Port             `json:"ports,omitempty"`
	EnvFrom         []EnvFrom          `json:"envFrom,omitempty"`
	Env             []EnvVar           `json:"env,omitempty"`
	Resources       Resources          `json:"resources,omitzero"`
	VolumeMounts    []VolumeMount      `json:"volumeMounts,omitempty"`
	StartupProbe    *Probe             `json:"startupProbe,omitempty"`
	ReadinessProbe  *Probe             `json:"readinessProbe,omitempty"`
	LivenessProbe   *Probe             `json:"livenessProbe,omitempty"`
	Lifecycle       *Lifecycle         `json:"lifecycle,omitempty"`
	SecurityContext *ContainerSecurity `json:"securityContext,omitempty"`
	ImagePullPolicy PullPolicy         `json:"imagePullPolicy,omitempty"` // "" = by the image's tag, see PullPolicy
	RestartPolicy   RestartPolicy      `json:"restartPolicy,omitempty"`   // of init containers: Always makes a sidecar
	Stdin           bool               `json:"stdin,omitempty"`
	StdinOnce       bool               `json:"stdinOnce,omitempty"`
	TTY             bool               `json:"tty,omitempty"`
}

// Port is a port that a container listens on. HostPort, if not 0, is the same port of the minion's own address.
type Port struct {
	Name          string   `json:"name,omitempty"`
	HostPort      uint16   `json:"hostPort,omitempty"`
	ContainerPort uint16   `json:"containerPort"`
	Protocol      Protocol `json:"protocol,omitempty"` // "" = TCP
}

// Resources are a container's limits, enforced by the kernel, and what placement reserves for it. Zero means no limit.
type Resources struct {
	MilliCPU int64     `json:"milliCPU,omitempty"` // thousandths of a core
	Memory   int64     `json:"memory,omitempty"`   // bytes
	Storage  int64     `json:"storage,omitempty"`  // bytes of the minion's disk (ephemeral-storage)
	PIDs     int64     `json:"pids,omitempty"`     // processes and threads
	Requests *Requests `json:"requests,omitempty"` // nil: what is reserved is the limits
}

// Requests is what placement reserves where that is not the limit. nil means the limit.
type Requests struct {
	MilliCPU *int64 `json:"milliCPU,omitempty"`
	Memory   *int64 `json:"memory,omitempty"`
	Storage  *int64 `json:"storage,omitempty"`
}

// VolumeMount mounts a volume of the pod at an absolute path of the container.
type VolumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	SubPath   string `json:"subPath,omitempty"` // a path inside the volume, "" = all of it
	ReadOnly  bool   `json:"readOnly,omitempty"`
}
