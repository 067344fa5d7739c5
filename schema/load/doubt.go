package load

import (
	"slices"
	"strconv"
	"strings"

	"reconciler/schema"
	"reconciler/schema/v1beta1"
)

// doubts is what is not known of an object because its document says something wrong there. What does not depend on it is
// checked all the same, so that a person sees everything at once; and what depends on it is not, since it may be no more than
// a consequence. nil: everything is known.
type doubts struct {
	node   *node      // the document
	lost   [][]string // places of which the value is not known, nor whether there is one
	strays []stray    // fields that there are not
}

// stray is an unknown field. It may have been meant for a field of its struct that is not there: of nearly its name, if there is
// one, or else for any that may have its value. Or it was meant for a field of its name somewhere else.
type stray struct {
	in    []string // path of the struct
	name  string
	holds bool     // it is a map or list: there may be more of what is there already
	near  []string // fields of the struct with nearly this name
	fits  []string // fields of the struct that may have its value
	maps  []string // fields of the struct that are maps which may have it as an entry: it is indented too little
}

// isNear tells whether a name may be a misspelling of a field.
func isNear(name, field string) bool {
	if name == field {
		return true
	}
	d := Distance(strings.ToLower(name), strings.ToLower(field))
	return d < mostMisspelt && d < len(name)
}

// mostMisspelt is one more than the characters that a misspelt name may differ in.
const mostMisspelt = 3

// touch tells whether something of a problem that follows from these paths, which are of the document, is not known.
func (d *doubts) touch(paths [][]string) bool {
	return d != nil && slices.ContainsFunc(paths, func(p []string) bool { return d.touches(d.node, nil, p) })
}

// touches tells it of one path: rest, as [schema.Problem.Because] has it, of the value n, which is at a path.
func (d *doubts) touches(n *node, at, rest []string) bool {
	if slices.ContainsFunc(d.lost, func(l []string) bool { return slices.Equal(l, at) }) {
		return true
	}
	if len(rest) == 0 {
		return slices.ContainsFunc(d.lost, func(l []string) bool { return begins(l, at) }) ||
			slices.ContainsFunc(d.strays, func(s stray) bool { return begins(s.in, at) || s.entry(at) })
	}
	switch e := rest[0]; {
	case e == "":
		return false
	case e == "*" && n == nil:
		return false
	case e == "*":
		for i := range n.items {
			if d.touches(n.items[i], join(at, strconv.Itoa(i)), rest[1:]) {
				return true
			}
		}
		for i := range n.fields {
			if d.touches(n.fields[i].value, join(at, n.fields[i].name), rest[1:]) {
				return true
			}
		}
		return false
	default:
		v := n.at([]string{e})
		for i := range d.strays {
			if d.strays[i].meant(n, at, e, v == nil) {
				return true
			}
		}
		return d.touches(v, join(at, e), rest[1:])
	}
}

// meant tells whether the field may have been meant for name, of the value n at a path.
func (s *stray) meant(n *node, at []string, name string, absent bool) bool {
	if n != nil && n.kind == isList {
		return false
	}
	if isNear(s.name, name) && (absent || s.holds) {
		return true
	}
	if !absent || !slices.Equal(s.in, at) {
		return false
	}
	if slices.ContainsFunc(s.near, func(f string) bool { return n.get(f) == nil }) {
		return slices.Contains(s.near, name)
	}
	return slices.Contains(s.fits, name)
}

// entry tells whether the field may have been meant for an entry of the map at a path.
func (s *stray) entry(at []string) bool {
	return len(at) > 0 && slices.Equal(s.in, at[:len(at)-1]) && slices.Contains(s.maps, at[len(at)-1])
}

func begins(path, with []string) bool {
	return len(path) >= len(with) && slices.Equal(path[:len(with)], with)
}

// unsure tells whether a problem, with paths of the document, may be no more than a consequence of what is wrong.
func (d *doubts) unsure(p *schema.Problem) bool {
	if p.Because == nil {
		return d.touch([][]string{p.Path})
	}
	return d.touch(p.Because)
}

// doubt adds what problems, with paths of the document, are about.
func (o *object) doubt(problems []schema.Problem) {
	if len(problems) == 0 {
		return
	}
	if o.doubts == nil {
		o.doubts = &doubts{node: o.node}
	}
	for _, p := range problems {
		o.doubts.lost = append(o.doubts.lost, p.Path)
	}
}

// unsure tells whether a problem of o may be no more than a consequence of what is wrong with it.
func (o *object) unsure(p *schema.Problem) bool {
	return o.doubts != nil && o.touch(p.Because, p.Path)
}

// touch tells whether what is at one of some paths of the canonical object is not known; without any, at path.
func (o *object) touch(because [][]string, path []string) bool {
	if o.doubts == nil {
		return false
	}
	if because == nil {
		because = [][]string{path}
	}
	for _, p := range because {
		if o.doubts.touch(o.spellings(p)) {
			return true
		}
	}
	return false
}

// spellings is every path of the document where what is at a path of the canonical object may have been written.
func (o *object) spellings(path []string) [][]string {
	if old(o.form.version) {
		return v1beta1.Paths(o.form.kind, path)
	}
	w := o.written(path)
	if slices.Equal(w, []string{"spec", "clusterIP"}) && o.doubts.node.at(w) == nil {
		return [][]string{w, {"spec", "clusterIPs"}}
	}
	return [][]string{w}
}

// open is the paths of the object in v1, which is b, of which the value is not known.
func (o *object) open(b []byte) (paths [][]string) {
	if o.doubts == nil {
		return nil
	}
	defs, err := definitions()
	if err != nil {
		return nil // without them there would be no object
	}
	version := versionV1
	if _, own := ownDecoders[o.Key().Kind]; own {
		version = versionOwn
	}
	var walk func(n *node, s *shape, path []string)
	walk = func(n *node, s *shape, path []string) {
		add := func(name string) { paths = append(paths, join(path, name)) }
		unknown := func(name string) bool { return o.touch([][]string{join(path, name, "")}, nil) }
		if n.kind == isList {
			for i, x := range n.items {
				if name := strconv.Itoa(i); unknown(name) {
					add(name)
				} else if s != nil {
					walk(x, s.item, join(path, name))
				}
			}
			return
		}
		for _, f := range n.fields {
			if unknown(f.name) {
				add(f.name)
			} else if s != nil {
				walk(f.value, s.at([]string{f.name}), join(path, f.name))
			}
		}
		if s == nil {
			return
		}
		for name := range s.fields {
			if n.get(name) == nil && o.touch([][]string{join(path, name)}, nil) { // or something in it
				add(name)
			}
		}
		if s.each == nil {
			return
		}
		for _, w := range o.spellings(path) { // a map may lack entries
			for _, l := range o.doubts.lost {
				if len(l) == len(w)+1 && begins(l, w) && n.get(l[len(w)]) == nil {
					add(l[len(w)])
				}
			}
			if slices.ContainsFunc(o.doubts.strays, func(x stray) bool { return x.entry(w) }) {
				paths = append(paths, path)
			}
		}
	}
	r := newJSONReader(b, func(place, []string, string, string) {})
	walk(r.value(), defs[definitionKey{version, o.Key().Kind}].shape, nil)
	slices.SortFunc(paths, func(a, b []string) int { return slices.Compare(a, b) })
	return paths
}

// unread is a document, or a file, that may declare an object, as far as it is known which: "" is not known.
type unread schema.Key

// mayBe tells whether the object of a key, or, without a name, any of its kind and namespace, may be declared there.
func (u unread) mayBe(k schema.Key) bool {
	return (u.Kind == "" || u.Kind == k.Kind) && (u.Namespace == "" || k.Namespace == u.Namespace) && (u.Name == "" || k.Name == "" || u.Name == k.Name)
}

// unknownName stands for a name or namespace that is not known: no other object has it.
func unknownName(p schema.Position) string { return "\x00" + p.String() }
