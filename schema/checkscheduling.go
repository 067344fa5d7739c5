package schema

import (
	"slices"
	"strconv"
)

func (c *checker) scheduling(path []string, s *PodSpec) {
	for i, t := range s.Tolerations {
		c.toleration(at(path, "tolerations", strconv.Itoa(i)), t)
	}
	seen := map[[2]string]bool{}
	for i, t := range s.TopologySpreadConstraints {
		p := at(path, "topologySpreadConstraints", strconv.Itoa(i))
		c.topologyKey(at(p, "topologyKey"), t.TopologyKey)
		c.selector(at(p, "labelSelector"), t.Selector)
		k := [2]string{t.TopologyKey, t.WhenUnsatisfiable}
		if seen[k] {
			c.add(at(p, "topologyKey"), "", "a second constraint spreads over %q with %s", t.TopologyKey, t.WhenUnsatisfiable).also(at(p, "whenUnsatisfiable"))
		}
		seen[k] = true
		if t.MinDomains != nil && t.WhenUnsatisfiable != "DoNotSchedule" {
			c.add(at(p, "minDomains"), "write whenUnsatisfiable: DoNotSchedule", "means nothing where the constraint does not bind").also(at(p, "whenUnsatisfiable"))
		}
	}
	a := s.Affinity
	if a == nil {
		return
	}
	if n := a.Node; n != nil {
		p := at(path, "affinity", "nodeAffinity")
		if n.Required != nil {
			q := at(p, "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
			if len(n.Required.Terms) == 0 {
				c.add(q, "", "is empty, which no minion matches")
			}
			for i, t := range n.Required.Terms {
				c.nodeTerm(at(q, strconv.Itoa(i)), t)
			}
		}
		for i, t := range n.Preferred {
			c.nodeTerm(at(p, "preferredDuringSchedulingIgnoredDuringExecution", strconv.Itoa(i), "preference"), t.Preference)
		}
	}
	c.podAffinity(at(path, "affinity", "podAffinity"), a.Pod)
	c.podAffinity(at(path, "affinity", "podAntiAffinity"), a.PodAnti)
}

func (c *checker) toleration(path []string, t Toleration) {
	switch {
	case t.Key != "":
		c.key(at(path, "key"), t.Key)
	case t.Operator != OpExists:
		c.add(at(path, "operator"), "write operator: Exists", "a toleration of every key compares no value").also(at(path, "key"))
	}
	if t.Operator == OpExists && t.Value != "" {
		c.add(at(path, "value"), "remove it", "Exists compares no value").also(at(path, "operator"))
	}
	if t.TolerationSeconds != nil && t.Effect != NoExecute {
		c.add(at(path, "effect"), "write effect: NoExecute", "only NoExecute is tolerated for a time").also(at(path, "tolerationSeconds"))
	}
}

func (c *checker) podAffinity(path []string, a *PodAffinity) {
	if a == nil {
		return
	}
	term := func(path []string, t PodTerm) {
		c.topologyKey(at(path, "topologyKey"), t.TopologyKey)
		c.selector(at(path, "labelSelector"), t.Selector)
	}
	for i, t := range a.Required {
		term(at(path, "requiredDuringSchedulingIgnoredDuringExecution", strconv.Itoa(i)), t)
	}
	for i, t := range a.Preferred {
		term(at(path, "preferredDuringSchedulingIgnoredDuringExecution", strconv.Itoa(i), "podAffinityTerm"), t.Term)
	}
}

func (c *checker) topologyKey(path []string, key string) {
	if key == "" {
		c.add(path, "write the label that tells minions apart, as kubernetes.io/hostname", "is empty")
		return
	}
	c.key(path, key)
}

func (c *checker) key(path []string, key string) {
	if !labelKey.MatchString(key) {
		c.add(path, "", "the key %q is not well-formed", key)
	}
}

func (c *checker) nodeTerm(path []string, t NodeTerm) {
	for i, r := range t.Expressions {
		c.requirement(at(path, "matchExpressions", strconv.Itoa(i)), r, true)
	}
	for i, r := range t.Fields {
		p := at(path, "matchFields", strconv.Itoa(i))
		if r.Key != "metadata.name" {
			c.add(at(p, "key"), "write metadata.name", "%q is no field of a minion that can be matched", r.Key)
			continue
		}
		if (r.Operator != OpIn && r.Operator != OpNotIn) || len(r.Values) != 1 {
			c.add(p, "write operator: In or NotIn and one value", "a name is compared with one value").because(at(p, "operator"), at(p, "values"))
		}
	}
}

func (c *checker) selector(path []string, s *LabelSelector) {
	if s == nil {
		return
	}
	c.labels(at(path, "matchLabels"), s.Labels, true)
	for i, r := range s.Expressions {
		c.requirement(at(path, "matchExpressions", strconv.Itoa(i)), r, false)
	}
}

// requirement checks one condition on labels; of minions tells that Gt and Lt are possible.
func (c *checker) requirement(path []string, r Requirement, ofMinions bool) {
	c.key(at(path, "key"), r.Key)
	switch r.Operator {
	case OpIn, OpNotIn:
		if len(r.Values) == 0 {
			c.add(at(path, "values"), "", "%s needs at least one value", r.Operator).also(at(path, "operator"))
		}
		for i, v := range r.Values {
			if !labelValue.MatchString(v) && !ofMinions {
				c.add(at(path, "values", strconv.Itoa(i)), "", "the value %q is not well-formed", v).also(at(path, "operator"))
			}
		}
	case OpExists, OpDoesNotExist:
		if len(r.Values) > 0 {
			c.add(at(path, "values"), "remove them", "%s compares no values", r.Operator).also(at(path, "operator"))
		}
	case OpGt, OpLt:
		if !ofMinions {
			c.add(at(path, "operator"), "", "%s compares labels of minions, not of pods", r.Operator)
		} else if len(r.Values) != 1 || !wholeNumber(r.Values[0]) {
			c.add(at(path, "values"), "", "%s needs one whole number", r.Operator).also(at(path, "operator"))
		}
	}
}

func wholeNumber(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

// Check is as [Pod.Check].
func (n *Node) Check() []Problem {
	c := &checker{}
	c.meta(&n.Meta)
	var seen []Taint
	for i, t := range n.Spec.Taints {
		p := []string{"spec", "taints", strconv.Itoa(i)}
		c.key(at(p, "key"), t.Key)
		if !labelValue.MatchString(t.Value) {
			c.add(at(p, "value"), "", "the value %q is not well-formed", t.Value)
		}
		if slices.ContainsFunc(seen, func(o Taint) bool { return o.Key == t.Key && o.Effect == t.Effect }) {
			c.add(at(p, "key"), "", "a second taint has the key %q and the effect %s", t.Key, t.Effect).also(at(p, "effect"))
		}
		seen = append(seen, t)
	}
	return c.problems
}
