package pki

import (
	"strings"
	"testing"
)

// FuzzParseToken: a token that is taken is written as it was read, and an error says nothing of it.
func FuzzParseToken(f *testing.F) {
	f.Add(newToken(strings.Repeat("A", 43)).String())
	f.Add("r1...")
	f.Add("r2.a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseToken(s)
		if err == nil && x.String() != strings.TrimSpace(s) {
			t.Fatalf("%q became %q", s, x)
		}
	})
}
