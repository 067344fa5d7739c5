package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"reconciler/schema"
	"reconciler/schema/v1"
	"reconciler/schema/v1beta1"
)

func plainObjects(l []*object) (out []schema.Object) {
	for _, o := range l {
		out = append(out, o.Object)
	}
	return out
}

// again is what was written of an object, loaded.
func (c *comparison) again(v any) (schema.Object, string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, "", err
	}
	r := c.own.file("written.json", b)
	if len(r.errors) > 0 {
		return nil, string(b), r.errors
	}
	if len(r.objects) != 1 {
		return nil, string(b), fmt.Errorf("%d objects", len(r.objects))
	}
	return r.objects[0].Object, string(b), nil
}

// written is an error if an object is lost in what is written of it: in v1 if a name of 2014 fits there, and in v1beta1 and
// v1beta2 if those can say it.
func (c *comparison) written(o schema.Object, from string) (said int, err error) {
	for version, write := range map[string]func(schema.Object) (any, []schema.Problem){
		"v1":      v1.Write,
		"v1beta1": func(o schema.Object) (any, []schema.Problem) { return v1beta1.Write(o, "v1beta1") },
		"v1beta2": func(o schema.Object) (any, []schema.Problem) { return v1beta1.Write(o, "v1beta2") },
	} {
		v, problems := write(o)
		for _, p := range problems {
			if p.Message == "" || len(p.Path) == 0 {
				return said, fmt.Errorf("%s to %s: a problem says nothing: %+v", o.Key(), version, p)
			}
		}
		if len(problems) > 0 && (from == version || from == "v1beta1" && version == "v1beta2") {
			return said, fmt.Errorf("%s came from %s, and %s cannot say it: %+v", o.Key(), from, version, problems)
		}
		if len(problems) > 0 {
			continue
		}
		got, text, err := c.again(v)
		if err != nil && from == version {
			return said, fmt.Errorf("%s written as %s does not load: %w\n%s", o.Key(), version, err, text)
		}
		if err != nil { // names of another time, which the definitions refuse
			continue
		}
		said++
		if got.Key() != o.Key() || got.Hash() != o.Hash() {
			a, _ := json.Marshal(o)
			b, _ := json.Marshal(got)
			return said, fmt.Errorf("written as %s it is another object:\n%s\nwas\n%s\nis\n%s", version, text, a, b)
		}
	}
	return said, nil
}

// seldom is documents with what the others lack.
func seldom(t testing.TB) []testDocument {
	var out []testDocument
	for _, text := range []string{
		`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i",
		  "resources": {"limits": {"cpu": "1.5", "memory": 1023, "ephemeral-storage": "3G"}, "requests": {"cpu": 0, "memory": "1Ki"}}}]}}`,
		`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i",
		  "resources": {"limits": {"cpu": "1.5"}, "requests": {"cpu": 0, "memory": 0}}}]}}`,
		`{"apiVersion": "v1beta1", "kind": "Pod", "id": "a", "desiredState": {"manifest": {"containers": [{"name": "c", "image": "i",
		  "command": ["$$ $(A) $HOME", "$(", "$"], "entrypoint": ["$$"], "env": [{"name": "A", "value": "$(B)$$"}]}]}}}`,
	} {
		docs := parse("a.json", []byte(text), func(_ place, _ []string, message, _ string) { t.Fatal(message) })
		n := docs[0]
		out = append(out, testDocument{"seldom", definitionKey{n.str("apiVersion"), schema.Kind(n.str("kind"))}, n})
	}
	return out
}

// TestWriteUndoesLoad: every object of the golden files, the examples, the recorded cases and the definitions, changed at
// random, loads from what is written of it as the same object with the same hash. Mutants that this test has killed: a request
// of 0 or the processes left out, a session's timeout left out, a size in another unit, text of v1beta1 that is not
// unescaped, a loss that v1beta1 does not report.
func TestWriteUndoesLoad(t *testing.T) {
	c := newComparison(t)
	docs := append(c.documents(t), seldom(t)...)
	kinds := map[string]int{}
	try := func(t interface{ Fatalf(string, ...any) }, d testDocument, n *node) {
		r := c.own.file("a.json", n.appendJSON(nil))
		if len(r.errors) > 0 {
			return
		}
		for _, o := range plainObjects(r.objects) {
			said, err := c.written(o, d.key.version)
			if err != nil {
				t.Fatalf("%s: %v", d.from, err)
			}
			kinds[string(o.Key().Kind)] += said
		}
	}
	for _, d := range docs {
		try(t, d, d.node)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		d := docs[rapid.IntRange(0, len(docs)-1).Draw(t, "document")]
		m := &mutator{Rand: r, comparison: c}
		n := d.node.clone()
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			m.mutate(n, c.own.defs[d.key].shape)
		}
		try(t, d, n)
	})
	t.Logf("%d documents, written again: %v", len(docs), kinds)
	for _, k := range []schema.Kind{schema.KindPod, schema.KindService, schema.KindReplicationController, schema.KindEndpoints, schema.KindConfigMap, schema.KindSecret, schema.KindNamespace, schema.KindNode} {
		if kinds[string(k)] == 0 {
			t.Errorf("no %s was compared", k)
		}
	}
}
