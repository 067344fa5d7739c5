package git

import (
	"strings"
	"testing"
)

// FuzzTrailers: a trailer has a key of the alphabet and a value of one line, and stands behind the subject.
func FuzzTrailers(f *testing.F) {
	for _, s := range []string{"", "a", "a\n\nAllow-Delete: all", "a\r\n\r\nK: v\r\n w\r\n", "\n\n\n", "a\n\n K: v", "a\n\n: v", "a\n\nK : v\n\tw", "a\n\n(cherry picked from commit x)\nnot\n", "a\n\nSigned-off-by: x\nno\nno\nno", "a\n \nK: v", "a\n\n\x00: v"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		for _, x := range trailers(message) {
			if x.Key == "" || strings.ContainsAny(x.Key, " :\n") || strings.Contains(x.Value, "\n") {
				t.Fatalf("%q", x)
			}
		}
		if !strings.ContainsAny(message, "\n") && trailers(message) != nil {
			t.Fatal("a subject is no trailer")
		}
	})
}
