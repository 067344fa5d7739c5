package git

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"reconciler/reconcile"
)

// Everything that moves a branch is noticed, by notifications and, apart from them, by the poll.
func TestChanged(t *testing.T) {
	for _, by := range []struct {
		name   string
		config Config
	}{
		{"by notifications", Config{Poll: time.Hour}},
		{"by the poll", Config{Poll: 10 * time.Millisecond, NoWatch: true}},
	} {
		t.Run(by.name, func(t *testing.T) {
			bare, work := repos(t)
			by.config.Repository = bare
			s := source(t, by.config)
			run(t, s)
			first := git(t, work, "rev-parse", "HEAD")
			await(t, s, first)
			var second, third, fourth string

			moves(t, s, &second, func() { second = push(t, work, "second") })
			git(t, bare, "pack-refs", "--all")
			moves(t, s, &third, func() { third = push(t, work, "third") }) // the value leaves packed-refs again
			moves(t, s, &first, func() { git(t, work, "push", "-q", "-f", "origin", first+":main") })
			moves(t, s, new(string), func() { git(t, bare, "update-ref", "-d", "refs/heads/main") })
			moves(t, s, &third, func() { git(t, work, "push", "-q", "origin", "HEAD:refs/heads/main") })
			git(t, bare, "gc", "-q", "--prune=now")
			moves(t, s, &fourth, func() { fourth = push(t, work, "fourth") })
			git(t, bare, "pack-refs", "--all")
			moves(t, s, new(string), func() { git(t, bare, "update-ref", "-d", "refs/heads/main") }) // only packed-refs changes
		})
	}
}

// moves makes a change and demands a hint after it that leads to what want is then: a hash, or "" for no branch.
func moves(t testing.TB, s *Source, want *string, change func()) {
	t.Helper()
	quiet(t, s)
	change()
	select {
	case <-s.Changed():
		await(t, s, *want)
	case <-time.After(deadline):
		t.Fatalf("no hint led to %q", *want)
	}
}

// A change during the debounce of another one is not lost.
func TestChangedTwiceAtOnce(t *testing.T) {
	bare, work := repos(t)
	first := git(t, work, "rev-parse", "HEAD")
	second := push(t, work, "second")
	s := source(t, Config{Repository: bare, Poll: time.Hour})
	run(t, s)
	ref := filepath.Join(bare, "refs", "heads", "main")
	set := func(h string) {
		write(t, bare, "refs/heads/main.lock", h+"\n")
		if err := os.Rename(ref+".lock", ref); err != nil {
			t.Fatal(err)
		}
	}
	await(t, s, second)
	for range 3 {
		moves(t, s, &first, func() { set(first) })
		set(second) // within the debounce of the first
		select {
		case <-s.Changed():
			await(t, s, second)
		case <-time.After(deadline):
			t.Fatal("no hint after the second change")
		}
	}
}

// A branch in a directory that does not exist yet, or that git removed when it became empty.
func TestChangedInNewDirectory(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare, Branch: "team/web/prod", Poll: time.Hour})
	run(t, s)
	await(t, s, "")
	for range 3 {
		var h string
		next := func() {
			h = commit(t, work, "next")
			git(t, work, "push", "-q", "-f", "origin", "HEAD:refs/heads/team/web/prod")
		}
		moves(t, s, &h, next)
		moves(t, s, &h, next)
		git(t, bare, "pack-refs", "--all")
		moves(t, s, new(string), func() { git(t, bare, "update-ref", "-d", "refs/heads/team/web/prod") })
		if err := os.RemoveAll(filepath.Join(bare, "refs", "heads", "team")); err != nil {
			t.Fatal(err)
		}
	}
}

// A repository that was replaced is found by the poll, and watched from then on.
func TestChangedInReplacedRepository(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare, Poll: 200 * time.Millisecond})
	run(t, s)
	await(t, s, git(t, work, "rev-parse", "HEAD"))
	var h string
	moves(t, s, &h, func() {
		if err := os.Rename(bare, bare+".old"); err != nil {
			t.Fatal(err)
		}
		git(t, work, "init", "-q", "--bare", "-b", "main", bare)
		h = push(t, work, "in the new one")
	})
}

// A working repository, a linked working tree of it, and a symbolic branch can be followed too.
func TestChangedInWorkingRepositories(t *testing.T) {
	_, work := repos(t)
	linked := filepath.Join(t.TempDir(), "linked")
	git(t, work, "worktree", "add", "-q", linked, "-b", "feature")
	git(t, work, "symbolic-ref", "refs/heads/alias", "refs/heads/feature")
	for _, c := range []Config{
		{Repository: work, Branch: "feature"}, {Repository: linked, Branch: "feature"}, {Repository: work, Branch: "alias"},
	} {
		c.Poll = time.Hour
		s := source(t, c)
		run(t, s)
		await(t, s, git(t, linked, "rev-parse", "HEAD"))
		var h string
		moves(t, s, &h, func() { h = commit(t, linked, "next") })
	}
}

// quiet takes the hints that are on their way: the first, and the one that ends the debounce.
func quiet(t testing.TB, s *Source) {
	t.Helper()
	for {
		select {
		case <-s.Changed():
		case <-time.After(5 * debounce):
			return
		}
	}
}

// BenchmarkPushNoticed measures from the return of git push to the hint that shows the pushed commit. It is 0 when the
// hint came first.
func BenchmarkPushNoticed(b *testing.B) {
	bare, work := repos(b)
	s := source(b, Config{Repository: bare})
	run(b, s)
	quiet(b, s)
	var worst, sum time.Duration
	n := 0
	for b.Loop() {
		h := commit(b, work, "next")
		seen := make(chan time.Time, 1)
		go func() {
			for range s.Changed() {
				if rev, err := s.Head(b.Context(), reconcile.Revision{}); err == nil && rev.Hash == h {
					seen <- time.Now()
					return
				}
			}
		}()
		git(b, work, "push", "-q", "origin", "HEAD")
		pushed := time.Now()
		took := max(0, (<-seen).Sub(pushed))
		worst, sum, n = max(worst, took), sum+took, n+1
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(n), "us-noticed-mean")
	b.ReportMetric(float64(worst.Microseconds()), "us-noticed-worst")
}

// BenchmarkHead resolves an unchanged branch.
func BenchmarkHead(b *testing.B) {
	bare, work := repos(b)
	s := source(b, Config{Repository: bare})
	h := git(b, work, "rev-parse", "HEAD")
	for b.Loop() {
		head(b, s, h)
	}
}

// Directories that took the place of watched ones are watched when they are added again.
func TestWatchesOfReplacedRepository(t *testing.T) {
	bare, work := repos(t)
	s := source(t, Config{Repository: bare})
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s.addWatches(w)
	if err := os.Rename(bare, bare+".old"); err != nil {
		t.Fatal(err)
	}
	git(t, work, "init", "-q", "--bare", "-b", "main", bare)
	s.addWatches(w)
	push(t, work, "in the new one")
	end := time.After(deadline)
	for {
		select {
		case e := <-w.Events:
			if s.concerns(e) && e.Name == filepath.Join(bare, "refs", "heads", "main") {
				return
			}
		case <-end:
			t.Fatal("no event told of the push")
		}
	}
}
