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
	*common
	pod string
}

// common is what the declared pods of a workload have in common.
type common struct {
	key         schema.Key // the pod or its controller
	controller  string
	spec        *schema.PodSpec
	priority    int32 // of spec, or inherited
	hash        string
	labels      map[string]string
	annotations map[string]string
	rolls       map[string]string // annotations of the controller itself
	fence       bool              // by when-lost
	asks        asks
	roll        *rollout // nil: of a pod without controller, or nobody looked yet
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

// wants lists the declared pods of all workloads that are not at rest, in the order of their keys. Which numbers a controller's
// replicas have is decided once in a step.
func (c *step) wants() []want {
	if c.wanted == nil {
		c.wanted = []want{}
		n := 0
		for _, w := range c.busy {
			n += w.replicas
		}
		c.wanted = slices.Grow(c.wanted, n)
		for _, w := range c.busy {
			c.wanted = append(c.wanted, c.wantsOf(w)...)
		}
	}
	return c.wanted
}

// wantsOf lists the pods of a workload.
func (c *step) wantsOf(w *workload) (out []want) {
	spec, h, annotations := c.effective(w)
	of := &common{key: w.key, spec: spec, hash: h, labels: w.labels, annotations: annotations, fence: w.onLoss == fence}
	of.priority, _ = c.priority(w.key, spec)
	of.asks.none = len(c.strays) == 0 && !c.st.Bindings.has(w.key)
	if w.controller == "" {
		return []want{{of, w.key.Name}}
	}
	of.controller, of.rolls = w.controller, w.rolls
	numbers := c.chooseNumbers(w, c.numbers(w.key))
	out = make([]want, 0, len(numbers))
	for _, i := range numbers {
		out = append(out, want{of, podName(w.controller, i)})
	}
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

// slots are the bindings by slot, each sorted from old to new, without those of workloads that are at rest.
func (c *step) slots() map[string][]string {
	out := map[string][]string{}
	t := c.st.Bindings.t
	if t == nil {
		return out
	}
	for o := range t.owners.buckets {
		if o < len(c.restingOwner) && c.restingOwner[o] {
			continue
		}
		for _, n := range t.owners.buckets[o].list {
			b := t.at(n)
			s := slot(b.Namespace, b.Pod, b.Controller)
			out[s] = append(out[s], b.ID)
		}
	}
	return out
}
