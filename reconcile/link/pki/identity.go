package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const identityFile = "identity.pem"

// Identity is a minion's key, and its certificate once it has joined. A value is never changed.
type Identity struct {
	key       *ecdsa.PrivateKey
	leaf      *x509.Certificate // nil: has not joined
	authority *x509.Certificate
}

// OpenIdentity reads the identity of minion from dir. The first time it makes dir, of mode 0700, and a key in it.
func OpenIdentity(dir, minion string) (*Identity, error) {
	if err := CheckName(minion); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id, err := NewIdentity()
		if err != nil {
			return nil, err
		}
		return id, id.Save(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	id, err := decodeIdentity(b)
	if err != nil {
		return nil, fmt.Errorf("open identity %s: %w", path, err)
	}
	if id.Joined() {
		name, err := minionOf("", id.leaf)
		if err != nil {
			return nil, fmt.Errorf("open identity %s: %w", path, err)
		}
		if name != minion {
			return nil, fmt.Errorf("open identity %s: it is of minion %q, not %q", path, name, minion)
		}
	}
	return id, nil
}

// NewIdentity makes a key that has not joined.
func NewIdentity() (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return &Identity{key: key}, nil
}

func decodeIdentity(b []byte) (*Identity, error) {
	var id Identity
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			id.key, _ = k.(*ecdsa.PrivateKey)
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			certs = append(certs, c)
		}
	}
	switch {
	case id.key == nil:
		return nil, errors.New("there is no ECDSA key in it")
	case len(certs) == 0:
		return &id, nil
	case len(certs) != 2:
		return nil, errors.New("it does not hold two certificates")
	}
	return id.with(certs[0], certs[1])
}

// With is the identity with what the server issued for its key, both DER.
func (id *Identity) With(certificate, authority []byte) (*Identity, error) {
	leaf, err := x509.ParseCertificate(certificate)
	if err != nil {
		return nil, fmt.Errorf("read issued certificate: %w", err)
	}
	ca, err := x509.ParseCertificate(authority)
	if err != nil {
		return nil, fmt.Errorf("read certificate of the authority: %w", err)
	}
	return id.with(leaf, ca)
}

func (id *Identity) with(leaf, ca *x509.Certificate) (*Identity, error) {
	if !id.key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("the certificate is for another key")
	}
	if err := leaf.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("check certificate: %w", err)
	}
	return &Identity{key: id.key, leaf: leaf, authority: ca}, nil
}

// Save keeps the identity in dir; it is durable when Save returns nil.
func (id *Identity) Save(dir string) error {
	b, err := encodeKey(id.key)
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if id.Joined() {
		for _, c := range []*x509.Certificate{id.leaf, id.authority} {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	if err := replaceFile(filepath.Join(dir, identityFile), b); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}

// Joined tells whether there is a certificate.
func (id *Identity) Joined() bool { return id.leaf != nil }

// Expired tells whether the certificate is no longer good; false if there is none.
func (id *Identity) Expired(now time.Time) bool { return id.Joined() && now.After(id.leaf.NotAfter) }

// Fleet is the id of the fleet that the minion joined; "" before.
func (id *Identity) Fleet() string {
	if !id.Joined() {
		return ""
	}
	return id.leaf.URIs[0].Host
}

// RenewFrom is a third into the certificate's life, and RenewSpread how much later it may be: renewals of a fleet that
// joined at once are spread over it.
func (id *Identity) RenewFrom() (from time.Time, spread time.Duration) {
	return renewFrom(id.leaf), id.leaf.NotAfter.Sub(id.leaf.NotBefore) / 3
}

// PublicKey is DER SubjectPublicKeyInfo.
func (id *Identity) PublicKey() ([]byte, error) {
	b, err := x509.MarshalPKIXPublicKey(&id.key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return b, nil
}

// TLS is the client's configuration of a minion that has joined.
func (id *Identity) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.authority)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName, RootCAs: pool,
		Certificates: []tls.Certificate{{Certificate: [][]byte{id.leaf.Raw}, PrivateKey: id.key, Leaf: id.leaf}},
	}
}

// JoinTLS is the client's configuration of a joiner, who knows of the server only the pin of its token. If the server's CA
// is another one, the handshake fails with an error that wraps [ErrRefused], before anything was sent.
func JoinTLS(pin string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: ServerName,
		InsecureSkipVerify: true, // the roots are not known yet: VerifyConnection decides
		VerifyConnection: func(s tls.ConnectionState) error {
			roots := x509.NewCertPool()
			var found bool
			for _, c := range s.PeerCertificates[1:] {
				if digest(c.RawSubjectPublicKeyInfo) == pin {
					roots.AddCert(c)
					found = true
				}
			}
			if !found {
				return fmt.Errorf("%w: the server's authority is not the one of the join token", ErrRefused)
			}
			_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{
				Roots: roots, DNSName: ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if err != nil {
				return fmt.Errorf("%w: check server: %w", ErrRefused, err)
			}
			return nil
		},
	}
}

// ServerTLS is the server's configuration. A client without a certificate gets through the handshake, because a joiner has
// none; one with a certificate that r refuses does not, resumed sessions included.
func ServerTLS(a *Authority, r *Roster) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.Pool(),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.ServerCertificate() },
		VerifyConnection: func(s tls.ConnectionState) error { // VerifyPeerCertificate would miss resumed sessions
			if len(s.PeerCertificates) == 0 {
				return nil
			}
			_, err := r.Check(s.PeerCertificates[0], time.Now())
			return err
		},
	}
}
