package load

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"reconciler/schema"
)

var (
	consequences    = flag.Int("consequences", 4000, "how many trees to break in search of consequences")
	consequenceSeed = flag.Uint64("consequence-seed", 1, "begin of their random numbers")
)

// TestConsequencesAreNotTold breaks one object of a tree whose objects are right each field for itself, and may contradict
// themselves and each other: nothing is told then, besides what is wrong with the shape of that object, that is not told of the
// tree as it was. Mutants that this test has killed: an unknown field is meant for nothing, or for its own struct alone; an item of a list that
// is wrong is left out, so that those behind it have other places; the second spelling of 2014 is not looked at; what a
// problem follows from besides its path does not count, for mounts, host ports, selectors, ports of probes and references; an object that is wrong does not count as
// declared; a policy that is wrong is obeyed.
func TestConsequencesAreNotTold(t *testing.T) {
	c := newComparison(t)
	var docs []testDocument
	for _, d := range c.documents(t) {
		if d.key.kind != kindManifest { // it has no apiVersion that JSON could keep
			docs = append(docs, d)
		}
	}
	docs = append(docs, contradictions(t)...)
	near := related(t)
	r := rand.New(rand.NewPCG(*consequenceSeed, 0))
	m := &mutator{Rand: r, comparison: c}
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	there, kept := 0, 0
	for i := range *consequences {
		var tree []testDocument
		for range 1 + r.IntN(6) {
			d := docs[r.IntN(len(docs))]
			if r.IntN(3) > 0 {
				d = near[r.IntN(len(near))]
			}
			d.node = d.node.clone()
			for range r.IntN(3) {
				was := d.node.clone()
				if m.contradict(d.node, c.own.defs[d.key].shape); !c.right(d) {
					d.node = was
				}
			}
			name := func(d testDocument) string { return objectName(d.node, d.key.version, d.key.kind) }
			if c.right(d) && !slices.ContainsFunc(tree, func(o testDocument) bool { return name(o) == name(d) }) { // of two the second is not compared with others
				tree = append(tree, d)
			}
		}
		if len(tree) == 0 {
			continue
		}
		before := c.told(t, l, tree)
		at := r.IntN(len(tree))
		broken := slices.Clone(tree)
		broken[at].node = broken[at].node.clone()
		what := m.spoil(broken[at].node, c.own.defs[broken[at].key].shape)
		if c.right(broken[at]) {
			continue
		}
		after := c.told(t, l, broken)
		for x := range after {
			if !before[x] {
				for i, d := range tree {
					t.Logf("%d: %s", i, d.node.appendJSON(nil))
				}
				t.Log(before)
				t.Fatalf("tree %d, %s of %s: told as a consequence: %s\nof %s", i, what, broken[at].from, x, broken[at].node.appendJSON(nil))
			}
		}
		there, kept = there+len(before), kept+len(after)
	}
	t.Logf("%d contradictions, %d of them told beside a wrong shape", there, kept)
	if there < *consequences/4 || kept < there*2/3 {
		t.Error("the trees say too little")
	}
}

// TestContradictionsAreToldBesideWrongShapes puts each wrong shape into each object with a contradiction: both are told. Mutants: an
// object with a wrong shape is not checked further; a problem of it is told only if nothing of it is unknown; what refers
// to it is not checked.
func TestContradictionsAreToldBesideWrongShapes(t *testing.T) {
	c := newComparison(t)
	l, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	text := func(s string) *node { return &node{kind: isString, text: s} }
	number := &node{kind: isNumber, text: "3"}
	for _, d := range contradictions(t) {
		before := c.told(t, l, []testDocument{d})
		if len(before) == 0 {
			t.Errorf("%s: has no contradiction", d.from)
		}
		for name, x := range map[string]struct {
			in    []string // of the pod, or of the object
			field string
			value *node
		}{
			"a misspelt field":          {[]string{"metadata"}, "annotatoins", &node{kind: isMap}},
			"an unknown field":          {[]string{"metadata"}, "frobnicate", number},
			"a value of the wrong kind": {[]string{"metadata", "annotations"}, "x", number},
			"a pull policy":             {[]string{"spec", "containers", "0"}, "imagePullPolicy", text("Sometimes")},
			"text for a list":           {[]string{"spec", "containers", "0"}, "args", text("-x")},
			"a number for text":         {[]string{"spec", "containers", "0"}, "workingDir", number},
			"a misspelt image":          {[]string{"spec", "containers", "0"}, "imag", text("x")},
			"a grace period":            {[]string{"spec"}, "terminationGracePeriodSeconds", text("soon")},
		} {
			n := d.node.clone()
			in := n.at(x.in)
			if template := n.at([]string{"spec", "template"}); template != nil && x.in[0] == "spec" {
				in = template.at(x.in)
			}
			if in == nil {
				continue
			}
			in.fields = append(in.fields, field{name: x.field, value: x.value})
			spoilt := d
			if spoilt.node = n; c.right(spoilt) {
				t.Errorf("%s, %s: is right", d.from, name)
			}
			after := c.told(t, l, []testDocument{spoilt})
			for y := range before {
				if !after[y] {
					t.Errorf("%s, %s: not told: %s", d.from, name, y)
				}
			}
		}
	}
}

// TestRulesTellNoConsequences is the same for policies in CUE: an object of which something is not known is against no rule that
// it would not be against as it was. Mutants that this test has killed: nothing of an object is open, or only what is there; a map without an entry that is
// wrong is whole; what is open has to have what a rule gives; an open object is judged as one that is whole.
func TestRulesTellNoConsequences(t *testing.T) {
	rules := []string{
		`pod: spec: containers: [...{image: =~"^registry.example.com/", resources: limits: memory!: _}]`,
		`object: metadata: {labels: {team: "web" | "data", [string]: !~"^x"}, name: =~"^[a-m]"}`,
		`pod: spec: {hostNetwork?: false, restartPolicy: "Never", volumes?: [...{hostPath?: _|_, name: !="w"}], containers: [_, ...{name: !~"d"}]}`,
		`object: metadata: labels: app: object.metadata.name`,
		`if object.kind == "Service" {object: spec: {type: "ClusterIP", ports: [{port: <1000}], selector: a: "c"}}`,
		`if object.metadata.labels.team == "web" {object: metadata: annotations: owner: string}`,
		`pod: {spec: {for i, c in object.spec.containers {containers: "\(i)": name: "c"}}}`,
		`object: metadata: labels: {} & {[!="app"]: string & !="frontend"}`,
		`if len(object.metadata) < 4 {object: metadata: name: "z"}`,
		`object: metadata: labels?: _` + "\n" + `if len(object.metadata.labels) < 2 {object: kind: "z"}`,
		`import "list"` + "\n" + `object: spec: containers: list.MaxItems(1)`,
	}
	c := newComparison(t)
	docs := append(c.documents(t), append(contradictions(t), related(t)...)...)
	r := rand.New(rand.NewPCG(*consequenceSeed, 1))
	m := &mutator{Rand: r, comparison: c}
	violations := func(d testDocument) (map[string]bool, bool) {
		f := &fileReader{evaluator: c.own, name: "a.json", result: &fileResult{}}
		f.object(d.node, d.key.version, d.key.kind, nil)
		if len(f.result.objects) == 0 {
			return nil, false
		}
		o := f.result.objects[0]
		b := inV1(o.Object)
		q := request{Rules: rules, Objects: []requestObject{{b, o.open(b)}}}
		out := map[string]bool{}
		for i, text := range rules {
			if o.doubts != nil && strings.Contains(text, "_|_") {
				continue
			}
			a := q.judge(requestJudgment{i, []int{0}})
			for _, v := range a.Violations {
				if !o.touch([][]string{join(v.Path, "")}, nil) {
					out[fmt.Sprint(i, " ", dotted(v.Path))] = true
				}
			}
		}
		return out, true
	}
	there, kept := 0, 0
	for i := 0; i < *consequences/12; i++ {
		d := docs[r.IntN(len(docs))]
		if !c.right(d) || d.key.kind == "Policy" || d.key.kind == "Cluster" {
			continue
		}
		before, _ := violations(d)
		spoilt := d
		spoilt.node = d.node.clone()
		what := m.spoil(spoilt.node, c.own.defs[d.key].shape)
		after, ok := violations(spoilt)
		if !ok || c.right(spoilt) {
			continue
		}
		for x := range after {
			if !before[x] {
				t.Fatalf("document %d, %s of %s: told as a consequence: %s\nof %s\nbefore %s", i, what, d.from, x, spoilt.node.appendJSON(nil), d.node.appendJSON(nil))
			}
		}
		there, kept = there+len(before), kept+len(after)
	}
	t.Logf("%d violations, %d of them told beside a wrong shape", there, kept)
	if there < *consequences/20 || kept < there/3 {
		t.Error("the documents say too little")
	}
}

// right tells whether every field of a document is right by itself.
func (c *comparison) right(d testDocument) bool {
	_, bad, _ := c.own.evaluate(d.key, d.node)
	return len(bad) == 0 && plainJSON(d.node.appendJSON(nil))
}

// otherLabel is how a message names another object, whose name may be what was broken.
var otherLabel = regexp.MustCompile(` of [A-Z][A-Za-z]+/?.* at (\S+):1:1`)

// otherContainer is one that has what another has too.
var otherContainer = regexp.MustCompile(`(hostPort: )container "[^"]*"`)

// told is what is told of a tree but for the shapes of its documents.
func (c *comparison) told(t *testing.T, l *Loader, tree []testDocument) map[string]bool {
	in := fstest.MapFS{}
	shapes := map[string]bool{}
	for i, d := range tree {
		file := fmt.Sprintf("%d.json", i)
		in[file] = &fstest.MapFile{Data: d.node.appendJSON(nil)}
		_, bad, _ := c.own.evaluate(d.key, d.node)
		for _, f := range bad {
			shapes[fmt.Sprintf("%s: %s: %s", file, dotted(f.path), f.message)] = true
		}
	}
	_, err := l.Tree(in)
	all := map[string]bool{}
	var bad Errors
	if err != nil && !errors.As(err, &bad) {
		t.Fatal(err)
	}
	for _, e := range bad {
		s := fmt.Sprintf("%s: %s: %s", e.Position.File, e.Field, e.Message)
		if strings.HasSuffix(s, " is not there") { // the first place that needs it is told
			s = e.Position.File + ": " + e.Message
		}
		s = otherContainer.ReplaceAllString(s, "${1}another container") // the first of several is told
		if x := otherLabel.FindStringSubmatch(e.Message); x != nil {    // which of the two is told depends on their names
			s = fmt.Sprint(min(x[1], e.Position.File), max(x[1], e.Position.File), otherLabel.ReplaceAllString(e.Message, ""))
		}
		if !shapes[s] && !strings.HasPrefix(e.Message, "is declared twice") {
			all[s] = true
		}
	}
	return all
}

// contradict makes n contradict itself or others, often: one value is that of another place, or something is not there.
func (m *mutator) contradict(n *node, s *shape) {
	var values, lists, maps []*node
	var walk func(n *node, path []string)
	walk = func(n *node, path []string) {
		switch n.kind {
		case isMap:
			if len(path) > 0 {
				maps = append(maps, n)
			}
			for _, f := range n.fields {
				if len(path) > 0 || f.name != "apiVersion" && f.name != "kind" {
					walk(f.value, join(path, f.name))
				}
			}
		case isList:
			lists = append(lists, n)
			for _, x := range n.items {
				walk(x, join(path, "*"))
			}
		default:
			values = append(values, n)
		}
	}
	walk(n, nil)
	switch {
	case m.IntN(3) == 0 && len(lists) > 0: // an item twice, or one less
		l := lists[m.IntN(len(lists))]
		if i := m.some(len(l.items)); i >= 0 && m.IntN(2) == 0 {
			l.items = append(l.items, l.items[i].clone())
		} else if i >= 0 {
			l.items = slices.Delete(l.items, i, i+1)
		}
	case m.IntN(3) == 0 && len(maps) > 0: // a field less, or one more
		x := maps[m.IntN(len(maps))]
		if i := m.some(len(x.fields)); i >= 0 && m.IntN(2) == 0 {
			x.fields = slices.Delete(x.fields, i, i+1)
		} else {
			m.fields(x, nil)
		}
	case len(values) > 1:
		a, b := values[m.IntN(len(values))], values[m.IntN(len(values))]
		if a.kind == b.kind {
			a.text = b.text
		} else {
			*a = *m.value(a)
		}
	}
}

// spoil breaks the shape of one place of n, and says how.
func (m *mutator) spoil(n *node, s *shape) string {
	type spot struct {
		path []string
		of   *node // map or list that it is in
		i    int

		entry bool // of a map of text
		s     *shape
	}
	var spots []spot
	var structs []spot
	var walk func(n *node, s *shape, path []string)
	walk = func(n *node, s *shape, path []string) {
		if s == nil {
			return
		}
		if s.fields != nil && s.each == nil && n.kind == isMap {
			structs = append(structs, spot{of: n, s: s})
		}
		for i, f := range n.fields {
			if len(path) == 0 && (f.name == "apiVersion" || f.name == "kind") {
				continue
			}
			p := join(path, f.name)
			spots = append(spots, spot{p, n, i, s.each != nil, nil})
			t := s.fields[f.name]
			if t == nil {
				t = s.each
			}
			walk(f.value, t, p)
		}
		for i, x := range n.items {
			p := join(path, fmt.Sprint(i))
			spots = append(spots, spot{p, n, i, false, nil})
			walk(x, s.item, p)
		}
	}
	walk(n, s, nil)
	if len(spots) == 0 {
		return "nothing"
	}
	x := spots[m.IntN(len(spots))]
	if x.of.kind == isList {
		v := &x.of.items[x.i]
		*v = m.other(*v)
		return "another item " + dotted(x.path)
	}
	f := &x.of.fields[x.i]
	switch m.IntN(5) {
	case 0: // a near or a far miss of the name
		name := f.name
		if m.IntN(2) == 0 && len(name) > 3 {
			f.name = name[:1] + name[2:]
		} else {
			f.name = "other"
		}
		return "the name of " + dotted(x.path)
	case 1: // in another place
		to := structs[m.IntN(len(structs))]
		if x.entry { // it is indented too little
			around := n.at(x.path[:len(x.path)-2])
			to = structs[slices.IndexFunc(structs, func(s spot) bool { return s.of == around })]
		}
		if to.of.get(f.name) == nil && to.of != x.of && to.s.fields[f.name] == nil {
			moved := *f
			x.of.fields = slices.Delete(x.of.fields, x.i, x.i+1)
			to.of.fields = append(to.of.fields, moved)
		}
		return "the place of " + dotted(x.path)
	case 2:
		x.of.fields = slices.Delete(x.of.fields, x.i, x.i+1)
		return "the lack of " + dotted(x.path)
	}
	f.value = m.other(f.value)
	return "the value of " + dotted(x.path)
}

// other is a value of another kind than n, or one that few places can have.
func (m *mutator) other(n *node) *node {
	for {
		if v := []*node{{kind: isNumber, text: "-77"}, {kind: isString, text: "no such"}, {kind: isBool, text: "true"}, {kind: isList}, {kind: isMap}, {kind: isList, items: []*node{n.clone()}}}[m.IntN(6)]; v.kind != n.kind || v.kind < isList {
			return v
		}
	}
}

// contradictions is an object for each rule of those that more than one field breaks.
func contradictions(t *testing.T) []testDocument {
	return documentsOf(t, map[string]string{"a mount": `{apiVersion: v1, kind: Pod, metadata: {name: a, annotations: {}}, spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: c, image: i, volumeMounts: [{name: w, mountPath: /w}]}]}}`,
		"a mount twice":        `{apiVersion: v1, kind: Pod, metadata: {name: b, annotations: {}}, spec: {volumes: [{name: v, emptyDir: {}}], containers: [{name: c, image: i, volumeMounts: [{name: v, mountPath: /w}, {name: v, mountPath: /w}]}]}}`,
		"a volume twice":       `{apiVersion: v1, kind: Pod, metadata: {name: c, annotations: {}}, spec: {volumes: [{name: v, emptyDir: {}}, {name: v, emptyDir: {}}], containers: [{name: c, image: i}]}}`,
		"two sources":          `{apiVersion: v1, kind: Pod, metadata: {name: d, annotations: {}}, spec: {volumes: [{name: v, emptyDir: {}, hostPath: {path: /x}}], containers: [{name: c, image: i}]}}`,
		"host ports":           `{apiVersion: v1, kind: Pod, metadata: {name: e, annotations: {}}, spec: {containers: [{name: c, image: i, ports: [{name: x, containerPort: 1, hostPort: 80}]}, {name: d, image: i, ports: [{name: x, containerPort: 2, hostPort: 80}]}]}}`,
		"containers twice":     `{apiVersion: v1, kind: Pod, metadata: {name: f, annotations: {}}, spec: {containers: [{name: c, image: i}, {name: c, image: i}]}}`,
		"a port of a probe":    `{apiVersion: v1, kind: Pod, metadata: {name: g, annotations: {}}, spec: {containers: [{name: c, image: i, ports: [{name: x, containerPort: 1}], livenessProbe: {httpGet: {port: y}}, lifecycle: {preStop: {}}}]}}`,
		"privileges":           `{apiVersion: v1, kind: Pod, metadata: {name: h, annotations: {}}, spec: {hostPID: true, shareProcessNamespace: true, containers: [{name: c, image: i, securityContext: {privileged: true, allowPrivilegeEscalation: false}}]}}`,
		"limits":               `{apiVersion: v1, kind: Pod, metadata: {name: i, annotations: {}}, spec: {containers: [{name: c, image: i, resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}]}}`,
		"a config map":         `{apiVersion: v1, kind: Pod, metadata: {name: j, annotations: {}}, spec: {containers: [{name: c, image: i, env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: k}}}]}], imagePullSecrets: [{name: none}]}}`,
		"selectors":            `{apiVersion: v1, kind: ReplicationController, metadata: {name: k, annotations: {}}, spec: {selector: {a: b}, template: {metadata: {labels: {a: c}}, spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}}`,
		"no labels":            `{apiVersion: v1, kind: ReplicationController, metadata: {name: l, annotations: {}}, spec: {template: {spec: {containers: [{name: c, image: i}]}}}}`,
		"ports of a service":   `{apiVersion: v1, kind: Service, metadata: {name: m, annotations: {}}, spec: {selector: {a: b}, ports: [{port: 80, nodePort: 30000}, {port: 80}]}}`,
		"a service's address":  `{apiVersion: v1, kind: Service, metadata: {name: n, annotations: {}}, spec: {clusterIP: None, type: NodePort, sessionAffinityConfig: {clientIP: {timeoutSeconds: 5}}, selector: {a: b}, ports: [{port: 80}]}}`,
		"keys of a config map": `{apiVersion: v1, kind: ConfigMap, metadata: {name: o, annotations: {}}, data: {a: x}, binaryData: {a: AAEC}}`,
		"taints":               `{apiVersion: v1, kind: Node, metadata: {name: p, annotations: {}}, spec: {taints: [{key: a, effect: NoExecute}, {key: a, effect: NoExecute}]}}`,
		"nets":                 `{apiVersion: reconciler/v1, kind: Cluster, metadata: {name: q, annotations: {}}, spec: {portalNet: 10.0.0.0/16, podNet: 10.0.0.0/8}}`,
		"affinity":             `{apiVersion: v1, kind: Pod, metadata: {name: r, annotations: {}}, spec: {containers: [{name: c, image: i}], tolerations: [{key: a, operator: Exists, value: b}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}]}]}}}}}`,
		"of 2014":              `{apiVersion: v1beta1, kind: Pod, id: s, desiredState: {manifest: {version: v1beta1, volumes: [{name: v}], containers: [{name: c, image: i, cpu: 100, volumeMounts: [{name: w, path: /w}], ports: [{hostPort: 80, containerPort: 1}, {hostPort: 80, containerPort: 2}]}], restartPolicy: {always: {}, never: {}}}}}`,
		"a controller of 2014": `{apiVersion: v1beta1, kind: ReplicationController, id: t, desiredState: {replicas: 1, replicaSelector: {a: b}, podTemplate: {labels: {a: c}, desiredState: {manifest: {version: v1beta1, restartPolicy: {never: {}}, containers: [{name: c, image: i}]}}}}}`,
	})
}

// related are objects that are right together, and of which some are not without another.
func related(t *testing.T) []testDocument {
	return documentsOf(t, map[string]string{
		"conf":                       `{apiVersion: v1, kind: ConfigMap, metadata: {name: conf}, data: {a: x, b: y}}`,
		"who needs conf":             `{apiVersion: v1, kind: Pod, metadata: {name: needs-conf}, spec: {volumes: [{name: v, configMap: {name: conf, items: [{key: a, path: a}]}}], containers: [{name: c, image: quay.io/i, env: [{name: A, valueFrom: {configMapKeyRef: {name: conf, key: b}}}]}]}}`,
		"s":                          `{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {a: x}}`,
		"who needs s":                `{apiVersion: v1, kind: Pod, metadata: {name: needs-s, labels: {team: web}}, spec: {imagePullSecrets: [{name: s}], containers: [{name: c, image: registry.example.com/i, resources: {limits: {memory: 1Gi, cpu: 1}}, env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a}}}]}]}}`,
		"who needed s":               `{apiVersion: v1beta1, kind: Pod, id: needed-s, labels: {team: web}, desiredState: {manifest: {version: v1beta1, volumes: [{name: v, source: {secret: {target: {kind: Secret, name: s}}}}], containers: [{name: c, image: registry.example.com/i, resources: {limits: {memory: 1Gi, cpu: 1}}}]}}}`,
		"who has two limits":         `{apiVersion: v1beta1, kind: Pod, id: limits, labels: {team: web}, desiredState: {manifest: {version: v1beta1, containers: [{name: c, image: registry.example.com/i, memory: 1000000, cpu: 100, privileged: false, volumeMounts: [{name: v, path: /v}]}], volumes: [{name: v}]}}}`,
		"one service":                `{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {clusterIP: 10.0.0.7, type: NodePort, selector: {a: b}, externalIPs: [10.245.2.2], ports: [{port: 80, nodePort: 30001, protocol: UDP}]}}`,
		"another service":            `{apiVersion: v1, kind: Service, metadata: {name: two}, spec: {clusterIP: 10.0.0.8, type: NodePort, selector: {a: b}, externalIPs: [10.245.2.2], ports: [{port: 80, nodePort: 30001, protocol: TCP}]}}`,
		"a service of its endpoints": `{apiVersion: v1, kind: Service, metadata: {name: ext}, spec: {selector: {}, ports: [{port: 80}]}}`,
		"a service by name":          `{apiVersion: v1, kind: Service, metadata: {name: by-name}, spec: {selector: {app: named}, ports: [{name: a, port: 80, targetPort: http}]}}`,
		"a pod without names":        `{apiVersion: v1, kind: Pod, metadata: {name: unnamed, labels: {app: named}}, spec: {containers: [{name: c, image: i, ports: [{containerPort: 80}]}]}}`,
		"a controller with names":    `{apiVersion: v1, kind: ReplicationController, metadata: {name: named}, spec: {template: {metadata: {labels: {app: named}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 80}]}]}}}}`,
		"who waits":                  `{apiVersion: v1, kind: Pod, metadata: {name: waits, annotations: {reconciler/depends-on: "Service/by-name, Pod/f", reconciler/wave: "1"}}, spec: {containers: [{name: c, image: i}]}}`,
		"who is waited for":          `{apiVersion: v1, kind: Pod, metadata: {name: first, labels: {app: named}, annotations: {reconciler/depends-on: Pod/waits, reconciler/moved-from: Pod/x}}, spec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 80}]}]}}`,
		"two selectors":              `{apiVersion: v1, kind: ReplicationController, metadata: {name: named2, annotations: {reconciler/moved-from: Pod/x}}, spec: {selector: {app: named, tier: x}, template: {metadata: {labels: {app: named, tier: x}}, spec: {containers: [{name: c, image: i}]}}}}`,
		"endpoints":                  `{apiVersion: v1, kind: Endpoints, metadata: {name: ext}, subsets: [{addresses: [{ip: 10.9.8.7}], ports: [{port: 80}]}]}`,
		"settings":                   `{apiVersion: reconciler/v1, kind: Cluster, metadata: {name: fleet}, spec: {portalNet: 10.0.0.0/16}}`,
		"more settings":              `{apiVersion: reconciler/v1, kind: Cluster, metadata: {name: fleet2}, spec: {portalNet: 10.0.0.0/16}}`,
		"limits":                     `{apiVersion: reconciler/v1, kind: Policy, metadata: {name: limits}, spec: {match: {exceptNamespaces: [free]}, requireLimits: [memory, cpu], registries: [registry.example.com]}}`,
		"labels":                     `{apiVersion: reconciler/v1, kind: Policy, metadata: {name: labels}, spec: {match: {kinds: [Pod, ReplicationController, Service]}, requireLabels: [team]}}`,
		"namespaces":                 `{apiVersion: reconciler/v1, kind: Policy, metadata: {name: namespaces}, spec: {namespaces: [prod]}}`,
		"in prod":                    `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: prod, labels: {team: web}}, spec: {hostNetwork: false, containers: [{name: c, image: registry.example.com/i, ports: [{containerPort: 80, hostPort: 80}], resources: {limits: {memory: 1Gi, cpu: 1}}}]}}`,
		"in free":                    `{apiVersion: v1, kind: Pod, metadata: {name: f, namespace: free, labels: {team: web}}, spec: {containers: [{name: c, image: quay.io/i, env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: b, optional: true}}}]}]}}`,
		"the namespace prod":         `{apiVersion: v1, kind: Namespace, metadata: {name: prod}}`,
		"safe":                       `{apiVersion: reconciler/v1, kind: Policy, metadata: {name: safe}, spec: {match: {namespaces: [prod, default]}, forbidPrivileged: true, forbidHostPath: true, forbidHostNamespaces: true}}`,
		"unsafe":                     `{apiVersion: v1, kind: ReplicationController, metadata: {name: u, namespace: prod}, spec: {selector: {a: b}, template: {metadata: {labels: {a: b, team: x}}, spec: {hostPID: true, volumes: [{name: v, hostPath: {path: /v}}], containers: [{name: c, image: i, securityContext: {privileged: true}, volumeMounts: [{name: v, mountPath: /v}]}]}}}}`,
	})
}

func documentsOf(t *testing.T, texts map[string]string) (out []testDocument) {
	for name, text := range texts {
		for _, n := range parse("a.yaml", []byte(text), func(_ place, _ []string, message, _ string) { t.Fatalf("%s: %s", name, message) }) {
			out = append(out, testDocument{name, definitionKey{n.str("apiVersion"), schema.Kind(n.str("kind"))}, n})
		}
	}
	slices.SortFunc(out, func(a, b testDocument) int { return strings.Compare(a.from, b.from) })
	return out
}
