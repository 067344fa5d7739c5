package link

import (
	"sync"
	"time"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// beatsAtOnce is how many beats wait for their answer; further messages ask for none.
const beatsAtOnce = 16

// beats are what was sent on one stream and not answered yet. Its methods may be called concurrently.
type beats struct {
	clock func() time.Duration // CLOCK_BOOTTIME

	mu   sync.Mutex
	last uint64
	sent []beat // by number
}

type beat struct {
	number uint64
	at     time.Duration
}

// mark lets the server answer an acknowledgement that is about to be sent.
func (b *beats) mark(a *linkpb.Ack) {
	if b.clock == nil {
		return
	}
	at := b.clock() // before it is sent, so that it is not received earlier
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sent) >= beatsAtOnce {
		return
	}
	b.last++
	b.sent = append(b.sent, beat{b.last, at})
	a.Beat = b.last
}

// answered is the contact that an answer makes, and false if nothing was asked.
func (b *beats) answered(epoch uint64, h *linkpb.Heard) (c assignment.Contact, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.sent) > 0 && b.sent[0].number <= h.GetBeat() {
		c, ok = assignment.Contact{Epoch: epoch, Number: h.GetContact(), Sent: b.sent[0].at}, b.sent[0].number == h.GetBeat()
		b.sent = b.sent[1:]
	}
	return c, ok && c.Number != 0
}

// heartbeatEvery is the mean time between two heartbeats: a lease is to be renewed several times before it runs out.
func heartbeatEvery(lease time.Duration) time.Duration {
	if lease <= 0 {
		return heartbeat
	}
	return min(heartbeat, max(lease/4, time.Second))
}
