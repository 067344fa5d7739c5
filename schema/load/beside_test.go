package load_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"reconciler/schema/load"
)

// aloneArg makes of this test binary a child that loads each package on its own.
const aloneArg = "evaluate-alone"

func childAlone() error {
	var q map[string]any
	if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
		return err
	}
	q["Alone"] = true
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	return load.Child(bytes.NewReader(b), os.Stdout)
}

// TestPackagesBesideOthers: packages that were loaded together say to the letter what they say alone. Killed: the files of the last
// package are those of all; a package is given the instance of another.
func TestPackagesBesideOthers(t *testing.T) {
	archives, err := filepath.Glob("testdata/errors/*cue*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	trees := map[string]fstest.MapFS{
		"shared library": tree(
			"cue.mod/module.cue", "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n",
			"up.cue", "package web\n#tag: \"1\"\n",
			"lib/lib.cue", "package lib\n#Pod: {apiVersion: \"v1\", kind: \"Pod\", metadata: name: #name, #name: string, spec: containers: [{name: \"c\", image: \"i:\" + #tag}], #tag: string}\n",
			"a/a.cue", "package web\nimport \"test.local/x/lib\"\na: lib.#Pod & {#name: \"a\", \"#tag\": 1, #tag: \"2\"}\n",
			"b/b.cue", "@extern(embed)\npackage web\nimport \"test.local/x/lib\"\nname: _ @embed(file=n.txt, type=text)\nb: lib.#Pod & {#name: name, #tag: \"1\"}\n", "b/n.txt", "b",
			"c/c.cue", "package web\nimport \"test.local/x/lib\"\nc: lib.#Pod & {#name: \"c\", #tag: 7}\nd: lib.#Pod & {#name: \"d\"}\n",
			"e/e.cue", "package e\nimport \"test.local/x/lib\"\ne: lib.#Pod & {#name: \"e\", #tag: \"1\", spec: image: 1}\n",
		),
		"broken library": tree(
			"cue.mod/module.cue", "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n",
			"lib/lib.cue", "package lib\nx: 1 & 2\ny: nothing\n",
			"a/a.cue", "package a\nimport \"test.local/x/lib\"\na: lib.x\n",
			"b/b.cue", "package b\nimport \"test.local/x/lib\"\nb: lib.y\n",
			"c/c.cue", "package c\n"+cuePod("c"),
		),
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		in, _ := treeOf(a)
		in["beside/one.cue"] = &fstest.MapFile{Data: []byte("package one\n" + cuePod("beside-one"))}
		in["beside/more/two.cue"] = &fstest.MapFile{Data: []byte("package two\nx: " + "{" + cuePod("beside-two") + "}\n")}
		trees[filepath.Base(name)] = in
	}
	said := func(in fstest.MapFS, arg string) string {
		l, err := load.New(load.Config{Evaluate: func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/proc/self/exe", arg) }})
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Tree(in)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprint(r.Warnings)
		for o := range r.Set.Objects() {
			text += fmt.Sprint("\n", r.Set.Positions[o.Key().String()], o.Key(), o.Hash())
		}
		return text
	}
	for name, in := range trees {
		if together, alone := said(in, load.ChildArg), said(in, aloneArg); together != alone {
			t.Errorf("%s: together\n%s\nalone\n%s", name, together, alone)
		}
	}
}
