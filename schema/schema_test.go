package schema_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"reconciler/schema"
)

func ptr[T any](v T) *T { return &v }

// The objects of testdata/hashes.json. Nothing is ever changed or removed here or there; new fields get new objects.
var golden = map[string]interface{ Hash() string }{
	"pod, smallest": &schema.Pod{Meta: schema.Meta{Name: "a", Namespace: "default"}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i"}}}},
	"pod, everything of the first release": &schema.Pod{
		Meta: schema.Meta{Name: "a.b", Namespace: "prod", Labels: map[string]string{"b": "2", "a": "1"}, Annotations: map[string]string{"n": "<&>"}},
		Spec: schema.PodSpec{
			Volumes:                       []schema.Volume{{Name: "v", EmptyDir: &schema.EmptyDir{}}, {Name: "h", HostPath: &schema.HostPath{Path: "/dev/log"}}},
			RestartPolicy:                 schema.RestartNever,
			TerminationGracePeriodSeconds: ptr(int64(0)),
			NodeSelector:                  map[string]string{"disk": "ssd"},
			NodeName:                      "minion-1",
			Containers: []schema.Container{{
				Name: "c", Image: "i:1", Command: []string{"/bin/sh"}, Args: []string{"-c", "x"}, WorkingDir: "/w",
				Ports:           []schema.Port{{Name: "http", HostPort: 80, ContainerPort: 8080, Protocol: schema.UDP}},
				Env:             []schema.EnvVar{{Name: "A", Value: "b"}, {Name: "EMPTY"}},
				Resources:       schema.Resources{MilliCPU: 250, Memory: 64 << 20},
				VolumeMounts:    []schema.VolumeMount{{Name: "v", MountPath: "/v", ReadOnly: true}},
				ImagePullPolicy: schema.PullNever,
			}},
		}},
	"service": &schema.Service{Meta: schema.Meta{Name: "db", Namespace: "default"}, Spec: schema.ServiceSpec{
		Ports:     []schema.ServicePort{{Port: 27017}, {Name: "x", Port: 80, TargetPort: &schema.PortOrName{Name: "http"}}, {Port: 81, TargetPort: &schema.PortOrName{}}},
		Selector:  map[string]string{"name": "db"},
		ClusterIP: "10.0.41.48", ExternalIPs: []string{"10.245.2.2"}}},
	"controller": &schema.ReplicationController{Meta: schema.Meta{Name: "w", Namespace: "default"}, Spec: schema.ControllerSpec{
		Replicas: ptr(0), Selector: map[string]string{"a": "b"},
		Template: schema.Template{Labels: map[string]string{"a": "b", "c": "d"}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i"}}}}}},
}

// TestGoldenHashes compares with testdata/hashes.json. A hash there must never change, in any release: a running instance
// whose hash changes is replaced, so that a new release would restart every fleet.
func TestGoldenHashes(t *testing.T) {
	b, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, o := range golden {
		got[name] = o.Hash()
		if p, ok := o.(*schema.Pod); ok {
			got[name+", spec"] = p.Spec.Hash()
		}
	}
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", "  ")
		t.Errorf("got %s", g)
	}
}

// TestCanonicalIsStable: what is canonical stays as it is, and nothing is shared with the original.
func TestCanonicalIsStable(t *testing.T) {
	for name, o := range golden {
		var again interface{ Hash() string }
		switch o := o.(type) {
		case *schema.Pod:
			again = o.Canonical()
		case *schema.Service:
			again = o.Canonical()
		case *schema.ReplicationController:
			again = o.Canonical()
		}
		if !reflect.DeepEqual(o, again) {
			t.Errorf("%s: got %+v, want %+v", name, again, o)
		}
	}
	p := golden["pod, everything of the first release"].(*schema.Pod)
	hash := p.Hash()
	c := p.Canonical()
	c.Labels["a"] = "x"
	c.Spec.NodeSelector["disk"] = "x"
	c.Spec.Volumes[1].HostPath.Path = "/x"
	c.Spec.Containers[0].Env[0].Value = "x"
	c.Spec.Containers[0].Ports[0].HostPort = 1
	*c.Spec.TerminationGracePeriodSeconds = 9
	if p.Hash() != hash {
		t.Error("a change of the canonical pod changed the original")
	}
}

func TestCanonicalDropsDefaults(t *testing.T) {
	p := &schema.Pod{Meta: schema.Meta{Name: "a", Labels: map[string]string{}}, Spec: schema.PodSpec{
		RestartPolicy:                 schema.RestartAlways,
		TerminationGracePeriodSeconds: ptr(int64(30)),
		NodeSelector:                  map[string]string{},
		Volumes:                       []schema.Volume{},
		Containers: []schema.Container{{Name: "c", Image: "i", ImagePullPolicy: schema.PullAlways, Command: []string{}, Env: []schema.EnvVar{},
			Ports: []schema.Port{{ContainerPort: 1, Protocol: schema.TCP}}}},
	}}
	want := &schema.Pod{Meta: schema.Meta{Name: "a", Namespace: "default"}, Spec: schema.PodSpec{
		Containers: []schema.Container{{Name: "c", Image: "i", Ports: []schema.Port{{ContainerPort: 1}}}},
	}}
	if got := p.Canonical(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	kept := &schema.Pod{Meta: want.Meta, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i:1", ImagePullPolicy: schema.PullAlways}}}}
	if got := kept.Canonical(); got.Spec.Containers[0].ImagePullPolicy != schema.PullAlways {
		t.Error("a pull policy that is no default was dropped")
	}
}

func TestDecodePodSpec(t *testing.T) {
	for name, o := range golden {
		p, ok := o.(*schema.Pod)
		if !ok {
			continue
		}
		got, err := schema.DecodePodSpec(p.Spec.CanonicalJSON())
		if err != nil || !reflect.DeepEqual(got, p.Spec) || got.Hash() != p.Spec.Hash() {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for name, in := range map[string]string{
		"a field of a later release": `{"containers":[],"runtimeClass":{}}`,
		"the same, deeper":           `{"containers":[{"name":"a","image":"b","privileged":false}]}`,
		"something follows":          `{"containers":[]}{"containers":[]}`,
		"a bracket follows":          `{"containers":[]}]`,
		"nothing":                    ``,
		"cut off":                    `{"containers":[`,
		"a number that does not fit": `{"containers":[{"name":"a","image":"b","ports":[{"containerPort":70000}]}]}`,
		"a value of another kind":    `[]`,
	} {
		if _, err := schema.DecodePodSpec([]byte(in)); err == nil || !strings.HasPrefix(err.Error(), "decode pod spec: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestQuantities(t *testing.T) {
	for in, want := range map[string]int64{"250m": 250, "0.5": 500, "2": 2000, "0.0001": 1, "1k": 1000000, "1e-1": 100, ".5": 500, "0": 0} {
		if got, err := schema.ParseMilliCPU(in); err != nil || got != want {
			t.Errorf("cpu %s: got %d, %v", in, got, err)
		}
	}
	for in, want := range map[string]int64{"64Mi": 64 << 20, "1.5G": 1500000000, "128974848": 128974848, "1e3": 1000, "1Ei": 1 << 60, "100m": 1, "10.5Gi": 21 << 29, "1E": 1e18} {
		if got, err := schema.ParseBytes(in); err != nil || got != want {
			t.Errorf("memory %s: got %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "Mi", "-1", "64MB", "1e999999999", "0x10", "1/2", "99999999999Ei", "1_000", "1 Gi", "inf", "NaN"} {
		if got, err := schema.ParseBytes(in); err == nil {
			t.Errorf("%q: got %d", in, got)
		}
	}
}
