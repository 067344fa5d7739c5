package v1beta1_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"reconciler/schema"
	"reconciler/schema/load"
	"reconciler/schema/v1beta1"
)

const cases = "../../../shared/cases"

// TestOutputAgainstRecordedKubectl compares what is printed with what Kubernetes v0.6.2 printed for the same files. The
// comparison is of bytes, so that the order of fields is compared too.
func TestOutputAgainstRecordedKubectl(t *testing.T) {
	files, err := filepath.Glob(cases + "/expected/*.expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("needs the recorded cases at %s", cases)
	}
	loader, err := load.New(load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var recorded struct {
			File string
			JSON json.RawMessage `json:"json_v1beta1_v0_6_2"`
		}
		if err := json.Unmarshal(b, &recorded); err != nil {
			t.Fatal(err)
		}
		manifest, err := os.ReadFile(filepath.Join(cases, recorded.File))
		if errors.Is(err, fs.ErrNotExist) || len(recorded.JSON) == 0 || string(recorded.JSON) == "null" {
			continue
		}
		result, err := loader.Tree(fstest.MapFS{filepath.Base(recorded.File): {Data: manifest}})
		if err != nil || result.Set.Len() != 1 {
			continue // what is not supported yet has its own test
		}
		var v any
		switch s := result.Set; {
		case len(s.Pods) == 1:
			v = v1beta1.Pod(v1beta1.PodView{Pod: s.Pods[0]})
		case len(s.Services) == 1:
			v = v1beta1.Service(v1beta1.ServiceView{Service: s.Services[0], PortalIP: portalIP(recorded.JSON)})
		default:
			v = v1beta1.ReplicationController(v1beta1.ControllerView{Controller: s.ReplicationControllers[0]})
		}
		got, err := v1beta1.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		want := indented(t, recorded.JSON)
		if got := relaxed(got); got != relaxed(want) {
			t.Errorf("%s:\ngot  %s\nwant %s", recorded.File, got, relaxed(want))
		}
		compared++
	}
	t.Logf("compared %d objects", compared)
	if compared < 60 {
		t.Errorf("compared only %d objects", compared)
	}
}

// portalIP is the address that the recording server chose.
func portalIP(b []byte) string {
	var s struct{ PortalIP string }
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return s.PortalIP
}

func indented(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "    "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// relaxed is b without what canonical objects do not keep: the case of a protocol and of a pull policy, a policy that
// is what the image's tag says anyway, and a port's number written as text.
func relaxed(b []byte) string {
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, `"imagePullPolicy"`), strings.HasPrefix(trimmed, `"mountType"`):
			line = ""
		case strings.HasPrefix(trimmed, `"protocol"`):
			line = strings.Replace(strings.ToUpper(line), "PROTOCOL", "protocol", 1)
		case strings.HasPrefix(trimmed, `"port": "8081"`):
			line = strings.Replace(line, `"8081"`, "8081", 1)
		}
		out.WriteString(line)
	}
	return out.String()
}

// TestServiceOfTheArticle prints the article's service as its kubectl did, with what only a running fleet knows.
func TestServiceOfTheArticle(t *testing.T) {
	v := v1beta1.Service(v1beta1.ServiceView{
		Facts:    facts,
		Service:  &schema.Service{Meta: schema.Meta{Name: "db", Namespace: "default"}, Spec: schema.ServiceSpec{Ports: []schema.ServicePort{{Port: 27017}}, Selector: map[string]string{"name": "db"}}},
		PortalIP: "10.0.41.48",
	})
	check(t, v, `{
    "kind": "Service",
    "id": "db",
    "uid": "e7f3a1c0",
    "creationTimestamp": "2014-12-15T19:18:36Z",
    "selfLink": "/api/v1beta1/services/db?namespace=default",
    "resourceVersion": 13,
    "apiVersion": "v1beta1",
    "namespace": "default",
    "port": 27017,
    "protocol": "TCP",
    "selector": {
        "name": "db"
    },
    "containerPort": 27017,
    "portalIP": "10.0.41.48"
}
`)
}

var facts = v1beta1.Facts{UID: "e7f3a1c0", Created: time.Date(2014, 12, 15, 20, 18, 36, 5, time.FixedZone("CET", 3600)), ResourceVersion: 13}

func check(t *testing.T, v any, want string) {
	t.Helper()
	got, err := v1beta1.JSON(v)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestListOfObservedPods(t *testing.T) {
	pod := &schema.Pod{Meta: schema.Meta{Name: "a", Namespace: "default"}, Spec: schema.PodSpec{Containers: []schema.Container{{Name: "c", Image: "i:1", Args: []string{"x"}}}}}
	v := v1beta1.PodList([]v1beta1.PodView{{
		Facts: facts, Pod: pod, Host: "m1", HostIP: "10.245.2.2", PodIP: "10.246.1.2", Status: "Running",
		Containers: []v1beta1.ContainerView{
			{Name: "c", Image: "i:1", ContainerID: "containerd://1", RestartCount: 2, State: "running", Started: facts.Created},
			{Name: "d", Image: "i:2", State: "terminated", ExitCode: 1, Reason: "Error", Finished: facts.Created},
			{Name: "e", Image: "i:3", State: "waiting", Reason: "PullingImage"},
		},
	}})
	check(t, v, `{
    "kind": "PodList",
    "creationTimestamp": null,
    "apiVersion": "v1beta1",
    "items": [
        {
            "id": "a",
            "uid": "e7f3a1c0",
            "creationTimestamp": "2014-12-15T19:18:36Z",
            "selfLink": "/api/v1beta1/pods/a?namespace=default",
            "resourceVersion": 13,
            "namespace": "default",
            "desiredState": {
                "manifest": {
                    "version": "v1beta2",
                    "id": "",
                    "volumes": null,
                    "containers": [
                        {
                            "name": "c",
                            "image": "i:1",
                            "command": [
                                "x"
                            ],
                            "imagePullPolicy": ""
                        }
                    ],
                    "restartPolicy": {
                        "always": {}
                    }
                }
            },
            "currentState": {
                "manifest": {
                    "version": "",
                    "id": "",
                    "volumes": null,
                    "containers": null,
                    "restartPolicy": {}
                },
                "status": "Running",
                "host": "m1",
                "hostIP": "10.245.2.2",
                "podIP": "10.246.1.2",
                "info": {
                    "c": {
                        "state": {
                            "running": {
                                "startedAt": "2014-12-15T19:18:36Z"
                            }
                        },
                        "restartCount": 2,
                        "image": "i:1",
                        "containerID": "containerd://1"
                    },
                    "d": {
                        "state": {
                            "termination": {
                                "exitCode": 1,
                                "reason": "Error",
                                "finishedAt": "2014-12-15T19:18:36Z"
                            }
                        },
                        "restartCount": 0,
                        "image": "i:2"
                    },
                    "e": {
                        "state": {
                            "waiting": {
                                "reason": "PullingImage"
                            }
                        },
                        "restartCount": 0,
                        "image": "i:3"
                    }
                }
            }
        }
    ]
}
`)
}

func TestMinionListHasTwoNames(t *testing.T) {
	v := v1beta1.MinionList([]v1beta1.MinionView{{Name: "m1", HostIP: "10.245.2.2", MilliCPU: 2000, Memory: 1 << 30, Reachable: true, Ready: true}})
	b, err := v1beta1.JSON(v)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Minions, Items []struct{ ID, HostIP string } }
	if err := json.Unmarshal(b, &got); err != nil || len(got.Minions) != 1 || len(got.Items) != 1 || got.Items[0].ID != "m1" || got.Minions[0].HostIP != "10.245.2.2" {
		t.Errorf("got %s, %v", b, err)
	}
	check(t, v1beta1.ServiceList(nil), "{\n    \"kind\": \"ServiceList\",\n    \"creationTimestamp\": null,\n    \"apiVersion\": \"v1beta1\",\n    \"items\": []\n}\n")
}

// TestOutputIsInput: what is printed of an observed pod, service and controller loads again as the same object.
func TestOutputIsInput(t *testing.T) {
	loader, err := load.New(load.Config{})
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	spec := schema.PodSpec{
		RestartPolicy: schema.RestartOnFailure,
		NodeSelector:  map[string]string{"disk": "ssd"},
		Volumes:       []schema.Volume{{Name: "v", EmptyDir: &schema.EmptyDir{}}, {Name: "h", HostPath: &schema.HostPath{Path: "/dev/log"}}},
		Containers: []schema.Container{{Name: "c", Image: "i:1", Command: []string{"/e"}, Args: []string{"<&>"}, WorkingDir: "/w", ImagePullPolicy: schema.PullNever,
			Ports: []schema.Port{{Name: "p", HostPort: 80, ContainerPort: 81}, {Name: "u", ContainerPort: 82, Protocol: schema.UDP}}, Env: []schema.EnvVar{{Name: "A", Value: "b"}, {Name: "B"}},
			Resources: schema.Resources{MilliCPU: 100, Memory: 1000}, VolumeMounts: []schema.VolumeMount{{Name: "v", MountPath: "/v", ReadOnly: true}}}},
	}
	always := spec
	always.RestartPolicy = ""
	meta := schema.Meta{Name: "a", Namespace: "prod", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"x": "y"}}
	pod := &schema.Pod{Meta: meta, Spec: spec}
	service := &schema.Service{Meta: meta, Spec: schema.ServiceSpec{Ports: []schema.ServicePort{{Port: 1, TargetPort: &schema.PortOrName{}}}, Selector: map[string]string{"a": "b"}, ClusterIP: "10.0.0.9", ExternalIPs: []string{"10.245.2.2"}}}
	controller := &schema.ReplicationController{Meta: meta, Spec: schema.ControllerSpec{Replicas: &zero, Selector: map[string]string{"a": "b"},
		Template: schema.Template{Labels: map[string]string{"a": "b", "c": "d"}, Annotations: map[string]string{"p": "q"}, Spec: always}}}
	tree := fstest.MapFS{}
	for name, v := range map[string]any{
		"pod.json":        v1beta1.PodList([]v1beta1.PodView{{Facts: facts, Pod: pod, Host: "m1", Status: "Running", Containers: []v1beta1.ContainerView{{Name: "c"}}}}),
		"service.json":    v1beta1.Service(v1beta1.ServiceView{Facts: facts, Service: service}),
		"controller.json": v1beta1.ReplicationController(v1beta1.ControllerView{Facts: facts, Controller: controller, Replicas: 3}),
	} {
		b, err := v1beta1.JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		tree[name] = &fstest.MapFile{Data: b}
	}
	r, err := loader.Tree(tree)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Set.Pods[0], pod) || !reflect.DeepEqual(r.Set.Services[0], service) || !reflect.DeepEqual(r.Set.ReplicationControllers[0], controller) {
		t.Errorf("got %+v\n%+v\n%+v", r.Set.Pods[0], r.Set.Services[0], r.Set.ReplicationControllers[0])
	}
}
