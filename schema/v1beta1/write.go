package v1beta1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"reconciler/schema"
)

// Version1 and Version2 are the two versions of 2014.
const (
	Version1 = "v1beta1"
	Version2 = "v1beta2"
)

// The types below are what people wrote, in the order in which they did: the fields of the output without what only a
// server adds, and one name for each.

type plainMeta struct {
	APIVersion  string            `json:"apiVersion"`
	Kind        schema.Kind       `json:"kind"`
	ID          string            `json:"id"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type plainPod struct {
	plainMeta
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	DesiredState plainState        `json:"desiredState"`
}

type plainState struct {
	Host     string        `json:"host,omitempty"`
	Manifest plainManifest `json:"manifest"`
}

type plainManifest struct {
	Version       string            `json:"version"`
	ID            string            `json:"id,omitempty"` // old files have one
	RestartPolicy *outRestartPolicy `json:"restartPolicy,omitempty"`
	DNSPolicy     schema.DNSPolicy  `json:"dnsPolicy,omitempty"`
	HostNetwork   bool              `json:"hostNetwork,omitempty"`
	Containers    []plainContainer  `json:"containers"`
	Volumes       []plainVolume     `json:"volumes,omitempty"`
}

type plainContainer struct {
	outContainer
	Ports           []plainPort   `json:"ports,omitempty"`
	Env             []plainEnvVar `json:"env,omitempty"`
	VolumeMounts    []plainMount  `json:"volumeMounts,omitempty"`
	ImagePullPolicy string        `json:"imagePullPolicy,omitempty"`
}

type plainPort struct {
	Name          string          `json:"name,omitempty"`
	ContainerPort uint16          `json:"containerPort"`
	HostPort      uint16          `json:"hostPort,omitempty"`
	Protocol      schema.Protocol `json:"protocol,omitempty"`
}

type plainEnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type plainMount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

type plainVolume struct {
	Name   string      `json:"name"`
	Source plainSource `json:"source"`
}

type plainSource struct {
	HostDir  *outHostDir  `json:"hostDir,omitempty"`
	EmptyDir *outEmptyDir `json:"emptyDir,omitempty"`
	Secret   *outSecret   `json:"secret,omitempty"`
}

type plainController struct {
	plainMeta
	DesiredState plainControllerState `json:"desiredState"`
}

type plainControllerState struct {
	Replicas        int               `json:"replicas"`
	ReplicaSelector map[string]string `json:"replicaSelector"`
	PodTemplate     plainTemplate     `json:"podTemplate"`
}

type plainTemplate struct {
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	DesiredState plainState        `json:"desiredState"`
}

type plainService struct {
	plainMeta
	Port            uint16             `json:"port"`
	Protocol        schema.Protocol    `json:"protocol,omitempty"`
	ContainerPort   *schema.PortOrName `json:"containerPort,omitempty"`
	Selector        map[string]string  `json:"selector,omitempty"`
	PortalIP        string             `json:"portalIP,omitempty"`
	PublicIPs       []string           `json:"publicIPs,omitempty"`
	SessionAffinity schema.Affine      `json:"sessionAffinity,omitempty"`
}

type plainEndpoints struct {
	plainMeta
	Protocol  schema.Protocol `json:"protocol,omitempty"`
	Endpoints []string        `json:"endpoints"`
}

type plainMinion struct {
	plainMeta
	Spec *plainMinionSpec `json:"spec,omitempty"`
}

type plainMinionSpec struct {
	Unschedulable bool `json:"unschedulable"`
}

// Write is the value whose JSON is o, in canonical form, as people wrote it in a version, and what that version cannot say
// of o, with paths of o. The value is nil if it does not know the kind. Whether names fit the rules of 2014 is for the
// definitions to say, when the result is loaded.
func Write(o schema.Object, version string) (any, []schema.Problem) {
	out, back := write(o, version)
	if out == nil {
		return nil, []schema.Problem{{Path: []string{"kind"}, Message: fmt.Sprintf("%s has no %s", version, o.Key().Kind)}}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("v1beta1: marshal object: " + err.Error())
	}
	// What it means when it is read again is compared with what it should: no field can be forgotten here.
	again, problems, err := back(b)
	if err != nil {
		return out, []schema.Problem{{Path: []string{"metadata", "name"}, Message: fmt.Sprintf("%s cannot say it: %v", version, err)}}
	}
	if len(problems) == 0 && again.Hash() == o.Hash() {
		return out, nil
	}
	d := difference{version: version}
	d.compare(tree(o), tree(again), nil)
	if len(d.problems) == 0 {
		d.add(nil)
	}
	return out, d.problems
}

type reader func([]byte) (schema.Object, []schema.Problem, error)

func readerOf[T schema.Object](f func([]byte) (T, []schema.Problem, error)) reader {
	return func(b []byte) (schema.Object, []schema.Problem, error) { return f(b) }
}

// write is o as far as the version can say it, and what reads it.
func write(o schema.Object, version string) (any, reader) {
	m := *o.Metadata()
	if m.Namespace == schema.DefaultNamespace {
		m.Namespace = ""
	}
	meta := plainMeta{version, o.Key().Kind, m.Name, m.Namespace, m.Labels, m.Annotations}
	switch o := o.(type) {
	case *schema.Pod:
		return plainPod{meta, o.Spec.NodeSelector, plainStateOf(&o.Spec, m.Name, version)}, readerOf(DecodePod)
	case *schema.ReplicationController:
		t := &o.Spec.Template
		return plainController{meta, plainControllerState{o.Spec.Count(), o.Spec.Matches(), plainTemplate{
			t.Labels, t.Annotations, t.Spec.NodeSelector, plainStateOf(&t.Spec, m.Name, version),
		}}}, readerOf(DecodeReplicationController)
	case *schema.Service:
		return plainServiceOf(o, meta), readerOf(DecodeService)
	case *schema.Endpoints:
		return plainEndpointsOf(o, meta), readerOf(DecodeEndpoints)
	case *schema.Namespace:
		return meta, readerOf(DecodeNamespace)
	case *schema.Node:
		meta.Kind = "Minion"
		out := plainMinion{plainMeta: meta}
		if o.Spec.Unschedulable {
			out.Spec = &plainMinionSpec{true}
		}
		return out, readerOf(DecodeMinion)
	}
	return nil, nil
}

func plainServiceOf(o *schema.Service, meta plainMeta) plainService {
	s := &o.Spec
	out := plainService{plainMeta: meta, Selector: s.Selector, PortalIP: s.ClusterIP, PublicIPs: s.ExternalIPs, SessionAffinity: s.SessionAffinity}
	if len(s.Ports) == 0 {
		return out
	}
	p := s.Ports[0]
	out.Port, out.Protocol = p.Port, p.Protocol
	switch {
	case p.TargetPort == nil:
		out.ContainerPort = &schema.PortOrName{Number: p.Port}
	case *p.TargetPort != (schema.PortOrName{}): // that is what it means to leave it out
		out.ContainerPort = p.TargetPort
	}
	return out
}

func plainEndpointsOf(o *schema.Endpoints, meta plainMeta) plainEndpoints {
	out := plainEndpoints{plainMeta: meta, Endpoints: []string{}}
	for _, s := range o.Subsets {
		for _, p := range s.Ports {
			out.Protocol = p.Protocol
			for _, a := range s.Addresses {
				if ip, err := netip.ParseAddr(a.IP); err == nil {
					out.Endpoints = append(out.Endpoints, netip.AddrPortFrom(ip, p.Port).String())
				}
			}
		}
	}
	return out
}

func plainStateOf(s *schema.PodSpec, id, version string) plainState {
	out := plainManifest{Version: version, ID: id, DNSPolicy: s.DNSPolicy, HostNetwork: s.HostNetwork}
	if s.RestartPolicy != "" {
		out.RestartPolicy = outRestartPolicyOf(s)
	}
	for i := range s.Containers {
		c := outContainerOf(&s.Containers[i])
		p := plainContainer{outContainer: c, ImagePullPolicy: c.ImagePullPolicy}
		for _, x := range s.Containers[i].Ports {
			p.Ports = append(p.Ports, plainPort{x.Name, x.ContainerPort, x.HostPort, x.Protocol})
		}
		for _, x := range c.Env {
			p.Env = append(p.Env, plainEnvVar{x.Name, x.Value})
		}
		for _, x := range c.VolumeMounts {
			p.VolumeMounts = append(p.VolumeMounts, plainMount{x.Name, x.MountPath, x.ReadOnly})
		}
		out.Containers = append(out.Containers, p)
	}
	for i := range s.Volumes {
		v := outSourceOf(&s.Volumes[i])
		out.Volumes = append(out.Volumes, plainVolume{s.Volumes[i].Name, plainSource{v.HostDir, v.EmptyDir, v.Secret}})
	}
	return plainState{s.NodeName, out}
}

// tree is the JSON of an object, as maps and lists.
func tree(o schema.Object) any {
	b, err := json.Marshal(o)
	if err != nil {
		panic("v1beta1: marshal object: " + err.Error())
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic("v1beta1: decode object: " + err.Error())
	}
	return v
}

// difference collects what is lost between an object and what was made of it.
type difference struct {
	version  string
	problems []schema.Problem
}

func (d *difference) compare(want, got any, path []string) {
	at := func(e string) []string { return append(path[:len(path):len(path)], e) }
	switch w := want.(type) {
	case map[string]any:
		g, _ := got.(map[string]any)
		before := len(d.problems)
		for _, k := range slices.Sorted(maps.Keys(w)) {
			x, ok := g[k]
			switch {
			case !ok && slices.Contains(parts, k):
				d.compare(w[k], nil, at(k))
			case !ok:
				d.add(at(k))
			default:
				d.compare(w[k], x, at(k))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, ok := w[k]; !ok && len(d.problems) == before {
				d.add(at(k))
			}
		}
	case []any:
		g, _ := got.([]any)
		for i := range w {
			if i < len(g) {
				d.compare(w[i], g[i], at(strconv.Itoa(i)))
			} else {
				d.add(at(strconv.Itoa(i)))
			}
		}
		if len(g) > len(w) {
			d.add(path)
		}
	default:
		if want != got {
			d.add(path)
		}
	}
}

// parts are the fields of which the old form can say some and not others.
var parts = []string{"securityContext", "resources", "requests"}

func (d *difference) add(path []string) {
	p := schema.Problem{Path: path, Message: d.version + " cannot say it"}
	for _, r := range reasons {
		if r.match(path) {
			p.Message, p.Hint = strings.ReplaceAll(r.message, "VERSION", d.version), r.hint
			break
		}
	}
	d.problems = append(d.problems, p)
}

type reason struct {
	path          string // its end; a part in it is "*" for any
	message, hint string
}

func (r reason) match(path []string) bool {
	want := strings.Fields(r.path)
	if len(path) < len(want) {
		return false
	}
	for i, e := range path[len(path)-len(want):] {
		if want[i] != e && want[i] != "*" {
			return false
		}
	}
	return true
}

var reasons = []reason{
	{"spec ports *", "a service of VERSION has one port", "write a service for each port"},
	{"spec ports", "a service of VERSION has one port", ""},
	{"spec ports * name", "the port of a service has no name in VERSION", ""},
	{"spec ports * nodePort", "VERSION has no ports of minions", ""},
	{"spec type", "VERSION has no types of services", "publicIPs are addresses that minions answer on"},
	{"initContainers", "VERSION has no init containers", ""},
	{"valueFrom", "VERSION has no variables from elsewhere", "write the value"},
	{"envFrom", "VERSION has no variables from elsewhere", "write env"},
	{"args *", "VERSION has no references to variables", "write the value"},
	{"command *", "VERSION has no references to variables", "write the value"},
	{"env * value", "VERSION has no references to variables", "write the value"},
	{"configMap", "VERSION has no ConfigMaps", ""},
	{"tolerations", "VERSION has no taints", ""},
	{"taints", "VERSION has no taints", ""},
	{"affinity", "VERSION has no affinity", "nodeSelector chooses by labels of minions"},
	{"spec subsets *", "VERSION lists addresses with one port and no names of ports", ""},
	{"spec subsets", "VERSION lists addresses with one port and no names of ports", ""},
}
