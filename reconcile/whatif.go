package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// TaintDrain is the key of the taint that [Drain] puts on a minion.
const TaintDrain = "reconciler/drain"

// Without is the input as if a minion were lost and never came back. What is asked for cannot be told of one that the fleet
// does not know, which is an error.
func Without(in Input, minion string) (Input, error) {
	n, ok := in.State.Minions[minion]
	if !ok {
		return in, unknownMinion(in, minion)
	}
	if n.Lost.IsZero() {
		n.Lost = in.Now
	}
	m := in.Minions[minion]
	m.Connected, m.LastSeen = false, in.Now.Add(-365*24*time.Hour)
	in.State.Minions, in.Minions = maps.Clone(in.State.Minions), maps.Clone(in.Minions)
	if in.Minions == nil {
		in.Minions = map[string]Minion{}
	}
	in.State.Minions[minion], in.Minions[minion] = n, m
	return in, nil
}

// Drain is the input as if the revision also cordoned a minion and gave it the taint [TaintDrain], which lets nothing stay
// that does not tolerate it.
func Drain(in Input, minion string) (Input, error) {
	switch {
	case in.Set == nil:
		return in, fmt.Errorf("drain minion %q: nothing is declared", minion)
	case in.Minions[minion].Report == nil && in.State.Minions[minion].UID == "":
		return in, unknownMinion(in, minion)
	}
	node := &schema.Node{Meta: schema.Meta{Name: minion}}
	set := *in.Set
	set.Nodes = slices.Clone(set.Nodes)
	i := slices.IndexFunc(set.Nodes, func(n *schema.Node) bool { return n.Name == minion })
	if i >= 0 {
		node.Meta, node.Spec = set.Nodes[i].Meta, set.Nodes[i].Spec
		set.Nodes[i] = node
	} else {
		set.Nodes = append(set.Nodes, node)
	}
	slices.SortFunc(set.Nodes, func(a, b *schema.Node) int { return strings.Compare(a.Name, b.Name) })
	node.Spec.Unschedulable = true
	node.Spec.Taints = append(slices.Clone(node.Spec.Taints), schema.Taint{Key: TaintDrain, Effect: schema.NoExecute})
	in.Set = &set
	in.Revision.Hash += " with " + minion + " drained" // what is in force already would not be looked at
	return in, nil
}

// AddMinion is the input as if another minion had joined, of which nothing but this is known. One that the fleet knows
// already is an error. Its agent can do what all the other agents can, unless Features says so.
func AddMinion(in Input, r assignment.Report) (Input, error) {
	if _, ok := in.Minions[r.Minion]; ok {
		return in, fmt.Errorf("add minion %q: the fleet has one of this name", r.Minion)
	}
	if r.Features == nil {
		r.Features = commonFeatures(in)
	}
	if r.Images == nil {
		r.Images = []assignment.Image{} // it has to pull all
	}
	in.Minions = maps.Clone(in.Minions)
	if in.Minions == nil {
		in.Minions = map[string]Minion{}
	}
	in.Minions[r.Minion] = Minion{Report: &r, Connected: true, LastSeen: in.Now, Reported: in.Now, Table: in.State.Table}
	return in, nil
}

// commonFeatures is what every agent that reports can do.
func commonFeatures(in Input) (common []schema.Feature) {
	first := true
	for _, name := range slices.Sorted(maps.Keys(in.Minions)) {
		r := in.Minions[name].Report
		switch {
		case r == nil:
		case first:
			common, first = slices.Clone(r.Features), false
		default:
			common = slices.DeleteFunc(common, func(f schema.Feature) bool { return !slices.Contains(r.Features, f) })
		}
	}
	return common
}

func unknownMinion(in Input, name string) error {
	names := slices.Sorted(maps.Keys(in.State.Minions))
	if len(names) == 0 {
		return fmt.Errorf("the fleet has no minion %q, and no other", name)
	}
	return fmt.Errorf("the fleet has no minion %q: it has %s", name, strings.Join(names, ", "))
}
