package v1

import (
	"fmt"
	"slices"
	"strconv"

	"reconciler/schema"
)

// Version is the apiVersion of what is written.
const Version = "v1"

// ownVersion is that of kinds that are this project's own.
const ownVersion = "reconciler/v1"

type typeMeta struct {
	APIVersion string      `json:"apiVersion"`
	Kind       schema.Kind `json:"kind"`
}

// The types below are the as-written form where it differs from the canonical one, in the order in which people write. They
// embed what does not differ, so that a field that is added there is written too.

type pod struct {
	typeMeta
	schema.Meta `json:"metadata"`
	Spec        podSpec `json:"spec"`
}

type replicationController struct {
	typeMeta
	schema.Meta `json:"metadata"`
	Spec        controllerSpec `json:"spec"`
}

type controllerSpec struct {
	schema.ControllerSpec
	Template template `json:"template"`
}

type template struct {
	Metadata templateMeta `json:"metadata,omitzero"`
	Spec     podSpec      `json:"spec"`
}

type templateMeta struct {
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type podSpec struct {
	InitContainers []container `json:"initContainers,omitempty"`
	Containers     []container `json:"containers"`
	schema.PodSpec
	Volumes []volume `json:"volumes,omitempty"`
}

type container struct {
	schema.Container
	Resources resources `json:"resources,omitzero"`
}

type resources struct {
	Requests resourceList `json:"requests,omitzero"`
	Limits   limits       `json:"limits,omitzero"`
}

type limits struct {
	resourceList
	PIDs int64 `json:"pids,omitempty"`
}

type resourceList struct {
	CPU     schema.Quantity `json:"cpu,omitempty"`
	Memory  schema.Quantity `json:"memory,omitempty"`
	Storage schema.Quantity `json:"ephemeral-storage,omitempty"`
}

type volume struct {
	schema.Volume
	EmptyDir *emptyDir `json:"emptyDir,omitempty"`
}

type emptyDir struct {
	Medium    schema.Medium   `json:"medium,omitempty"`
	SizeLimit schema.Quantity `json:"sizeLimit,omitempty"`
}

type service struct {
	typeMeta
	schema.Meta `json:"metadata"`
	Spec        serviceSpec `json:"spec"`
}

type serviceSpec struct {
	schema.ServiceSpec
	SessionTimeoutSeconds *int32           `json:"sessionTimeoutSeconds,omitempty"` // hides the canonical one, which is deeper in v1
	SessionAffinityConfig *sessionAffinity `json:"sessionAffinityConfig,omitempty"`
}

type sessionAffinity struct {
	ClientIP struct {
		TimeoutSeconds int32 `json:"timeoutSeconds"`
	} `json:"clientIP"`
}

type endpoints struct {
	typeMeta
	*schema.Endpoints
}

type configMap struct {
	typeMeta
	*schema.ConfigMap
}

type secret struct {
	typeMeta
	*schema.Secret
}

type namespace struct {
	typeMeta
	*schema.Namespace
}

type node struct {
	typeMeta
	*schema.Node
}

type cluster struct {
	typeMeta
	*schema.Cluster
}

type policy struct {
	typeMeta
	*schema.Policy
}

// FirstPort is what v1 has no word for: that a service goes to the first port of a pod's first container, as a service of
// v1beta1 without containerPort does.
const FirstPort = "v1 cannot say \"the first port of the first container\"; the port of the service is what v1 takes"

// Write is the value whose JSON is o, in canonical form, as people write it; of a Cluster or Policy in reconciler/v1. The problems are what v1 cannot say of it, with
// paths of o; the value is without that.
func Write(o schema.Object) (any, []schema.Problem) {
	m := meta(*o.Metadata())
	t := typeMeta{Version, o.Key().Kind}
	switch o := o.(type) {
	case *schema.Pod:
		return pod{t, m, podSpecOf(&o.Spec)}, nil
	case *schema.ReplicationController:
		tpl := &o.Spec.Template
		return replicationController{t, m, controllerSpec{o.Spec, template{templateMeta{tpl.Labels, tpl.Annotations}, podSpecOf(&tpl.Spec)}}}, nil
	case *schema.Service:
		spec, problems := serviceSpecOf(o.Spec)
		return service{t, m, spec}, problems
	case *schema.Endpoints:
		c := *o
		c.Meta = m
		return endpoints{t, &c}, nil
	case *schema.ConfigMap:
		c := *o
		c.Meta = m
		return configMap{t, &c}, nil
	case *schema.Secret:
		c := *o
		c.Meta = m
		return secret{t, &c}, nil
	case *schema.Namespace:
		return namespace{t, o}, nil
	case *schema.Node:
		return node{t, o}, nil
	case *schema.Cluster:
		return cluster{typeMeta{ownVersion, schema.KindCluster}, o}, nil
	case *schema.Policy:
		return policy{typeMeta{ownVersion, schema.KindPolicy}, o}, nil
	}
	panic(fmt.Sprintf("v1: object of type %T", o))
}

// meta is m without the namespace that is the default.
func meta(m schema.Meta) schema.Meta {
	if m.Namespace == schema.DefaultNamespace {
		m.Namespace = ""
	}
	return m
}

func podSpecOf(s *schema.PodSpec) podSpec {
	out := podSpec{PodSpec: *s, InitContainers: containers(s.InitContainers), Containers: containers(s.Containers)}
	for _, v := range s.Volumes {
		w := volume{Volume: v}
		if e := v.EmptyDir; e != nil {
			w.EmptyDir = &emptyDir{Medium: e.Medium}
			if e.SizeLimit != 0 {
				w.EmptyDir.SizeLimit = bytes(int64(e.SizeLimit))
			}
		}
		out.Volumes = append(out.Volumes, w)
	}
	return out
}

func containers(l []schema.Container) []container {
	var out []container
	for _, c := range l {
		out = append(out, container{c, resourcesOf(&c.Resources)})
	}
	return out
}

func resourcesOf(r *schema.Resources) resources {
	var out resources
	out.Limits.PIDs = r.PIDs
	for _, x := range []struct {
		n     int64
		write func(int64) schema.Quantity
		to    *schema.Quantity
	}{{r.MilliCPU, milliCPU, &out.Limits.CPU}, {r.Memory, bytes, &out.Limits.Memory}, {r.Storage, bytes, &out.Limits.Storage}} {
		if x.n != 0 {
			*x.to = x.write(x.n)
		}
	}
	if r.Requests == nil {
		return out
	}
	for _, x := range []struct {
		n     *int64
		write func(int64) schema.Quantity
		to    *schema.Quantity
	}{{r.Requests.MilliCPU, milliCPU, &out.Requests.CPU}, {r.Requests.Memory, bytes, &out.Requests.Memory}, {r.Requests.Storage, bytes, &out.Requests.Storage}} {
		if x.n != nil {
			*x.to = x.write(*x.n)
		}
	}
	return out
}

func serviceSpecOf(s schema.ServiceSpec) (serviceSpec, []schema.Problem) {
	var problems []schema.Problem
	s.Ports = slices.Clone(s.Ports)
	for i := range s.Ports {
		if t := s.Ports[i].TargetPort; t != nil && *t == (schema.PortOrName{}) {
			s.Ports[i].TargetPort = nil
			problems = append(problems, schema.Problem{Path: []string{"spec", "ports", strconv.Itoa(i), "targetPort"}, Message: FirstPort})
		}
	}
	out := serviceSpec{ServiceSpec: s}
	if s.SessionTimeoutSeconds != 0 {
		out.SessionAffinityConfig = &sessionAffinity{}
		out.SessionAffinityConfig.ClientIP.TimeoutSeconds = s.SessionTimeoutSeconds
	}
	return out, problems
}
