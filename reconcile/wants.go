package reconcile

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"reconciler/schema"
)

// want is one pod that is declared.
type want struct {
	key         schema.Key // the pod or its controller
	pod         string
	controller  string
	spec        *schema.PodSpec
	hash        string
	labels      map[string]string
	annotations map[string]string
	rolls       map[string]string // annotations of the controller itself
}

// MinReady is how long an instance with these annotations must run to be ready.
func MinReady(annotations map[string]string, s Settings) time.Duration {
	if v, ok := annotations[AnnotationMinReady]; ok {
		if n, err := strconv.ParseFloat(v, 64); err == nil && validMinReady(v) {
			return time.Duration(n * float64(time.Second))
		}
	}
	return s.MinReady
}

func validMinReady(v string) bool {
	n, err := strconv.ParseFloat(v, 64)
	return err == nil && n >= 0 && n < 1e6
}

// wants lists every declared pod in a fixed order. Which numbers a controller's replicas have is decided once in a step.
func (c *step) wants() []want {
	if c.wanted != nil {
		return c.wanted
	}
	out := []want{}
	have := c.numbers()
	for _, p := range c.set.Pods {
		spec, h, annotations := c.effective(p.Key(), &p.Spec, p.Annotations)
		out = append(out, want{p.Key(), p.Name, "", spec, h, p.Labels, annotations, nil})
	}
	for _, r := range c.set.ReplicationControllers {
		t := &r.Spec.Template
		spec, h, annotations := c.effective(r.Key(), &t.Spec, withMinReady(t.Annotations, r.Spec.MinReadySeconds))
		for _, i := range c.chooseNumbers(r, have[r.Key().String()]) {
			out = append(out, want{r.Key(), podName(r.Name, i), r.Name, spec, h, t.Labels, annotations, r.Annotations})
		}
	}
	slices.SortStableFunc(out, func(a, b want) int { return a.key.Compare(b.key) })
	c.wanted = out
	return out
}

// withMinReady is a template's annotations with the controller's setting, unless they have their own.
func withMinReady(annotations map[string]string, seconds int32) map[string]string {
	if _, own := annotations[AnnotationMinReady]; own || seconds == 0 {
		return annotations
	}
	out := maps.Clone(annotations)
	if out == nil {
		out = map[string]string{}
	}
	out[AnnotationMinReady] = strconv.Itoa(int(seconds))
	return out
}

// slot is what bindings of one pod have in common.
func slot(namespace, pod, controller string) string {
	return namespace + "/" + controller + "/" + pod
}

// slots are the bindings by slot, each sorted from old to new.
func (c *step) slots() map[string][]string {
	out := map[string][]string{}
	for b := range c.st.Bindings.All() {
		s := slot(b.Namespace, b.Pod, b.Controller)
		out[s] = append(out[s], b.ID)
	}
	for _, ids := range out {
		slices.SortFunc(ids, func(x, y string) int {
			return c.st.Bindings.Get(x).compareAge(c.st.Bindings.Get(y))
		})
	}
	return out
}
