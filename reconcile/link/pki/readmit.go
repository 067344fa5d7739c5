package pki

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"
)

// Readmit has the roster take a certificate of its authority for that of its minion also if the registry does not know its key:
// the registry is an old copy, or empty, and the authority signed nobody else's. A minion that is known as revoked stays out, and so
// does a key that was replaced by a later join that the registry knows of. A revocation that the registry has lost is lost.
func (r *Roster) Readmit() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readmits = true
}

// readmit learns the key of a certificate, if the roster does so and the certificate is not older than what it knows.
func (r *Roster) readmit(name string, c *x509.Certificate, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, known := r.known[name]
	// Certificates are backdated when they are issued. A minute is for what lies between that and the note of it.
	if !r.readmits || known && (!old.Revoked.IsZero() || c.NotBefore.Add(backdate+time.Minute).Before(old.Joined)) || now.After(c.NotAfter) {
		return false
	}
	next := identity{Key: digest(c.RawSubjectPublicKeyInfo), Previous: old.Key, Joined: old.Joined}
	if !known {
		next.Joined = c.NotBefore.Add(backdate).UTC()
	}
	r.known[name] = next
	return true
}

// Keep writes what the roster knows of a minion into the registry, if that has something else.
func (r *Roster) Keep(ctx context.Context, minion string) error {
	r.change.Lock()
	defer r.change.Unlock()
	r.mu.RLock()
	id, ok := r.known[minion]
	r.mu.RUnlock()
	if !ok {
		return fmt.Errorf("keep identity of minion %q: it is not known", minion)
	}
	b, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("keep identity of minion %q: %w", minion, err)
	}
	present, err := r.registry.Identity(ctx, minion)
	if err != nil {
		return fmt.Errorf("keep identity of minion %q: %w", minion, err)
	}
	if string(present) == string(b) {
		return nil
	}
	if err := r.registry.PutIdentity(ctx, minion, present, b); err != nil {
		return fmt.Errorf("keep identity of minion %q: %w", minion, err)
	}
	return nil
}
