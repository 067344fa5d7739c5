package load_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// BenchmarkTree measures a tree of 1,000 pods in files of their own: read for the first time, and with one file changed.
func BenchmarkTree(b *testing.B) {
	in := fstest.MapFS{}
	for i := range 1000 {
		in[fmt.Sprintf("%04d.yaml", i)] = &fstest.MapFile{Data: []byte(strings.Replace(pod, "name: a", fmt.Sprintf("name: a%d", i), 1))}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := newLoader(b, "").Tree(in); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one changed", func(b *testing.B) {
		l := newLoader(b, "")
		if _, err := l.Tree(in); err != nil {
			b.Fatal(err)
		}
		for i := 0; b.Loop(); i++ {
			in["0500.yaml"].Data = []byte(strings.NewReplacer("name: a", "name: a500", "i:1", fmt.Sprintf("i:%d", i)).Replace(pod))
			if _, err := l.Tree(in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
