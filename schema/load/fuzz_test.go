package load

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/fstest"
)

// FuzzIgnore: whatever an ignore file holds, the tree is read, or the error is the commit's.
func FuzzIgnore(f *testing.F) {
	for _, s := range []string{"", "a.yaml\n", "*\n!a.yaml\n", "/x/**/a.*\n", "[\n", "[!a-\\\n", "**/**/**\n", "\\#\n#\n", "!\n", "/\n", "a\\ \r\n", "\xff\n", "x/\n", "***\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := fstest.MapFS{"x/y/a.yaml": {}, "x/a.json": {}, "a.cue": {}, ".reconcilerignore": {Data: b}, "x/.reconcilerignore": {Data: b}}
		left := treeLimits
		m, err := (&Loader{dirs: map[cacheKey]*listing{}}).manifests(in, ".", &left)
		var bad wrong
		if err != nil && !errors.As(err, &bad) {
			t.Fatal(err)
		}
		if err == nil && m.files+len(m.cues) > 3 {
			t.Fatalf("%v", m)
		}
	})
}

// FuzzReply: whatever a child says, it becomes objects or errors of its package, and never an object in part. Mutant: a value that is wrong
// without an error is left out.
func FuzzReply(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"Objects":[null]}`, `{"Objects":[{"k":6,"n":["a"],"v":[null]}]}`, `{"Files":["a.cue"],"Errors":[{"At":[1,2,3],"Message":"x","Field":["a"]}]}`,
		`{"Objects":[{"k":5,"n":["apiVersion","kind","metadata"],"v":[{"k":3,"t":"v1"},{"k":3,"t":"Namespace"},{"k":5,"n":["name","labels"],"v":[{"k":3,"t":"x"},{"w":true}]}]}]}`,
		`{"Objects":[{"k":6,"p":[9,-1,-1],"n":["apiVersion","kind"],"v":[{"k":3,"t":"v1"},{"k":3,"t":"Pod"}]}]}`, `{"Objects":[{"k":99}]}`, `{"Tags":[""],"Objects":[{"k":5,"v":[{"k":2,"t":"1e999"}]}]}`,
		`{"Objects":[{"k":5,"n":["apiVersion","kind","metadata","spec"],"v":[{"k":3,"t":"v1"},{"k":3,"t":"Pod"},{"k":5,"n":["name"],"v":[{"k":2,"t":"x"}]},{"k":5,"n":["containers"],"v":[{"k":1,"t":"maybe"}]}]}]}`,
	} {
		f.Add([]byte(s))
	}
	e, err := newEvaluator()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reply{}
		if json.Unmarshal(b, r) != nil {
			return
		}
		x := e.cuePackage(&cuePackage{dir: "a", first: "a/a.cue"}, r)
		for _, o := range x.objects {
			o.Key()
			o.Hash()
			if o.doubts != nil && len(x.errors) == 0 {
				t.Fatalf("%s is declared in part", o.label())
			}
		}
		for _, e := range x.errors {
			_ = e.Error()
		}
	})
}

// FuzzCUEHead: the part of CUE files that the server itself reads gives imports or an error of the file.
func FuzzCUEHead(f *testing.F) {
	for _, s := range []string{"", "package a\n", "package a\nimport \"x.example/y:z\"\n", "@extern(embed)\npackage a\n", "import (\n", "package _\n", "\ufeffpackage a\n", "@if(a && !b)\npackage a\nx: 1 @tag(x,type=int)\n", "// c\n\n/* */ package a", "import \"a\\(b)\"\npackage a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := parseCUE("a.cue", b)
		var bad wrong
		if err != nil && (!errors.As(err, &bad) || bad.what.Message == "") {
			t.Fatal(err)
		}
	})
}
