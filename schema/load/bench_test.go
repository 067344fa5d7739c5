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

// BenchmarkPackage measures CUE packages that changed, with the start of the child: five pods of a template, a comprehension of a thousand,
// and a library that a hundred packages use.
func BenchmarkPackage(b *testing.B) {
	module := "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n"
	lib := strings.Replace(web, "package fleet", "package lib", 1)
	many := func(n int) string {
		return fmt.Sprintf("package app\nimport (\n\"list\"\n\"test.local/x/lib\"\n)\npods: [for i in list.Range(0, %d, 1) {lib.#Web & {#name: \"p-\\(i)\"}}]\n", n)
	}
	for name, in := range map[string]fstest.MapFS{
		"of 5 pods":    tree("cue.mod/module.cue", module, "lib/lib.cue", lib, "app/app.cue", many(5)),
		"of 1000 pods": tree("cue.mod/module.cue", module, "lib/lib.cue", lib, "app/app.cue", many(1000)),
		"used by 100":  tree("cue.mod/module.cue", module, "lib/lib.cue", lib),
	} {
		if name == "used by 100" {
			for i := range 100 {
				in[fmt.Sprintf("%02d/app.cue", i)] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(many(5), "p-", fmt.Sprintf("p%d-", i)))}
			}
		}
		b.Run(name, func(b *testing.B) {
			l := newLoader(b, "")
			for i := 0; b.Loop(); i++ {
				in["lib/lib.cue"].Data = fmt.Appendf(nil, "%s// %d\n", lib, i)
				if _, err := l.Tree(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
