package schema

// Probe asks a container how it is. Exactly one of Exec, HTTPGet, TCPSocket and GRPC is set. Times are in seconds.
type Probe struct {
	Exec                          *ExecAction `json:"exec,omitempty"`
	HTTPGet                       *HTTPAction `json:"httpGet,omitempty"`
	TCPSocket                     *TCPAction  `json:"tcpSocket,omitempty"`
	GRPC                          *GRPCAction `json:"grpc,omitempty"`
	InitialDelaySeconds           int32       `json:"initialDelaySeconds,omitempty"`
	TimeoutSeconds                int32       `json:"timeoutSeconds,omitempty"`   // 0 = 1
	PeriodSeconds                 int32       `json:"periodSeconds,omitempty"`    // 0 = 10
	SuccessThreshold              int32       `json:"successThreshold,omitempty"` // 0 = 1; more is for readiness alone
	FailureThreshold              int32       `json:"failureThreshold,omitempty"` // 0 = 3
	TerminationGracePeriodSeconds *int64      `json:"terminationGracePeriodSeconds,omitempty"`
}

// The defaults of a probe.
const (
	DefaultProbeTimeout  = 1
	DefaultProbePeriod   = 10
	DefaultProbeSuccess  = 1
	DefaultProbeFailures = 3
)

// ExecAction runs a command in the container, without a shell; exit status 0 is success.
type ExecAction struct {
	Command []string `json:"command,omitempty"`
}

// HTTPAction is a GET request; a status from 200 to 399 is success.
type HTTPAction struct {
	Path    string       `json:"path,omitempty"` // "" = "/"
	Port    PortOrName   `json:"port"`
	Host    string       `json:"host,omitempty"`   // "" = the pod's address
	Scheme  string       `json:"scheme,omitempty"` // "" = HTTP; or HTTPS, whose certificate is not checked
	Headers []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is one header of a request.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPAction is success if the port accepts a connection.
type TCPAction struct {
	Port PortOrName `json:"port"`
	Host string     `json:"host,omitempty"` // "" = the pod's address
}

// GRPCAction asks the gRPC health service (grpc.health.v1).
type GRPCAction struct {
	Port    uint16 `json:"port"`
	Service string `json:"service,omitempty"`
}

// SleepAction waits.
type SleepAction struct {
	Seconds int64 `json:"seconds"`
}

// Lifecycle is what is done when a container has started and before it is stopped.
type Lifecycle struct {
	PostStart *Hook `json:"postStart,omitempty"`
	PreStop   *Hook `json:"preStop,omitempty"` // its time counts against the grace period
}

// Hook is one action of a [Lifecycle]. Exactly one is set.
type Hook struct {
	Exec      *ExecAction  `json:"exec,omitempty"`
	HTTPGet   *HTTPAction  `json:"httpGet,omitempty"`
	TCPSocket *TCPAction   `json:"tcpSocket,omitempty"`
	Sleep     *SleepAction `json:"sleep,omitempty"`
}
