package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/link/pki/registrytest"
)

func open(t *testing.T, dir string, r pki.Registry) (*pki.Authority, *pki.Roster) {
	t.Helper()
	a, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: dir, Fleet: "f1"})
	check(t, err)
	roster, err := pki.LoadRoster(t.Context(), a, r)
	check(t, err)
	return a, roster
}

func newKey(t *testing.T) []byte {
	t.Helper()
	id, err := pki.NewIdentity()
	check(t, err)
	b, err := id.PublicKey()
	check(t, err)
	return b
}

func request(minion string, t pki.Token, key []byte) pki.JoinRequest {
	return pki.JoinRequest{Minion: minion, TokenID: t.ID, TokenSecret: t.Secret, PublicKey: key}
}

func parse(t *testing.T, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	check(t, err)
	return c
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, pki.ErrRefused) {
		t.Errorf("%s: got %v, want a refusal", what, err)
	}
}

func TestCertificates(t *testing.T) {
	a, roster := open(t, t.TempDir(), &registrytest.Memory{})
	token, err := roster.Token(t.Context(), pki.TokenOptions{Uses: 1, ValidFor: time.Hour})
	check(t, err)
	der, err := roster.Join(t.Context(), request("m1", token, newKey(t)))
	check(t, err)
	minion := parse(t, der)
	server, err := a.ServerCertificate()
	check(t, err)
	for _, c := range []struct {
		name string
		leaf *x509.Certificate
		use  x509.ExtKeyUsage
		good bool
	}{
		{"a minion is a client", minion, x509.ExtKeyUsageClientAuth, true},
		{"a minion is no server", minion, x509.ExtKeyUsageServerAuth, false},
		{"the server is a server", server.Leaf, x509.ExtKeyUsageServerAuth, true},
	} {
		_, err := c.leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), KeyUsages: []x509.ExtKeyUsage{c.use}})
		if (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if minion.IsCA || len(minion.DNSNames) != 0 || len(minion.URIs) != 1 || minion.URIs[0].String() != "spiffe://f1/minion/m1" {
		t.Errorf("minion's certificate: CA %v, DNS %v, URIs %v", minion.IsCA, minion.DNSNames, minion.URIs)
	}
	if !slices.Equal(server.Leaf.DNSNames, []string{pki.ServerName}) || len(server.Leaf.URIs) != 0 {
		t.Errorf("server's certificate: DNS %v, URIs %v", server.Leaf.DNSNames, server.Leaf.URIs)
	}
	if life := time.Until(minion.NotAfter); life < 89*24*time.Hour || life > 90*24*time.Hour {
		t.Errorf("life is %v", life)
	}
	refused(t, "an expired certificate", second(roster.Check(minion, minion.NotAfter.Add(time.Second))))
	refused(t, "the server as a minion", second(roster.Check(server.Leaf, time.Now())))
}

func second[T any](_ T, err error) error { return err }

func TestAuthorityStays(t *testing.T) {
	dir := t.TempDir()
	a, _ := open(t, dir, &registrytest.Memory{})
	b, _ := open(t, dir, &registrytest.Memory{})
	if string(a.Certificate()) != string(b.Certificate()) {
		t.Error("a second start made another authority")
	}
	for _, file := range []string{"ca.key", "ca.crt"} {
		if i, err := os.Stat(filepath.Join(dir, file)); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, i.Mode(), err)
		}
	}
	check(t, os.Remove(filepath.Join(dir, "ca.crt")))
	if _, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: dir, Fleet: "f1"}); err == nil {
		t.Error("a key without its certificate was replaced")
	}
	if _, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: t.TempDir(), Fleet: "F/1"}); err == nil {
		t.Error("a fleet id that is no host was taken")
	}
}

func TestAnotherFleet(t *testing.T) {
	dir, r := t.TempDir(), &registrytest.Memory{}
	_, roster := open(t, dir, r)
	token, err := roster.Token(t.Context(), pki.TokenOptions{ValidFor: time.Hour})
	check(t, err)
	der, err := roster.Join(t.Context(), request("m1", token, newKey(t)))
	check(t, err)
	other, err := pki.OpenAuthority(pki.AuthorityConfig{Dir: dir, Fleet: "f2"})
	check(t, err)
	same, err := pki.LoadRoster(t.Context(), other, r)
	check(t, err)
	refused(t, "a certificate of another fleet", second(same.Check(parse(t, der), time.Now())))
}

func TestJoinRepeated(t *testing.T) {
	r := &registrytest.Memory{}
	_, roster := open(t, t.TempDir(), r)
	token, err := roster.Token(t.Context(), pki.TokenOptions{Uses: 1, ValidFor: time.Hour})
	check(t, err)
	key := newKey(t)
	lost := errors.New("answer lost")
	for _, c := range []struct {
		name, what string
		done       bool
	}{
		{"the use was not stored", "use token", false},
		{"the use was stored", "use token", true},
		{"the identity was not stored", "put identity", false},
		{"the identity was stored", "put identity", true},
	} {
		r.Fail = func(what string) (bool, error) {
			if what == c.what {
				return c.done, lost
			}
			return false, nil
		}
		if _, err := roster.Join(t.Context(), request("m1", token, key)); !errors.Is(err, lost) || errors.Is(err, pki.ErrRefused) {
			t.Fatalf("%s: got %v, want that the answer was lost", c.name, err)
		}
	}
	r.Fail = nil
	der, err := roster.Join(t.Context(), request("m1", token, key))
	check(t, err)
	if name, err := roster.Check(parse(t, der), time.Now()); name != "m1" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
	refused(t, "another joiner", second(roster.Join(t.Context(), request("m2", token, newKey(t)))))
	refused(t, "the same name with another key", second(roster.Join(t.Context(), request("m1", token, newKey(t)))))
}

func TestRejoinEndsTheOldKey(t *testing.T) {
	_, roster := open(t, t.TempDir(), &registrytest.Memory{})
	token, err := roster.Token(t.Context(), pki.TokenOptions{ValidFor: time.Hour})
	check(t, err)
	key := newKey(t)
	old, err := roster.Join(t.Context(), request("m1", token, key))
	check(t, err)
	bound, err := roster.Token(t.Context(), pki.TokenOptions{Uses: 1, ValidFor: time.Hour, Minion: "m1"})
	check(t, err)
	present := newKey(t)
	fresh, err := roster.Join(t.Context(), request("m1", bound, present))
	check(t, err)
	refused(t, "the old certificate", second(roster.Check(parse(t, old), time.Now())))
	check(t, second(roster.Check(parse(t, fresh), time.Now())))

	check(t, roster.Revoke(t.Context(), "m1"))
	refused(t, "the revoked certificate", second(roster.Check(parse(t, fresh), time.Now())))
	refused(t, "renewal of the revoked certificate", second(roster.Renew(t.Context(), parse(t, fresh), newKey(t))))
	refused(t, "a revoked name with its key", second(roster.Join(t.Context(), request("m1", token, present))))
	refused(t, "a revoked name with the old key", second(roster.Join(t.Context(), request("m1", token, key))))
	again, err := roster.Token(t.Context(), pki.TokenOptions{Uses: 1, ValidFor: time.Hour, Minion: "m1"})
	check(t, err)
	back, err := roster.Join(t.Context(), request("m1", again, key))
	check(t, err)
	check(t, second(roster.Check(parse(t, back), time.Now())))
}

func TestRenew(t *testing.T) {
	r := &registrytest.Memory{}
	a, roster := open(t, t.TempDir(), r)
	token, err := roster.Token(t.Context(), pki.TokenOptions{ValidFor: time.Hour})
	check(t, err)
	der, err := roster.Join(t.Context(), request("m1", token, newKey(t)))
	check(t, err)
	first := parse(t, der)
	lost, err := roster.Renew(t.Context(), first, newKey(t)) // its answer never reaches the minion
	check(t, err)
	der, err = roster.Renew(t.Context(), first, newKey(t))
	check(t, err)
	refused(t, "the certificate whose answer was lost", second(roster.Check(parse(t, lost), time.Now())))
	check(t, second(roster.Check(first, time.Now())))
	check(t, second(roster.Check(parse(t, der), time.Now())))
	der, err = roster.Renew(t.Context(), parse(t, der), newKey(t))
	check(t, err)
	refused(t, "the certificate before the last", second(roster.Check(first, time.Now())))

	restarted, err := pki.LoadRoster(t.Context(), a, r)
	check(t, err)
	if name, err := restarted.Check(parse(t, der), time.Now()); name != "m1" || err != nil {
		t.Errorf("after a restart: %q, %v", name, err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	b, err := x509.MarshalPKIXPublicKey(&p384.PublicKey)
	check(t, err)
	refused(t, "a key of another curve", second(roster.Renew(t.Context(), parse(t, der), b)))
}

func TestParseToken(t *testing.T) {
	_, roster := open(t, t.TempDir(), &registrytest.Memory{})
	token, err := roster.Token(t.Context(), pki.TokenOptions{ValidFor: time.Hour})
	check(t, err)
	if got, err := pki.ParseToken(" " + token.String() + "\n"); got != token || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	good := token.String()
	for name, s := range map[string]string{
		"empty": "", "another version": "r2" + good[2:], "cut": good[:len(good)-1], "a part more": good + ".x",
		"secret with a foreign letter": strings.Replace(good, token.Secret, token.Secret[:42]+"!", 1),
	} {
		_, err := pki.ParseToken(s)
		if err == nil {
			t.Errorf("%s: was read", name)
		} else if strings.Contains(err.Error(), token.Secret) {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

func TestIdentityFile(t *testing.T) {
	a, roster := open(t, t.TempDir(), &registrytest.Memory{})
	dir := filepath.Join(t.TempDir(), "deep")
	id, err := pki.OpenIdentity(dir, "m1")
	check(t, err)
	key, err := id.PublicKey()
	check(t, err)
	again, err := pki.OpenIdentity(dir, "m1") // a crash before the join's answer
	check(t, err)
	if b, err := again.PublicKey(); string(b) != string(key) || err != nil || again.Joined() {
		t.Errorf("the key did not stay: %v", err)
	}
	token, err := roster.Token(t.Context(), pki.TokenOptions{ValidFor: time.Hour})
	check(t, err)
	der, err := roster.Join(t.Context(), request("m1", token, key))
	check(t, err)
	joined, err := id.With(der, a.Certificate())
	check(t, err)
	check(t, joined.Save(dir))
	again, err = pki.OpenIdentity(dir, "m1")
	check(t, err)
	if !again.Joined() || again.Fleet() != "f1" {
		t.Errorf("joined %v, fleet %q", again.Joined(), again.Fleet())
	}
	other, err := pki.NewIdentity()
	check(t, err)
	if _, err := other.With(der, a.Certificate()); err == nil {
		t.Error("a certificate for another key was taken")
	}
	foreign, _ := open(t, t.TempDir(), &registrytest.Memory{})
	if _, err := id.With(der, foreign.Certificate()); err == nil {
		t.Error("a certificate of another authority was taken")
	}
	if _, err := pki.OpenIdentity(dir, "m2"); err == nil {
		t.Error("the identity of m1 was opened as m2's")
	}
}
