package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// replica is one number of a controller that has an instance: what is asked of it when a controller gets fewer.
type replica struct {
	number  int
	id      string // the best of its instances; of equals the first
	rank    int    // of it, as its minion and age
	minion  string
	created time.Time
}

// number is the number in the name of a controller's pod, -1 if it has none.
func number(controller, pod string) int {
	text, ok := strings.CutPrefix(pod, controller+"-")
	n, err := strconv.Atoi(text)
	if !ok || err != nil || n < 0 || strconv.Itoa(n) != text {
		return -1
	}
	return n
}

// numbers are the replicas of a controller that have an instance in Run or Prepare.
func (c *step) numbers(k schema.Key) map[int]replica {
	out := map[int]replica{}
	for b := range c.st.Bindings.Of(k) {
		n := number(b.Controller, b.Pod)
		if n < 0 || b.Controller == "" || b.Phase != assignment.Run && b.Phase != assignment.Prepare {
			continue
		}
		r := replica{n, b.ID, c.rank(b.ID), b.Minion, b.Created}
		if old, ok := out[n]; !ok || r.rank > old.rank || r.rank == old.rank && b.ID < old.id {
			out[n] = r
		}
	}
	return out
}

// chooseNumbers says which numbers a controller's replicas have: those that it has, without the ones that go first if they
// are too many, and the lowest free ones if they are too few.
func (c *step) chooseNumbers(w *workload, have map[int]replica) []int {
	n := w.replicas
	if len(have) == 0 && len(c.strays) == 0 {
		fresh := make([]int, n)
		for i := range fresh {
			fresh[i] = i
		}
		return fresh
	}
	keep := slices.SortedFunc(maps.Values(have), func(a, b replica) int { return cmp.Compare(a.number, b.number) })
	if n == 0 {
		return nil
	}
	on := map[string]int{}
	for _, x := range keep {
		on[x.minion]++
	}
	for len(keep) > n {
		i := 0
		for j := range keep {
			if goesBefore(keep[j], keep[i], on) {
				i = j
			}
		}
		on[keep[i].minion]--
		keep = slices.Delete(keep, i, i+1)
	}
	numbers := map[int]bool{}
	for _, x := range keep {
		numbers[x.number] = true
	}
	c.findNumbers(w, n, numbers)
	for i := 0; len(numbers) < n; i++ {
		numbers[i] = true
	}
	return slices.Sorted(maps.Keys(numbers))
}

// goesBefore tells whether of two replicas a goes first: the one that is not ready, then the one that has more of its like on
// its minion, then the younger; of equals the one with the higher number.
func goesBefore(a, b replica, on map[string]int) bool {
	ready := func(x replica) int { return max(x.rank, 2) }
	return cmp.Or(cmp.Compare(ready(a), ready(b)), cmp.Compare(on[b.minion], on[a.minion]), b.created.Compare(a.created),
		cmp.Compare(b.number, a.number)) < 0
}

// findNumbers adds the numbers of instances that were found and are as declared, so that a fleet that has lost its state
// keeps its pods.
func (c *step) findNumbers(w *workload, n int, numbers map[int]bool) {
	if len(c.strays) == 0 {
		return
	}
	_, h, _ := c.effective(w)
	var found []int
	for _, s := range c.strays {
		if i := s.status; i.Namespace == w.key.Namespace && i.Controller == w.controller && i.Hash == h {
			found = append(found, number(w.controller, i.Pod))
		}
	}
	slices.Sort(found)
	for _, i := range found {
		if i >= 0 && len(numbers) < n {
			numbers[i] = true
		}
	}
}

// surplus is how many of a controller's pods go when a set comes into force that declares it so, 0 for a pod.
func (c *step) surplus(w *workload) int {
	if w.controller == "" || c.st.Bindings.count(w.key) <= w.replicas {
		return 0
	}
	return max(len(c.running(w.key))-w.replicas, 0)
}

// running are the numbers of a controller's replicas that have an instance in Run or Prepare.
func (c *step) running(k schema.Key) map[int]bool {
	out := map[int]bool{}
	for b := range c.st.Bindings.Of(k) {
		if n := number(b.Controller, b.Pod); n >= 0 && (b.Phase == assignment.Run || b.Phase == assignment.Prepare) {
			out[n] = true
		}
	}
	return out
}

// podName is the name of a controller's pod.
func podName(controller string, n int) string { return controller + "-" + strconv.Itoa(n) }
