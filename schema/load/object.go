package load

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"reconciler/schema"
	"reconciler/schema/v1"
	"reconciler/schema/v1beta1"
)

// in is the position of p; file is the one that is read.
func (p place) in(file string) schema.Position {
	if p.file != "" {
		file = p.file
	}
	return schema.Position{File: file, Line: p.line, Column: p.column}
}

// fileResult is what one file or CUE package holds. It is shared by all trees that have it and never changed.
type fileResult struct {
	pkg      string   // directory of a CUE package, "" for a file
	files    []string // of that package itself
	objects  []*object
	unread   []unread // that there may be besides, if there are errors
	tags     []string // that a CUE package has
	warnings []string
	errors   Errors
	kept     bool // it came out of a Cache
}

// loud tells whether it says more than objects.
func (r *fileResult) loud() bool {
	return len(r.errors)+len(r.warnings)+len(r.unread)+len(r.tags) > 0
}

// object is one canonical object and where it was written.
type object struct {
	schema.Object

	form     definitionKey // in which it was written
	pkg      string        // directory of the CUE package that it came out of
	files    []string      // of that package itself
	position schema.Position
	doubts   *doubts // what is not known of it; nil: nothing. What it has a wrong name or namespace, it has an [unknownName]
	wrong    bool    // there are errors of it
	node     *node   // for the places of its fields; nil if they are read again
	origin   *origin // what it was read from; nil unless node is nil
}

// origin is the text of a file and which of its objects is meant: most trees of nodes are never looked at again, and are
// many times the text.
type origin struct {
	defs  map[definitionKey]definition
	file  string
	text  []byte
	index int
}

// mostWritten is the size of a file, in bytes, that is read again for each place that is asked for.
const mostWritten = 16 << 10

// tree is the object as it was written, nil if it is of another source.
func (o *object) tree() *node {
	if o.node == nil && o.origin != nil {
		e := &evaluator{defs: o.origin.defs}
		return e.read(o.origin.file, o.origin.text).objects[o.origin.index].node
	}
	return o.node
}

// label is what the object is called in errors.
func (o *object) label() string {
	if o.doubts == nil {
		return o.Key().String()
	}
	return objectName(o.doubts.node, o.form.version, o.form.kind)
}

// inherited tells whether o is f again: CUE merges the files of a package into those of the same name below it, so what they declare
// comes out of each.
func (o *object) inherited(f *object) bool {
	return o.pkg != f.pkg && o.pkg != "" && f.pkg != "" && o.position == f.position && o.Hash() == f.Hash()
}

// written is a path of the canonical object as the person wrote it.
func (o *object) written(path []string) []string {
	if !old(o.form.version) {
		if o.form.kind == schema.KindSecret && path[0] == "data" {
			if text := append([]string{"stringData"}, path[1:]...); o.tree().at(text) != nil {
				return text // it wins where both are
			}
		}
		return v1.Path(path)
	}
	all := v1beta1.Paths(o.form.kind, path)
	if len(all) == 1 {
		return all[0]
	}
	tree := o.tree()
	best, most := all[0], -1
	for _, p := range all { // that of which most is there
		n := len(p)
		for n > 0 && tree.at(p[:n]) == nil {
			n--
		}
		if n > most {
			best, most = p, n
		}
	}
	return best
}

// place is where a path of the canonical object was written.
func (o *object) place(path []string) schema.Position {
	n := o.tree()
	if n == nil { // of another source
		return o.position
	}
	return n.find(o.written(path)).in(o.position.File)
}

// file reads one file. The result depends on name and b alone.
func (e *evaluator) file(name string, b []byte) *fileResult {
	r := e.read(name, b)
	for i, o := range r.objects {
		if len(b) <= mostWritten {
			o.node, o.origin = nil, &origin{e.defs, name, b, i}
		}
	}
	return r
}

// read is the same with all nodes.
func (e *evaluator) read(name string, b []byte) *fileResult {
	f := &fileReader{evaluator: e, name: name, result: &fileResult{}}
	docs := parse(name, b, func(p place, path []string, message, hint string) {
		f.fail(p, "", path, message, hint)
	})
	if len(f.result.errors) > 0 && len(docs) == 0 {
		f.result.unread = append(f.result.unread, unread{})
	}
	for _, d := range docs {
		f.document(d, "", "", nil)
	}
	f.untold()
	f.result.errors.sort()
	return f.result
}

// untold is an error for what is not known without one: nothing is ever declared in part.
func (f *fileReader) untold() {
	if len(f.result.errors) > 0 {
		return
	}
	if i := slices.IndexFunc(f.result.objects, func(o *object) bool { return o.doubts != nil }); i >= 0 {
		f.fail(f.result.objects[i].node.pos, f.result.objects[i].label(), nil, "cannot be read as a whole", "")
	} else if len(f.result.unread) > 0 {
		f.fail(place{}, "", nil, "cannot be read as a whole", "")
	}
}

type fileReader struct {
	*evaluator
	name   string
	result *fileResult
}

func (f *fileReader) fail(p place, object string, path []string, message, hint string) {
	f.result.errors = append(f.result.errors, &Error{
		Position: p.in(f.name),
		Object:   object, Field: dotted(path), Message: message, Hint: hint,
	})
}

// document reads one object or list. An item of a list has the version of the list, and its kind if the list has one, unless it says otherwise; path is
// where it is in the file.
func (f *fileReader) document(n *node, version, kind string, path []string) {
	if n.kind != isMap || n.wrong {
		if !n.wrong {
			f.fail(n.pos, "", path, "got "+n.show()+", want an object", notManifest)
		}
		f.unread(n, "")
		return
	}
	for _, want := range []struct {
		name  string
		value *string
	}{{"apiVersion", &version}, {"kind", &kind}} {
		if v := n.get(want.name); v != nil && v.kind != isNull {
			if v.kind != isString || v.wrong {
				if !v.wrong {
					f.fail(v.pos, "", join(path, want.name), "got "+v.show()+", want text", "")
				}
				f.unread(n, "")
				return
			}
			*want.value = v.text
		}
	}
	if manifest := strings.ToLower(n.str("version")); kind == "" && n.get("containers") != nil && old(manifest) {
		f.object(n, manifest, kindManifest, path)
		return
	}
	if version == "" || kind == "" {
		f.noKind(n, version, kind, path)
		f.unread(n, kind)
		return
	}
	item, list := listItem(version, kind)
	if !list && !f.known(n, version, kind, path) {
		return
	}
	if list {
		f.list(n, version, item, path)
		return
	}
	f.object(n, version, schema.Kind(kind), path)
}

const notManifest = "a file that is no manifest can be named in " + ignoreFile

func (f *fileReader) noKind(n *node, version, kind string, path []string) {
	switch {
	case n.get("containers") != nil && n.get("version") != nil:
		f.fail(n.find([]string{"version"}), "", join(path, "version"), fmt.Sprintf("got %s, want v1beta1 or v1beta2, the versions of container manifests", n.get("version").show()), "")
	case n.get("apiVersion") != nil && version == "" || n.get("kind") != nil && kind == "":
		f.fail(n.pos, "", path, "apiVersion or kind is empty", "")
	case version == "" && kind == "":
		f.fail(n.pos, "", path, "apiVersion and kind are missing", notManifest)
	case kind == "":
		f.fail(n.pos, "", path, "kind is missing", `write kind: Pod, Service or ReplicationController`)
	default:
		f.fail(n.pos, "", path, "apiVersion is missing", `write apiVersion: v1, or v1beta1 for the form of 2014`)
	}
}

// known tells whether objects of this version and kind are read; if not, it says so.
func (f *fileReader) known(n *node, version, kind string, path []string) bool {
	if _, ok := f.defs[definitionKey{version, schema.Kind(kind)}]; ok && schema.Kind(kind) != kindManifest {
		return true
	}
	supported := anyVersionHas(strings.TrimSuffix(kind, "List")) || kind == "List"
	at := n.find([]string{"kind"})
	hint := "write v1, or v1beta1 for the form of 2014"
	for _, v := range apiVersions {
		if v.decoders[schema.Kind(strings.TrimSuffix(kind, "List"))] == nil {
			continue
		}
		hint = "write " + v.name
		if v.name == versionV1 && anyOld(kind) {
			hint = "write v1, or v1beta1 for the form of 2014"
		}
		break
	}
	switch {
	case supported:
		f.unread(n, kind)
	case !slices.Contains(otherKinds, strings.TrimSuffix(kind, "List")):
		f.unread(n, "")
	}
	switch {
	case supported && slices.Contains(otherVersions, version):
		f.fail(n.find([]string{"apiVersion"}), "", join(path, "apiVersion"), fmt.Sprintf("%s of apiVersion %q is %s", kind, version, schema.NotYet), hint)
	case supported:
		f.fail(n.find([]string{"apiVersion"}), "", join(path, "apiVersion"), fmt.Sprintf("%s is not known in apiVersion %q", kind, version), hint)
	case slices.Contains(otherKinds, kind) || slices.Contains(otherKinds, strings.TrimSuffix(kind, "List")):
		f.fail(at, "", join(path, "kind"), kind+" is "+schema.NotYet, "")
	default:
		hint := ""
		for _, k := range slices.Concat(kinds(version), []string{"List"}, otherKinds) {
			if strings.EqualFold(k, kind) || Distance(k, kind) == 1 {
				hint = fmt.Sprintf("did you mean %q?", k)
				break
			}
		}
		f.fail(at, "", join(path, "kind"), fmt.Sprintf("unknown kind %q of apiVersion %q", kind, version), hint)
	}
	return false
}

func anyOld(kind string) bool {
	return decoderOf(definitionKey{versionV1beta1, schema.Kind(strings.TrimSuffix(kind, "List"))}) != nil
}

func (f *fileReader) list(n *node, version, kind string, path []string) {
	for _, x := range n.fields {
		switch x.name {
		case "minions":
			if kind != string(kindMinion) {
				f.fail(x.pos, "", join(path, x.name), "unknown field", "")
			}
		case "apiVersion", "kind", "metadata", "items", "id", "uid", "creationTimestamp", "selfLink", "resourceVersion", "namespace", "annotations":
		default:
			f.fail(x.pos, "", join(path, x.name), "unknown field", "")
		}
	}
	items, name := n.get("items"), "items"
	if m := n.get("minions"); items == nil && m != nil { // its other name
		items, name = m, "minions"
	}
	if items == nil || items.kind == isNull {
		if items == nil {
			f.fail(n.pos, "", join(path, "items"), "is missing", "")
		}
		if items == nil || items.wrong {
			f.unreadList(kind)
		}
		return
	}
	if items.kind != isList || items.wrong {
		if !items.wrong {
			f.fail(items.pos, "", join(path, name), "got "+items.show()+", want a list", "")
		}
		f.unreadList(kind)
		return
	}
	for i, x := range items.items {
		f.document(x, version, kind, join(path, name, fmt.Sprint(i)))
	}
}

// object reads one object of a version and kind that is known.
func (f *fileReader) object(n *node, version string, kind schema.Kind, path []string) {
	if kind != kindManifest {
		n = withType(n, version, string(kind))
	}
	name := objectName(n, version, kind)
	if f.wrongForm(n, definitionKey{version, kind}) {
		hint := "this is the form of v1: write apiVersion: v1"
		if !old(version) {
			hint = "this is the form of 2014: write apiVersion: v1beta1"
		}
		f.fail(n.find([]string{"apiVersion"}), name, join(path, "apiVersion"), "the object is not written in the form of "+version, hint)
		f.unread(n, string(kind))
		return
	}
	form := definitionKey{version, kind}
	b, bad, doubts := f.evaluate(form, n)
	for _, x := range bad {
		p := n.find(x.path)
		if x.key {
			p = n.findKey(x.path)
		}
		if x.hint == "" {
			x.hint = hintFor(version, x, n.at(x.path))
		}
		f.fail(p, name, join(path, x.path...), x.message, x.hint)
	}
	decoded, problems, err := decoderOf(form)(b)
	if err != nil {
		if len(bad) == 0 && doubts == nil {
			f.fail(n.pos, name, path, err.Error(), "")
		}
		f.unread(n, string(kind))
		return
	}
	o := &object{Object: decoded, form: form, pkg: f.result.pkg, files: f.result.files, node: n, position: n.pos.in(f.name), doubts: doubts}
	for _, p := range problems {
		if doubts.unsure(&p) {
			continue
		}
		f.fail(n.find(p.Path), name, join(path, p.Path...), p.Message, p.Hint)
	}
	o.doubt(problems)
	for _, p := range o.Check() {
		if o.unsure(&p) {
			continue
		}
		o.wrong = true
		w := o.written(p.Path)
		f.fail(n.find(w), name, join(path, w...), p.Message, p.Hint)
	}
	f.result.objects = append(f.result.objects, o)
	if o.doubts != nil {
		o.wrong = true
		f.unknownKey(o)
		return
	}
	if k := o.Key(); !dnsName(k.Name) {
		f.result.warnings = append(f.result.warnings, fmt.Sprintf("%s: %s: the id %q is no DNS name, as ids have been since 2015; it is kept", o.place([]string{"metadata", "name"}), k, k.Name))
	}
}

// unread notes that a document may declare an object of a kind, if that is known.
func (f *fileReader) unread(n *node, kind string) {
	u := unread{Kind: canonicalKind(schema.Kind(kind))}
	if n.kind == isMap {
		u.Name = cmp.Or(n.str("id"), n.get("metadata").str("name"))
	}
	f.result.unread = append(f.result.unread, u)
}

// unreadList notes that a list may declare objects of a kind, "" for any.
func (f *fileReader) unreadList(kind string) {
	f.result.unread = append(f.result.unread, unread{Kind: canonicalKind(schema.Kind(kind))})
}

// unknownKey gives an object whose name or namespace is not known one that no other has, and notes that it may have any.
func (f *fileReader) unknownKey(o *object) {
	m := o.Metadata()
	name, namespace := o.touch(nil, []string{"metadata", "name"}), o.touch(nil, []string{"metadata", "namespace"})
	namespace = namespace && o.Key().Kind.Namespaced()
	if !name && !namespace {
		return
	}
	u := unread(o.Key())
	if name {
		m.Name, u.Name = unknownName(o.position), ""
	}
	if namespace {
		m.Namespace, u.Namespace = unknownName(o.position), ""
	}
	f.result.unread = append(f.result.unread, u)
}

// withType is n with the version and kind that a list gave it.
func withType(n *node, version, kind string) *node {
	c := *n
	for _, x := range []struct{ name, value string }{{"kind", kind}, {"apiVersion", version}} {
		if v := n.get(x.name); v == nil || v.kind == isNull {
			c.fields = slices.DeleteFunc(slices.Clone(c.fields), func(f field) bool { return f.name == x.name })
			c.fields = append(c.fields, field{x.name, n.pos, &node{kind: isString, pos: n.pos, text: x.value}})
		}
	}
	return &c
}

func objectName(n *node, version string, kind schema.Kind) string {
	if kind == kindManifest {
		kind = schema.KindPod
	}
	k := schema.Key{Kind: kind, Namespace: n.str("namespace"), Name: n.str("id")}
	if !old(version) {
		k.Namespace, k.Name = n.get("metadata").str("namespace"), n.get("metadata").str("name")
	}
	if k.Name == "" {
		return string(kind)
	}
	return k.String()
}

// wrongForm tells whether an object of one version is written in the form of the other: one error says more than ten.
func (f *fileReader) wrongForm(n *node, k definitionKey) bool {
	fields := f.defs[k].shape.fields
	has := func(known bool, names ...string) bool {
		return slices.ContainsFunc(names, func(s string) bool { return n.get(s) != nil && (fields[s] != nil) == known })
	}
	if !old(k.version) {
		return !has(true, "metadata", "spec") && has(false, "id", "desiredState")
	}
	return !has(true, "id", "desiredState") && has(false, "metadata", "spec")
}

// hintFor is a hint for values that are often written wrong.
func hintFor(version string, x found, v *node) string {
	path := x.path
	if v == nil || len(path) == 0 {
		return ""
	}
	switch last := path[len(path)-1]; {
	case old(version) && last == "restartPolicy" && v.kind == isString:
		return `v1beta1 writes {"always": {}}, {"onFailure": {}} or {"never": {}}`
	case version == versionV1 && last == "restartPolicy" && v.kind == isMap:
		return "v1 writes Always, OnFailure or Never"
	case version == versionV1beta2 && (last == "key" || last == "path"):
		return fmt.Sprintf("v1beta2 writes %q", map[string]string{"key": "name", "path": "mountPath"}[last])
	case len(path) > 1 && (path[len(path)-2] == "limits" || path[len(path)-2] == "requests") && !slices.Contains([]string{"cpu", "memory", "ephemeral-storage", "pids"}, last):
		return "what can be limited is cpu, memory, ephemeral-storage and pids"
	case !old(version) && last == "namespace" && len(path) == 2 && x.key:
		return "the object is in no namespace"
	case (last == "command" || last == "args") && v.kind == isString:
		return "write a list: one item per word"
	}
	return ""
}

// dnsName tells whether s is a DNS subdomain (RFC 1123), as names in v1 are.
func dnsName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}
