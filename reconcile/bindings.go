package reconcile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Bindings are the bindings of a state by id, indexed by minion and by the declared object that they are of. The zero value
// has none. A Bindings value and what it leads to are never changed: With and Without return another, and one call of Compute
// copies only what it changes, so that keeping the state before it costs little. It encodes to JSON as an object by id.
type Bindings struct{ t *bindingTable }

// bindingTable is dense: a binding has a number as long as it is there, and its minion and its owner have theirs.
type bindingTable struct {
	bound   paged[bound]   // by number
	leaving map[int32]bool // in Drain or Stop
	free    []int32
	count   int
	token   *token // another whenever something changes that routes are made of
	work    []work // by number of the minion
	ids     numbers
	minions index[string]     // each sorted by id
	owners  index[schema.Key] // each from old to new
	edition *edition          // nil: it is shared, and not to be changed
}

// work is what is worked out of the bindings of a minion.
type work struct {
	instances []assignment.Instance // what it is to run; nil = to be made anew
	holds     *hold                 // what they hold; nil = to be summed up anew
}

// bound is a binding with the numbers of its owner and its minion; nil is free.
type bound struct {
	*Binding
	owner, minion int32
}

// token is something that is different from all others.
type token struct{ _ byte }

// edition is what the only user of a table knows of it.
type edition struct {
	token bool // that of the table is new, and nobody has it
}

// BindingsOf are some bindings, of which the last of one id counts. Specs that are the same become one.
func BindingsOf(list ...Binding) Bindings {
	t := (*bindingTable)(nil).edit()
	specs := map[string]*schema.PodSpec{}
	for i := range list {
		b := list[i]
		if b.Spec == nil {
			b.Spec = &schema.PodSpec{}
		}
		if len(b.Spec.Containers) > 0 { // what was found on a minion has the hash of a spec that nobody knows
			if s := specs[b.Hash]; s != nil {
				b.Spec = s
			} else {
				specs[b.Hash] = b.Spec
			}
		}
		t.put(&b)
	}
	t.edition = nil
	return Bindings{t}
}

// Len is how many there are.
func (s Bindings) Len() int {
	if s.t == nil {
		return 0
	}
	return s.t.count
}

// Get is the binding with an id, nil if there is none.
func (s Bindings) Get(id string) *Binding {
	if n, ok := s.number(id); ok {
		return s.t.at(n)
	}
	return nil
}

// All are all of them by minion, then id.
func (s Bindings) All() iter.Seq[*Binding] {
	return func(yield func(*Binding) bool) {
		if s.t == nil {
			return
		}
		for _, m := range s.t.minions.sorted {
			for _, n := range s.t.minions.buckets[m].list {
				if !yield(s.t.at(n)) {
					return
				}
			}
		}
	}
}

// On are those on a minion, by id.
func (s Bindings) On(minion string) iter.Seq[*Binding] {
	return func(yield func(*Binding) bool) {
		if s.t == nil {
			return
		}
		for _, n := range s.t.minions.of(minion) {
			if !yield(s.t.at(n)) {
				return
			}
		}
	}
}

// Of are those of a pod without controller, or of a controller, from old to new.
func (s Bindings) Of(owner schema.Key) iter.Seq[*Binding] {
	return func(yield func(*Binding) bool) {
		if s.t == nil {
			return
		}
		for _, n := range s.t.owners.of(owner) {
			if !yield(s.t.at(n)) {
				return
			}
		}
	}
}

// IDs are all ids, sorted.
func (s Bindings) IDs() []string {
	ids := make([]string, 0, s.Len())
	for b := range s.All() {
		ids = append(ids, b.ID)
	}
	slices.Sort(ids)
	return ids
}

// ByID are copies of all of them by id.
func (s Bindings) ByID() map[string]Binding {
	m := make(map[string]Binding, s.Len())
	for b := range s.All() {
		m[b.ID] = *b
	}
	return m
}

// With has a binding in addition, or in place of one with the same id.
func (s Bindings) With(b Binding) Bindings {
	t := s.t.edit()
	if b.Spec == nil {
		b.Spec = &schema.PodSpec{}
	}
	t.put(&b)
	t.edition = nil
	return Bindings{t}
}

// Without lacks a binding.
func (s Bindings) Without(id string) Bindings {
	t := s.t.edit()
	t.drop(id)
	t.edition = nil
	return Bindings{t}
}

// Equal tells whether both have the same bindings.
func (s Bindings) Equal(o Bindings) bool {
	if s.t == o.t {
		return true
	}
	if s.Len() != o.Len() {
		return false
	}
	for b := range s.All() {
		x := o.Get(b.ID)
		if x == nil || x != b && !x.equal(b) {
			return false
		}
	}
	return true
}

// MarshalJSON is an object by id.
func (s Bindings) MarshalJSON() ([]byte, error) {
	m := make(map[string]*Binding, s.Len())
	for b := range s.All() {
		m[b.ID] = b
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Bindings) UnmarshalJSON(text []byte) error {
	var m map[string]Binding
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	list := make([]Binding, 0, len(m))
	for id, b := range m {
		if b.ID != id {
			return fmt.Errorf("binding %q stands under the id %q", b.ID, id)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Binding) int { return strings.Compare(a.ID, b.ID) })
	*s = BindingsOf(list...)
	return nil
}

// Owners are the keys of all pods without controller and of all controllers that have bindings, in no order.
func (s Bindings) Owners() iter.Seq[schema.Key] {
	return func(yield func(schema.Key) bool) {
		if s.t == nil {
			return
		}
		for i := range s.t.owners.buckets {
			if o := &s.t.owners.buckets[i]; len(o.list) > 0 && !yield(o.key) {
				return
			}
		}
	}
}

// count is how many there are of a pod without controller, or of a controller.
func (s Bindings) count(owner schema.Key) int {
	if s.t == nil {
		return 0
	}
	return len(s.t.owners.of(owner))
}

// has tells whether there is one of a pod without controller, or of a controller.
func (s Bindings) has(owner schema.Key) bool {
	if s.t == nil {
		return false
	}
	return s.t.owners.numberOf(owner, -1) >= 0
}

// number is the number of a binding.
func (s Bindings) number(id string) (int32, bool) {
	if s.t == nil {
		return 0, false
	}
	return s.t.number(id)
}

// token is the same as long as nothing changes that routes are made of.
func (s Bindings) token() *token {
	if s.t == nil {
		return nil
	}
	if s.t.edition != nil {
		s.t.edition.token = false // who has it is to notice what comes
	}
	return s.t.token
}

// edit is a copy that may be changed by its only user, who sets edition to nil when that is over.
func (t *bindingTable) edit() *bindingTable {
	e := &edition{}
	if t == nil {
		out := &bindingTable{edition: e}
		out.minions.hash, out.owners.hash = hashString, hashKey
		out.minions.sorted = []int32{}
		return out
	}
	out := *t
	out.bound, out.free, out.leaving = t.bound.edit(), slices.Clone(t.free), maps.Clone(t.leaving)
	out.work = slices.Clone(t.work)
	out.ids = t.ids.edit()
	out.minions, out.owners = t.minions.edit(), t.owners.edit()
	out.edition = e
	return &out
}

// put takes a binding over, which is not changed any more, in place of that with its id, if there is one.
func (t *bindingTable) put(b *Binding) (number int32, added bool) {
	n, ok := t.number(b.ID)
	if !ok {
		return t.add(b, -1), true
	}
	x := t.bound.at(n)
	old := x.Binding
	if old.Minion != b.Minion || t.owners.buckets[x.owner].key != owner(b.Namespace, b.Pod, b.Controller) || !old.Created.Equal(b.Created) {
		t.drop(b.ID)
		return t.add(b, -1), false
	}
	t.note(n, b)
	if old.Serving != b.Serving || old.Address != b.Address || old.Spec != b.Spec || !sameMap(old.Labels, b.Labels) {
		t.renew()
	}
	if old.Phase != b.Phase || old.Spec != b.Spec || old.Fence != b.Fence {
		t.work[x.minion].instances = nil
	}
	if old.Spec != b.Spec {
		t.work[x.minion].holds = nil
	}
	if old.Phase != b.Phase || old.Hash != b.Hash || old.Serving != b.Serving || old.Spec != b.Spec || !sameMap(old.Labels, b.Labels) || !sameMap(old.Annotations, b.Annotations) {
		t.minions.touch(x.minion)
		t.owners.touch(x.owner)
	}
	t.bound.change(n).Binding = b // a later version of the same keeps its place: nothing else changes while it is there
	return n, false
}

// add takes over a binding with an id that no other has. maybe is the number of its minion, as far as is known.
func (t *bindingTable) add(b *Binding, maybe int32) int32 {
	var n int32
	var x *bound
	if last := len(t.free) - 1; last >= 0 {
		n, t.free = t.free[last], t.free[:last]
		x = t.bound.change(n)
	} else {
		x, n = t.bound.push()
	}
	x.Binding = b
	t.note(n, b)
	t.count++
	t.ids.add(hashString(b.ID), n)
	x.minion = t.minions.add(b.Minion, maybe, n, func(x, y int32) int { return strings.Compare(t.at(x).ID, t.at(y).ID) }, strings.Compare)
	for len(t.work) < len(t.minions.buckets) {
		t.work = append(t.work, work{})
	}
	t.work[x.minion] = work{}
	t.renew()
	x.owner = t.owners.add(owner(b.Namespace, b.Pod, b.Controller), t.owners.last, n, func(x, y int32) int { return t.at(x).compareAge(t.at(y)) }, nil)
	return n
}

// at is the binding with a number, nil if that is free.
func (t *bindingTable) at(n int32) *Binding { return t.bound.at(n).Binding }

// number is that of a binding.
func (t *bindingTable) number(id string) (int32, bool) {
	return t.ids.find(hashString(id), func(n int32) bool { return t.at(n).ID == id })
}

// renew makes the token another.
func (t *bindingTable) renew() {
	if !t.edition.token {
		t.token, t.edition.token = new(token), true
	}
}

// note keeps account of which leave.
func (t *bindingTable) note(n int32, b *Binding) {
	switch {
	case !leaving(b):
		delete(t.leaving, n)
	case t.leaving == nil:
		t.leaving = map[int32]bool{n: true}
	default:
		t.leaving[n] = true
	}
}

// drop forgets a binding, if it is there.
func (t *bindingTable) drop(id string) {
	n, ok := t.number(id)
	if !ok {
		return
	}
	x := *t.bound.at(n)
	t.ids.remove(hashString(id), func(i int32) bool { return i == n })
	t.renew()
	t.work[x.minion] = work{}
	t.minions.remove(x.minion, n)
	t.owners.remove(x.owner, n)
	t.bound.change(n).Binding = nil
	delete(t.leaving, n)
	t.free = append(t.free, n)
	t.count--
}

// compareAge orders bindings of one pod from old to new.
func (b *Binding) compareAge(o *Binding) int {
	return cmp.Or(b.Created.Compare(o.Created), strings.Compare(b.ID, o.ID))
}

// binding is the binding of an instance, the zero value if it has none.
func (c *step) binding(id string) Binding { return value(c.st.Bindings.Get(id)) }

// before is what binding was before this step.
func (c *step) before(id string) Binding { return value(c.in.State.Bindings.Get(id)) }

func value(b *Binding) Binding {
	if b == nil {
		return Binding{}
	}
	return *b
}

// put adds a binding, or takes the place of that with its id.
func (c *step) put(b Binding) {
	if n, added := c.edit().put(&b); added {
		c.unseen(n)
	}
}

// add is put of a binding with an id that no other has, on a minion whose number may be known. It takes the binding over, and returns
// the number of the minion.
func (c *step) add(b *Binding, maybe int32) (minion int32) {
	t := c.edit()
	c.unseen(t.add(b, maybe))
	return t.minions.last
}

// unseen notes that a binding with a number is new: what was seen is of another, that had the number before.
func (c *step) unseen(n int32) {
	if int(n) < len(c.seenAt.list) && (c.seenAt.list[n] != 0 || c.readiness.list[n] != unsure) {
		c.seenAt.edit()[n], c.readiness.edit()[n] = 0, unsure
	}
}

// drop forgets a binding.
func (c *step) drop(id string) { c.edit().drop(id) }

// edit is the step's own copy of the bindings.
func (c *step) edit() *bindingTable {
	if t := c.st.Bindings.t; t == nil || t.edition == nil {
		c.st.Bindings.t = t.edit()
	}
	return c.st.Bindings.t
}

// sealed is the state that was decided, which is not changed any more.
func (c *step) sealed() State {
	if t := c.st.Bindings.t; t != nil && t.edition != nil { // else it is others' too
		t.edition = nil
	}
	return c.st
}

// equal tells whether two versions of a binding say the same.
func (b *Binding) equal(o *Binding) bool { return reflect.DeepEqual(b, o) }
