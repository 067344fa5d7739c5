package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// world models what is around a server and outlives it: a repository, a store and a fleet of agents that do as told.
type world struct {
	mu      sync.Mutex
	order   []string // what was done, in order
	head    string   // name of the commit, "" if the branch is gone
	gitDown bool
	trees   map[string]fstest.MapFS
	saved   []byte
	failing string // "refused" or "done": how the next save ends
	minions map[string]*reconcile.Minion
	table   assignment.Table
	counter uint64
	git     chan struct{}
	fleet   chan struct{}
}

func newWorld() *world {
	return &world{trees: map[string]fstest.MapFS{}, minions: map[string]*reconcile.Minion{}, git: make(chan struct{}, 1), fleet: make(chan struct{}, 1)}
}

// source, store and agents are the world's three faces.
type source struct{ *world }
type store struct{ *world }
type agents struct{ *world }

func (w source) Head(context.Context, reconcile.Revision) (reconcile.Revision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.gitDown:
		return reconcile.Revision{}, errors.New("repository does not answer")
	case w.head == "":
		return reconcile.Revision{}, fmt.Errorf("resolve main: %w", ErrNoRevision)
	}
	return reconcile.Revision{Hash: w.head, Ref: "main"}, nil
}

func (w source) Tree(_ context.Context, hash string) (fs.FS, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trees[hash], nil
}

func (w source) Changed() <-chan struct{} { return w.git }

func (w store) Load(context.Context) (s reconcile.State, ok bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, "load")
	if w.saved == nil {
		return s, false, nil
	}
	return s, true, json.Unmarshal(w.saved, &s)
}

func (w store) Save(_ context.Context, s reconcile.State) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	how := w.failing
	w.failing = ""
	if how == "refused" {
		w.order = append(w.order, "save refused")
		return errors.New("store does not answer")
	}
	w.saved, _ = json.Marshal(s)
	if how == "done" {
		w.order = append(w.order, "save unknown")
		return errors.New("store answered too late")
	}
	w.order = append(w.order, "save")
	return nil
}

func (w agents) Minions() map[string]reconcile.Minion {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]reconcile.Minion{}
	for n, m := range w.minions {
		out[n] = *m
	}
	return out
}

func (w agents) Changed() <-chan struct{} { return w.fleet }

func (w agents) SetTable(t assignment.Table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, "table")
	w.table = t
	for _, m := range w.minions {
		m.Table = t.Generation
	}
}

// SetAssignments lets every minion do at once what it is told.
func (w agents) SetAssignments(all map[string]assignment.Assignment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, "assignments")
	for name, a := range all {
		m := w.minions[name]
		r := *m.Report
		r.Instances = nil
		for _, i := range a.Instances {
			if i.Phase == assignment.Stop {
				continue
			}
			s := assignment.InstanceStatus{ID: i.ID, UID: i.UID, Namespace: i.Namespace, Pod: i.Pod, Controller: i.Controller, Hash: i.Hash, Address: i.Address,
				State: assignment.Running, Up: time.Now(), UpFor: time.Hour}
			if i.Phase == assignment.Prepare {
				s.State, s.Up, s.UpFor = assignment.Prepared, time.Time{}, 0
			}
			for _, had := range m.Report.Instances {
				if had.ID == s.ID && had.State == s.State {
					s = had
				}
			}
			r.Instances = append(r.Instances, s)
		}
		before, _ := json.Marshal(m.Report.Instances)
		after, _ := json.Marshal(r.Instances)
		m.LastSeen = time.Now()
		if string(before) != string(after) {
			w.counter++
			m.Work = assignment.Generation{Epoch: a.Generation.Epoch, Counter: w.counter}
			m.Report, m.Reported = &r, time.Now()
			select {
			case w.fleet <- struct{}{}:
			default:
			}
		}
	}
}

func (w agents) Logs(context.Context, string, assignment.LogRequest) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("one\ntwo\n")), nil
}

func (w agents) Token(context.Context, int, time.Duration) (string, error) { return "r1.token", nil }

func (w agents) TokenFor(_ context.Context, minion string, _ time.Duration) (string, error) {
	return "r1.token-for-" + minion, nil
}

// join adds a minion that reports nothing running.
func (w *world) join(name string) {
	w.minions[name] = &reconcile.Minion{Connected: true, LastSeen: time.Now(), Reported: time.Now(), Report: &assignment.Report{
		Minion: name, Address: netip.MustParseAddr("10.245.2.2"), Capacity: assignment.Capacity{MilliCPU: 1000, Memory: 1 << 30, Pods: 10}}}
}

// push makes a commit with these files the head.
func (w *world) push(hash string, files map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	w.trees[hash], w.head = tree, hash
	select {
	case w.git <- struct{}{}:
	default:
	}
}

// loadWords is a loader for tests: each file is a pod that runs the image named in it; "bad" does not load.
func loadWords(tree fs.FS) (*schema.Set, []string, error) {
	set := &schema.Set{}
	var errs []error
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if path == "unreadable" {
			return errors.New("it cannot be read")
		}
		b, err := fs.ReadFile(tree, path)
		if string(b) == "bad" {
			errs = append(errs, fmt.Errorf("%s:1:1: bad", path))
		}
		p := &schema.Pod{Meta: schema.Meta{Name: path, Namespace: "default"}}
		p.Spec.Containers = []schema.Container{{Name: "c", Image: string(b)}}
		set.Pods = append(set.Pods, p)
		return err
	})
	if len(errs) > 0 {
		err = errors.Join(errs...)
	}
	return set, nil, err
}

// boot starts a server on the world as cmd does and returns it with what ends it.
func (w *world) boot(t *testing.T, epoch uint64) (s *Server, kill func()) {
	return w.bootWith(t, epoch, func(*Config) {})
}

func (w *world) bootWith(t *testing.T, epoch uint64, edit func(*Config)) (s *Server, kill func()) {
	state, ok, err := store{w}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		state = NewState()
	}
	state.Epoch = epoch
	c := Config{State: state, Settings: reconcile.DefaultSettings(), Source: source{w}, Store: store{w}, Fleet: agents{w}, Load: loadWords, Log: slog.New(slog.DiscardHandler)}
	edit(&c)
	s, err = New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server ended: %v", err)
		}
	}
}

// running is what the minions run, as "pod=image".
func (w *world) running(t *testing.T) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var st reconcile.State
	if err := json.Unmarshal(w.saved, &st); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range w.minions {
		for _, i := range m.Report.Instances {
			if i.State == assignment.Running {
				out = append(out, i.Pod+"="+st.Bindings.Get(i.ID).Spec.Containers[0].Image)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestWhateverGitDoesTheFleetStays(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(w *world)
		says string
	}{
		{"a commit that does not load", func(w *world) { w.push("c2", map[string]string{"a": "bad", "b": "bad"}) }, "a:1:1: bad|b:1:1: bad"},
		{"an empty tree", func(w *world) { w.push("c2", nil) }, "Allow-Delete"},
		{"a branch that vanishes", func(w *world) { w.mu.Lock(); w.head = ""; w.mu.Unlock(); w.git <- struct{}{} }, "does not exist"},
		{"a tree that cannot be read for a moment", func(w *world) {
			w.push("c2", map[string]string{"a": "i:9", "unreadable": ""})
		}, "cannot be read"},
		{"a repository that does not answer", func(w *world) { w.mu.Lock(); w.gitDown = true; w.mu.Unlock(); w.git <- struct{}{} }, "does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.join("m1")
				w.push("c1", map[string]string{"a": "i:1", "b": "i:1"})
				s, kill := w.boot(t, 1)
				settle(time.Minute)
				if got := w.running(t); got != "a=i:1 b=i:1" {
					t.Fatalf("runs %q", got)
				}
				c.then(w)
				settle(time.Minute)
				st := s.Status()
				if got := w.running(t); got != "a=i:1 b=i:1" || st.Applied.Hash != "c1" {
					t.Errorf("runs %q, applied %q", got, st.Applied.Hash)
				}
				if says := strings.Join(st.Errors, "|"); !strings.Contains(says, c.says) || st.Sync != reconcile.OutOfSync {
					t.Errorf("says %q and %s, want %q", says, st.Sync, c.says)
				}
				kill()
				s, kill = w.boot(t, 2) // a restart changes nothing of it
				defer kill()
				settle(time.Minute)
				if got := w.running(t); got != "a=i:1 b=i:1" {
					t.Errorf("runs %q after a restart", got)
				}
				w.mu.Lock()
				w.gitDown = false
				w.mu.Unlock()
				w.push("c3", map[string]string{"a": "i:2", "b": "i:1"})
				settle(2 * time.Minute)
				st = s.Status()
				if got := w.running(t); got != "a=i:2 b=i:1" || len(st.Errors) > 0 || st.Applied.Hash != "c3" || st.Sync != reconcile.Synced {
					t.Errorf("after the next good commit: runs %q, %+v", got, st)
				}
			})
		})
	}
}

// Mutant: publishing before saving.
func TestNothingIsPublishedThatIsNotSaved(t *testing.T) {
	for _, how := range []string{"refused", "done"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.join("m1")
				w.push("c1", map[string]string{"a": "i:1"})
				w.failing = how
				_, kill := w.boot(t, 1)
				defer kill()
				settle(time.Minute)
				first := map[string]int{}
				for i, o := range w.order {
					if _, ok := first[o]; !ok {
						first[o] = i
					}
				}
				// Refused: loaded again and saved. Unknown: loaded again, and found to be saved.
				failed, good := "save refused", "save"
				if how == "done" {
					failed, good = "save unknown", "load"
				}
				again := slices.Index(w.order[first[failed]:], "load") + first[failed]
				saved := slices.Index(w.order[again:], good) + again
				if again <= first[failed] || saved < again {
					t.Fatalf("saved again without loading first: %v", w.order[:min(len(w.order), 8)])
				}
				for _, after := range []string{"table", "assignments"} {
					if at, ok := first[after]; !ok || at < saved {
						t.Errorf("%s at step %d of %v", after, at, w.order[:min(len(w.order), 8)])
					}
				}
				if got := w.running(t); got != "a=i:1" {
					t.Errorf("runs %q", got)
				}
			})
		})
	}
}

func TestSteadyFleetSavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.join("m1")
		w.push("c1", map[string]string{"a": "i:1"})
		_, kill := w.boot(t, 1)
		defer kill()
		settle(2 * time.Minute)
		before := count(w, "save")
		settle(10 * time.Minute)
		if n := count(w, "save") - before; n > 0 {
			t.Errorf("saved %d times while nothing changed", n)
		}
	})
}

func count(w *world, what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, o := range w.order {
		if o == what {
			n++
		}
	}
	return n
}

func TestAPI(t *testing.T) {
	w := newWorld()
	w.join("m1")
	w.push("c1", map[string]string{"a": "i:1"})
	s, kill := w.boot(t, 1)
	defer kill()
	h := s.API("v0")
	if r, err := New(s.Config); err != nil {
		t.Fatal(err)
	} else { // before its first step
		a := httptest.NewRecorder()
		r.API("v0").ServeHTTP(a, httptest.NewRequest("GET", "/v1/snapshot", nil))
		if a.Code != 503 {
			t.Errorf("a server that knows nothing yet answers %d %s", a.Code, a.Body)
		}
	}
	get := func(path string) string {
		r := httptest.NewRecorder()
		method := "GET"
		if strings.HasPrefix(path, "/v1/tokens") {
			method = "POST"
		}
		h.ServeHTTP(r, httptest.NewRequest(method, path, nil).WithContext(t.Context()))
		return fmt.Sprint(r.Code, " ", r.Body)
	}
	var st reconcile.Status
	if err := json.Unmarshal([]byte(strings.TrimPrefix(get("/v1/status?fresh=true"), "200 ")), &st); err != nil || st.Applied.Hash != "c1" {
		t.Errorf("status %+v, %v", st, err)
	}
	var in reconcile.Input
	if err := json.Unmarshal([]byte(strings.TrimPrefix(get("/v1/snapshot"), "200 ")), &in); err != nil || in.State.Bindings.Len() != 1 {
		t.Errorf("snapshot %+v, %v", in, err)
	}
	for path, want := range map[string]string{
		"/v1/version":                          "200 v0",
		"/v1/logs?tail=-1":                     "200 one\ntwo\n",
		"/v1/logs":                             "400 tail",
		"/v1/tokens?uses=1&valid=1h":           "200 r1.token",
		"/v1/tokens?uses=1&valid=1h&minion=m1": "200 r1.token-for-m1",
		"/v1/tokens?uses=x&valid=1h":           "400 ",
		"/v1/nothing":                          "404 ",
	} {
		if got := get(path); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestStatusBesideSteps: what is true is worked out when somebody asks, of the step before, while the next steps are made. Under the
// race detector, it tells whether a step changes what another's status is of. Mutant: a step changes a binding that is in a state.
func TestStatusBesideSteps(t *testing.T) {
	w := newWorld()
	w.join("m1")
	w.push("c0", map[string]string{"a": "i:0", "b": "i:0"})
	s, kill := w.boot(t, 1)
	ctx, done := context.WithCancel(t.Context())
	asked := make(chan int)
	for range 2 {
		go func() {
			n := 0
			for ; ctx.Err() == nil; n++ {
				if s.Ready() && s.Status().Time.IsZero() {
					t.Error("there is no status after a step")
				}
			}
			asked <- n
		}()
	}
	for i := range 30 {
		w.push(fmt.Sprintf("c%d", i+1), map[string]string{"a": fmt.Sprintf("i:%d", i%3), "b": "i:0", fmt.Sprintf("x%d", i%2): "i:0"})
		time.Sleep(10 * time.Millisecond)
	}
	for end := time.Now().Add(20 * time.Second); s.Status().Applied.Hash != "c30" && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	done()
	if n := <-asked + <-asked; n < 30 {
		t.Errorf("asked %d times", n)
	}
	st := s.Status()
	if st.Applied.Hash != "c30" || len(st.Objects) < 3 || st.Outcome == nil {
		t.Errorf("got %+v", st)
	}
	kill()
}
