package schema

import (
	"fmt"
	"maps"
)

// Matcher finds the controllers of which a selector is about some labels, without looking at all of them.
type Matcher map[[3]string][]*ReplicationController // by namespace and the first label of the selector

// NewMatcher knows the controllers of a set; nil has none.
func NewMatcher(s *Set) Matcher {
	if s == nil {
		return Matcher{}
	}
	return MatcherOf(s.ReplicationControllers)
}

// MatcherOf knows some controllers. It answers for their namespaces only if they are all there are in them.
func MatcherOf(controllers []*ReplicationController) Matcher {
	m := Matcher{}
	for _, r := range controllers {
		selector, first := r.Spec.Matches(), ""
		for k := range selector {
			if first == "" || k < first {
				first = k
			}
		}
		if first != "" {
			at := [3]string{r.Namespace, first, selector[first]}
			m[at] = append(m[at], r)
		}
	}
	return m
}

// Of is the controllers of a namespace whose selectors are about these labels, in the order of the set for each first label.
func (m Matcher) Of(namespace string, labels map[string]string) (out []*ReplicationController) {
	if len(m) == 0 {
		return nil
	}
	for _, k := range sortedKeys(labels) {
		for _, r := range m[[3]string{namespace, k, labels[k]}] {
			if Selects(r.Spec.Matches(), labels) {
				out = append(out, r)
			}
		}
	}
	return out
}

// Replica is the controller as one of whose replicas a declared pod counts, nil if there is none: its selector is about the
// pod's labels, and the pod is to run for ever.
func (m Matcher) Replica(p *Pod) *ReplicationController {
	if p.Spec.Restart() != RestartAlways {
		return nil
	}
	if all := m.Of(p.Namespace, p.Labels); len(all) > 0 {
		return all[0]
	}
	return nil
}

// replicas finds pods that would count as replicas of two controllers: which of them ran one fewer of its own would be an
// accident of their names.
func (c *setChecker) replicas() {
	if len(c.set.Pods) == 0 || len(c.set.ReplicationControllers) < 2 {
		return
	}
	m := NewMatcher(c.set)
	for _, p := range c.set.Pods {
		if m.Replica(p) != nil {
			c.replica(p, m.Of(p.Namespace, p.Labels))
		}
	}
}

// replica checks a pod that counts as a replica of all these controllers.
func (c *setChecker) replica(p *Pod, all []*ReplicationController) {
	if len(all) < 2 {
		return
	}
	k := Clash{Key: p.Key(), Other: all[1].Key(), Problem: Problem{Path: []string{"metadata", "labels"},
		Message: fmt.Sprintf("they match the selector of %s, and that", all[0].Key()), Hint: "a pod counts as a replica of one controller: give one of the selectors a label that the pod does not have"}}
	k.also([]string{"spec", "restartPolicy"})
	for _, r := range all[:2] {
		k.Premises = append(k.Premises, Premise{r.Key(), [][]string{{"metadata", "name"}, {"spec", "selector"}, {"spec", "template", "metadata", "labels"}}})
	}
	c.clashes = append(c.clashes, k)
}

// fewPods is how many pods are compared with every controller one by one.
const fewPods = 8

// replicasOf is replicas as far as a change can have brought them.
func (c *setChecker) replicasOf(change *Change) {
	all := false // the controllers' selectors may be others
	var pods []*Pod
	change.both(func(o, other Object) {
		switch o := o.(type) {
		case *ReplicationController:
			was, ok := other.(*ReplicationController)
			all = all || !ok || !maps.Equal(o.Spec.Matches(), was.Spec.Matches())
		case *Pod:
			was, ok := other.(*Pod)
			if !ok || !maps.Equal(o.Labels, was.Labels) || o.Spec.Restart() != was.Spec.Restart() {
				pods = append(pods, o)
			}
		}
	})
	if all || len(pods) > fewPods {
		c.replicas()
		return
	}
	for _, p := range pods {
		if i, ok := search(c.set.Pods, p.Key()); !ok || c.set.Pods[i] != p || p.Spec.Restart() != RestartAlways {
			continue // it is gone
		}
		var of []*ReplicationController
		for _, r := range c.set.ReplicationControllers {
			if r.Namespace == p.Namespace && Selects(r.Spec.Matches(), p.Labels) {
				of = append(of, r)
			}
		}
		if len(of) > 1 { // in the order that the others are told in
			c.replica(p, NewMatcher(c.set).Of(p.Namespace, p.Labels))
		}
	}
}
