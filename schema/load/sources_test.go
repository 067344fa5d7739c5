package load_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"reconciler/schema"
	"reconciler/schema/load"
)

func named(name string) string { return strings.Replace(pod, "name: a", "name: "+name, 1) }

func sources(t testing.TB, c load.Config) *load.Loader {
	t.Helper()
	c.Evaluate = evaluate
	if c.Sources == nil {
		c.Sources = []load.Source{{Name: "one"}, {Name: "two", Path: "fleets/prod"}}
	}
	l, err := load.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSources: several sources are one set; each has its own path, ignore files and CUE module, and sees nothing of another.
// Mutant: root.of that returns the whole tree.
func TestSources(t *testing.T) {
	const module = "module: \"test.local/x@v0\"\nlanguage: version: \"v0.13.0\"\n"
	const same = "package fleet\nimport \"test.local/x/lib\"\n"
	for _, c := range []struct {
		name string
		tree fstest.MapFS
		want string // of the objects, or in the error
		hint string
	}{
		{"data files", tree("one/a.yaml", named("a"), "two/fleets/prod/b.yaml", named("b"), "two/c.yaml", named("c"), "two/fleets/test/d.yaml", named("d")), "one/a.yaml:1:1 two/fleets/prod/b.yaml:1:1", ""},
		{"ignore files", tree("one/.reconcilerignore", "b.yaml\n/two\n", "one/a.yaml", named("a"), "one/b.yaml", named("c"), "two/fleets/prod/b.yaml", named("b")), "one/a.yaml:1:1 two/fleets/prod/b.yaml:1:1", ""},
		{"an ignore file above the path", tree("one/a.yaml", named("a"), "two/.reconcilerignore", "*.yaml\n", "two/fleets/prod/b.yaml", named("b")), "one/a.yaml:1:1 two/fleets/prod/b.yaml:1:1", ""},
		{"the same object", tree("one/a.yaml", named("a"), "two/fleets/prod/b.yaml", named("a")), "two/fleets/prod/b.yaml:1:1: Pod/a: is declared twice; first at one/a.yaml:1:1", `the sources "one" and "two" both have it`},
		{"the same object in one", tree("one/a.yaml", named("a"), "one/b.yaml", named("a"), "two/fleets/prod/b.yaml", named("b")), "one/b.yaml:1:1: Pod/a: is declared twice; first at one/a.yaml:1:1", "remove one of the two"},
		{"a path that vanished", tree("one/a.yaml", named("a"), "two/a.yaml", named("b")), `find path "two/fleets/prod"`, ""},
		{"a source that vanished", tree("one/a.yaml", named("a")), `find path "two/fleets/prod"`, ""},
		{"an error in each", tree("one/a.yaml", "a", "two/fleets/prod/b.yaml", "b"), "one/a.yaml:1:1: ", ""},
		{"modules of one name", tree(
			"one/cue.mod/module.cue", module, "one/lib/lib.cue", "package lib\n#n: \"a\"\n", "one/a.cue", same+strings.Replace(cuePod("a"), `"a"`, "lib.#n", 1),
			"two/cue.mod/module.cue", module, "two/lib/lib.cue", "package lib\n#n: \"b\"\n", "two/fleets/prod/a.cue", same+strings.Replace(cuePod("b"), `"b"`, "lib.#n", 1)),
			"one/a.cue:3:1 two/fleets/prod/a.cue:3:1", ""},
		{"a package of another source", tree("one/cue.mod/module.cue", module, "one/a.cue", "package fleet\nimport \"test.local/x/../two/lib\"\n"+cuePod("a"), "two/lib/lib.cue", "package lib\nimport (\n", "two/fleets/prod/b.yaml", named("b")), "one/a.cue:2:8", ""},
		{"what another source vendors", tree("one/a.cue", "package fleet\nimport \"v.example/lib\"\n"+cuePod("a"), "two/cue.mod/pkg/v.example/lib/lib.cue", "package lib\n", "two/fleets/prod/b.yaml", named("b")), "put the package under one/cue.mod/pkg/v.example/lib", ""},
		{"an error of two", tree("one/a.cue", "package fleet\n"+cuePod("a"), "two/fleets/prod/a.cue", "package fleet\n"+cuePod("a")), "is declared twice; first at one/a.cue:2:1", "both have it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := sources(t, load.Config{}).Tree(c.tree)
			if err != nil {
				if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.hint) {
					t.Errorf("got %v", err)
				}
				return
			}
			var at []string
			for _, p := range r.Set.Pods {
				at = append(at, r.Set.Positions[p.Key().String()].String())
			}
			if got := strings.Join(at, " "); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestSourceThatIsNotThereIsNoError of the commit: nothing is known of it.
func TestSourceThatIsNotThereIsNoError(t *testing.T) {
	_, err := sources(t, load.Config{}).Tree(tree("one/a.yaml", named("a")))
	var bad load.Errors
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &bad) {
		t.Errorf("got %v", err)
	}
}

// TestOneSourceOfSeveral: the objects of the others stay, those that were its own are as the tree says now.
func TestOneSourceOfSeveral(t *testing.T) {
	both, err := sources(t, load.Config{}).Tree(tree("one/a.yaml", named("a")+"---\n"+named("b"), "two/fleets/prod/c.yaml", named("c")+"---\n"+service))
	if err != nil {
		t.Fatal(err)
	}
	one := func(files ...string) (*load.Result, error) {
		return sources(t, load.Config{Others: both.Set, Sources: []load.Source{{Name: "one"}}}).Tree(tree(files...))
	}
	r, err := one("one/a.yaml", named("b")+"---\n"+named("d"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range r.Set.Pods {
		got = append(got, p.Name+" "+r.Set.Positions[p.Key().String()].String())
	}
	if s := strings.Join(got, ", "); s != "b one/a.yaml:1:1, c two/fleets/prod/c.yaml:1:1, d one/a.yaml:6:1" || len(r.Set.Services) != 1 {
		t.Errorf("got %s and %d services", s, len(r.Set.Services))
	}
	if _, err := one("one/a.yaml", named("c")); err == nil || !strings.Contains(err.Error(), "one/a.yaml:1:1: Pod/c: is declared twice; first at two/fleets/prod/c.yaml:1:1") {
		t.Errorf("an object of another source: %v", err)
	}
}

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {a: b}, ports: [{port: 80}]}\n"

func TestSourcesThatCannotBe(t *testing.T) {
	for want, c := range map[string]load.Config{
		"a name is lower case letters": {Sources: []load.Source{{Name: "cue.mod"}}},
		"named twice":                  {Sources: []load.Source{{Name: "a"}, {Name: "a"}}},
		"leads out of the tree":        {Sources: []load.Source{{Name: "a", Path: "../b"}}},
		"each has its own":             {Path: "x", Sources: []load.Source{{Name: "a"}}},
	} {
		if _, err := load.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestTags: tags have the values that the configuration gives, in each package that has them, and part of what is cached.
func TestTags(t *testing.T) {
	in := tree("a/a.cue", "package a\nn: string @tag(name)\n"+strings.Replace(cuePod("x"), `"x"`, "n", 1), "b/b.cue", "package b\n"+cuePod("b"), "c.yaml", named("c"))
	for _, c := range []struct {
		name string
		tags []string
		tree fstest.MapFS
		want string
	}{
		{"a value", []string{"name=web"}, in, ""},
		{"a number", []string{"n=3"}, tree("a.cue", "package a\n#n: int @tag(n,type=int)\n"+strings.Replace(cuePod("x"), `"x"`, `"web-\(#n)"`, 1)), ""},
		{"in two packages", []string{"n=a"}, tree("a/a.cue", "package a\n#n: string @tag(n)\n"+strings.Replace(cuePod("x"), `"x"`, `"a-"+#n`, 1), "b/b.cue", "package b\n#n: \"a\" | \"b\" @tag(n)\n"+strings.Replace(cuePod("x"), `"x"`, `"b-"+#n`, 1)), ""},
		{"in a file of a directory above", []string{"n=a"}, tree("a.cue", "package a\n#n: string @tag(n)\n", "x/b.cue", "package a\n"+strings.Replace(cuePod("x"), `"x"`, `#n`, 1)), ""},
		{"no value", nil, in, "a/a.cue:"},
		{"a value that does not fit", []string{"n=c"}, tree("a.cue", "package a\n#n: \"a\" | \"b\" @tag(n)\n"+strings.Replace(cuePod("x"), `"x"`, `#n`, 1)), "a.cue:"},
		{"a value that is no number", []string{"n=c"}, tree("a.cue", "package a\n#n: int @tag(n,type=int)\n"), `invalid`},
		{"a tag that no package has", []string{"name=web", "nmae=web"}, in, `.: tag "nmae" has a value, and no CUE package has the tag (mark a field with @tag(nmae), or give no value)`},
		{"a tag, and no package", []string{"name=web"}, tree("c.yaml", named("c")), `.: tag "name" has a value`},
		{"a tag of an import alone", []string{"n=a"}, tree("a/a.cue", "package a\nimport \"v.example/lib\"\nx: lib.#n\n", "cue.mod/pkg/v.example/lib/lib.cue", "package lib\n#n: *1 | int @tag(n,type=int)\n"), `tag "n" has a value`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := load.New(load.Config{Tags: c.tags, Evaluate: evaluate})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second is from the cache
				if _, err := l.Tree(c.tree); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
		})
	}
	for _, tag := range []string{"name", "=x", "a b=x"} {
		if _, err := load.New(load.Config{Tags: []string{tag}}); err == nil || !strings.Contains(err.Error(), "is not name=value") {
			t.Errorf("%q: %v", tag, err)
		}
	}
	if _, err := load.New(load.Config{Tags: []string{"a=1", "a=2"}}); err == nil {
		t.Error("a tag with two values was taken")
	}
}

// TestOthersOfEveryKind: a kind that a Set has is a kind that Others keep.
func TestOthersOfEveryKind(t *testing.T) {
	both := &schema.Set{Positions: map[string]schema.Position{}}
	n := 0
	eachObject(both, func(key schema.Key) {
		n++
		both.Positions[key.String()] = schema.Position{File: "two/x.yaml"}
	})
	r, err := sources(t, load.Config{Others: both, Sources: []load.Source{{Name: "one"}}}).Tree(tree("one/a.txt", ""))
	if err != nil {
		t.Fatal(err)
	}
	if r.Set.Len() != n || n < 3 {
		t.Errorf("%d of %d kinds are kept", r.Set.Len(), n)
	}
}

// eachObject puts one object of each kind into an empty set.
func eachObject(s *schema.Set, found func(schema.Key)) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Slice {
			continue
		}
		o := reflect.New(f.Type().Elem().Elem())
		o.Elem().FieldByName("Meta").Set(reflect.ValueOf(schema.Meta{Name: "x", Namespace: "default"}))
		f.Set(reflect.Append(f, o))
		found(o.Interface().(interface{ Key() schema.Key }).Key())
	}
}
