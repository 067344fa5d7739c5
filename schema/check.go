package schema

import (
	"fmt"
	"regexp"
	"strings"
)

// Problem is one thing that is wrong with an object, at a path of it: field names and list indexes as decimal numbers.
type Problem struct {
	Path    []string
	Message string // what is wrong, as a sentence part: lower case, no full stop
	Hint    string // what to do, or ""

	// Because is the paths that the problem follows from; nil: Path alone. If it is not known what is at one of them or below
	// it, because what was written there is wrong, there may be no problem at all. "*" stands for every index or key, and a last
	// element "" for that there is something, whatever it is.
	Because [][]string
}

// because sets what the problem follows from.
func (p *Problem) because(paths ...[]string) { p.Because = paths }

// also adds to its own path what else the problem follows from.
func (p *Problem) also(paths ...[]string) { p.Because = append([][]string{p.Path}, paths...) }

// something is the path for that there is something at a path.
func something(path []string) []string { return at(path, "") }

// NotYet ends the message of a Problem whose object is right but uses what this release cannot do.
const NotYet = "not supported yet"

// Check finds what the fields of one canonical object contradict in each other, in the order of the Go types. Paths are those of core/v1.
// That each field by itself is well-formed is the business of the CUE definitions.
func (p *Pod) Check() []Problem {
	c := &checker{}
	c.meta(&p.Meta)
	c.short(p.Name)
	c.settings([]string{"metadata", "annotations"}, p.Annotations, podSettings)
	c.order(p.Key(), &p.Meta)
	c.labels([]string{"spec", "nodeSelector"}, p.Spec.NodeSelector, true)
	c.podSpec([]string{"spec"}, &p.Spec)
	return c.problems
}

// nameMax is how long the name of what runs may be in bytes: with a replica's number and an instance's digits behind it, it is
// a file name on its minion, which ends at 255.
const nameMax = 230

func (c *checker) short(name string) {
	if len(name) > nameMax {
		c.add([]string{"metadata", "name"}, "choose a shorter name", "the name has %d characters, more than %d", len(name), nameMax)
	}
}

// Check is as [Pod.Check].
func (r *ReplicationController) Check() []Problem {
	c := &checker{}
	c.meta(&r.Meta)
	c.short(r.Name)
	c.labels([]string{"spec", "selector"}, r.Spec.Selector, true)
	tmpl := []string{"spec", "template"}
	c.labels(at(tmpl, "metadata", "labels"), r.Spec.Template.Labels, true)
	c.annotations(at(tmpl, "metadata", "annotations"), r.Spec.Template.Annotations)
	switch {
	case len(r.Spec.Matches()) == 0:
		c.add(at(tmpl, "metadata", "labels"), "give the template at least one label", "the template has no labels, and without a selector nothing would tell this controller's pods from others").
			also([]string{"spec", "selector"})
	case !Selects(r.Spec.Matches(), r.Spec.Template.Labels):
		c.add([]string{"spec", "selector"}, "give the template every label that the selector names",
			"the selector %s does not match the template's labels %s", pairs(r.Spec.Selector), pairs(r.Spec.Template.Labels)).
			also(at(tmpl, "metadata", "labels"))
	}
	c.settings([]string{"metadata", "annotations"}, r.Annotations, controllerSettings)
	c.order(r.Key(), &r.Meta)
	c.settings(at(tmpl, "metadata", "annotations"), r.Spec.Template.Annotations, templateSettings)
	if r.Spec.Template.Spec.Restart() != RestartAlways {
		c.add(at(tmpl, "spec", "restartPolicy"), "leave it out", "the restart policy of a controller's pods must be Always")
	}
	c.labels(at(tmpl, "spec", "nodeSelector"), r.Spec.Template.Spec.NodeSelector, true)
	c.podSpec(at(tmpl, "spec"), &r.Spec.Template.Spec)
	return c.problems
}

type checker struct{ problems []Problem }

func at(path []string, more ...string) []string {
	return append(path[:len(path):len(path)], more...)
}

// add adds a problem. What is returned is for what is said of it at once.
func (c *checker) add(path []string, hint, format string, args ...any) *Problem {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
	return &c.problems[len(c.problems)-1]
}

// The rules of labels: Kubernetes, "Labels and Selectors". Values have been checked since v1 only, and the ids that people
// wrote into labels in 2014 keep the same rule.
var (
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$`)
)

// maxAnnotations is the most that an object's annotations may hold, keys and values together, in bytes: the limit of
// Kubernetes, so that what was written for it fits.
const maxAnnotations = 256 << 10

func (c *checker) meta(m *Meta) {
	c.labels([]string{"metadata", "labels"}, m.Labels, true)
	c.annotations([]string{"metadata", "annotations"}, m.Annotations)
}

func (c *checker) annotations(path []string, m map[string]string) {
	lower := make(map[string]string, len(m))
	size := 0
	for k, v := range m {
		lower[strings.ToLower(k)] = ""
		size += len(k) + len(v)
	}
	c.labels(path, lower, false)
	if size > maxAnnotations {
		c.add(path, "", "the annotations hold %d bytes, more than %d", size, maxAnnotations)
	}
}

func (c *checker) labels(path []string, m map[string]string, values bool) {
	for _, k := range sortedKeys(m) {
		prefix, _, slash := strings.Cut(k, "/")
		if !labelKey.MatchString(k) || slash && len(prefix) > 253 {
			c.add(at(path, k), "at most 63 letters, digits, '-', '_' and '.', with a DNS name and '/' before them if need be", "the key %q is not well-formed", k)
		}
		if values && !labelValue.MatchString(m[k]) {
			c.add(at(path, k), "at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or digit", "the value %q is not well-formed", m[k])
		}
	}
}

func pairs(m map[string]string) string {
	if len(m) == 0 {
		return "(none)"
	}
	var b strings.Builder
	for i, k := range sortedKeys(m) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "=" + m[k])
	}
	return b.String()
}
