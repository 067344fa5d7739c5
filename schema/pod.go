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

// PodSpec is what a pod runs. Containers has at least one entry, names unique.
type PodSpec struct {
	Volumes                       []Volume          `json:"volumes,omitempty"`
	Containers                    []Container       `json:"containers"`
	RestartPolicy                 RestartPolicy     `json:"restartPolicy,omitempty"`                 // "" = Always
	TerminationGracePeriodSeconds *int64            `json:"terminationGracePeriodSeconds,omitempty"` // nil = 30
	NodeSelector                  map[string]string `json:"nodeSelector,omitempty"`
	NodeName                      string            `json:"nodeName,omitempty"` // "" = the plan chooses
}

// Volume is a directory or file that containers mount by name. Exactly one source is set; EmptyDir is made with the pod and
// removed with it.
type Volume struct {
	Name     string    `json:"name"`
	EmptyDir *EmptyDir `json:"emptyDir,omitempty"`
	HostPath *HostPath `json:"hostPath,omitempty"`
}

// EmptyDir is an empty directory that lives as long as the pod's instance.
type EmptyDir struct{}

// HostPath is a path of the minion, a socket such as /dev/log included. It is mounted as found and never created.
type HostPath struct {
	Path string `json:"path"`
}

// Container is one process tree from an image. Command replaces the image's entrypoint, Args its arguments.
type Container struct {
	Name            string        `json:"name"`
	Image           string        `json:"image"`
	Command         []string      `json:"command,omitempty"`
	Args            []string      `json:"args,omitempty"`
	WorkingDir      string        `json:"workingDir,omitempty"`
	Ports           []Port        `json:"ports,omitempty"`
	Env             []EnvVar      `json:"env,omitempty"`
	Resources       Resources     `json:"resources,omitzero"`
	VolumeMounts    []VolumeMount `json:"volumeMounts,omitempty"`
	ImagePullPolicy PullPolicy    `json:"imagePullPolicy,omitempty"` // "" = by the image's tag, see PullPolicy
}

// Port is a port that a container listens on. HostPort, if not 0, is the same port of the minion's own address.
type Port struct {
	Name          string   `json:"name,omitempty"`
	HostPort      uint16   `json:"hostPort,omitempty"`
	ContainerPort uint16   `json:"containerPort"`
	Protocol      Protocol `json:"protocol,omitempty"` // "" = TCP
}

// EnvVar is an environment variable with a plain value.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Resources are hard limits, which are also what placement reserves. Zero means none.
type Resources struct {
	MilliCPU int64 `json:"milliCPU,omitempty"` // thousandths of a core
	Memory   int64 `json:"memory,omitempty"`   // bytes
}

// VolumeMount mounts a volume of the pod at an absolute path of the container.
type VolumeMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}
