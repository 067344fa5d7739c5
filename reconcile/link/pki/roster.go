package pki

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"
)

// ErrRefused is wrapped by what a minion is refused for: asking again changes nothing.
var ErrRefused = errors.New("refused")

// identity is what the registry keeps of a minion.
type identity struct {
	Key      string    `json:"key"`                // digest of the public key
	Previous string    `json:"previous,omitempty"` // the key before a renewal, until the next one: its answer may get lost
	Joined   time.Time `json:"joined"`
	Revoked  time.Time `json:"revoked,omitzero"`
}

// Roster says which minions there are and whose certificates are good. Its methods may be called concurrently.
type Roster struct {
	authority *Authority
	registry  Registry

	mu       sync.RWMutex
	known    map[string]identity // as in the registry
	readmits bool                // see Readmit
	change   sync.Mutex          // one change of identities at a time, so that known follows the registry in order
}

// LoadRoster reads all identities.
func LoadRoster(ctx context.Context, a *Authority, r Registry) (*Roster, error) {
	all, err := r.Identities(ctx)
	if err != nil {
		return nil, fmt.Errorf("load identities: %w", err)
	}
	known := make(map[string]identity, len(all))
	for name, b := range all {
		var id identity
		if err := json.Unmarshal(b, &id); err != nil {
			return nil, fmt.Errorf("load identity of minion %q: %w", name, err)
		}
		known[name] = id
	}
	return &Roster{authority: a, registry: r, known: known}, nil
}

// Names of every minion that ever joined, sorted.
func (r *Roster) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.known))
}

// Check gives the name of the minion whose certificate c is. The chain must have been verified before. It wraps
// [ErrRefused] if the minion is unknown or revoked, has another key now, or the certificate has expired at now. It is cheap:
// TLS looks at none of this again after the handshake, so it is called for every heartbeat.
func (r *Roster) Check(c *x509.Certificate, now time.Time) (string, error) {
	name, err := minionOf(r.authority.fleet, c)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	r.mu.RLock()
	id, ok := r.known[name]
	r.mu.RUnlock()
	key := digest(c.RawSubjectPublicKeyInfo)
	if (!ok || key != id.Key && key != id.Previous) && r.readmit(name, c, now) {
		return name, nil
	}
	switch {
	case !ok:
		return "", fmt.Errorf("%w: minion %q never joined", ErrRefused, name)
	case !id.Revoked.IsZero():
		return "", fmt.Errorf("%w: minion %q is revoked", ErrRefused, name)
	case key != id.Key && key != id.Previous:
		return "", fmt.Errorf("%w: minion %q has joined again with another key", ErrRefused, name)
	case now.After(c.NotAfter):
		return "", fmt.Errorf("%w: the certificate of minion %q expired at %s", ErrRefused, name, c.NotAfter.Format(time.RFC3339))
	}
	return name, nil
}

// Token makes a join token.
func (r *Roster) Token(ctx context.Context, o TokenOptions) (Token, error) {
	if o.Uses < 0 || o.ValidFor <= 0 {
		return Token{}, fmt.Errorf("make join token: %d uses for %v", o.Uses, o.ValidFor)
	}
	if o.Minion != "" {
		if err := CheckName(o.Minion); err != nil {
			return Token{}, fmt.Errorf("make join token: %w", err)
		}
	}
	t := newToken(digest(r.authority.cert.RawSubjectPublicKeyInfo))
	b, err := json.Marshal(tokenRecord{Secret: digest([]byte(t.Secret)), Expires: time.Now().Add(o.ValidFor).UTC(), Uses: o.Uses, Minion: o.Minion})
	if err != nil {
		return Token{}, fmt.Errorf("make join token: %w", err)
	}
	if err := r.registry.PutToken(ctx, t.ID, b); err != nil {
		return Token{}, fmt.Errorf("make join token: %w", err)
	}
	return t, nil
}

// JoinRequest is what a joiner says.
type JoinRequest struct {
	Minion, TokenID, TokenSecret string
	PublicKey                    []byte // DER SubjectPublicKeyInfo
}

// Join takes a use of the token and makes the minion known; the answer is its certificate, DER. The same joiner may ask
// again with the same key: that takes no further use. What is refused wraps [ErrRefused].
func (r *Roster) Join(ctx context.Context, q JoinRequest) ([]byte, error) {
	if err := CheckName(q.Minion); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	public, err := parsePublicKey(q.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	key := digest(q.PublicKey)
	r.change.Lock()
	defer r.change.Unlock()
	old, present, err := r.read(ctx, q.Minion)
	if err != nil {
		return nil, err
	}
	var bound bool
	err = r.registry.UseToken(ctx, q.TokenID, func(b []byte) ([]byte, error) {
		var t tokenRecord
		if err := json.Unmarshal(b, &t); err != nil {
			return nil, fmt.Errorf("read join token: %w", err)
		}
		if subtle.ConstantTimeCompare([]byte(digest([]byte(q.TokenSecret))), []byte(t.Secret)) != 1 {
			return nil, fmt.Errorf("%w: the join token is not known", ErrRefused)
		}
		bound = t.Minion != ""
		user := digest([]byte(q.Minion + "\x00" + key))
		switch {
		case time.Now().After(t.Expires):
			return nil, fmt.Errorf("%w: the join token expired at %s", ErrRefused, t.Expires.Format(time.RFC3339))
		case bound && t.Minion != q.Minion:
			return nil, fmt.Errorf("%w: the join token is for another minion than %q", ErrRefused, q.Minion)
		case present != nil && !bound && old.Key != key:
			return nil, fmt.Errorf("%w: another key has joined as minion %q; it takes a token bound to that name", ErrRefused, q.Minion)
		case present != nil && !bound && !old.Revoked.IsZero():
			return nil, fmt.Errorf("%w: minion %q is revoked; it takes a token bound to that name", ErrRefused, q.Minion)
		case t.Uses == 0 || slices.Contains(t.Used, user):
			return b, nil
		case len(t.Used) >= t.Uses:
			return nil, fmt.Errorf("%w: the join token is used up", ErrRefused)
		}
		t.Used = append(t.Used, user)
		return json.Marshal(t)
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: the join token is not known", ErrRefused)
	}
	if err != nil {
		return nil, fmt.Errorf("join minion %q: %w", q.Minion, err)
	}
	if present == nil || old.Key != key || !old.Revoked.IsZero() {
		if err := r.write(ctx, q.Minion, present, identity{Key: key, Joined: time.Now().UTC()}); err != nil {
			return nil, fmt.Errorf("join minion %q: %w", q.Minion, err)
		}
	}
	return r.authority.issueMinion(q.Minion, public)
}

// Renew issues a certificate for a new key to the minion that asks with certificate c. Both keys are good until the next
// renewal.
func (r *Roster) Renew(ctx context.Context, c *x509.Certificate, publicKey []byte) ([]byte, error) {
	public, err := parsePublicKey(publicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	r.change.Lock()
	defer r.change.Unlock()
	name, err := r.Check(c, time.Now())
	if err != nil {
		return nil, err
	}
	old, present, err := r.read(ctx, name)
	if err != nil {
		return nil, err
	}
	if present == nil || !old.Revoked.IsZero() {
		return nil, fmt.Errorf("%w: minion %q is revoked", ErrRefused, name)
	}
	next := old
	next.Previous, next.Key = digest(c.RawSubjectPublicKeyInfo), digest(publicKey)
	if err := r.write(ctx, name, present, next); err != nil {
		return nil, fmt.Errorf("renew certificate of minion %q: %w", name, err)
	}
	return r.authority.issueMinion(name, public)
}

// Revoke makes every certificate of the minion worthless. Only a token bound to its name lets it join again.
func (r *Roster) Revoke(ctx context.Context, minion string) error {
	r.change.Lock()
	defer r.change.Unlock()
	id, present, err := r.read(ctx, minion)
	if err != nil {
		return err
	}
	if present == nil {
		return fmt.Errorf("revoke minion %q: it never joined: %w", minion, fs.ErrNotExist)
	}
	if id.Revoked.IsZero() {
		id.Revoked = time.Now().UTC()
		if err := r.write(ctx, minion, present, id); err != nil {
			return fmt.Errorf("revoke minion %q: %w", minion, err)
		}
	}
	return nil
}

func (r *Roster) read(ctx context.Context, minion string) (id identity, present []byte, err error) {
	present, err = r.registry.Identity(ctx, minion)
	if err != nil {
		return id, nil, fmt.Errorf("read identity of minion %q: %w", minion, err)
	}
	if present == nil {
		return id, nil, nil
	}
	if err := json.Unmarshal(present, &id); err != nil {
		return id, nil, fmt.Errorf("read identity of minion %q: %w", minion, err)
	}
	r.learn(minion, id) // an earlier write whose outcome was unknown
	return id, present, nil
}

func (r *Roster) write(ctx context.Context, minion string, present []byte, id identity) error {
	b, err := json.Marshal(id)
	if err != nil {
		return err
	}
	if err := r.registry.PutIdentity(ctx, minion, present, b); err != nil {
		return err
	}
	r.learn(minion, id)
	return nil
}

func (r *Roster) learn(minion string, id identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[minion] = id
}
