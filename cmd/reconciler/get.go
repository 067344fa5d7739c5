package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
	v1 "reconciler/schema/v1"
	"reconciler/schema/v1beta1"
)

// addNamespaceFlag adds -n.
func addNamespaceFlag(c *cobra.Command) *string {
	return c.Flags().StringP("namespace", "n", schema.DefaultNamespace, "namespace")
}

// addOutputFlag adds -o.
func addOutputFlag(c *cobra.Command) *string {
	o := c.Flags().StringP("output", "o", "", "json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// resources are what get and describe can show, with the short names of kubectl.
var resources = map[string]string{
	"pods": "pods", "pod": "pods", "po": "pods",
	"services": "services", "service": "services", "se": "services", "svc": "services",
	"replicationcontrollers": "rc", "replicationcontroller": "rc", "rc": "rc",
	"minions": "minions", "minion": "minions", "mi": "minions", "nodes": "minions", "node": "minions", "no": "minions",
}

func resource(name string) (string, error) {
	r, ok := resources[strings.ToLower(name)]
	if !ok {
		return "", hinted{fmt.Errorf("unknown resource %q", name), "one of minions, pods, services, rc"}
	}
	return r, nil
}

func newGet() *cobra.Command {
	c := &cobra.Command{
		Use: "get minions|pods|services|rc [ID]", Short: "List what runs, in the columns of 2014", Args: cobra.RangeArgs(1, 2),
		Long: `List minions, pods, services or replication controllers. -o json and -o yaml print the objects as the v1beta1 API of
2014 did; with --output-version v1 as one would write them today, without status.

Of a pod that is being replaced both instances are shown, by the names of the instances, and the one that goes away is
marked as draining.`,
		Example:   "  reconciler get pods\n  reconciler get services db -o json\n  reconciler get pods -o yaml --output-version v1\n  reconciler get minions",
		ValidArgs: []string{"minions", "pods", "services", "rc"},
	}
	server, namespace, output := addServerFlag(c), addNamespaceFlag(c), addOutputFlag(c)
	all := c.Flags().BoolP("all-namespaces", "A", false, "of all namespaces")
	version := c.Flags().String("output-version", v1beta1.Version1, "v1beta1 or v1, of -o")
	_ = c.RegisterFlagCompletionFunc("output-version", cobra.FixedCompletions([]string{v1beta1.Version1, v1.Version}, cobra.ShellCompDirectiveNoFileComp))
	headers := c.Flags().Bool("no-headers", false, "leave the line of column names out")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := resource(args[0])
		if err != nil {
			return err
		}
		if *version != v1beta1.Version1 && *version != v1.Version {
			return fmt.Errorf("unknown output version %q: v1beta1 or v1", *version)
		}
		if cmd.Flags().Changed("output-version") && *output == "" {
			return hinted{errors.New("--output-version is of -o json and -o yaml"), "the table has one form"}
		}
		v, err := fetchView(cmd.Context(), *server)
		if err != nil {
			return err
		}
		v.namespace = *namespace
		if *all {
			v.namespace = ""
		}
		if len(args) == 2 {
			v.name = args[1]
		}
		if *output != "" && *version == v1.Version {
			return v.printV1(cmd.OutOrStdout(), r, *output)
		}
		if *output != "" {
			return v.printObjects(cmd.OutOrStdout(), r, *output)
		}
		return v.printTable(cmd.OutOrStdout(), r, !*headers)
	}
	return c
}

// view is the fleet as get and describe show it, restricted to a namespace ("": all) and a name ("": all).
type view struct {
	namespace, name string
	set             *schema.Set // in force
	state           reconcile.State
	status          reconcile.Status
}

// fetchView asks the server that connect finds.
func fetchView(ctx context.Context, server string) (*view, error) {
	cl, err := connect(server)
	if err != nil {
		return nil, err
	}
	in, err := cl.Snapshot(ctx)
	if err != nil {
		return nil, noServer(err)
	}
	st, err := cl.Status(ctx, false)
	if err != nil {
		return nil, noServer(err)
	}
	v := &view{set: in.State.Accepted, state: in.State, status: st}
	if v.set == nil {
		v.set = &schema.Set{}
	}
	return v, nil
}

// wants tells whether an object is to be shown.
func (v *view) wants(namespace string, names ...string) bool {
	return (v.namespace == "" || v.namespace == namespace) && (v.name == "" || slices.Contains(names, v.name))
}

// instances are those to be shown, sorted by namespace and id.
func (v *view) instances() []reconcile.InstanceStatus {
	var out []reconcile.InstanceStatus
	for _, i := range v.status.Instances {
		if v.wants(i.Binding.Namespace, i.Binding.Pod, i.Binding.ID) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b reconcile.InstanceStatus) int {
		return cmp.Or(strings.Compare(a.Binding.Namespace, b.Binding.Namespace), strings.Compare(a.Binding.Pod, b.Binding.Pod), a.Binding.Created.Compare(b.Binding.Created), strings.Compare(a.Binding.ID, b.Binding.ID))
	})
	return out
}

// unplaced are the declared bare pods that have no instance.
func (v *view) unplaced() []*schema.Pod {
	bound := map[schema.Key]bool{}
	for b := range v.state.Bindings.All() {
		bound[schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod}] = true
	}
	var out []*schema.Pod
	for _, p := range v.set.Pods {
		if !bound[p.Key()] && v.wants(p.Namespace, p.Name) {
			out = append(out, p)
		}
	}
	return out
}

func (v *view) services() []*schema.Service {
	return slices.DeleteFunc(slices.Clone(v.set.Services), func(s *schema.Service) bool { return !v.wants(s.Namespace, s.Name) })
}

func (v *view) controllers() []*schema.ReplicationController {
	return slices.DeleteFunc(slices.Clone(v.set.ReplicationControllers), func(r *schema.ReplicationController) bool { return !v.wants(r.Namespace, r.Name) })
}

func (v *view) minions() []reconcile.MinionStatus {
	out := slices.DeleteFunc(slices.Clone(v.status.Minions), func(m reconcile.MinionStatus) bool { return v.name != "" && m.Name != v.name })
	slices.SortFunc(out, func(a, b reconcile.MinionStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// notFound is an error if a name was asked for and nothing has it.
func (v *view) notFound(resource string, n int) error {
	if v.name == "" || n > 0 {
		return nil
	}
	where := ""
	if resource != "minions" && v.namespace != "" {
		where = fmt.Sprintf(" in namespace %q", v.namespace)
	}
	return hinted{fmt.Errorf("%s %q not found%s", resource, v.name, where), "`reconciler get " + resource + " -A` lists them"}
}

// printTable prints the columns of Kubernetes 0.6: minwidth 20, padding 3, nothing behind the last cell.
func (v *view) printTable(w io.Writer, r string, headers bool) error {
	var rows [][]string
	head := map[string][]string{
		"pods": {"NAME", "IMAGE(S)", "HOST", "LABELS", "STATUS"}, "services": {"NAME", "LABELS", "SELECTOR", "IP", "PORT"},
		"rc": {"NAME", "IMAGE(S)", "SELECTOR", "REPLICAS"}, "minions": {"NAME", "LABELS", "STATUS"},
	}[r]
	switch r {
	case "pods":
		all := v.instances()
		for n, i := range all {
			same := func(j int) bool {
				return j >= 0 && j < len(all) && all[j].Binding.Pod == i.Binding.Pod && all[j].Binding.Namespace == i.Binding.Namespace
			}
			name := i.Binding.Pod
			if same(n-1) || same(n+1) { // of two instances, which is which
				name = i.Binding.ID
			}
			row := podRows(name, i)
			row[0][4] += suspended(v.status, objectOf(i.Binding))
			rows = append(rows, row...)
		}
		for _, p := range v.unplaced() {
			rows = append(rows, imageRows([]string{p.Name, "", "<unassigned>", pairs(p.Labels), "Pending" + suspended(v.status, p.Key())}, p.Spec.Containers)...)
		}
	case "services":
		for _, s := range v.services() {
			for n, p := range s.Spec.Ports {
				row := []string{s.Name, pairs(s.Labels), pairs(s.Spec.Selector), portal(v.state, s), fmt.Sprint(p.Port)}
				if n > 0 {
					row = []string{"", "", "", "", fmt.Sprint(p.Port)}
				}
				rows = append(rows, row)
			}
		}
	case "rc":
		for _, c := range v.controllers() {
			var images []string
			for _, k := range c.Spec.Template.Spec.Containers {
				images = append(images, k.Image)
			}
			rows = append(rows, []string{c.Name, strings.Join(images, ","), pairs(c.Spec.Matches()), fmt.Sprint(c.Spec.Count()) + suspended(v.status, c.Key())})
		}
	case "minions":
		for _, m := range v.minions() {
			rows = append(rows, []string{m.Name, pairs(m.Labels), minionWord(m)})
		}
	}
	if err := v.notFound(r, len(rows)); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 20, 5, 3, ' ', 0)
	if headers {
		fmt.Fprintln(tw, strings.Join(head, "\t"))
	}
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// objectOf is the declared object that an instance is of.
func objectOf(b reconcile.Binding) schema.Key {
	if b.Controller != "" {
		return schema.Key{Kind: schema.KindReplicationController, Namespace: b.Namespace, Name: b.Controller}
	}
	return schema.Key{Kind: schema.KindPod, Namespace: b.Namespace, Name: b.Pod}
}

func podRows(name string, i reconcile.InstanceStatus) [][]string {
	host := i.Minion + "/" + i.HostIP
	return imageRows([]string{name, "", host, pairs(i.Binding.Labels), podWord(i)}, i.Binding.Spec.Containers)
}

// imageRows puts each container's image on a line of its own; the other cells are in the first.
func imageRows(row []string, containers []schema.Container) [][]string {
	rows := [][]string{row}
	for n, c := range containers {
		if n == 0 {
			row[1] = c.Image
			continue
		}
		rows = append(rows, []string{"", c.Image, "", "", ""})
	}
	return rows
}

// podPhase is the word for an instance: Pending, Running, Succeeded or Failed as in 2014, and Unknown of a minion that is
// silent.
func podPhase(i reconcile.InstanceStatus) string {
	if i.Health == reconcile.Unknown {
		return "Unknown"
	}
	if i.Observed == nil {
		return "Pending"
	}
	switch i.Observed.State {
	case assignment.Running:
		return "Running"
	case assignment.Ended:
		for _, c := range i.Observed.Containers {
			if c.ExitCode != 0 {
				return "Failed"
			}
		}
		return "Succeeded"
	}
	return "Pending"
}

// podWord is podPhase and what is worth knowing besides.
func podWord(i reconcile.InstanceStatus) string {
	w := podPhase(i)
	switch {
	case i.Binding.Phase == assignment.Drain:
		return w + " (draining)"
	case i.Binding.Phase == assignment.Stop:
		return w + " (stopping)"
	case i.Health == reconcile.Unknown:
		return w + " (" + i.Reason + ")"
	case i.Observed != nil && i.Observed.Reason != "":
		return w + " (" + i.Observed.Reason + ")"
	case i.Binding.Phase == assignment.Prepare:
		return w + " (prepared to replace)"
	}
	return w
}

func minionWord(m reconcile.MinionStatus) string {
	switch {
	case m.Health == reconcile.Healthy:
		return "Ready"
	case m.Reason != "":
		return string(m.Health) + " (" + m.Reason + ")"
	}
	return string(m.Health)
}

func portal(s reconcile.State, svc *schema.Service) string {
	if a := s.Objects[svc.Key().String()].Portal; a.IsValid() {
		return a.String()
	}
	return "<unassigned>"
}

// pairs prints labels as k=v, sorted.
func pairs(m map[string]string) string {
	if len(m) == 0 {
		return "<none>"
	}
	var out []string
	for k, v := range m {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

// printJSON prints any value as JSON or YAML for machines.
func printJSON(w io.Writer, v any, format string) error {
	b, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	switch format {
	case "json":
		b = append(b, '\n')
	case "yaml":
		if b, err = yaml.JSONToYAML(b); err != nil {
			return fmt.Errorf("encode output: %w", err)
		}
	default:
		return fmt.Errorf("unknown output format %q: json or yaml", format)
	}
	_, err = w.Write(b)
	return err
}
