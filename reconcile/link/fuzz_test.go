package link

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"google.golang.org/protobuf/proto"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

// FuzzAssembly: whatever a frame holds, content that comes out of it has the hash that it announced, and the next whole is
// read as if nothing had been.
func FuzzAssembly(f *testing.F) {
	good := []byte(`{"services":[]}`)
	wrap := func(u *linkpb.Update) *linkpb.ToAgent {
		return &linkpb.ToAgent{Body: &linkpb.ToAgent_Table{Table: u}}
	}
	for _, content := range [][]byte{good, bytes.Repeat([]byte("x"), 2*compressFrom), nil} {
		w, err := newWhole(assignment.Generation{Epoch: 1, Counter: 1}, content, wrap)
		if err != nil {
			f.Fatal(err)
		}
		for _, b := range w.frames {
			f.Add([]byte(b))
		}
	}
	after, err := newWhole(assignment.Generation{Epoch: 1, Counter: 2}, good, wrap)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var a assembly
		for _, frame := range [][]byte{b, after.frames[0]} {
			m := &linkpb.ToAgent{}
			if proto.Unmarshal(frame, m) != nil || m.GetTable() == nil {
				continue
			}
			u := m.GetTable()
			content, err := a.add(u)
			if err == nil && content != nil && sha256.Sum256(content) != [sha256.Size]byte(u.Hash) {
				t.Fatalf("content %q has another hash", content)
			}
			if bytes.Equal(frame, after.frames[0]) && (err != nil || !bytes.Equal(content, good)) {
				t.Fatalf("after it, %q, %v", content, err)
			}
		}
	})
}
