package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"reconciler/schema"
	v1 "reconciler/schema/v1"
)

// printV1 prints what get was asked for as v1: what was declared, without a status, with the portal IP and the minion that the
// plan chose. One object where a name was given, else a List.
func (v *view) printV1(w io.Writer, resource, format string) error {
	if format != "json" && format != "yaml" {
		return fmt.Errorf("unknown output format %q: json or yaml", format)
	}
	var objects []schema.Object
	switch resource {
	case "pods":
		for _, p := range v.podViews() {
			c := *p.Pod
			c.Spec.NodeName = p.Host
			objects = append(objects, &c)
		}
	case "services":
		for _, s := range v.services() {
			c, _ := v1.Resolve(s, v.set)
			d := *c
			if a := v.state.Objects[s.Key().String()].Portal; a.IsValid() {
				d.Spec.ClusterIP = a.String()
			}
			objects = append(objects, &d)
		}
	case "rc":
		for _, c := range v.controllers() {
			objects = append(objects, c)
		}
	case "minions":
		for _, m := range v.minions() {
			n := &schema.Node{Meta: schema.Meta{Name: m.Name, Labels: m.Labels}}
			if i := slices.IndexFunc(v.set.Nodes, func(d *schema.Node) bool { return d.Name == m.Name }); i >= 0 {
				n.Annotations, n.Spec = v.set.Nodes[i].Annotations, v.set.Nodes[i].Spec
			}
			objects = append(objects, n)
		}
	}
	if err := v.notFound(resource, len(objects)); err != nil {
		return err
	}
	items := make([]json.RawMessage, len(objects))
	for i, o := range objects {
		x, _ := v1.Write(o) // a port that no pod tells yet is the service's own
		b, err := encode(x, "json")
		if err != nil {
			return err
		}
		items[i] = b
	}
	var out any = objectList{v1.Version, "List", items}
	if v.name != "" && len(items) == 1 {
		out = items[0]
	}
	b, err := encode(out, format)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
