package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"reconciler/netproxy"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// Kept is what an agent goes on with while its server is away, as it hands it over: nil where it has none.
type Kept struct {
	Assignment *assignment.Assignment `json:"assignment,omitempty"`
	Table      *assignment.Table      `json:"table,omitempty"`
}

// behindBy tells whether an agent has heard of what a state does not know: then that is an old copy, or empty. Tables are
// counted on over all epochs, and saved before an agent hears of them.
func (st State) behindBy(table, work assignment.Generation) bool {
	return max(table.Epoch, work.Epoch) > st.Epoch || table.Counter > st.Table.Counter
}

// phases are in the order in which an instance goes through them.
var phases = []assignment.Phase{assignment.Prepare, assignment.Run, assignment.Drain, assignment.Stop}

// NeedsRecovery tells whether any agent has heard of what a state does not know, or the state is known for an old copy. Every
// decision is saved before an agent hears of it. Only what was to stop may be forgotten before its agent hears of that.
func NeedsRecovery(st State, kept map[string]Kept) bool {
	for _, k := range kept {
		var table, work assignment.Generation
		if k.Assignment != nil {
			work = k.Assignment.Generation
			for _, i := range k.Assignment.Instances {
				switch b := st.Bindings.Get(i.ID); {
				case b == nil && i.Phase != assignment.Stop, b != nil && slices.Index(phases, i.Phase) > slices.Index(phases, b.Phase):
					return true
				}
			}
		}
		if k.Table != nil {
			table = k.Table.Generation
		}
		if st.behindBy(table, work) {
			return true
		}
	}
	return st.Superseded != 0
}

// Recover rebuilds the decisions of a fleet from what its agents keep, by minion. st is an old copy of them, or has no more than
// the fleet's id. It knows again: which instance is where, with spec, address, service variables and phase; the minions'
// networks and addresses; the portal IPs of all services that were routed; and an epoch, a sequence and a table that are not
// behind what any agent has heard of. The caller gives the state an epoch above its own before it serves.
//
// What no agent keeps is as in st: suspensions, quarantines and last healthy specs, records of pods and controllers. Which revision
// is in force is not known, so that none is until the next is taken: then it is judged by the settings of st, and base, as ever.
// Of minions that handed nothing over the bindings of st stay, unless another minion has an instance of the same pod.
//
// The notes are for people. It is an error if an agent is of another fleet, or holds what cannot be read; st is as good as before
// then.
func Recover(st State, kept map[string]Kept, base Settings, now time.Time) (State, []string, error) {
	r := &recovery{st: st, settings: base.With(st.Accepted.Cluster()), now: now, names: slices.Sorted(maps.Keys(kept)), kept: kept}
	for _, name := range r.names {
		if err := r.check(name); err != nil {
			return st, nil, fmt.Errorf("recover: %w", err)
		}
	}
	r.st.Objects, r.st.Minions, r.st.Resting = cloned(st.Objects), cloned(st.Minions), cloned(st.Resting)
	r.st.memo = memo{}
	// Above all that was ever numbered: a uid that is given twice would name two instances.
	r.st.Sequence = max(st.Sequence, (r.st.Epoch+1)<<32)
	r.minions()
	if err := r.bindings(); err != nil {
		return st, nil, fmt.Errorf("recover: %w", err)
	}
	r.portals()
	r.st.Superseded, r.st.Quorate, r.st.TableHash = 0, time.Time{}, ""
	r.st.Recovered = now
	return r.st, r.notes, nil
}

func cloned[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// recovery is one Recover under way.
type recovery struct {
	st       State
	settings Settings
	now      time.Time
	names    []string // of kept, sorted
	kept     map[string]Kept
	table    *assignment.Table // the newest
	notes    []string
}

func (r *recovery) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// check takes fleet, epoch and the newest table of what a minion handed over.
func (r *recovery) check(name string) error {
	k := r.kept[name]
	for _, fleet := range []*string{fleetOf(k.Assignment), tableFleet(k.Table)} {
		switch {
		case fleet == nil:
		case r.st.Fleet == "":
			r.st.Fleet = *fleet
		case *fleet != r.st.Fleet:
			return fmt.Errorf("minion %q is of fleet %q, not %q", name, *fleet, r.st.Fleet)
		}
	}
	if a := k.Assignment; a != nil {
		if a.Minion != name {
			return fmt.Errorf("minion %q hands over the assignment of %q", name, a.Minion)
		}
		r.st.Epoch = max(r.st.Epoch, a.Generation.Epoch)
	}
	if t := k.Table; t != nil {
		r.st.Epoch = max(r.st.Epoch, t.Generation.Epoch)
		if r.table == nil || t.Generation.Compare(r.table.Generation) > 0 {
			r.table = t
		}
	}
	if r.st.Epoch > maxEpoch {
		return fmt.Errorf("minion %q has heard of epoch %d, and no server was started so often", name, r.st.Epoch)
	}
	return nil
}

// maxEpoch is more often than a server is ever started. Above it sequence numbers would not be exact in JSON any more, whose
// readers take numbers for floats of 53 bits.
const maxEpoch = 1<<20 - 1

func fleetOf(a *assignment.Assignment) *string {
	if a == nil {
		return nil
	}
	return &a.Fleet
}

func tableFleet(t *assignment.Table) *string {
	if t == nil {
		return nil
	}
	return &t.Fleet
}

// minions takes networks and addresses of minions from assignments and the newest table.
func (r *recovery) minions() {
	known := map[string]assignment.Peer{}
	if r.table != nil {
		for _, p := range r.table.Minions {
			known[p.Name] = p
		}
	}
	for _, name := range r.names {
		if a := r.kept[name].Assignment; a != nil && a.Network.IsValid() {
			p := known[name]
			p.Name, p.Network = name, a.Network
			known[name] = p
		}
	}
	taken := map[netip.Prefix]string{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		p := known[name]
		n, ok := r.st.Minions[name]
		if !ok {
			n = Node{UID: r.uid(), Created: r.now}
		}
		n.Network = p.Network
		if p.Address.IsValid() {
			n.Address = p.Address
		}
		if a := r.kept[name].Assignment; a != nil {
			n.Lost, n.Lease = time.Time{}, max(n.Lease, a.Lease)
		}
		r.st.Minions[name] = n
		taken[p.Network] = name
	}
	for _, name := range slices.Sorted(maps.Keys(r.st.Minions)) {
		if _, ok := known[name]; ok {
			continue
		}
		if other, ok := taken[r.st.Minions[name].Network]; ok {
			r.note("minion %s is forgotten: its network %s is that of %s by now", name, r.st.Minions[name].Network, other)
			delete(r.st.Minions, name)
		}
	}
}

// bindings takes the instances from assignments. Of minions that handed over theirs nothing else is there.
func (r *recovery) bindings() error {
	routed := r.endpoints()
	var list []Binding
	has := map[string]bool{}
	running := map[string]string{} // pods of which a minion that is heard has an instance that is to run
	for _, name := range r.names {
		a := r.kept[name].Assignment
		if a == nil {
			continue
		}
		for _, i := range a.Instances {
			b, err := r.binding(name, i)
			if err != nil {
				return err
			}
			b.Serving = b.Phase == assignment.Run && routed[b.Address]
			b.Routed = b.Routed || routed[b.Address] || b.Phase != assignment.Prepare
			if b.Phase == assignment.Run {
				running[slot(b.Namespace, b.Pod, b.Controller)] = b.ID
			}
			if has[b.ID] {
				r.note("instance %s of minion %s is left out: another minion has one of that name", b.ID, name)
				continue
			}
			has[b.ID] = true
			list = append(list, b)
		}
	}
	for old := range r.st.Bindings.All() {
		if has[old.ID] {
			continue
		}
		if r.kept[old.Minion].Assignment != nil || r.st.Minions[old.Minion].UID == "" { // it is gone since
			if old.Address.IsValid() {
				r.st.Resting[old.Address] = r.now.Add(r.settings.Rest)
			}
			continue
		}
		b := *old
		if id := running[slot(b.Namespace, b.Pod, b.Controller)]; id != "" && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			b.Phase, b.Since, b.Reason = assignment.Drain, r.now, fmt.Sprintf("%s runs in its place, and minion %s was silent when decisions were rebuilt", id, b.Minion)
			r.note("%s on minion %s, which is silent, is to end: %s runs in its place", b.ID, b.Minion, id)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b Binding) int { return strings.Compare(a.ID, b.ID) })
	r.st.Bindings = BindingsOf(list...)
	return nil
}

// endpoints are the pod addresses that the newest table leads to.
func (r *recovery) endpoints() map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	if r.table != nil {
		for _, s := range r.table.Services {
			for _, e := range s.Endpoints {
				out[e.Addr()] = true
			}
		}
	}
	return out
}

// binding is the decision that an assignment tells of.
func (r *recovery) binding(minion string, i assignment.Instance) (Binding, error) {
	var b Binding
	if old := r.st.Bindings.Get(i.ID); old != nil && old.Minion == minion && old.Hash == i.Hash {
		b = *old // with what the minion was not told
	} else {
		r.st.Sequence++
		b = Binding{Revision: r.st.Applied.Hash, Version: r.st.Sequence, Since: r.now}
	}
	if b.Phase != i.Phase {
		b.Since = r.now
	}
	if names := (Names{i.Pod, i.Controller}); b.Known() != names { // else it may have become another object's since
		b.Pod, b.Controller, b.Started = i.Pod, i.Controller, nil
	}
	b.ID, b.UID, b.Namespace, b.Minion = i.ID, i.UID, i.Namespace, minion
	b.Address, b.Hash, b.Env, b.Created, b.Phase = i.Address, i.Hash, i.Env, i.Created, i.Phase
	b.Fence, b.Fenced = i.Fence, i.Fence && b.Fence && b.Fenced // its next report says whether its agent obeys
	if b.Phase == assignment.Drain || b.Phase == assignment.Stop {
		b.Reason = cmp.Or(b.Reason, "it was to end before decisions were rebuilt")
	}
	spec, err := schema.DecodePodSpec(i.Spec)
	if err != nil && len(i.Spec) > 0 && b.Spec == nil {
		return b, fmt.Errorf("read spec of instance %q on minion %q: %w", i.ID, minion, err)
	}
	if err == nil {
		b.Spec = &spec
	}
	return b, nil
}

// portals takes the portal IPs, and what is routed, from the newest table.
func (r *recovery) portals() {
	if r.table == nil {
		return
	}
	r.st.Table, r.st.Routes = r.table.Generation, r.table.Services
	variables := r.variables()
	seen, holder := map[string]netip.Addr{}, map[netip.Addr]string{}
	for _, s := range r.table.Services {
		if s.HostPort || len(s.Addresses) == 0 {
			continue
		}
		k := schema.Key{Kind: schema.KindService, Namespace: s.Namespace, Name: s.Name}.String()
		if a := s.Addresses[0]; r.isPortal(s, a, variables) {
			seen[k], holder[a] = a, k
		}
	}
	for _, k := range slices.Sorted(maps.Keys(r.st.Objects)) {
		o := r.st.Objects[k]
		if !o.Portal.IsValid() || seen[k] == o.Portal {
			continue
		}
		if holder[o.Portal] == "" {
			r.st.Resting[o.Portal] = r.now.Add(r.settings.Rest)
		}
		o.Portal = netip.Addr{} // it was deleted since, and perhaps declared anew
		r.st.Objects[k] = o
	}
	for _, k := range slices.Sorted(maps.Keys(seen)) {
		o, ok := r.st.Objects[k]
		if !ok {
			r.st.Sequence++
			o = Record{UID: r.uid(), Created: r.now, Version: r.st.Sequence}
		}
		o.Portal = seen[k]
		r.st.Objects[k] = o
	}
}

// isPortal tells whether the first address of a routed service is its portal IP, and not a public one: by the portal network,
// or by the variables of an instance of its namespace, as the network may have been set in a revision that nobody knows.
func (r *recovery) isPortal(s netproxy.Service, a netip.Addr, variables map[string]bool) bool {
	return r.settings.PortalNet.Contains(a) || variables[s.Namespace+" "+schema.VariablePrefix(s.Name)+"_SERVICE_HOST="+a.String()]
}

// variables are the service variables of all instances, with their namespaces.
func (r *recovery) variables() map[string]bool {
	out := map[string]bool{}
	for _, k := range r.kept {
		if k.Assignment == nil {
			continue
		}
		for _, i := range k.Assignment.Instances {
			for _, e := range i.Env {
				if strings.HasSuffix(e.Name, "_SERVICE_HOST") {
					out[i.Namespace+" "+e.Name+"="+e.Value] = true
				}
			}
		}
	}
	return out
}

func (r *recovery) uid() string {
	r.st.Sequence++
	return uid(r.st.Fleet, r.st.Sequence)
}

// uid is a unique id in the shape of a UUID of version 8 (RFC 9562 section 5.8).
func uid(fleet string, sequence uint64) string {
	var room [128]byte
	h := sha256.Sum256(strconv.AppendUint(append(append(room[:0], fleet...), ' '), sequence, 10))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	out := room[:0]
	for i, n := range [...]int{4, 2, 2, 2, 6} {
		if i > 0 {
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, h[:n])
		copy(h[:], h[n:16])
	}
	return string(out)
}
