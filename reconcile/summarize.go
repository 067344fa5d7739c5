package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// healthOrder is from worst to best.
var healthOrder = []Health{Degraded, Missing, Unknown, Progressing, Healthy}

func worse(a, b Health) int {
	return cmp.Compare(slices.Index(healthOrder, a), slices.Index(healthOrder, b))
}

// Summarize says what is true, from the input of a step and what it decided.
func Summarize(in Input, p Plan) Status {
	c := newStep(Input{Now: in.Now, Settings: in.Settings, State: p.State, Minions: in.Minions})
	c.set = p.State.Accepted
	if !p.State.Recovered.IsZero() {
		c.set = nil
	}
	c.observe()
	c.noteSuspensions()
	in.Revision.Commits, in.Attempt.Revision.Commits = nil, nil // they are the plan's business
	s := Status{Time: in.Now, Attempted: in.Revision, Applied: p.State.Applied, Warnings: p.Warnings, Sync: Synced, Health: Healthy}
	if p.Stalled != "" {
		s.Errors = append(s.Errors, p.Stalled)
	}
	if len(in.Attempt.Errors) > 0 {
		s.Attempted, s.Errors = in.Attempt.Revision, append(s.Errors, in.Attempt.Errors...)
	}
	if p.Held != "" {
		_, next := preview(in, p)
		s.Held = &Held{Text: p.Held, Plan: PlanHash(in.Revision, next.Changes), Count: len(next.Changes), Changes: next.Changes}
	}
	if t := p.State.Recovered; !t.IsZero() {
		s.Applied = Revision{}
		s.Errors = append(s.Errors, fmt.Sprintf("the decisions were rebuilt from the agents at %s: what runs goes on, and nothing is begun until a revision is taken into force", t.UTC().Format(time.RFC3339)))
	}
	if a := p.State.Approved; a != nil && a.Revision.same(p.State.Applied) {
		s.Approved = a
	}
	changes, waits := map[schema.Key][]Change{}, map[string]string{}
	for _, ch := range p.Changes {
		changes[ch.Object] = append(changes[ch.Object], ch)
		waits[cmp.Or(ch.Old, ch.Instance)] = ch.Waiting
	}
	s.Instances = slices.Grow(s.Instances, p.State.Bindings.Len())
	for _, id := range p.State.Bindings.IDs() {
		i := c.instanceStatus(*p.State.Bindings.Get(id))
		if w := waits[id]; w != "" && (i.Binding.Phase == assignment.Drain || i.Binding.Phase == assignment.Stop) {
			i.Reason += "; waits for " + w
		}
		s.Instances = append(s.Instances, i)
	}
	s.Objects = c.objects(s.Instances, changes)
	s.Minions = c.minions(s.Instances)
	for _, r := range p.State.Objects {
		if r.Quarantine != nil {
			s.Except++
		}
	}
	for _, o := range s.Objects {
		if o.Sync != Synced {
			s.Sync = OutOfSync
		}
		if worse(o.Health, s.Health) < 0 {
			s.Health = o.Health
		}
	}
	if len(s.Errors) > 0 || s.Held != nil {
		s.Sync = OutOfSync
	}
	for _, m := range s.Minions {
		if m.Health != Healthy && worse(m.Health, s.Health) < 0 {
			s.Health = m.Health
		}
	}
	if p.State.Applied.Hash == "" && len(s.Errors) == 0 && s.Held == nil {
		s.Errors = []string{"no revision was applied yet"}
		s.Sync = OutOfSync
	}
	slices.SortStableFunc(s.Objects, func(a, b ObjectStatus) int { return cmp.Or(worse(a.Health, b.Health), a.Key.Compare(b.Key)) })
	s.Instances = sortRuns(s.Instances, func(a, b *InstanceStatus) int { // they are sorted by id
		return worse(a.Health, b.Health)
	})
	slices.SortStableFunc(s.Minions, func(a, b MinionStatus) int { return cmp.Or(worse(a.Health, b.Health), strings.Compare(a.Name, b.Name)) })
	return s
}

// instanceStatus joins a binding with its report.
func (c *step) instanceStatus(b Binding) InstanceStatus {
	s := InstanceStatus{Binding: b, Minion: b.Minion, Observed: c.observedOf(b.ID), Ready: c.ready(&b), Health: Progressing}
	m := c.in.Minions[b.Minion]
	n := c.st.Minions[b.Minion]
	if n.Address.IsValid() {
		s.HostIP = n.Address.String()
	}
	problem := c.problem(b.ID)
	o := s.Observed
	switch {
	case !n.Lost.IsZero():
		s.Health, s.Reason = Unknown, fmt.Sprintf("minion %s is lost: silent since %s", b.Minion, m.LastSeen.UTC().Format("15:04:05"))
	case m.Report == nil:
		s.Health, s.Reason = Unknown, fmt.Sprintf("minion %s has not reported since the server started", b.Minion)
	case problem != "":
		s.Health, s.Reason = Degraded, problem
	case b.Phase == assignment.Drain || b.Phase == assignment.Stop:
		s.Reason = cmp.Or(b.Reason, "it is to end")
	case s.Ready:
		s.Health = Healthy
		if !c.seen(&m) {
			s.Health, s.Reason = Unknown, "minion "+b.Minion+" is silent"
		}
	case o == nil:
		s.Reason = "waiting for minion " + b.Minion + " to take it over"
	case o.State == assignment.Ended && b.Spec.Restart() != schema.RestartAlways:
		s.Health, s.Reason = Healthy, "ended"
		for _, k := range o.Containers {
			if k.ExitCode != 0 {
				s.Health, s.Reason = Degraded, fmt.Sprintf("container %s ended with exit code %d", k.Name, k.ExitCode)
			}
		}
	case o.Reason != "":
		s.Reason = strings.TrimSuffix(o.Reason+": "+o.Message, ": ")
	case o.State == assignment.Prepared:
		s.Reason = "its image is there; it waits for the old instance to be gone"
	case !o.Up.IsZero():
		s.Reason = fmt.Sprintf("running; ready after %s", c.minReady(b.Annotations))
	default:
		s.Reason = "starting"
	}
	s.Late = c.lateServices(b)
	return s
}

// lateService is a service that pods may be too old for.
type lateService struct {
	name, variable string
	created        time.Time
}

// lateServices are the services of an instance's namespace that have no variables in it.
func (c *step) lateServices(b Binding) (late []string) {
	if c.set == nil || !b.Spec.ServiceLinks() {
		return nil
	}
	if c.services == nil {
		c.services = map[string][]lateService{}
		for _, s := range c.set.Services {
			if r := c.st.Objects[s.Key().String()]; r.Portal.IsValid() && len(s.Spec.Ports) > 0 {
				c.services[s.Namespace] = append(c.services[s.Namespace], lateService{s.Name, schema.VariablePrefix(s.Name) + "_SERVICE_HOST", r.Created})
			}
		}
	}
	for _, s := range c.services[b.Namespace] {
		if s.created.After(b.Created) && !slices.ContainsFunc(b.Env, func(e schema.EnvVar) bool { return e.Name == s.variable }) {
			late = append(late, s.name)
		}
	}
	return late
}

// objects are the declared ones, and those that left Git and are not gone yet.
func (c *step) objects(instances []InstanceStatus, changes map[schema.Key][]Change) []ObjectStatus {
	byOwner := map[schema.Key][]*InstanceStatus{}
	for n := range instances {
		i := &instances[n]
		k := owner(i.Binding.Namespace, i.Binding.Pod, i.Binding.Controller)
		byOwner[k] = append(byOwner[k], i)
	}
	var pods pool
	ready := map[string]bool{}
	for i := range instances {
		if b := &instances[i].Binding; b.Phase == assignment.Run {
			pods.add(b)
			ready[b.ID] = instances[i].Ready
		}
	}
	var out []ObjectStatus
	declared := map[schema.Key]bool{}
	workload := func(k schema.Key, desired int) {
		declared[k] = true
		out = append(out, c.workload(k, desired, byOwner[k], changes[k]))
	}
	if c.set != nil {
		for _, p := range c.set.Pods {
			workload(p.Key(), 1)
		}
		of := derive(c.set, c.in.State.derived)
		for _, r := range c.set.ReplicationControllers {
			workload(r.Key(), of.replicas(r.Key()))
		}
		countReplicas(out, c.set, of.counted)
		for _, s := range c.set.Services {
			declared[s.Key()] = true
			now := c.inForce(s)
			if now == nil {
				out = append(out, ObjectStatus{Key: s.Key(), Sync: OutOfSync, Health: Missing, Reason: "report-only: " + s.Annotations[schema.AnnotationReportOnly]})
				continue
			}
			out = append(out, c.service(now, pods, ready, changes[s.Key()]))
		}
		for i := range out {
			out[i].Position = c.set.Positions[out[i].Key.String()]
		}
	}
	why := "not in Git any more"
	if c.set == nil {
		why = "no revision is in force that could declare it"
	}
	for k, is := range byOwner {
		if !declared[k] {
			o := ObjectStatus{Key: k, Sync: OutOfSync, Health: Progressing, Reason: fmt.Sprintf("%s; %d instances are still there", why, len(is))}
			for _, ch := range changes[k] {
				if ch.Drift {
					o.Drift, o.Reason = []Code{ch.Code}, "drift: "+ch.Reason
				}
			}
			out = append(out, o)
		}
	}
	return out
}

// workload is the status of a pod or a controller.
func (c *step) workload(k schema.Key, desired int, instances []*InstanceStatus, changes []Change) ObjectStatus {
	o := ObjectStatus{Key: k, Sync: Synced, Health: Healthy, Desired: desired}
	var reasons []string
	say := func(h Health, reason string) {
		if worse(h, o.Health) < 0 {
			o.Health = h
			reasons = slices.Insert(reasons, 0, reason)
		} else if h != Healthy {
			reasons = append(reasons, reason)
		}
	}
	serving := 0
	for _, i := range instances {
		if i.Binding.Phase != assignment.Run && i.Binding.Phase != assignment.Prepare {
			continue
		}
		if i.Binding.Phase == assignment.Run {
			serving++
		}
		ended := i.Observed != nil && i.Observed.State == assignment.Ended && i.Health == Healthy
		if i.Ready || ended {
			o.Ready++
		}
		if i.Health != Healthy && (i.Health != Progressing || len(changes) == 0) {
			say(i.Health, cmp.Or(i.Reason, "not ready"))
		} else {
			say(i.Health, "")
		}
	}
	o.Ready = min(o.Ready, desired)
	if len(changes) > 0 {
		o.Sync = OutOfSync
	}
	if s, ok := c.suspended[k]; ok {
		o.Suspended = &s
		reasons = append(reasons, s.String())
	}
	changes = slices.DeleteFunc(slices.Clone(changes), func(ch Change) bool {
		if ch.WaitingCode == CodeDependency && ch.Blocked { // others are ill
			reasons = append(reasons, ch.Reason+", waits for "+ch.Waiting)
			return true
		}
		return ch.WaitingCode == CodeSuspended || ch.WaitingCode == CodeReportOnly // as somebody wants it: not ill
	})
	if r := c.st.Objects[k.String()]; r.Quarantine != nil && r.Healthy != nil {
		o.Sync = OutOfSync
		say(Degraded, quarantined(r))
	}
	for _, ch := range changes {
		if ch.Drift && !slices.Contains(o.Drift, ch.Code) {
			o.Drift = append(o.Drift, ch.Code)
		}
	}
	for _, g := range group(changes) {
		if g.blocked {
			say(Degraded, g.text)
		} else {
			say(Progressing, g.text)
		}
	}
	if serving == 0 && desired > 0 && worse(Missing, o.Health) < 0 {
		o.Health = Missing
	}
	seen := map[string]bool{}
	reasons = slices.DeleteFunc(reasons, func(r string) bool { again := seen[r]; seen[r] = true; return again || r == "" })
	o.Reason = strings.Join(reasons, "; ")
	return o
}

// grouped is what several changes of one object have in common.
type grouped struct {
	text    string
	blocked bool
}

// group puts changes that differ in their instance alone into one line of words. What waits for its turn only is counted.
func group(changes []Change) (out []grouped) {
	type id struct {
		verb    Verb
		reason  string
		blocked bool
		drift   bool
	}
	n, waits := map[id]int{}, map[id]string{}
	var order []id
	for _, ch := range changes {
		k := id{ch.Verb, ch.reason(), ch.Blocked, ch.Drift}
		if ch.Blocked {
			k.reason = ch.Waiting
			if ch.Drift {
				k.reason = ch.reason() + ": " + ch.Waiting
			}
		} else if ch.Waiting != "" && (waits[k] == "" || waitsInTurn(waits[k])) {
			waits[k] = ch.Waiting
		}
		if n[k]++; n[k] == 1 {
			order = append(order, k)
		}
	}
	for _, k := range order {
		text := k.reason
		if n[k] > 1 {
			text = fmt.Sprintf("%d to %s: %s", n[k], k.verb, text)
		}
		if k.drift {
			text = "drift: " + text
		}
		if waits[k] != "" {
			text += ", waits for " + waits[k]
		}
		out = append(out, grouped{text, k.blocked})
	}
	return out
}

// service is the status of a service: healthy if it has an address and a ready pod.
func (c *step) service(s *schema.Service, pods pool, ready map[string]bool, changes []Change) ObjectStatus {
	o := ObjectStatus{Key: s.Key(), Sync: Synced, Health: Healthy}
	if p := c.st.Objects[s.Key().String()].Portal; p.IsValid() {
		o.Portal = p.String()
	} else if s.Spec.ClusterIP != schema.Headless {
		o.Sync, o.Health, o.Reason = OutOfSync, Degraded, "it has no portal IP"
	}
	for _, b := range pods.of(s) {
		o.Desired++
		if ready[b.ID] {
			o.Ready++
		}
	}
	for _, ch := range changes {
		if ch.Blocked {
			o.Sync, o.Reason = OutOfSync, ch.Reason+": "+ch.Waiting
		}
	}
	if len(s.Spec.Needs()) > 0 {
		o.Health = Degraded
	}
	if o.Reason != "" {
		return o
	}
	switch {
	case len(s.Spec.Selector) == 0:
		if o.Desired = c.byHand(s); o.Desired == 0 {
			o.Reason = "no selector, and no Endpoints of its name: it refuses connections"
		}
		o.Ready = o.Desired
	case o.Desired == 0:
		o.Reason = "no pod matches its selector: it refuses connections"
	case o.Ready == 0:
		o.Health, o.Reason = Progressing, "no pod is ready: it refuses connections"
	}
	return o
}

// byHand is the number of endpoints that people wrote for a service.
func (c *step) byHand(s *schema.Service) (n int) {
	for _, e := range c.set.Endpoints {
		if e.Namespace != s.Namespace || e.Name != s.Name {
			continue
		}
		for _, subset := range e.Subsets {
			n += len(subset.Addresses)
		}
	}
	return n
}

// minions are the minions with what is reserved on them.
func (c *step) minions(instances []InstanceStatus) []MinionStatus {
	reserved := map[string]assignment.Capacity{}
	for i := range instances {
		l, r := instances[i].Binding.Spec.Reserved(), reserved[instances[i].Minion]
		reserved[instances[i].Minion] = assignment.Capacity{MilliCPU: r.MilliCPU + l.MilliCPU, Memory: r.Memory + l.Memory, Pods: r.Pods + 1,
			PIDs: r.PIDs + l.PIDs, Storage: r.Storage + l.Storage}
	}
	nodes := declaredNodes(c.set)
	var out []MinionStatus
	for _, name := range slices.Sorted(maps.Keys(c.in.Minions)) {
		m := c.in.Minions[name]
		n := c.st.Minions[name]
		s := MinionStatus{Name: name, Health: Healthy, Connected: m.Connected, LastSeen: m.LastSeen, Node: n, Table: m.Table, Behind: m.Table.Compare(c.st.Table) < 0}
		if r := m.Report; r != nil {
			s.Labels, s.Capacity, s.Version, s.Runtime, s.Problems = r.Labels, r.Capacity, r.Version, r.Runtime, r.Problems
		}
		s.Reserved = reserved[name]
		git := nodes[name]
		if git != nil {
			s.Labels = withLabels(s.Labels, git.Labels)
		}
		switch {
		case !n.Lost.IsZero():
			s.Health, s.Reason = Unknown, fmt.Sprintf("lost: silent since %s", m.LastSeen.UTC().Format("15:04:05"))
		case m.Report == nil:
			s.Health, s.Reason = Unknown, "has not reported since the server started"
		case m.Error != "":
			s.Health, s.Reason = Degraded, m.Error
		case len(s.Problems) > 0:
			s.Health, s.Reason = Degraded, s.Problems[0]
		case !m.Connected:
			s.Health, s.Reason = Unknown, "not connected"
		case s.Behind:
			s.Health, s.Reason = Progressing, fmt.Sprintf("routes of generation %s, not yet %s", m.Table, c.st.Table)
		case git != nil && git.Spec.Unschedulable:
			s.Reason = "cordoned: it gets no new pods"
		case len(n.Tainted) > 0:
			s.Reason = fmt.Sprintf("drained: only pods that tolerate %s stay", strings.Join(slices.Sorted(maps.Keys(n.Tainted)), " and "))
		}
		out = append(out, s)
	}
	return out
}
