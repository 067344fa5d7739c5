// Package registrytest holds the contract of pki.Registry and an implementation in memory that keeps it. It is a package of
// its own because the tests of other packages use both.
package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"
	"testing"

	"reconciler/reconcile/link/pki"
)

// Memory is a registry that forgets all at its end. Fail, if set, is asked before each change: its error is returned, and
// with done the change is made all the same, as when only the answer got lost.
type Memory struct {
	Fail func(what string) (done bool, err error)

	mu         sync.Mutex
	tokens     map[string][]byte
	identities map[string][]byte
}

var _ pki.Registry = (*Memory)(nil)

func (m *Memory) change(what string, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tokens == nil {
		m.tokens, m.identities = map[string][]byte{}, map[string][]byte{}
	}
	if m.Fail != nil {
		if done, err := m.Fail(what); err != nil {
			if done {
				return errors.Join(err, f())
			}
			return err
		}
	}
	return f()
}

// PutToken is pki.Registry's.
func (m *Memory) PutToken(_ context.Context, id string, t []byte) error {
	return m.change("put token", func() error { m.tokens[id] = bytes.Clone(t); return nil })
}

// UseToken is pki.Registry's.
func (m *Memory) UseToken(_ context.Context, id string, update func([]byte) ([]byte, error)) error {
	return m.change("use token", func() error {
		old, ok := m.tokens[id]
		if !ok {
			return fmt.Errorf("use token %q: %w", id, fs.ErrNotExist)
		}
		t, err := update(bytes.Clone(old))
		switch {
		case err != nil:
			return err
		case t == nil:
			delete(m.tokens, id)
		default:
			m.tokens[id] = bytes.Clone(t)
		}
		return nil
	})
}

// Identity is pki.Registry's.
func (m *Memory) Identity(_ context.Context, minion string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.identities[minion]), nil
}

// PutIdentity is pki.Registry's.
func (m *Memory) PutIdentity(_ context.Context, minion string, expectedOld, new []byte) error {
	return m.change("put identity", func() error {
		old, ok := m.identities[minion]
		if ok != (expectedOld != nil) || !bytes.Equal(old, expectedOld) {
			return fmt.Errorf("put identity of %q: it was changed by somebody else", minion)
		}
		m.identities[minion] = bytes.Clone(new)
		return nil
	})
}

// Identities is pki.Registry's.
func (m *Memory) Identities(context.Context) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.identities)
	for k, v := range all {
		all[k] = bytes.Clone(v)
	}
	return all, nil
}

// Run tests the contract on registries that open makes, each empty.
func Run(t *testing.T, open func(*testing.T) pki.Registry) {
	t.Run("an unknown token does not exist", func(t *testing.T) {
		err := open(t).UseToken(t.Context(), "a", func(b []byte) ([]byte, error) { t.Error("update called"); return b, nil })
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
	})
	t.Run("a token is read, changed and deleted", func(t *testing.T) {
		r, refused := open(t), errors.New("refused")
		check(t, r.PutToken(t.Context(), "a", []byte("1")))
		check(t, r.PutToken(t.Context(), "b", []byte("x")))
		check(t, r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) { return append(b, '2'), nil }))
		err := r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) { return []byte("wrong"), refused })
		if !errors.Is(err, refused) {
			t.Errorf("got %v, want the error of update", err)
		}
		check(t, r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) {
			if string(b) != "12" {
				t.Errorf("token is %q, want 12", b)
			}
			return nil, nil
		}))
		if err := r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) { return b, nil }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("deleted token: got %v, want fs.ErrNotExist", err)
		}
		check(t, r.UseToken(t.Context(), "b", func(b []byte) ([]byte, error) { return b, nil }))
	})
	t.Run("no use of a token is lost", func(t *testing.T) {
		const n = 8
		r := open(t)
		check(t, r.PutToken(t.Context(), "a", nil))
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if err := r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) { return append(bytes.Clone(b), '+'), nil }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		check(t, r.UseToken(t.Context(), "a", func(b []byte) ([]byte, error) {
			if len(b) != n {
				t.Errorf("%d uses are left of %d", len(b), n)
			}
			return b, nil
		}))
	})
	t.Run("an identity is changed only from what it was", func(t *testing.T) {
		r := open(t)
		if b, err := r.Identity(t.Context(), "m1"); b != nil || err != nil {
			t.Errorf("unknown identity: got %q, %v", b, err)
		}
		if r.PutIdentity(t.Context(), "m1", []byte("0"), []byte("1")) == nil {
			t.Error("an identity that is not there was changed")
		}
		check(t, r.PutIdentity(t.Context(), "m1", nil, []byte("1")))
		if r.PutIdentity(t.Context(), "m1", nil, []byte("2")) == nil {
			t.Error("an identity that is there was made again")
		}
		if r.PutIdentity(t.Context(), "m1", []byte("0"), []byte("2")) == nil {
			t.Error("an identity was changed from what it was not")
		}
		check(t, r.PutIdentity(t.Context(), "m1", []byte("1"), []byte("3")))
		check(t, r.PutIdentity(t.Context(), "m2", nil, []byte("4")))
		if b, err := r.Identity(t.Context(), "m1"); string(b) != "3" || err != nil {
			t.Errorf("got %q, %v, want 3", b, err)
		}
		all, err := r.Identities(t.Context())
		check(t, err)
		if len(all) != 2 || string(all["m1"]) != "3" || string(all["m2"]) != "4" {
			t.Errorf("identities are %q", all)
		}
	})
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
