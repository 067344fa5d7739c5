package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"reconciler/reconcile/server"
)

// debounce is how long after a hint further ones are gathered into one. A push makes several events within a millisecond.
const debounce = 20 * time.Millisecond

// Run watches the repository and sends to Changed until ctx ends, then returns nil. It starts with one hint. Without file
// system notifications (refused by the kernel, or Config.NoWatch) it goes on with the poll alone. One Run at a time.
func (s *Source) Run(ctx context.Context) error {
	var events chan fsnotify.Event
	var errs chan error
	var w *fsnotify.Watcher
	if s.watch {
		var err error
		if w, err = fsnotify.NewWatcher(); err != nil {
			s.log.Warn("watching the repository failed, polling only", "err", err)
		} else {
			defer w.Close() // nothing can be done about an error, and nothing depends on it
			events, errs = w.Events, w.Errors
			s.addWatches(w)
		}
	}

	// Timer of the debounce: not running unless quiet is true.
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	quiet, more := false, false
	hint := func() {
		if quiet {
			more = true
			return
		}
		s.hint()
		quiet, more = true, false
		timer.Reset(debounce)
	}

	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	last := s.outcome()
	hint()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			if s.concerns(e) {
				if e.Has(fsnotify.Create) {
					s.addWatches(w) // a new directory may already hold the branch: the hint below covers it
				}
				hint()
			}
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			// Events may have been lost, so everything is looked at again.
			s.log.Warn("watching the repository failed", "err", err)
			s.addWatches(w)
			hint()
		case <-timer.C:
			quiet = false
			if more {
				hint()
			}
		case <-ticker.C:
			if w != nil {
				s.addWatches(w) // a repository that was replaced has other directories under the same names
			}
			if now := s.outcome(); now != last {
				last = now
				hint()
			}
		}
	}
}

// hint sends to Changed unless a hint is waiting there already.
func (s *Source) hint() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// outcome is what resolving the branch gives, in one comparable word.
func (s *Source) outcome() string {
	h, err := s.tip()
	switch {
	case err == nil:
		return h.String()
	case errors.Is(err, server.ErrNoRevision):
		return "no branch"
	}
	return "unreadable"
}

// concerns tells whether an event may have moved the branch. Git writes a ref as NAME.lock and renames it, so the lock
// files themselves say nothing yet.
func (s *Source) concerns(e fsnotify.Event) bool {
	if strings.HasSuffix(e.Name, ".lock") || e.Op == fsnotify.Chmod {
		return false
	}
	if filepath.Dir(e.Name) == s.gitDir {
		switch filepath.Base(e.Name) {
		case "packed-refs", "refs", "HEAD":
			return true
		}
		return false
	}
	return true
}

// addWatches watches the repository's directory and refs/heads with all directories below. Watching what is watched
// already does nothing.
func (s *Source) addWatches(w *fsnotify.Watcher) {
	var failed error
	add := func(dir string) {
		if err := w.Add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = fmt.Errorf("watch %q: %w", dir, err)
		}
	}
	add(s.gitDir)
	refs := filepath.Join(s.gitDir, "refs")
	add(refs)
	// A directory is watched before it is listed, so one that is made meanwhile is either listed or notified.
	_ = filepath.WalkDir(filepath.Join(refs, "heads"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // git removes empty directories at any time
		}
		if d.IsDir() {
			add(path)
		}
		return nil
	})
	if failed != nil {
		s.log.Debug("watching a directory failed, the poll covers it", "err", failed)
	}
}
