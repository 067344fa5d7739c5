package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

func newDescribe() *cobra.Command {
	c := &cobra.Command{
		Use: "describe minions|pods|services|rc ID", Short: "Say all about one object", Args: cobra.ExactArgs(2),
		Long: `Say all about one object. Of a pod also the environment variables that its containers have in effect, and the services
that appeared too late for this instance to have their variables.`,
		Example:   "  reconciler describe pod pulpdb\n  reconciler describe service db",
		ValidArgs: []string{"minions", "pods", "services", "rc"},
	}
	server, namespace := addServerFlag(c), addNamespaceFlag(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := resource(args[0])
		if err != nil {
			return err
		}
		v, err := fetchView(cmd.Context(), *server)
		if err != nil {
			return err
		}
		v.namespace, v.name = *namespace, args[1]
		return v.describe(cmd.OutOrStdout(), r)
	}
	return c
}

// describe prints everything that matches, a blank line between two.
func (v *view) describe(w io.Writer, resource string) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	n := 0
	next := func() {
		if n++; n > 1 {
			fmt.Fprintln(tw)
		}
	}
	switch resource {
	case "pods":
		for _, i := range v.instances() {
			next()
			v.describePod(tw, i)
		}
		for _, p := range v.unplaced() {
			next()
			line(tw, "Name", p.Name)
			line(tw, "Labels", pairs(p.Labels))
			line(tw, "Status", "Pending")
			v.describeObject(tw, p.Key())
		}
	case "services":
		for _, s := range v.services() {
			next()
			v.describeService(tw, s)
		}
	case "rc":
		for _, c := range v.controllers() {
			next()
			v.describeController(tw, c)
		}
	case "minions":
		for _, m := range v.minions() {
			next()
			v.describeMinion(tw, m)
		}
	}
	if err := v.notFound(resource, n); err != nil {
		return err
	}
	return tw.Flush()
}

// line prints "Key:  value"; an empty value is <none>.
func line(w io.Writer, key string, value any) {
	s := fmt.Sprint(value)
	if s == "" {
		s = "<none>"
	}
	fmt.Fprintf(w, "%s:\t%s\n", key, s)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "<none>"
	}
	return t.UTC().Format(time.RFC3339)
}

// describeObject prints the two words of an object, why, and where it is declared.
func (v *view) describeObject(w io.Writer, k schema.Key) {
	for _, o := range v.status.Objects {
		if o.Key != k {
			continue
		}
		line(w, "Sync", o.Sync)
		line(w, "Health", o.Health)
		if o.Reason != "" {
			line(w, "Reason", o.Reason)
		}
		if o.Suspended != nil {
			line(w, "Suspended", suspension(*o.Suspended))
		}
		if o.Position.File != "" {
			line(w, "Declared at", o.Position)
		}
	}
	if r, ok := v.state.Objects[k.String()]; ok {
		line(w, "UID", r.UID)
		line(w, "Created", when(r.Created))
		line(w, "Resource version", r.Version)
		if r.SpecCommit != nil {
			line(w, "Spec by", commitLine(r.SpecCommit))
		}
		if r.Commit != nil && (r.SpecCommit == nil || r.Commit.Hash != r.SpecCommit.Hash) {
			line(w, "Last changed by", commitLine(r.Commit))
		}
	}
}

// commitLine is a commit as people look it up.
func commitLine(c *reconcile.Commit) string {
	text := c.Hash
	if c.Subject != "" {
		text += fmt.Sprintf(" %q", c.Subject)
	}
	if c.Author != "" {
		text += " by " + c.Author
	}
	if !c.Time.IsZero() {
		text += ", " + when(c.Time)
	}
	return text
}

func (v *view) describePod(w io.Writer, i reconcile.InstanceStatus) {
	b := i.Binding
	var images []string
	for _, c := range b.Spec.Containers {
		images = append(images, c.Image)
	}
	line(w, "Name", b.Pod)
	line(w, "Instance", b.ID)
	line(w, "Image(s)", strings.Join(images, ","))
	line(w, "Host", i.Minion+"/"+i.HostIP)
	line(w, "Pod IP", b.Address)
	line(w, "Labels", pairs(b.Labels))
	line(w, "Status", podWord(i))
	line(w, "Ready", i.Ready)
	if i.Reason != "" {
		line(w, "Reason", i.Reason)
	}
	if b.Controller != "" {
		line(w, "Replication Controllers", b.Controller)
		k := schema.Key{Kind: schema.KindReplicationController, Namespace: b.Namespace, Name: b.Controller}
		for _, rc := range v.set.ReplicationControllers { // an older instance has another's spec
			if r := v.state.Objects[k.String()]; rc.Key() == k && r.SpecCommit != nil && rc.Spec.Template.Spec.Hash() == b.Hash {
				line(w, "Spec by", commitLine(r.SpecCommit))
			}
		}
	} else {
		v.describeObject(w, schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod})
	}
	line(w, "Bound", fmt.Sprintf("%s by revision %s", when(b.Created), b.Revision))
	var observed []assignment.ContainerStatus
	if i.Observed != nil {
		observed = i.Observed.Containers
	}
	for n := range b.Spec.Containers {
		describeContainer(w, b, &b.Spec.Containers[n], observed)
	}
	if len(i.Late) > 0 {
		line(w, "Too late for this instance", "services "+strings.Join(i.Late, ", ")+" (replace the pod to give it their variables)")
	}
}

// describeContainer prints a container with its effective variables: its own and the services', its own winning.
func describeContainer(w io.Writer, b reconcile.Binding, c *schema.Container, observed []assignment.ContainerStatus) {
	fmt.Fprintf(w, "Container %s:\n", c.Name)
	line(w, "  Image", c.Image)
	for _, o := range observed {
		if o.Name != c.Name {
			continue
		}
		state := o.State
		if o.Reason != "" {
			state += " (" + o.Reason + ")"
		}
		line(w, "  State", state)
		if o.Message != "" {
			line(w, "  Message", o.Message)
		}
		line(w, "  Container ID", o.ID)
		line(w, "  Started", when(o.StartedAt))
		line(w, "  Restarts", o.Restarts)
		if o.State == "terminated" {
			line(w, "  Exit code", o.ExitCode)
		}
		if o.Last != nil {
			line(w, "  Last run", fmt.Sprintf("%s, exit code %d, %s to %s", o.Last.Reason, o.Last.ExitCode, when(o.Last.StartedAt), when(o.Last.FinishedAt)))
		}
	}
	env := map[string]string{}
	for _, e := range b.Env {
		env[e.Name] = e.Value
	}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	if len(env) > 0 {
		fmt.Fprintln(w, "  Environment:")
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(w, "    %s=%s\n", k, env[k])
	}
}

func (v *view) describeService(w io.Writer, s *schema.Service) {
	line(w, "Name", s.Name)
	line(w, "Labels", pairs(s.Labels))
	line(w, "Selector", pairs(s.Spec.Selector))
	line(w, "Portal IP", portal(v.state, s))
	line(w, "Public IPs", strings.Join(s.Spec.ExternalIPs, ","))
	for _, p := range s.Spec.Ports {
		line(w, "Port", strings.TrimSpace(fmt.Sprintf("%d/%s %s", p.Port, p.Protocol.Proto(), p.Name)))
	}
	var ready, waiting []string
	for _, i := range v.status.Instances {
		if i.Binding.Namespace != s.Namespace || !schema.Selects(s.Spec.Selector, i.Binding.Labels) {
			continue
		}
		text := fmt.Sprintf("%s (%s on %s)", i.Binding.Address, i.Binding.Pod, i.Minion)
		if i.Ready && i.Binding.Phase == assignment.Run {
			ready = append(ready, text)
		} else {
			waiting = append(waiting, text)
		}
	}
	slices.Sort(ready)
	slices.Sort(waiting)
	line(w, "Ready pods", strings.Join(ready, ", "))
	if len(waiting) > 0 {
		line(w, "Other pods", strings.Join(waiting, ", "))
	}
	v.describeObject(w, s.Key())
}

func (v *view) describeController(w io.Writer, c *schema.ReplicationController) {
	var images []string
	for _, k := range c.Spec.Template.Spec.Containers {
		images = append(images, k.Image)
	}
	count := map[string]int{}
	current := 0
	for _, i := range v.status.Instances {
		if i.Binding.Controller == c.Name && i.Binding.Namespace == c.Namespace {
			count[podPhase(i)]++
			current++
		}
	}
	line(w, "Name", c.Name)
	line(w, "Image(s)", strings.Join(images, ","))
	line(w, "Selector", pairs(c.Spec.Matches()))
	line(w, "Labels", pairs(c.Labels))
	line(w, "Replicas", fmt.Sprintf("%d current / %d desired", current, c.Spec.Count()))
	line(w, "Pods Status", fmt.Sprintf("%d Running / %d Waiting / %d Succeeded / %d Failed", count["Running"], count["Pending"], count["Succeeded"], count["Failed"]))
	v.describeObject(w, c.Key())
}

func (v *view) describeMinion(w io.Writer, m reconcile.MinionStatus) {
	line(w, "Name", m.Name)
	line(w, "Labels", pairs(m.Labels))
	line(w, "Address", m.Node.Address)
	line(w, "Pod network", m.Node.Network)
	line(w, "Status", minionWord(m))
	line(w, "Connected", m.Connected)
	line(w, "Last seen", when(m.LastSeen))
	line(w, "CPU", fmt.Sprintf("%d of %d thousandths of a core reserved", m.Reserved.MilliCPU, m.Capacity.MilliCPU))
	line(w, "Memory", fmt.Sprintf("%d of %d MiB reserved", m.Reserved.Memory>>20, m.Capacity.Memory>>20))
	if m.Capacity.Storage > 0 {
		line(w, "Storage", fmt.Sprintf("%d of %d MiB reserved", m.Reserved.Storage>>20, m.Capacity.Storage>>20))
	}
	if m.Capacity.PIDs > 0 {
		line(w, "Processes", fmt.Sprintf("%d of %d reserved", m.Reserved.PIDs, m.Capacity.PIDs))
	}
	line(w, "Pods", fmt.Sprintf("%d of %d", m.Reserved.Pods, m.Capacity.Pods))
	line(w, "Routes", fmt.Sprintf("generation %s acknowledged", m.Table))
	line(w, "Agent", m.Version)
	line(w, "Runtime", m.Runtime)
	for _, p := range m.Problems {
		line(w, "Problem", p)
	}
}

// suspension is all that is known of one.
func suspension(s reconcile.Suspension) string {
	text := s.Reason
	if s.Owner != "" {
		text += fmt.Sprintf(" (by %s since %s", s.Owner, when(s.Since))
	} else {
		text += " (in Git"
	}
	if !s.Until.IsZero() {
		text += ", until " + when(s.Until)
	}
	return text + ")"
}
