package schema

// Volume is a directory or file that containers mount by name. Exactly one source is set.
type Volume struct {
	Name        string          `json:"name"`
	EmptyDir    *EmptyDir       `json:"emptyDir,omitempty"`
	HostPath    *HostPath       `json:"hostPath,omitempty"`
	ConfigMap   *ConfigMapFiles `json:"configMap,omitempty"`
	Secret      *SecretFiles    `json:"secret,omitempty"`
	DownwardAPI *DownwardFiles  `json:"downwardAPI,omitempty"`
	Image       *ImageVolume    `json:"image,omitempty"`
}

// EmptyDir is an empty directory that lives as long as the pod's instance.
type EmptyDir struct {
	Medium    Medium `json:"medium,omitempty"`    // "" = the minion's disk
	SizeLimit Bytes  `json:"sizeLimit,omitempty"` // 0 = none
}

// Medium is what an empty directory is made of.
type Medium string

// MediumMemory is a tmpfs; what is in it counts as memory of the pod.
const MediumMemory Medium = "Memory"

// HostPath is a path of the minion, a socket such as /dev/log included. Without a type it is mounted as found and never created.
type HostPath struct {
	Path string       `json:"path"`
	Type HostPathType `json:"type,omitempty"`
}

// HostPathType is what a path of the minion has to be. The two that end in OrCreate make it (0755 or 0644, of root) where
// there is nothing.
type HostPathType string

// The types of host paths. "" checks nothing.
const (
	HostPathDirectoryOrCreate HostPathType = "DirectoryOrCreate"
	HostPathDirectory         HostPathType = "Directory"
	HostPathFileOrCreate      HostPathType = "FileOrCreate"
	HostPathFile              HostPathType = "File"
	HostPathSocket            HostPathType = "Socket"
	HostPathCharDevice        HostPathType = "CharDevice"
	HostPathBlockDevice       HostPathType = "BlockDevice"
)

// ConfigMapFiles shows the entries of a ConfigMap of the pod's namespace as files.
type ConfigMapFiles struct {
	Name        string    `json:"name"`
	Items       []KeyPath `json:"items,omitempty"`       // nil: every key, as a file of its name
	DefaultMode *int32    `json:"defaultMode,omitempty"` // permission bits, nil = 0644
	Optional    bool      `json:"optional,omitempty"`    // the ConfigMap or a key may be missing
}

// SecretFiles is as [ConfigMapFiles], for a Secret.
type SecretFiles struct {
	SecretName  string    `json:"secretName"`
	Items       []KeyPath `json:"items,omitempty"`
	DefaultMode *int32    `json:"defaultMode,omitempty"`
	Optional    bool      `json:"optional,omitempty"`
}

// KeyPath is one key of a ConfigMap or Secret and the file, relative to the volume, that shows it.
type KeyPath struct {
	Key  string `json:"key"`
	Path string `json:"path"`
	Mode *int32 `json:"mode,omitempty"` // permission bits, nil = the volume's default
}

// DownwardFiles shows what is known of the pod as files.
type DownwardFiles struct {
	Items       []DownwardFile `json:"items,omitempty"`
	DefaultMode *int32         `json:"defaultMode,omitempty"` // permission bits, nil = 0644
}

// DownwardFile is one fact and the file, relative to the volume, that shows it. One of the references is set.
type DownwardFile struct {
	Path             string             `json:"path"`
	FieldRef         *FieldReference    `json:"fieldRef,omitempty"`
	ResourceFieldRef *ResourceReference `json:"resourceFieldRef,omitempty"`
	Mode             *int32             `json:"mode,omitempty"`
}

// ImageVolume is the file tree of an image, read-only.
type ImageVolume struct {
	Reference  string     `json:"reference"`
	PullPolicy PullPolicy `json:"pullPolicy,omitempty"` // "" = by the image's tag
}
