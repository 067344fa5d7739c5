package pki_test

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/link/pki/registrytest"
)

// TestReadmit: after the registry was lost or is old, a certificate of the authority does, and only where it should. Mutants: a
// revoked minion is let in; a key that was replaced by a later join is; it is not written down.
func TestReadmit(t *testing.T) {
	a, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: t.TempDir(), Fleet: "f1"})
	if err != nil {
		t.Fatal(err)
	}
	registry := &registrytest.Memory{}
	load := func(readmits bool) *pki.Roster {
		t.Helper()
		r, err := pki.LoadRoster(t.Context(), a, registry)
		if err != nil {
			t.Fatal(err)
		}
		if readmits {
			r.Readmit()
		}
		return r
	}
	join := func(r *pki.Roster, name string) *x509.Certificate {
		t.Helper()
		id, err := pki.NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		public, err := id.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		token, err := r.Token(t.Context(), pki.TokenOptions{Uses: 1, ValidFor: time.Hour, Minion: name})
		if err != nil {
			t.Fatal(err)
		}
		der, err := r.Join(t.Context(), pki.JoinRequest{Minion: name, TokenID: token.ID, TokenSecret: token.Secret, PublicKey: public})
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	now := time.Now()
	m1 := join(load(false), "m1")
	registry = &registrytest.Memory{} // lost
	if _, err := load(false).Check(m1, now); !errors.Is(err, pki.ErrRefused) {
		t.Fatalf("without recovery: %v", err)
	}
	r := load(true)
	if name, err := r.Check(m1, now); name != "m1" || err != nil {
		t.Fatalf("%q, %v", name, err)
	}
	if err := r.Keep(t.Context(), "m1"); err != nil {
		t.Fatal(err)
	}
	if name, err := load(false).Check(m1, now); name != "m1" || err != nil {
		t.Errorf("the next server: %q, %v", name, err)
	}
	if _, err := r.Check(m1, now.Add(2*365*24*time.Hour)); !errors.Is(err, pki.ErrRefused) {
		t.Errorf("expired: %v", err)
	}
	if err := r.Revoke(t.Context(), "m1"); err != nil {
		t.Fatal(err)
	}
	if _, err := load(true).Check(m1, now); !errors.Is(err, pki.ErrRefused) {
		t.Errorf("revoked: %v", err)
	}
	here := registry
	registry = &registrytest.Memory{}
	unknown := join(load(false), "m1") // another key, which the registry that knows of the revocation does not
	registry = here
	if _, err := load(true).Check(unknown, now); !errors.Is(err, pki.ErrRefused) {
		t.Errorf("revoked, with another key: %v", err)
	}
	stolen := join(load(false), "m2")
	registry = &registrytest.Memory{}
	late := *stolen
	late.NotBefore = late.NotBefore.Add(-time.Hour) // issued an hour before the minion joined anew, and the registry knows of that
	join(load(false), "m2")
	if _, err := load(true).Check(&late, now); !errors.Is(err, pki.ErrRefused) {
		t.Errorf("a key that was replaced: %v", err)
	}
	other, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: t.TempDir(), Fleet: "f2"})
	if err != nil {
		t.Fatal(err)
	}
	of2, err := pki.LoadRoster(t.Context(), other, &registrytest.Memory{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := load(true).Check(join(of2, "m9"), now); !errors.Is(err, pki.ErrRefused) {
		t.Errorf("of another fleet: %v", err)
	}
}
