package reconcile_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/print"
	"reconciler/schema"
	"reconciler/schema/load"
)

var update = flag.Bool("update", false, "rewrite the golden outputs")

// TestScenarios runs every script of testdata and compares what it prints. The words of a script:
//
//	minion NAME [cpu=2000 mem=1024 pods=100 pids=0 disk=0 label=k:v can=FEATURE]   a minion joins and reports, or has this from now on
//	commit HASH [Key: value]                             a revision; the indented lines below declare it, see declare
//	touched HASH AUTHOR FILE...                          a commit before the next revision, or its own, newest first
//	plan | step | settle                                 print the plan as diff does; one step; steps until nothing is left
//	status | instances | routes | records | outcomes | fences | variables POD  print
//	table                                                print the published routes
//	names                                                print what each instance is of, and by which names its agent knows it
//	advance DURATION                                     time passes, without a step
//	round                                                everything travels, agents act
//	hold|free MINION tables|reports|work|all             from now on these do not travel
//	cut|join|reboot MINION                               its stream ends, comes back; all that runs ends
//	runs                                                 print what runs, whatever the server knows
//	missing|found|crashing IMAGE                         of the registry, of the containers
//	broken|mended POD                                    its container ends with exit code 137 again and again, runs again
//	ended POD                                            its containers end for good
//	suspend|resume KIND/NAME [for=DURATION] [REASON]     by the command line; a pod without its kind
//	backup                                               keep what the store has
//	restore | lose                                       start with that, or with an empty store
//	recover [MINION ...]                                 start with --recover, and what these agents keep, or all
//	git lost                                             cannot be read, until the next commit
//	approve [HASH]                                       the plan of this hash, or that of now
//	refused TEXT                                         the newest revision does not load
//	restart [EPOCH]                                      of the server
//	flags pod-net|drain-timeout|apply=VALUE                   that the server was given
//	found-instance MINION POD ID ADDRESS                 an instance that nothing knows of
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 25 {
		t.Fatalf("found %d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) == 0 || a.Files[0].Name != "script" {
				t.Fatalf("read %s: %v", file, err)
			}
			s := &script{t: t, f: newFleet(), held: map[string]bool{}}
			s.run(string(a.Files[0].Data))
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "output", Data: s.out.Bytes()})
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 || !bytes.Equal(a.Files[1].Data, s.out.Bytes()) {
				t.Errorf("the output differs; run with -update and review. Got:\n%s", s.out.String())
			}
		})
	}
}

// script is one scenario under way.
type script struct {
	t    *testing.T
	f    *fleet
	out  bytes.Buffer
	held map[string]bool // "MINION what"

	backup  reconcile.State
	touched []reconcile.Touch // for the next revision
}

func (s *script) run(text string) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		var body []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], " ") {
			i++
			body = append(body, lines[i])
		}
		s.do(line, words, body)
	}
}

func (s *script) do(line string, words, body []string) {
	f := s.f
	named := func() *agent {
		a := f.agents[words[1]]
		if a == nil {
			s.t.Fatalf("%q: no such minion", line)
		}
		return a
	}
	switch words[0] {
	case "minion":
		o := options(words[2:])
		has := assignment.Capacity{MilliCPU: o.number("cpu", 2000), Memory: o.number("mem", 1024) << 20, Pods: int(o.number("pods", 100)), PIDs: o.number("pids", 0), Storage: o.number("disk", 0) << 20}
		if a := f.agents[words[1]]; a != nil {
			a.capacity = has
			s.round()
			break
		}
		a := f.join(words[1], has, o.labels("label"))
		for _, can := range o["can"] {
			a.features = append(a.features, schema.Feature(can))
		}
		s.round()
	case "commit":
		set, err := declare(body)
		if err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		f.set, f.attempt = set, reconcile.Attempt{}
		f.revision = reconcile.Revision{Hash: words[1], Ref: "main", Author: "Ada", Commits: s.touched}
		s.touched = nil
		if k, v, ok := strings.Cut(strings.Join(words[2:], " "), ": "); ok {
			f.revision.Trailers = []reconcile.Trailer{{Key: k, Value: v}}
		}
	case "touched":
		s.touched = append(s.touched, reconcile.Touch{Commit: reconcile.Commit{Hash: words[1], Author: words[2]}, Files: words[3:]})
	case "plan":
		s.say(line)
		in := f.input()
		p := reconcile.Compute(in)
		if p.Held != "" { // as diff does
			_, p = reconcile.Preview(in)
		}
		if err := print.Plan(&s.out, in, p, false); err != nil {
			s.t.Fatal(err)
		}
	case "step":
		f.step()
	case "round":
		s.round()
	case "settle":
		s.settle()
	case "advance":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		f.now = f.now.Add(d)
	case "status":
		s.say(line)
		in := f.input()
		if err := print.Status(&s.out, reconcile.Summarize(in, reconcile.Compute(in)), false); err != nil {
			s.t.Fatal(err)
		}
	case "instances":
		s.say(line)
		for _, id := range f.state.Bindings.IDs() {
			b := f.state.Bindings.Get(id)
			fmt.Fprintf(&s.out, "%s %s %s %s\n", id, b.Minion, b.Address, b.Phase)
		}
	case "table":
		s.say(line)
		fmt.Fprintf(&s.out, "generation %s\n", f.table.Generation)
		for _, r := range f.table.Services {
			fmt.Fprintf(&s.out, "%s:%d %v\n", r.Name, r.Port, r.Addresses)
		}
	case "names":
		s.say(line)
		for _, name := range f.names() {
			for _, i := range f.work[name].Instances {
				b := f.state.Bindings.Get(i.ID)
				fmt.Fprintf(&s.out, "%s is %s %s, and %s %s on %s at %s\n", i.ID, b.Controller, b.Pod, i.Controller, i.Pod, name, i.Address)
			}
		}
	case "routes":
		s.say(line)
		for _, r := range f.state.Routes {
			fmt.Fprintf(&s.out, "%s:%d %v -> %v\n", r.Name, r.Port, r.Addresses, r.Endpoints)
		}
		fmt.Fprintf(&s.out, "table published: %t\n", f.table.Fleet != "")
	case "records":
		s.say(line)
		for _, k := range slices.Sorted(maps.Keys(f.state.Objects)) {
			r := f.state.Objects[k]
			fmt.Fprintf(&s.out, "%s uid %.8s created %s version %d", k, r.UID, r.Created.Format(time.TimeOnly), r.Version)
			if r.Portal.IsValid() {
				fmt.Fprintf(&s.out, " portal %s", r.Portal)
			}
			fmt.Fprintln(&s.out)
		}
	case "fences":
		s.say(line)
		for _, id := range f.state.Bindings.IDs() {
			b := f.state.Bindings.Get(id)
			fmt.Fprintf(&s.out, "%s fence %t, its agent obeys %t, lease %s\n", id, b.Fence, b.Fenced, f.state.Minions[b.Minion].Lease)
		}
	case "outcomes":
		s.say(line)
		for _, o := range f.outcomes {
			fmt.Fprintf(&s.out, "%d %s %s", o.Number, o.Revision.Hash, o.Words())
			for _, t := range []struct {
				what string
				at   time.Time
			}{{"taken", o.Taken}, {"ended", o.Ended}} {
				if !t.at.IsZero() {
					fmt.Fprintf(&s.out, ", %s %s", t.what, t.at.Format("04:05"))
				}
			}
			if o.By != "" {
				fmt.Fprintf(&s.out, ", by %s", o.By)
			}
			if o.Plan != "" {
				fmt.Fprintf(&s.out, ", %d objects", o.Objects)
			}
			if o.Reason != "" && o.Ending != reconcile.Superseded {
				fmt.Fprintf(&s.out, ": %s", o.Reason)
			}
			fmt.Fprintln(&s.out)
		}
	case "variables":
		s.say(line)
		in := f.input()
		for _, i := range reconcile.Summarize(in, reconcile.Compute(in)).Instances {
			if i.Binding.Pod == words[1] {
				for _, e := range i.Binding.Env {
					if strings.HasSuffix(e.Name, "_HOST") {
						fmt.Fprintf(&s.out, "%s %s=%s\n", i.Binding.ID, e.Name, e.Value)
					}
				}
				fmt.Fprintf(&s.out, "%s late: %v\n", i.Binding.ID, i.Late)
			}
		}
	case "address":
		named().address = netip.MustParseAddr(words[2])
		s.round()
	case "peers":
		s.say(line)
		for _, p := range f.table.Minions {
			fmt.Fprintf(&s.out, "%s at %s with %s\n", p.Name, p.Address, p.Network)
		}
	case "runs":
		s.say(line)
		for _, name := range f.names() {
			a := f.agents[name]
			f.fence(a)
			fmt.Fprintf(&s.out, "%s:", name)
			for _, id := range slices.Sorted(maps.Keys(a.has)) {
				if r := a.has[id]; !r.prepared && !r.halted {
					fmt.Fprintf(&s.out, " %s", id)
				}
			}
			fmt.Fprintln(&s.out)
		}
	case "hold", "free":
		named()
		s.held[words[1]+" "+words[2]] = words[0] == "hold"
	case "cut":
		f.cutOff(named())
	case "join":
		named().cut = false
		s.round()
	case "missing", "found":
		f.missing[words[1]] = words[0] == "missing"
	case "crashing":
		f.crashing[words[1]] = true
	case "broken", "mended":
		for _, a := range f.agents {
			for id, r := range a.has {
				if b := f.state.Bindings.Get(id); b != nil && b.Pod == words[1] {
					r.broken, r.restarts, r.up = words[0] == "broken", r.restarts+1, time.Time{}
					if words[0] == "mended" {
						r.up = f.now
					}
				}
			}
		}
		s.round()
	case "reboot":
		f.reboot(named())
	case "ended":
		for _, a := range f.agents {
			for _, r := range a.has {
				r.ended = r.ended || r.Pod == words[1]
			}
		}
		s.round()
	case "suspend", "resume":
		s.say(line)
		k := schema.Key{Kind: schema.KindPod, Namespace: "default", Name: words[1]}
		if kind, name, ok := strings.Cut(words[1], "/"); ok {
			k.Kind, k.Name = schema.Kind(kind), name
		}
		var err error
		if words[0] == "resume" {
			f.state, err = reconcile.Resume(f.state, k)
		} else {
			n := reconcile.Suspension{Owner: "ada", Since: f.now}
			n.Reason = strings.Join(words[2:], " ")
			if text, ok := strings.CutPrefix(n.Reason, "for="); ok {
				text, n.Reason, _ = strings.Cut(text, " ")
				d, err := time.ParseDuration(text)
				if err != nil {
					s.t.Fatal(err)
				}
				n.Until = f.now.Add(d)
			}
			f.state, err = reconcile.Suspend(f.state, k, n)
		}
		if err != nil {
			fmt.Fprintln(&s.out, err)
		}
	case "backup":
		s.backup = f.state
	case "restore":
		f.state = s.backup
		f.restart()
	case "lose":
		f.state = reconcile.State{Fleet: "f1"}
		f.restart()
	case "git":
		f.revision, f.set = reconcile.Revision{}, nil
	case "recover":
		s.say(line)
		kept := map[string]reconcile.Kept{}
		for name, a := range f.agents {
			if len(words) > 1 && !slices.Contains(words, name) {
				continue
			}
			work, table := a.work, a.routes
			kept[name] = reconcile.Kept{Assignment: &work, Table: &table}
		}
		fmt.Fprintf(&s.out, "needed: %t\n", reconcile.NeedsRecovery(f.state, kept))
		st, notes, err := reconcile.Recover(f.state, kept, f.settings, f.now)
		if err != nil {
			fmt.Fprintln(&s.out, err)
		}
		for _, n := range notes {
			fmt.Fprintln(&s.out, n)
		}
		f.state = st
		f.restart()
	case "approve":
		s.say(line)
		in := f.input()
		_, p := reconcile.Preview(in)
		hash := reconcile.PlanHash(in.Revision, p.Changes)
		if len(words) > 1 {
			hash = words[1]
		}
		st, err := reconcile.Approve(in, hash, "ada")
		if stale := (*reconcile.StaleError)(nil); errors.As(err, &stale) {
			fmt.Fprintf(&s.out, "stale since %.19s\n", stale.Asked)
		} else if err != nil {
			fmt.Fprintln(&s.out, err)
		}
		f.state = st
	case "refused":
		f.attempt = reconcile.Attempt{Revision: reconcile.Revision{Hash: "bad", Ref: "main"}, Errors: []string{strings.Join(words[1:], " ")}, Since: f.now}
		f.revision, f.set = f.state.Applied, f.state.Accepted
	case "restart":
		f.restart()
		if len(words) > 1 {
			n, err := strconv.ParseUint(words[1], 10, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			f.state.Epoch = n
		}
	case "flags":
		for k, v := range options(words[1:]) {
			switch k {
			case "pod-net":
				f.settings.PodNet = netip.MustParsePrefix(v[0])
				f.settings.Fixed = map[string]string{"podNet": "--pod-net"}
			case "drain-timeout":
				d, err := time.ParseDuration(v[0])
				if err != nil {
					s.t.Fatal(err)
				}
				f.settings.DrainTimeout, f.settings.Fixed = d, map[string]string{"drainTimeoutSeconds": "--drain-timeout"}
			case "apply":
				f.settings.Manual, f.settings.Fixed = v[0] == "manual", map[string]string{"apply": "--apply"}
			default:
				s.t.Fatalf("unknown flag %q", k)
			}
		}
	case "found-instance":
		a := named()
		i := assignment.Instance{ID: words[3], UID: words[3], Namespace: "default", Pod: words[2], Address: netip.MustParseAddr(words[4])}
		for _, p := range f.set.Pods {
			if p.Name == words[2] {
				i.Hash, i.Spec = p.Spec.Hash(), p.Spec.CanonicalJSON()
			}
		}
		a.has[i.ID] = &running{Instance: i, up: f.now}
		s.round()
	default:
		s.t.Fatalf("unknown word %q", words[0])
	}
}

func (s *script) say(line string) {
	if s.out.Len() > 0 {
		fmt.Fprintln(&s.out)
	}
	fmt.Fprintf(&s.out, "> %s\n", line)
}

// round is as that of the fleet, but for what is held.
func (s *script) round() {
	for _, name := range s.f.names() {
		a := s.f.agents[name]
		holds := func(what string) bool { return s.held[name+" "+what] || s.held[name+" all"] }
		if !holds("tables") {
			s.f.takeTable(a)
		}
		if !holds("work") {
			s.f.takeWork(a)
		}
		s.f.act(a)
		if !holds("reports") {
			s.f.deliver(a)
		}
	}
}

// settle makes steps, one a second, until nothing is to be done or nothing happens for long, and says what each did.
func (s *script) settle() {
	s.say("settle")
	still, before := 0, ""
	for range 200 {
		p := s.f.step()
		text := s.brief()
		if text != before {
			fmt.Fprintf(&s.out, "%s %s\n", s.f.now.Format("04:05"), text)
			still = 0
		}
		before = text
		// What waits for time alone has been given 10 s when nothing is left, else longer than a drain.
		if still++; still > 5 && len(p.Changes) == 0 && len(s.leaving()) == 0 || still > 40 {
			return
		}
		s.round()
		s.f.now = s.f.now.Add(time.Second)
	}
	s.t.Error("the fleet does not settle")
}

func (s *script) leaving() []string {
	var out []string
	for id, b := range s.f.state.Bindings.ByID() {
		if b.Phase == assignment.Drain || b.Phase == assignment.Stop {
			out = append(out, id)
		}
	}
	return out
}

// brief is every instance with its phase, and a star if it gets traffic.
func (s *script) brief() string {
	ready := map[netip.Addr]bool{}
	for _, r := range s.f.state.Routes {
		for _, e := range r.Endpoints {
			ready[e.Addr()] = true
		}
	}
	var out []string
	for _, id := range s.f.state.Bindings.IDs() {
		b := s.f.state.Bindings.Get(id)
		star := ""
		if ready[b.Address] {
			star = "*"
		}
		out = append(out, fmt.Sprintf("%s@%s:%s%s", id, b.Minion, b.Phase, star))
	}
	if len(out) == 0 {
		return "no instances"
	}
	return strings.Join(out, " ")
}

// opts are the key=value words of a line.
type opts map[string][]string

func options(words []string) opts {
	o := opts{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		o[k] = append(o[k], v)
	}
	return o
}

func (o opts) text(key, without string) string {
	if v := o[key]; len(v) > 0 {
		return v[0]
	}
	return without
}

func (o opts) number(key string, without int64) int64 {
	n, err := strconv.ParseInt(o.text(key, fmt.Sprint(without)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (o opts) labels(key string) map[string]string {
	if len(o[key]) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, kv := range o[key] {
		k, v, _ := strings.Cut(kv, ":")
		m[k] = v
	}
	return m
}

// settings are the annotations of a pod or a controller itself.
func (o opts) settings() map[string]string {
	var out map[string]string
	for key, name := range map[string]string{"surge": schema.AnnotationMaxSurge, "unavailable": schema.AnnotationMaxUnavailable, "rollback": schema.AnnotationRollback,
		"lost": schema.AnnotationWhenLost, "was": schema.AnnotationMovedFrom, "report": schema.AnnotationReportOnly,
		"wave": schema.AnnotationWave, "after": schema.AnnotationDependsOn, "group": schema.AnnotationGroup} {
		if v := o.text(key, ""); v != "" {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = v
		}
	}
	return out
}

// declare builds the set of lines "pod|rc|svc NAME key=value ...". Pods and controllers know image, cpu, mem, pids, disk, port, hostport,
// node, select, label, minready, restart, ns, lost (keep, move, fence), was (moved-from), report (report-only), rollback, wave, after
// (depends-on), group and file, where it stands; controllers also replicas, selector, surge and unavailable; services port, select, portal, public, ns, was, report. A
// line that begins with "{" is an object as people write it, in one line of YAML.
func declare(lines []string) (*schema.Set, error) {
	set := &schema.Set{}
	var written []string
	files, positions := map[string]string{}, map[string]schema.Position{}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		if strings.HasPrefix(words[0], "{") {
			written = append(written, line)
			continue
		}
		o := options(words[2:])
		files[words[1]] = o.text("file", "")
		meta := schema.Meta{Name: words[1], Namespace: o.text("ns", "default"), Labels: o.labels("label")}
		spec := schema.PodSpec{NodeName: o.text("node", ""), NodeSelector: o.labels("select"), RestartPolicy: schema.RestartPolicy(o.text("restart", "")),
			Containers: []schema.Container{{Name: "c", Image: o.text("image", "web:1"), Resources: schema.Resources{MilliCPU: o.number("cpu", 0), Memory: o.number("mem", 0) << 20, PIDs: o.number("pids", 0), Storage: o.number("disk", 0) << 20}}}}
		if p, h := o.number("port", 0), o.number("hostport", 0); p+h > 0 {
			spec.Containers[0].Ports = []schema.Port{{ContainerPort: uint16(max(p, 80)), HostPort: uint16(h)}}
		}
		var annotations map[string]string
		if v := o.text("minready", ""); v != "" {
			annotations = map[string]string{reconcile.AnnotationMinReady: v}
		}
		switch words[0] {
		case "pod":
			if meta.Annotations = o.settings(); meta.Annotations == nil {
				meta.Annotations = annotations
			} else {
				maps.Copy(meta.Annotations, annotations)
			}
			set.Pods = append(set.Pods, (&schema.Pod{Meta: meta, Spec: spec}).Canonical())
		case "rc":
			n := int(o.number("replicas", 1))
			meta.Annotations = o.settings()
			labels := meta.Labels
			if labels == nil {
				labels = map[string]string{"name": meta.Name}
			}
			meta.Labels = nil
			set.ReplicationControllers = append(set.ReplicationControllers, (&schema.ReplicationController{Meta: meta, Spec: schema.ControllerSpec{
				Replicas: &n, Selector: o.labels("selector"), Template: schema.Template{Labels: labels, Annotations: annotations, Spec: spec}}}).Canonical())
		case "svc":
			meta.Annotations = o.settings()
			set.Services = append(set.Services, (&schema.Service{Meta: meta, Spec: schema.ServiceSpec{
				Ports: []schema.ServicePort{{Port: uint16(o.number("port", 80))}}, Selector: o.labels("select"), ClusterIP: o.text("portal", ""), ExternalIPs: o["public"]}}).Canonical())
		default:
			return nil, fmt.Errorf("unknown kind %q", words[0])
		}
	}
	objects := slices.Collect(set.Objects())
	for _, o := range objects {
		if file := files[o.Key().Name]; file != "" {
			positions[o.Key().String()] = schema.Position{File: file, Line: 1}
		}
	}
	if len(written) > 0 {
		l, err := load.New(load.Config{})
		if err != nil {
			return nil, err
		}
		r, err := l.Tree(fstest.MapFS{"script.yaml": {Data: []byte(strings.Join(written, "\n---\n"))}})
		if err != nil {
			return nil, err
		}
		objects = append(objects, slices.Collect(r.Set.Objects())...)
	}
	return schema.NewSet(objects, positions), nil
}
