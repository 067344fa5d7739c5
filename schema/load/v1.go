package load

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"reconciler/schema"
)

// The types below are the as-written form of v1 where it differs from the canonical one. What is accepted and dropped has
// no field.

type v1Pod struct {
	schema.Meta `json:"metadata"`
	Spec        v1PodSpec `json:"spec"`
}

type v1ReplicationController struct {
	schema.Meta `json:"metadata"`
	Spec        struct {
		Replicas        *int              `json:"replicas"`
		MinReadySeconds int32             `json:"minReadySeconds"`
		Selector        map[string]string `json:"selector"`
		Template        struct {
			Metadata struct {
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec v1PodSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type v1PodSpec struct {
	schema.PodSpec
	InitContainers []v1Container `json:"initContainers"`
	Containers     []v1Container `json:"containers"`
}

type v1Container struct {
	schema.Container
	Resources struct {
		Limits   v1Limits            `json:"limits"`
		Requests schema.ResourceList `json:"requests"`
	} `json:"resources"`
}

type v1Limits struct {
	schema.ResourceList
	PIDs int64 `json:"pids"`
}

type v1Service struct {
	schema.Meta `json:"metadata"`
	Spec        struct {
		schema.ServiceSpec
		ClusterIPs            []string `json:"clusterIPs"`
		SessionAffinityConfig struct {
			ClientIP struct {
				TimeoutSeconds int32 `json:"timeoutSeconds"`
			} `json:"clientIP"`
		} `json:"sessionAffinityConfig"`
	} `json:"spec"`
}

type v1ConfigMap struct {
	schema.Meta `json:"metadata"`
	Data        map[string]string `json:"data"`
	BinaryData  map[string]string `json:"binaryData"`
	Immutable   bool              `json:"immutable"`
}

type v1Secret struct {
	schema.Meta `json:"metadata"`
	Type        string            `json:"type"`
	Data        map[string]string `json:"data"`
	StringData  map[string]string `json:"stringData"`
	Immutable   bool              `json:"immutable"`
}

// decoder makes the canonical object of the JSON of one that has passed its definition. The error means that it has not.
type decoder func(b []byte) (schema.Object, []schema.Problem, error)

// canonical is an object with a canonical form, which is of the same type.
type canonical[T any] interface {
	*T
	schema.Object
	Canonical() *T
}

// plain decodes a kind whose as-written form is the canonical one.
func plain[T any, P canonical[T]](b []byte) (schema.Object, []schema.Problem, error) {
	var in T
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode object: %w", err)
	}
	return P(P(&in).Canonical()), nil, nil
}

var v1Decoders = map[schema.Kind]decoder{
	schema.KindPod:                   decodePod,
	schema.KindService:               decodeService,
	schema.KindReplicationController: decodeReplicationController,
	schema.KindEndpoints:             plain[schema.Endpoints],
	schema.KindConfigMap:             decodeConfigMap,
	schema.KindSecret:                decodeSecret,
	schema.KindNamespace:             plain[schema.Namespace],
	schema.KindNode:                  plain[schema.Node],
}

func decodePod(b []byte) (schema.Object, []schema.Problem, error) {
	var in v1Pod
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode pod: %w", err)
	}
	spec, problems := in.Spec.convert("spec")
	return (&schema.Pod{Meta: in.Meta, Spec: spec}).Canonical(), problems, nil
}

func decodeReplicationController(b []byte) (schema.Object, []schema.Problem, error) {
	var in v1ReplicationController
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode replication controller: %w", err)
	}
	t := &in.Spec.Template
	spec, problems := t.Spec.convert("spec", "template", "spec")
	out := &schema.ReplicationController{Meta: in.Meta, Spec: schema.ControllerSpec{
		Replicas:        in.Spec.Replicas,
		MinReadySeconds: in.Spec.MinReadySeconds,
		Selector:        in.Spec.Selector,
		Template:        schema.Template{Labels: t.Metadata.Labels, Annotations: t.Metadata.Annotations, Spec: spec},
	}}
	return out.Canonical(), problems, nil
}

func decodeService(b []byte) (schema.Object, []schema.Problem, error) {
	var in v1Service
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode service: %w", err)
	}
	out := &schema.Service{Meta: in.Meta, Spec: in.Spec.ServiceSpec}
	out.Spec.SessionTimeoutSeconds = in.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds
	for i := range out.Spec.Ports {
		if t := out.Spec.Ports[i].TargetPort; t != nil && *t == (schema.PortOrName{}) {
			out.Spec.Ports[i].TargetPort = nil // in v1, and unlike v1beta1, 0 and "" mean the same as nothing
		}
	}
	var problems []schema.Problem
	switch ips := in.Spec.ClusterIPs; {
	case len(ips) > 1:
		problems = append(problems, schema.Problem{Path: []string{"spec", "clusterIPs"}, Message: "a second address is " + schema.NotYet})
	case len(ips) == 1 && out.Spec.ClusterIP == "":
		out.Spec.ClusterIP = ips[0]
	case len(ips) == 1 && out.Spec.ClusterIP != ips[0]:
		problems = append(problems, schema.Problem{Path: []string{"spec", "clusterIPs", "0"}, Message: fmt.Sprintf("%q is not the clusterIP, %q", ips[0], out.Spec.ClusterIP), Hint: "leave it out",
			Because: [][]string{{"spec", "clusterIPs"}, {"spec", "clusterIP"}}})
	}
	return out.Canonical(), problems, nil
}

func decodeConfigMap(b []byte) (schema.Object, []schema.Problem, error) {
	var in v1ConfigMap
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode config map: %w", err)
	}
	binary, problems := fromBase64(in.BinaryData, "binaryData")
	return (&schema.ConfigMap{Meta: in.Meta, Data: in.Data, BinaryData: binary, Immutable: in.Immutable}).Canonical(), problems, nil
}

func decodeSecret(b []byte) (schema.Object, []schema.Problem, error) {
	var in v1Secret
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode secret: %w", err)
	}
	data, problems := fromBase64(in.Data, "data")
	for k, v := range in.StringData {
		data[k] = []byte(v)
	}
	return (&schema.Secret{Meta: in.Meta, Type: in.Type, Data: data, Immutable: in.Immutable}).Canonical(), problems, nil
}

func fromBase64(m map[string]string, field string) (map[string][]byte, []schema.Problem) {
	out := make(map[string][]byte, len(m))
	var problems []schema.Problem
	for k, v := range m {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(v), ""))
		if err != nil {
			problems = append(problems, schema.Problem{Path: []string{field, k}, Message: "the value is not base64", Hint: "write text under " + map[string]string{"data": "stringData", "binaryData": "data"}[field]})
		}
		out[k] = b
	}
	slices.SortFunc(problems, func(a, b schema.Problem) int { return strings.Compare(a.Path[1], b.Path[1]) })
	return out, problems
}

func (s *v1PodSpec) convert(path ...string) (schema.PodSpec, []schema.Problem) {
	out := s.PodSpec
	var problems []schema.Problem
	for _, l := range []struct {
		field string
		from  []v1Container
		to    *[]schema.Container
	}{{"initContainers", s.InitContainers, &out.InitContainers}, {"containers", s.Containers, &out.Containers}} {
		for i := range l.from {
			k, bad := l.from[i].convert(join(path, l.field, strconv.Itoa(i), "resources"))
			problems = append(problems, bad...)
			*l.to = append(*l.to, k)
		}
	}
	return out, problems
}

// convert reads the quantities of a container's resources, which are at path.
func (c *v1Container) convert(path []string) (schema.Container, []schema.Problem) {
	out := c.Container
	limits := &c.Resources.Limits
	var problems []schema.Problem
	out.Resources, problems = schema.Resources{PIDs: limits.PIDs}.With(limits.ResourceList, c.Resources.Requests, path...)
	return out, problems
}
