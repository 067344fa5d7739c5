package load_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"reconciler/schema/load"
)

// TestOrderOfKeysChangesNothing: a pod of arbitrary content has one hash however its keys are ordered, in JSON and in YAML.
func TestOrderOfKeysChangesNothing(t *testing.T) {
	l := newLoader(t, "")
	rapid.Check(t, func(t *rapid.T) {
		doc := drawPod(t)
		one, err := l.Tree(fstest.MapFS{"a.json": {Data: []byte(write(t, doc))}})
		if err != nil {
			t.Fatalf("%v", err)
		}
		two, err := l.Tree(fstest.MapFS{"b.yaml": {Data: []byte(write(t, doc))}})
		if err != nil {
			t.Fatalf("%v", err)
		}
		a, b := one.Set.Pods[0], two.Set.Pods[0]
		if a.Hash() != b.Hash() || a.Spec.Hash() != b.Spec.Hash() {
			t.Fatalf("%s\n%s", a.Spec.CanonicalJSON(), b.Spec.CanonicalJSON())
		}
		if again := a.Canonical(); again.Hash() != a.Hash() {
			t.Fatalf("a loaded pod is not canonical: %s", a.Spec.CanonicalJSON())
		}
	})
}

type object map[string]any

func drawPod(t *rapid.T) object {
	text := rapid.StringMatching(`[ -~äß]{0,20}`)
	label := rapid.StringMatching(`[a-z]([a-z0-9]{0,8})`)
	labels := rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}(\.x/[A-Z]{1,3})?`), rapid.StringMatching(`([a-z0-9]{1,5})?`), 0, 4)
	maybe := func(o object, name string, v any) {
		if rapid.Bool().Draw(t, name) {
			o[name] = v
		}
	}
	pairs := func(m map[string]string) object {
		o := object{}
		for k, v := range m {
			o[k] = v
		}
		return o
	}
	var containers []any
	for i := range rapid.IntRange(1, 3).Draw(t, "containers") {
		c := object{"name": "c" + strconv.Itoa(i), "image": label.Draw(t, "image") + rapid.SampledFrom([]string{"", ":1", ":latest", "@sha256:0"}).Draw(t, "tag")}
		maybe(c, "imagePullPolicy", rapid.SampledFrom([]string{"", "Always", "Never", "IfNotPresent"}).Draw(t, "policy"))
		maybe(c, "args", []any{text.Draw(t, "arg"), text.Draw(t, "arg")})
		maybe(c, "workingDir", text.Draw(t, "dir"))
		maybe(c, "env", []any{object{"name": "A", "value": text.Draw(t, "value")}, object{"name": "B"}})
		maybe(c, "ports", []any{object{"containerPort": rapid.IntRange(1, 65535).Draw(t, "port"), "protocol": rapid.SampledFrom([]string{"", "TCP", "UDP"}).Draw(t, "protocol")}})
		maybe(c, "resources", object{"limits": object{"cpu": rapid.SampledFrom([]any{1, "250m", 0.5}).Draw(t, "cpu"), "memory": "64Mi"}})
		containers = append(containers, c)
	}
	spec := object{"containers": containers}
	maybe(spec, "restartPolicy", rapid.SampledFrom([]string{"Always", "OnFailure", "Never"}).Draw(t, "restart"))
	maybe(spec, "terminationGracePeriodSeconds", rapid.SampledFrom([]int{0, 30, 60}).Draw(t, "grace"))
	maybe(spec, "nodeSelector", pairs(labels.Draw(t, "nodeSelector")))
	meta := object{"name": label.Draw(t, "name")}
	maybe(meta, "labels", pairs(labels.Draw(t, "labels")))
	maybe(meta, "annotations", pairs(rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}`), text, 0, 3).Draw(t, "annotations")))
	maybe(meta, "namespace", label.Draw(t, "namespace"))
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
}

// write is v as JSON, which is YAML too, with keys in drawn orders.
func write(t *rapid.T, v any) string {
	var b strings.Builder
	var put func(any)
	put = func(v any) {
		switch v := v.(type) {
		case object:
			var keys []string
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			b.WriteString("{")
			for i, k := range rapid.Permutation(keys).Draw(t, "order") {
				if i > 0 {
					b.WriteString(", ")
				}
				put(k)
				b.WriteString(": ")
				put(v[k])
			}
			b.WriteString("}")
		case []any:
			b.WriteString("[")
			for i, x := range v {
				if i > 0 {
					b.WriteString(",\n ")
				}
				put(x)
			}
			b.WriteString("]")
		default:
			x, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("%v", err)
			}
			b.Write(x)
		}
	}
	put(v)
	return b.String()
}

// FuzzLoad: whatever the bytes, the result is a set or errors of that file with a message, and it is the same twice.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{
		pod, `{"kind": "Pod", "apiVersion": "v1beta1", "id": "a", "desiredState": {"manifest": {"containers": [{"name": "c", "image": "i"}]}}}`,
		`[{"kind": "Service", "apiVersion": "v1beta1", "id": "a", "port": 1, "selector": {a: b,},},]`,
		"apiVersion: v1\nkind: List\nitems:\n- *x\n", "a: &a [*a]\n", "--- !!binary x\n...\n%YAML 1.1\n---\n? {a: b}\n: c\n", "{\"a\":1}{\"a\":2}", "\x00", "- - -\n",
		"apiVersion: v1\nkind: Pod\nmetadata: {name: 0x1, labels: {a: .inf, b: 1_0, c: !!str 1}}\nspec: {<<: {containers: []}}\n",
	} {
		f.Add([]byte(s))
	}
	l := newLoader(f, "")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []string{"a.json", "a.yaml"} {
			in := fstest.MapFS{name: {Data: b}}
			r, err := l.Tree(in)
			again, err2 := newLoaderOnce(t).Tree(in)
			if (err == nil) != (err2 == nil) || err != nil && err.Error() != err2.Error() {
				t.Fatalf("%s: %v, then %v", name, err, err2)
			}
			if err == nil {
				if r.Set.Len() != again.Set.Len() {
					t.Fatalf("%s: %d objects, then %d", name, r.Set.Len(), again.Set.Len())
				}
				continue
			}
			var bad load.Errors
			if !errors.As(err, &bad) || len(bad) == 0 {
				t.Fatalf("%s: got %v", name, err)
			}
			for _, e := range bad {
				if e.Message == "" || e.Position.File != name {
					t.Fatalf("%s: got %#v", name, e)
				}
			}
		}
	})
}

var second *load.Loader

// newLoaderOnce is a second loader, so that its answers are not those of the first one's cache.
func newLoaderOnce(t testing.TB) *load.Loader {
	if second == nil {
		second = newLoader(t, "")
	}
	return second
}
