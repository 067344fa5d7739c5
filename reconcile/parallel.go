package reconcile

import (
	"runtime"
	"sync"
)

// alone is how many things are not worth to be shared out.
const alone = 64

// inParallel does something for things with the numbers from 0 to n, a part of them on each processor. What is done for one must
// not matter to others.
func inParallel(n int, do func(from, to int)) {
	parts := min(runtime.GOMAXPROCS(0), n/alone)
	if parts < 2 {
		do(0, n)
		return
	}
	var all sync.WaitGroup
	for i := range parts {
		all.Go(func() { do(n*i/parts, n*(i+1)/parts) })
	}
	all.Wait()
}
