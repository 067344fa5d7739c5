package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/server"
	"reconciler/schema"
)

var (
	_ server.Store   = (*Store)(nil)
	_ server.History = (*Store)(nil)
)

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.lock != nil {
			s.Close()
		}
	})
	return s
}

// reopen closes s and opens its directory again.
func reopen(t testing.TB, s *Store, dir string) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.lock = nil
	return openStore(t, dir)
}

// example is a state with n bindings in which everything is set. mark changes every part of it.
func example(n, mark int) reconcile.State {
	at := time.Date(2026, 1, 2, 3, 4, 5, mark, time.UTC)
	s := reconcile.State{
		Fleet: "f1", Epoch: 3, Sequence: uint64(mark), TableHash: "abc",
		Table:    assignment.Generation{Epoch: 3, Counter: uint64(mark)},
		Applied:  reconcile.Revision{Hash: "0123", Ref: "main", Time: at, Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}},
		Accepted: &schema.Set{Positions: map[string]schema.Position{}},
		Objects:  map[string]reconcile.Record{}, Minions: map[string]reconcile.Node{},
		Suspensions: map[string]reconcile.Suspension{"Pod/web-000000": {Reason: "why", Owner: "ada", Since: at, Until: at}},
		Approved:    &reconcile.Approval{Revision: reconcile.Revision{Hash: "0123"}, Plan: "sha256:00", By: "ada", At: at},
		Resting:     map[netip.Addr]time.Time{netip.MustParseAddr("10.244.1.9"): at, netip.MustParseAddr("fd00::1"): at},
	}
	var bindings []reconcile.Binding
	for i := range n {
		name := fmt.Sprintf("web-%06d", i)
		spec := schema.PodSpec{Containers: []schema.Container{{Name: "main", Image: "registry/web:1", Command: []string{"serve", fmt.Sprint(mark)}}}}
		p := &schema.Pod{Meta: schema.Meta{Name: name, Namespace: "default"}, Spec: spec}
		s.Accepted.Pods = append(s.Accepted.Pods, p)
		s.Accepted.Positions[p.Key().String()] = schema.Position{File: "web.yaml", Line: i + 1, Column: 1}
		s.Objects[p.Key().String()] = reconcile.Record{UID: fmt.Sprint("u", i), Created: at, Version: uint64(i), Hash: "h",
			Healthy: &reconcile.HealthySpec{Hash: "g", Spec: spec, Annotations: map[string]string{"a": "b"}, Revision: "0122"}, Update: &reconcile.Progress{Hash: "h", Ready: i, Since: at, Epoch: 3},
			Quarantine: &reconcile.Quarantine{Hash: "h", Reason: "it crashes", Since: at}}
		bindings = append(bindings, reconcile.Binding{
			ID: name + "-1", UID: fmt.Sprint("u", i), Namespace: "default", Pod: name, Minion: fmt.Sprintf("minion-%04d", i/30),
			Address: netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}), Hash: fmt.Sprint("h", i), Spec: &spec, Created: at,
			Env:   []schema.EnvVar{{Name: "DB_SERVICE_HOST", Value: "10.0.0.1"}, {Name: "MARK", Value: fmt.Sprint(mark)}},
			Phase: assignment.Run, Since: at,
		})
		if i%30 == 0 {
			s.Minions[fmt.Sprintf("minion-%04d", i/30)] = reconcile.Node{UID: fmt.Sprint("m", i), Created: at, Network: netip.MustParsePrefix("10.244.1.0/24")}
		}
	}
	s.Bindings = reconcile.BindingsOf(bindings...)
	return s
}

func text(t testing.TB, s reconcile.State) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func load(t testing.TB, s *Store) (reconcile.State, bool) {
	t.Helper()
	state, ok, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state, ok
}

func save(t testing.TB, s *Store, state reconcile.State) {
	t.Helper()
	if err := s.Save(t.Context(), state); err != nil {
		t.Fatal(err)
	}
}

// chunkKeys lists the chunk keys in etcd.
func chunkKeys(t testing.TB, s *Store) map[string]int64 {
	t.Helper()
	r, err := s.client.Get(t.Context(), keyChunks, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]int64{}
	for _, kv := range r.Kvs {
		m[string(kv.Key)] = kv.ModRevision
	}
	return m
}

func TestSaveAndLoad(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if err := s.Save(t.Context(), example(1, 1)); !errors.Is(err, ErrNotLoaded) {
		t.Fatalf("save before load: %v", err)
	}
	if _, ok := load(t, s); ok {
		t.Fatal("an empty store says that it has a state")
	}
	big := example(3, 7)
	b := *big.Bindings.Get("web-000001-1")
	noise := make([]byte, 3<<20) // does not compress to one part
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x = x*1664525 + 1013904223
		noise[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-"[x>>26]
	}
	b.Reason = string(noise)
	big.Bindings = big.Bindings.With(b)
	for _, c := range []struct {
		name  string
		state reconcile.State
	}{
		{"everything set", example(200, 1)},
		{"everything changed", example(200, 2)},
		{"more", example(1000, 2)},
		{"fewer", example(10, 2)},
		{"a binding larger than a request", big},
		{"an empty accepted set", reconcile.State{Fleet: "f", Accepted: &schema.Set{}, Objects: map[string]reconcile.Record{}, Minions: map[string]reconcile.Node{}}},
		{"no accepted set", reconcile.State{Fleet: "f", Objects: map[string]reconcile.Record{}, Minions: map[string]reconcile.Node{}}},
	} {
		save(t, s, c.state)
		s = reopen(t, s, dir)
		got, ok := load(t, s)
		if want := text(t, c.state); !ok || text(t, got) != want {
			t.Errorf("%s: loaded another state than was saved", c.name)
		}
		if got.Objects == nil || got.Resting == nil {
			t.Errorf("%s: a map of the loaded state is nil", c.name)
		}
		parts := 0
		for _, c := range s.head.has() {
			parts += c.parts()
		}
		if n := len(chunkKeys(t, s)); n != parts {
			t.Errorf("%s: %d keys of chunks are kept for %d parts", c.name, n, parts)
		}
	}
}

// TestEveryKindIsKept: what a set holds of any kind is there after a restart, or the server would forget a part of what it
// has accepted.
func TestEveryKindIsKept(t *testing.T) {
	set := &schema.Set{}
	v := reflect.ValueOf(set).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice {
			o := reflect.New(f.Type().Elem().Elem())
			o.Elem().FieldByName("Meta").Set(reflect.ValueOf(schema.Meta{Name: v.Type().Field(i).Name}))
			f.Set(reflect.Append(f, o))
		}
	}
	if set.Len() < 10 {
		t.Fatalf("%d kinds", set.Len())
	}
	dir := t.TempDir()
	s := openStore(t, dir)
	if _, ok := load(t, s); ok {
		t.Fatal("an empty store says that it has a state")
	}
	state := reconcile.State{Fleet: "f", Accepted: set, Objects: map[string]reconcile.Record{}, Minions: map[string]reconcile.Node{}}
	save(t, s, state)
	s = reopen(t, s, dir)
	if got, ok := load(t, s); !ok || text(t, got) != text(t, state) {
		t.Errorf("loaded %s", text(t, got))
	}
}

func TestSaveWritesOnlyWhatChanged(t *testing.T) {
	s := openStore(t, t.TempDir())
	load(t, s)
	state := example(3000, 1)
	save(t, s, state)
	before := chunkKeys(t, s)
	b := *state.Bindings.Get("web-001500-1")
	b.Phase = assignment.Drain
	state.Bindings = state.Bindings.With(b).Without("web-000010-1")
	save(t, s, state)
	written := 0
	for key, rev := range chunkKeys(t, s) {
		if before[key] != rev {
			written++
		}
	}
	if written < 2 || written > 4 || len(before) < 50 {
		t.Errorf("two changed bindings wrote %d of %d chunks", written, len(before))
	}
}

// A save that ends at any of its writes leaves the state before it, or is done.
func TestInterruptedSaveLeavesOldState(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	load(t, s)
	old, next := example(400, 1), example(400, 2)
	save(t, s, old)
	interrupted := errors.New("interrupted")
	for stop := 1; ; stop++ {
		writes, step := 0, ""
		s.fault = func(name string) error {
			if writes++; writes == stop {
				step = name
				return interrupted
			}
			return nil
		}
		err := s.Save(t.Context(), next)
		s.fault = nil
		if step == "sweep" || err == nil {
			if stop < 3 {
				t.Fatalf("a save has only %d writes", stop)
			}
			break // what counts was written
		}
		if !errors.Is(err, interrupted) {
			t.Fatalf("interrupted at write %d: %v", stop, err)
		}
		if err := s.Save(t.Context(), next); !errors.Is(err, ErrNotLoaded) {
			t.Fatalf("interrupted at write %d, saved again without load: %v", stop, err)
		}
		// Another store, as after a crash, sees the old state.
		s = reopen(t, s, dir)
		got, _ := load(t, s)
		if text(t, got) != text(t, old) {
			t.Fatalf("interrupted at write %d (%s): loaded a state that was never saved", stop, step)
		}
	}
	got, _ := load(t, s)
	if text(t, got) != text(t, next) {
		t.Fatal("a save that was interrupted while removing chunks is not the state")
	}
	// The next save that gets to its end removes what the interrupted ones left.
	save(t, s, next)
	if n := len(chunkKeys(t, s)); n != len(s.head.has()) {
		t.Errorf("%d keys of chunks are kept for %d chunks", n, len(s.head.has()))
	}
}

func TestSaveRefusesAnotherWritersState(t *testing.T) {
	s := openStore(t, t.TempDir())
	load(t, s)
	save(t, s, example(10, 1))
	other := &Store{client: s.client}
	load(t, other)
	save(t, other, example(10, 2))
	if err := s.Save(t.Context(), example(10, 3)); !errors.Is(err, ErrMoved) {
		t.Fatalf("saved over another writer's state: %v", err)
	}
	if err := s.Save(t.Context(), example(10, 3)); !errors.Is(err, ErrNotLoaded) {
		t.Fatalf("saved without load after an error: %v", err)
	}
	got, _ := load(t, s)
	if text(t, got) != text(t, example(10, 2)) {
		t.Fatal("the other writer's state is gone")
	}
	save(t, s, example(10, 3))

	// The other writer comes between chunks and head.
	load(t, other)
	s.fault = func(step string) error {
		if step == "head" {
			s.fault = nil
			save(t, other, example(10, 4))
		}
		return nil
	}
	if err := s.Save(t.Context(), example(10, 5)); !errors.Is(err, ErrMoved) {
		t.Fatalf("saved over another writer's state: %v", err)
	}
	if got, _ := load(t, s); text(t, got) != text(t, example(10, 4)) {
		t.Fatal("the other writer's state is gone")
	}
}

// What one writer sweeps never is what another is about to list: chunks that were written after the head stay.
func TestSweepSparesAnotherWritersChunks(t *testing.T) {
	s := openStore(t, t.TempDir())
	load(t, s)
	save(t, s, example(10, 1))
	other := &Store{client: s.client}
	interrupted := errors.New("interrupted")
	// An interrupted save leaves chunks of state 2.
	s.fault = func(step string) error {
		if step == "head" {
			return interrupted
		}
		return nil
	}
	if err := s.Save(t.Context(), example(10, 2)); !errors.Is(err, interrupted) {
		t.Fatal(err)
	}
	// While s sweeps after its next save, the other saves the same state 2 up to its head.
	load(t, s)
	inSweep, goOn := make(chan struct{}), make(chan struct{})
	s.fault = func(step string) error {
		if step == "sweep" {
			close(inSweep)
			<-goOn
		}
		return nil
	}
	done := make(chan error)
	go func() { done <- s.Save(context.WithoutCancel(t.Context()), example(11, 3)) }()
	<-inSweep
	load(t, other)
	other.fault = func(step string) error {
		if step == "head" {
			close(goOn)
			if err := <-done; err != nil {
				return err
			}
		}
		return nil
	}
	save(t, other, example(10, 2))
	got, _ := load(t, other)
	if text(t, got) != text(t, example(10, 2)) {
		t.Fatal("loaded another state than was saved")
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, s *Store)
		want   string
	}{
		{"a chunk is missing", func(t *testing.T, s *Store) {
			if _, err := s.client.Delete(t.Context(), partKey(s.head.Chunks[1].id(), 0)); err != nil {
				t.Fatal(err)
			}
		}, "part 0 is missing"},
		{"a chunk has other contents", func(t *testing.T, s *Store) {
			parts, err := pack([]byte(`[]`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.client.Put(t.Context(), partKey(s.head.Chunks[1].id(), 0), string(parts[0])); err != nil {
				t.Fatal(err)
			}
		}, "do not have its hash"},
		{"a newer format", func(t *testing.T, s *Store) {
			if _, err := s.client.Put(t.Context(), keyHead, `{"format":2}`); err != nil {
				t.Fatal(err)
			}
		}, "format 2 is not 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openStore(t, t.TempDir())
			load(t, s)
			save(t, s, example(10, 1))
			c.damage(t, s)
			if _, _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("load: %v, want %q", err, c.want)
			}
			if err := s.Save(t.Context(), example(10, 2)); !errors.Is(err, ErrNotLoaded) {
				t.Errorf("saved over a damaged state: %v", err)
			}
		})
	}
}

func TestCanceledSave(t *testing.T) {
	s := openStore(t, t.TempDir())
	load(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Save(ctx, example(10, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("save: %v", err)
	}
	if err := s.Save(t.Context(), example(10, 1)); !errors.Is(err, ErrNotLoaded) {
		t.Fatalf("saved without load after an unknown outcome: %v", err)
	}
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40), "store") // longer than the path of a socket may be
	s := openStore(t, dir)
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("opened twice: %v", err)
	}
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory: %v, %v", fi.Mode(), err)
	}
	if n := len(s.etcd.Clients) + len(s.etcd.Peers); n != 0 {
		t.Errorf("etcd has %d listeners", n)
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("opened without a directory")
	}
	reopen(t, s, dir)
}

func TestNewEpoch(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				e, err := s.NewEpoch(t.Context())
				mu.Lock()
				if err != nil || seen[e] || e == 0 {
					t.Errorf("epoch %d given twice or failed: %v", e, err)
				}
				seen[e] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	s = reopen(t, s, dir)
	if e, err := s.NewEpoch(t.Context()); err != nil || e != 81 {
		t.Errorf("epoch after a restart: %d, %v", e, err)
	}
}

func TestRegistry(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	ctx := t.Context()
	if err := s.UseToken(ctx, "a", func([]byte) ([]byte, error) { return nil, nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("use of no token: %v", err)
	}
	for _, uses := range []byte{1, 100} { // the second replaces the first
		if err := s.PutToken(ctx, "a", []byte{uses}); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				if err := s.UseToken(ctx, "a", func(old []byte) ([]byte, error) { return []byte{old[0] - 1}, nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s = reopen(t, s, dir)
	refused := errors.New("refused")
	if err := s.UseToken(ctx, "a", func(old []byte) ([]byte, error) {
		if old[0] != 20 {
			t.Errorf("%d uses are left of 100 after 80", old[0])
		}
		return nil, refused
	}); !errors.Is(err, refused) {
		t.Errorf("use refused: %v", err)
	}
	if err := s.UseToken(ctx, "a", func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	if err := s.UseToken(ctx, "a", func([]byte) ([]byte, error) { return nil, nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("use of a deleted token: %v", err)
	}

	if b, err := s.Identity(ctx, "m1"); b != nil || err != nil {
		t.Errorf("identity of nobody: %q, %v", b, err)
	}
	for _, c := range []struct {
		name          string
		expected, new []byte
		ok            bool
	}{
		{"replace what is not there", []byte("x"), []byte("y"), false},
		{"create", nil, []byte("one"), true},
		{"create again", nil, []byte("two"), false},
		{"replace another", []byte("two"), []byte("three"), false},
		{"replace", []byte("one"), []byte("two"), true},
	} {
		err := s.PutIdentity(ctx, "m1", c.expected, c.new)
		if c.ok && err != nil || !c.ok && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := s.PutIdentity(ctx, "m2", nil, []byte{}); err != nil {
		t.Error(err)
	}
	s = reopen(t, s, dir)
	if b, err := s.Identity(ctx, "m1"); string(b) != "two" || err != nil {
		t.Errorf("identity: %q, %v", b, err)
	}
	if m, err := s.Identities(ctx); err != nil || len(m) != 2 || string(m["m1"]) != "two" || m["m2"] == nil {
		t.Errorf("identities: %q, %v", m, err)
	}
}
