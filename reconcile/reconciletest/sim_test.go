package reconciletest_test

import (
	"flag"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reconciler/reconcile/reconciletest"
)

var (
	seed  = flag.Uint64("seed", 0, "with -run TestSeed: the seed that is replayed")
	first = flag.Uint64("first", 1, "with -run TestSim: the first seed")
	seeds = flag.Uint64("seeds", 100, "with -run TestSim: how many seeds")
)

// TestSim lets many fleets live, all that the processors can at a time, and shows the first seed that goes wrong.
func TestSim(t *testing.T) {
	var next atomic.Uint64
	var mu sync.Mutex
	var worst *reconciletest.Failure
	var wg sync.WaitGroup
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				mu.Lock()
				ended := n >= *seeds || worst != nil
				mu.Unlock()
				if ended {
					return
				}
				if f := reconciletest.Run(*first+n, reconciletest.Config{}); f != nil {
					mu.Lock()
					if worst == nil || f.Seed < worst.Seed {
						worst = f
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if worst != nil {
		t.Fatalf("%v\nreplay: go test ./reconcile/reconciletest -run TestSeed -seed %d", worst, worst.Seed)
	}
	t.Logf("%d seeds, %.0f a second", *seeds, float64(*seeds)/time.Since(began).Seconds())
}

// TestSeed replays one seed.
func TestSeed(t *testing.T) {
	if *seed == 0 {
		t.Skip("no -seed")
	}
	if f := reconciletest.Run(*seed, reconciletest.Config{}); f != nil {
		t.Fatal(f)
	}
}

// TestReplay: a seed shows the same every time.
func TestReplay(t *testing.T) {
	for seed := range uint64(5) {
		if a, b := reconciletest.Trace(seed, reconciletest.Config{}), reconciletest.Trace(seed, reconciletest.Config{}); !slices.Equal(a, b) {
			for i := range min(len(a), len(b)) {
				if a[i] != b[i] {
					t.Fatalf("seed %d, event %d:\n%s\n%s", seed, i, a[i], b[i])
				}
			}
		}
	}
}
