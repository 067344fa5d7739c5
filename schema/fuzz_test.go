package schema

import (
	"bytes"
	"testing"
)

// FuzzDecodePodSpec: what is taken is the same again in its canonical form, and checking it does not panic.
func FuzzDecodePodSpec(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"containers":[{"name":"c","image":"i:1"}]}`, `{"containers":null} x`, `{"nosuch":1}`,
		`{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"env":[{"name":"A","value":"b"}],"resources":{}}],"volumes":[{"name":"v","emptyDir":{}}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodePodSpec(b)
		if err != nil {
			return
		}
		p := Pod{Meta: Meta{Name: "a", Namespace: "default"}, Spec: s}
		p.Check()
		p.Hash()
		first := s.CanonicalJSON()
		again, err := DecodePodSpec(first)
		if err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second := again.CanonicalJSON(); !bytes.Equal(first, second) {
			t.Fatalf("%s, then %s", first, second)
		}
	})
}

// FuzzQuantity: a quantity that is taken is not negative, and thousandths are no less than bytes of the same text.
func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"", "1", "250m", "0.5", "1.5G", "64Mi", "1e3", "1E3", "9E", "8Ei", "-1", "+1", ".5", "1e99", "1e-99", "0x10", "1_000", "1m", "1/3", "e", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		bytes, err := ParseBytes(s)
		if err == nil && bytes < 0 {
			t.Fatalf("%q is %d bytes", s, bytes)
		}
		milli, errMilli := ParseMilliCPU(s)
		if errMilli == nil && (milli < 0 || err != nil || milli < bytes) {
			t.Fatalf("%q is %d thousandths and %d bytes, %v", s, milli, bytes, err)
		}
	})
}
