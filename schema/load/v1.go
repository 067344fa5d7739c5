package load

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"

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
		Replicas *int              `json:"replicas"`
		Selector map[string]string `json:"selector"`
		Template struct {
			Metadata struct {
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec v1PodSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
}

type v1PodSpec struct {
	Volumes                       []schema.Volume      `json:"volumes"`
	Containers                    []v1Container        `json:"containers"`
	RestartPolicy                 schema.RestartPolicy `json:"restartPolicy"`
	TerminationGracePeriodSeconds *int64               `json:"terminationGracePeriodSeconds"`
	NodeSelector                  map[string]string    `json:"nodeSelector"`
	NodeName                      string               `json:"nodeName"`
}

type v1Container struct {
	schema.Container
	Resources struct {
		Limits   v1ResourceList `json:"limits"`
		Requests v1ResourceList `json:"requests"`
	} `json:"resources"`
}

type v1ResourceList struct {
	CPU    quantity `json:"cpu"`
	Memory quantity `json:"memory"`
}

// quantity is a number or text, as text.
type quantity string

// UnmarshalJSON reads a number or a string.
func (q *quantity) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(q))
	}
	*q = quantity(b)
	return nil
}

func decodePod(b []byte) (*schema.Pod, []schema.Problem, error) {
	var in v1Pod
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode pod: %w", err)
	}
	spec, problems := in.Spec.convert("spec")
	return (&schema.Pod{Meta: in.Meta, Spec: spec}).Canonical(), problems, nil
}

func decodeReplicationController(b []byte) (*schema.ReplicationController, []schema.Problem, error) {
	var in v1ReplicationController
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, nil, fmt.Errorf("decode replication controller: %w", err)
	}
	t := &in.Spec.Template
	spec, problems := t.Spec.convert("spec", "template", "spec")
	out := &schema.ReplicationController{Meta: in.Meta, Spec: schema.ControllerSpec{
		Replicas: in.Spec.Replicas,
		Selector: in.Spec.Selector,
		Template: schema.Template{Labels: t.Metadata.Labels, Annotations: t.Metadata.Annotations, Spec: spec},
	}}
	return out.Canonical(), problems, nil
}

func decodeService(b []byte) (*schema.Service, []schema.Problem, error) {
	var out schema.Service
	if err := json.Unmarshal(b, &out); err != nil {
		return nil, nil, fmt.Errorf("decode service: %w", err)
	}
	for i := range out.Spec.Ports {
		if t := out.Spec.Ports[i].TargetPort; t != nil && *t == (schema.PortOrName{}) {
			out.Spec.Ports[i].TargetPort = nil // in v1, and unlike v1beta1, 0 and "" mean the same as nothing
		}
	}
	return out.Canonical(), nil, nil
}

func (s *v1PodSpec) convert(path ...string) (schema.PodSpec, []schema.Problem) {
	out := schema.PodSpec{
		Volumes:                       s.Volumes,
		RestartPolicy:                 s.RestartPolicy,
		TerminationGracePeriodSeconds: s.TerminationGracePeriodSeconds,
		NodeSelector:                  s.NodeSelector,
		NodeName:                      s.NodeName,
	}
	var problems []schema.Problem
	for i := range s.Containers {
		c := &s.Containers[i]
		k := c.Container
		problems = append(problems, references(&k, join(path, "containers", strconv.Itoa(i)))...)
		p := join(path, "containers", strconv.Itoa(i), "resources")
		for _, r := range []struct {
			name           string
			limit, request quantity
			parse          func(string) (int64, error)
			to             *int64
		}{
			{"cpu", c.Resources.Limits.CPU, c.Resources.Requests.CPU, schema.ParseMilliCPU, &k.Resources.MilliCPU},
			{"memory", c.Resources.Limits.Memory, c.Resources.Requests.Memory, schema.ParseBytes, &k.Resources.Memory},
		} {
			limit, request := int64(0), int64(0)
			var err error
			if r.limit != "" {
				if limit, err = r.parse(string(r.limit)); err != nil {
					problems = append(problems, schema.Problem{Path: join(p, "limits", r.name), Message: err.Error()})
					continue
				}
			}
			if r.request != "" {
				if request, err = r.parse(string(r.request)); err != nil {
					problems = append(problems, schema.Problem{Path: join(p, "requests", r.name), Message: err.Error()})
					continue
				}
				switch {
				case limit != 0 && request > limit:
					problems = append(problems, schema.Problem{Path: join(p, "requests", r.name), Message: fmt.Sprintf("%s is more than the limit of %s", r.request, r.limit)})
				case request != limit:
					problems = append(problems, schema.Problem{Path: join(p, "requests", r.name), Message: "a request that is not the limit is " + schema.NotYet, Hint: "a container is given what its limits say: write limits"})
				}
			}
			*r.to = limit
		}
		out.Containers = append(out.Containers, k)
	}
	return out, problems
}

var (
	reference = regexp.MustCompile(`(^|[^$])\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)`)
	ofService = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP)(_PROTO|_PORT|_ADDR)?)?)$`)
)

// references finds what v1 would replace with the value of a variable: "$(NAME)" of a variable that the container has.
// Anything else, as a shell's "$(hostname)", stays as it is in v1 too.
func references(c *schema.Container, path []string) []schema.Problem {
	var out []schema.Problem
	find := func(text string, at ...string) {
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			name := m[2]
			if ofService.MatchString(name) || slices.ContainsFunc(c.Env, func(e schema.EnvVar) bool { return e.Name == name }) {
				out = append(out, schema.Problem{Path: join(path, at...), Message: fmt.Sprintf("the reference $(%s) to a variable is %s", name, schema.NotYet), Hint: "let a shell in the container read the variable"})
				return
			}
		}
	}
	for i, s := range c.Command {
		find(s, "command", strconv.Itoa(i))
	}
	for i, s := range c.Args {
		find(s, "args", strconv.Itoa(i))
	}
	for i, e := range c.Env {
		find(e.Value, "env", strconv.Itoa(i), "value")
	}
	return out
}
