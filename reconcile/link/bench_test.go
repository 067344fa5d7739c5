package link

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reconciler/reconcile/link/linkpb"
)

// BenchmarkFanOut is the time until the last of 500 agents has received and acknowledged a new table; both sides run in this
// process.
func BenchmarkFanOut(b *testing.B) {
	const agents = 500
	for _, services := range []int{1, 2_500} {
		b.Run(fmt.Sprintf("agents=%d,services=%d", agents, services), func(b *testing.B) {
			f := newFixture(b, func(l *limits) { l.gap = 0 })
			token := f.token(0)
			ctx, cancel := context.WithCancel(context.Background())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			var wanted, have atomic.Uint64
			done := make(chan struct{}, 1)
			for i := range agents {
				c := f.client(fmt.Sprintf("m%d", i), b.TempDir(), token)
				all.Go(func() { c.Run(ctx) })
				all.Go(func() {
					for {
						select {
						case <-ctx.Done():
							return
						case <-c.Changed():
						}
						if _, t := c.Latest(); t.Generation.Counter == wanted.Load() {
							c.Ack(t.Generation, gen(0, 0), "")
							if have.Add(1) == agents {
								poke(done)
							}
						}
					}
				})
			}
			push := func(n uint64) {
				have.Store(0)
				wanted.Store(n)
				f.SetTable(table(1, n, services))
				select {
				case <-done:
				case <-time.After(time.Minute):
					b.Fatalf("%d of %d agents have table %d", have.Load(), agents, n)
				}
			}
			push(1)
			n := uint64(1)
			for b.Loop() {
				n++
				push(n)
			}
			f.eventually("the last is acknowledged", func() bool {
				for _, m := range f.Minions() {
					if m.Table != gen(1, n) {
						return false
					}
				}
				return true
			})
		})
	}
}

// BenchmarkAck is from an agent's acknowledgement to the server's notice.
func BenchmarkAck(b *testing.B) {
	f := newFixture(b, nil)
	s := f.connect(f.raw("m1"))
	var n uint64
	for b.Loop() {
		n++
		check(b, s.Send(&linkpb.FromAgent{Body: &linkpb.FromAgent_Ack{Ack: &linkpb.Ack{Table: toGeneration(gen(1, n))}}}))
		for f.Minions()["m1"].Table.Counter != n {
			<-f.Changed()
		}
	}
}
