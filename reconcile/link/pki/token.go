package pki

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Token is a join token in parts. As text it is "r1.ID.SECRET.PIN". It is a secret as a whole.
type Token struct {
	ID     string // names the token's record
	Secret string // 256 random bits
	Pin    string // of the CA's public key: by it the joiner knows the server before it sends anything
}

const tokenVersion = "r1"

// String is the token as people carry it.
func (t Token) String() string {
	return strings.Join([]string{tokenVersion, t.ID, t.Secret, t.Pin}, ".")
}

// ParseToken reads a token. Its error never repeats the token.
func ParseToken(s string) (Token, error) {
	p := strings.Split(strings.TrimSpace(s), ".")
	if len(p) != 4 || p[0] != tokenVersion {
		return Token{}, errors.New(`parse join token: not of the form "r1.ID.SECRET.PIN"`)
	}
	t := Token{ID: p[1], Secret: p[2], Pin: p[3]}
	for _, part := range []struct {
		what, text string
		size       int
		decode     func(string) ([]byte, error)
	}{
		{"id", t.ID, 8, hex.DecodeString},
		{"secret", t.Secret, 32, base64.RawURLEncoding.DecodeString},
		{"pin", t.Pin, 32, base64.RawURLEncoding.DecodeString},
	} {
		if b, err := part.decode(part.text); err != nil || len(b) != part.size {
			return Token{}, fmt.Errorf("parse join token: its %s is damaged", part.what)
		}
	}
	return t, nil
}

func newToken(pin string) Token {
	id, secret := make([]byte, 8), make([]byte, 32)
	rand.Read(id)
	rand.Read(secret)
	return Token{ID: hex.EncodeToString(id), Secret: base64.RawURLEncoding.EncodeToString(secret), Pin: pin}
}

// TokenOptions say what a new token is good for.
type TokenOptions struct {
	Uses     int           // joins; 0: any number
	ValidFor time.Duration // more than 0
	Minion   string        // only this name, and also if another key has it; "": any name that is free
}

// tokenRecord is what the registry keeps of a token.
type tokenRecord struct {
	Secret  string    `json:"secret"` // digest
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses,omitempty"`
	Used    []string  `json:"used,omitempty"` // digests of name and key: the same joiner may ask again
	Minion  string    `json:"minion,omitempty"`
}
