package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"reconciler/reconcile"
)

// Agents is the link to agents that are asked for what they keep.
type Agents interface {
	// Minions is every minion that ever joined, with what it last said.
	Minions() map[string]reconcile.Minion
	// Kept is what agents have handed over, by minion.
	Kept() map[string]reconcile.Kept
	// Changed receives after Minions or Kept changed; it has room for one.
	Changed() <-chan struct{}

	tokens
}

// Gathering waits for what the agents of a fleet keep. Its Handler answers the command line meanwhile.
type Gathering struct {
	Agents Agents
	Known  []string      // minions that are to answer; those that Agents knows are, too, and those that a table names that was handed over
	Enough int           // so many answers are enough; 0: it is not known how many there will be
	Wait   time.Duration // after it nobody more is waited for, if anybody answered

	mu   sync.Mutex
	text string // what is waited for
}

// redial is longer than it takes an agent to notice that a server is there: who is not known by then did not join lately.
const redial = 10 * time.Second

// Run returns when all minions have handed over what they keep, or after Wait when some have. missing are those that have not.
func (g *Gathering) Run(ctx context.Context) (kept map[string]reconcile.Kept, missing []string, err error) {
	over, dialled := time.NewTimer(g.Wait), time.NewTimer(min(redial, g.Wait))
	defer over.Stop()
	defer dialled.Stop()
	late, all := false, false
	for {
		kept, missing = g.look()
		switch {
		case len(kept) == 0: // without anybody there is nothing to rebuild from
		case late, g.Enough > 0 && len(kept) >= g.Enough, g.Enough == 0 && all && len(missing) == 0:
			return kept, missing, nil
		}
		g.say(kept, missing)
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-g.Agents.Changed():
		case <-dialled.C:
			all = true
		case <-over.C:
			late = true
		}
	}
}

func (g *Gathering) look() (kept map[string]reconcile.Kept, missing []string) {
	kept = g.Agents.Kept()
	names := slices.Clone(g.Known)
	for name := range g.Agents.Minions() {
		names = append(names, name)
	}
	for _, k := range kept { // one that joined since the copy was made is in none of the above until it is back
		if k.Table != nil {
			for _, p := range k.Table.Minions {
				names = append(names, p.Name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, ok := kept[name]; !ok {
			missing = append(missing, name)
		}
	}
	return kept, missing
}

func (g *Gathering) say(kept map[string]reconcile.Kept, missing []string) {
	text := fmt.Sprintf("the server rebuilds its decisions from what the agents keep: %d minions have answered", len(kept))
	if n := len(missing); n > 0 {
		text += fmt.Sprintf(", %d have not: %s", n, strings.Join(missing[:min(n, 10)], ", "))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.text = text
}

// Handler says what is waited for, whatever is asked. Only join tokens are made, as minions whose authority was lost have to join
// anew.
func (g *Gathering) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/tokens", func(w http.ResponseWriter, r *http.Request) { makeToken(g.Agents, w, r) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		http.Error(w, g.text, http.StatusServiceUnavailable)
	})
	return mux
}
