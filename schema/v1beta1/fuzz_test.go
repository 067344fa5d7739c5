package v1beta1_test

import (
	"testing"

	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// FuzzDecode: whatever the JSON, each decoder gives an object or an error and does not panic; neither does checking what it gave.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `[]`, `{"id":"a"}`, `{"id":1}`,
		`{"id":"a","desiredState":{"manifest":{"version":"v1beta1","containers":[{"name":"c","image":"i","ports":[{"hostPort":80}]}],"volumes":[{"name":"v","source":{"hostDir":{"path":"/"}}}]}}}`,
		`{"id":"a","desiredState":{"replicas":2,"replicaSelector":{"a":"b"},"podTemplate":{"desiredState":{"manifest":{"containers":[null]}},"labels":{"a":"b"}}}}`,
		`{"id":"a","port":80,"selector":{"a":"b"},"containerPort":"http","publicIPs":["192.0.2.1"],"portalIP":"None"}`,
		`{"id":"a","endpoints":["192.0.2.1:80",":","x:y","[::1]:1"]}`, `{"id":"a","hostIP":"192.0.2.1","resources":{"capacity":{"cpu":"1"}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		take := func(o schema.Object, err error) {
			if err == nil {
				o.Key()
				o.Hash()
				o.Check()
			}
		}
		pod, _, err := v1beta1.DecodePod(b)
		take(pod, err)
		pod, _, err = v1beta1.DecodeManifest(b)
		take(pod, err)
		endpoints, _, err := v1beta1.DecodeEndpoints(b)
		take(endpoints, err)
		namespace, _, err := v1beta1.DecodeNamespace(b)
		take(namespace, err)
		minion, _, err := v1beta1.DecodeMinion(b)
		take(minion, err)
		controller, _, err := v1beta1.DecodeReplicationController(b)
		take(controller, err)
		service, _, err := v1beta1.DecodeService(b)
		take(service, err)
	})
}
