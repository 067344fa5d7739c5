package link

import (
	"math"
	"sync"
	"time"
)

// pace calls do at once when it is asked to after a pause, and otherwise when the gap since the last call is over; what is
// asked for meanwhile is one call. Calls of do do not overlap.
type pace struct {
	gap time.Duration
	do  func()

	running sync.Mutex // held while do runs

	mu    sync.Mutex // guards what follows
	last  time.Time  // of the last call
	timer *time.Timer
	ended bool
}

func (p *pace) ask() {
	p.mu.Lock()
	if p.ended || p.timer != nil {
		p.mu.Unlock()
		return
	}
	if wait := p.gap - time.Since(p.last); wait > 0 {
		p.timer = time.AfterFunc(wait, func() {
			p.mu.Lock()
			p.timer, p.last = nil, time.Now()
			ended := p.ended
			p.mu.Unlock()
			if !ended {
				p.call()
			}
		})
		p.mu.Unlock()
		return
	}
	p.last = time.Now()
	p.mu.Unlock()
	p.call()
}

func (p *pace) call() {
	p.running.Lock()
	defer p.running.Unlock()
	p.do()
}

// end prevents all calls that have not begun.
func (p *pace) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// pause is how long to wait before dialling again after failed attempts, 1 or more: r, from 0 to 1, of a bound that
// doubles from 0.1 s to 5 s.
func pause(failed int, r float64) time.Duration {
	const least, most = 100 * time.Millisecond, 5 * time.Second
	return time.Duration(r * min(float64(most), float64(least)*math.Pow(2, float64(min(failed, 16)-1))))
}

// poke puts a value into a channel that has room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
