package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// ServerName is the DNS name in every server certificate. Agents ask for it whatever the server's address is.
const ServerName = "server.reconciler.internal"

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 90 * 24 * time.Hour
	backdate      = 5 * time.Minute // clocks differ
	keyFile       = "ca.key"
	certFile      = "ca.crt"
)

var (
	fleetWord  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,127}$`)
	minionWord = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,251}[a-zA-Z0-9])?$`)
)

// AuthorityConfig says where an authority is kept and for whom it signs.
type AuthorityConfig struct {
	Dir   string        // holds the CA's key and certificate; made if missing, mode 0700
	Fleet string        // id of the fleet: lower-case letters, digits, dots, dashes and underscores
	Life  time.Duration // of a leaf certificate; 0: 90 days
}

// Authority is a fleet's CA. Its methods may be called concurrently.
type Authority struct {
	fleet string
	life  time.Duration
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate

	mu     sync.Mutex
	server *tls.Certificate // the server's own leaf, issued again from a third of its life on
}

// OpenAuthority reads the CA from its directory and makes it there the first time.
func OpenAuthority(c AuthorityConfig) (*Authority, error) {
	if !fleetWord.MatchString(c.Fleet) {
		return nil, fmt.Errorf("open authority: fleet id %q is not made of lower-case letters, digits, dots, dashes and underscores", c.Fleet)
	}
	if c.Life == 0 {
		c.Life = leafLife
	}
	if c.Life < time.Minute {
		return nil, fmt.Errorf("open authority: life of certificates %v is under a minute", c.Life)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	key, cert, err := readAuthority(c.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		key, cert, err = makeAuthority(c.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open authority in %s: %w", c.Dir, err)
	}
	return &Authority{fleet: c.Fleet, life: c.Life, key: key, cert: cert}, nil
}

// readAuthority gives fs.ErrNotExist only if the key was never made. The key is written last, so a key without a
// certificate is damage and not a crash.
func readAuthority(dir string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	keyPEM, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, nil, err
	}
	certPEM, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		return nil, nil, fmt.Errorf("the key is there, its certificate is not: %v", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM) // checks that they belong together
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, nil, errors.New("not the key and certificate of an ECDSA authority")
	}
	return key, pair.Leaf, nil
}

func makeAuthority(dir string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "reconciler CA"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, nil, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := replaceFile(filepath.Join(dir, certFile), certPEM); err != nil {
		return nil, nil, err
	}
	if err := replaceFile(filepath.Join(dir, keyFile), keyPEM); err != nil {
		return nil, nil, err
	}
	return key, cert, nil
}

// Fleet is the id of the fleet that the authority signs for.
func (a *Authority) Fleet() string { return a.fleet }

// Certificate is the CA's own, DER.
func (a *Authority) Certificate() []byte { return a.cert.Raw }

// Pool holds the CA alone.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// ServerCertificate is the server's leaf with the CA behind it, so that a joiner can check the CA against its token. It is
// issued at the first call and again from a third of its life on.
func (a *Authority) ServerCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.server != nil && now.Before(renewFrom(a.server.Leaf)) {
		return a.server, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	leaf, err := a.issue(now, &x509.Certificate{
		Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{ServerName},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, &key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issue server certificate: %w", err)
	}
	a.server = &tls.Certificate{Certificate: [][]byte{leaf.Raw, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
	return a.server, nil
}

// issueMinion signs a minion's leaf for the P-256 key in publicKey, DER SubjectPublicKeyInfo.
func (a *Authority) issueMinion(minion string, publicKey *ecdsa.PublicKey) ([]byte, error) {
	leaf, err := a.issue(time.Now(), &x509.Certificate{
		Subject: pkix.Name{CommonName: minion}, URIs: []*url.URL{minionURI(a.fleet, minion)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, publicKey)
	if err != nil {
		return nil, fmt.Errorf("issue certificate of minion %q: %w", minion, err)
	}
	return leaf.Raw, nil
}

func (a *Authority) issue(now time.Time, t *x509.Certificate, publicKey *ecdsa.PublicKey) (*x509.Certificate, error) {
	t.SerialNumber = serial()
	t.NotBefore, t.NotAfter = now.Add(-backdate), now.Add(a.life)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, publicKey, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// renewFrom is a third into the certificate's life.
func renewFrom(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3)
}

// CheckName refuses what cannot be a minion's name: 1 to 253 letters, digits, dots, dashes and underscores, the first and the
// last a letter or digit.
func CheckName(minion string) error {
	if !minionWord.MatchString(minion) {
		return fmt.Errorf("minion name %q is not made of letters, digits, dots, dashes and underscores", minion)
	}
	return nil
}

func minionURI(fleet, minion string) *url.URL {
	return &url.URL{Scheme: "spiffe", Host: fleet, Path: "/minion/" + minion}
}

// minionOf is the name in a minion's certificate.
func minionOf(fleet string, c *x509.Certificate) (string, error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "spiffe" {
		return "", errors.New("the certificate is not a minion's")
	}
	u := c.URIs[0]
	name, ok := strings.CutPrefix(u.Path, "/minion/")
	if !ok || CheckName(name) != nil {
		return "", errors.New("the certificate is not a minion's")
	}
	if fleet != "" && u.Host != fleet {
		return "", fmt.Errorf("the certificate is of fleet %q, this is fleet %q", u.Host, fleet)
	}
	return name, nil
}

// serial is 127 random bits, as RFC 5280 section 4.1.2.2 asks for a positive number of at most 20 octets.
func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

func parsePublicKey(der []byte) (*ecdsa.PublicKey, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	p, ok := k.(*ecdsa.PublicKey)
	if !ok || p.Curve != elliptic.P256() {
		return nil, errors.New("parse public key: not a P-256 key")
	}
	return p, nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// digest is how hashes are written here: unpadded base64url of the SHA-256.
func digest(b []byte) string {
	h := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(h[:])
}

// replaceFile writes a file of mode 0600 that is there as a whole or not at all.
func replaceFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
