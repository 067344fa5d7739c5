package load

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cuelang.org/go/encoding/yaml"
	"github.com/rogpeppe/go-internal/txtar"
)

// texts is the manifests of the golden files, the examples and the recorded cases, and some that are hard to read.
func texts(t testing.TB) map[string]string {
	out := map[string]string{}
	for _, pattern := range []string{"testdata/*/*.txtar", "../../examples/*/*", recordedCases + "/v*/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // a directory
			}
			switch path.Ext(f) {
			case ".json", ".yaml", ".yml":
				out[f] = string(b)
			case ".txtar":
				for _, x := range txtar.Parse(b).Files {
					out[f+"/"+x.Name] = string(x.Data)
				}
			}
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d texts", len(out))
	}
	return out
}

var hardJSON = []string{
	"", " ", "1", "-1.50e+3", "0e0", "-0.0", "[]", "{}", "[[],{}]", "null", "[null, true, false]", "{\"a\":1}{\"b\":2}", "{\"a\":1}\n\n  {\"b\"\n:\n2}  [3]",
	`{"a": {"b": 1, "a": 2}, "a": {"x": {"x": 1, "x": 2}}, "c": 3}`, `{"\u0061": 1, "a": 2}`, `{"é": "日本", "\u00e9": 1}`, `"\"\\\/\b\f\n\r\t\u0041\u20ac"`, `"\ud83d\ude00"`, `"\ud800"`, `"\u0000"`, "\"\ufeff\"", "\"\u2028\x7f\"",
	`{"": {"": 1}}`, "\r\n{\r\n\t\"a\" :\r\n\t1\r\n}\r\n", "{\"a\":[1,\n2,{\"b\":\n\"x\"}]}", `"\\(a)"`, `{"_a": 1, "#b": 2, "a-b": 3, "0": 4, "true": 5, "null": 6}`, "123456789012345678901234567890", "1E400",
	strings.Repeat("[", 150) + strings.Repeat("]", 150), strings.Repeat(`{"a":`, 101) + "1" + strings.Repeat("}", 101), "[" + strings.Repeat(`{"a":`, 120) + "\n1" + strings.Repeat("}", 120) + ",\n{\"a\":1,\"a\":2}]",
	"{" + manyKeys(40) + "}",
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "\"k%d\":%d,\n", i%(n-5), i)
	}
	return b.String() + `"z":0`
}

// TestJSONAsCUEReadsIt: nodes that are made of JSON are those of CUE's parser, with the same places and errors.
func TestJSONAsCUEReadsIt(t *testing.T) {
	compared := 0
	for name, s := range texts(t) {
		if sameJSON(t, name, s) {
			compared++
		}
	}
	for _, s := range hardJSON {
		if sameJSON(t, s, s) {
			compared++
		}
	}
	if compared < 40 {
		t.Errorf("only %d texts were JSON", compared)
	}
}

// FuzzJSONAsCUEReadsIt is the same for arbitrary text.
func FuzzJSONAsCUEReadsIt(f *testing.F) {
	for _, s := range texts(f) {
		f.Add(s)
	}
	for _, s := range hardJSON {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { sameJSON(t, s, s) })
}

// sameJSON compares the two ways to read a text and tells whether there are two.
func sameJSON(t *testing.T, name, s string) bool {
	b := []byte(strings.TrimPrefix(s, "\ufeff"))
	if _, ok := firstInvalid(b); !ok || tooDeep(b) || !plainJSON(b) {
		return false
	}
	own, cues := &readings{}, &readings{}
	own.docs = documents(newJSONReader(b, own.report).value())
	var ok bool
	cues.docs, ok = fromCUEJSON("a.json", b, cues.report)
	if !ok {
		t.Errorf("%s: CUE does not read it", name)
	}
	own.same(t, name, cues)
	return true
}

var hardYAML = []string{
	"a: x\n  y\n  z\nb: c\n", "a:\n- x\n  y\n- :80\n- ::\n- :\n", "a: x\n\n  y\n", "a: x\n  # c\n  y\n", "a: x\n  y: z\n", "a: x\n  y:\n", "a: 1\n  b\n", "a: true\n  x\n", "a: x\n  true\n", "a: x\n  null\n  y\n", "a: x\n  - y\n", "a: x\n  y #c\n", "a: x\n  ---\n", "- a: x\n   y\n  b: z\n", "- a: x\n y\n", "a:\n  b: x\n   y\n  c: d\n", "a: - x\n", "a: x\n y\n---\nb: 1\n", "a: 250m\n  b\n", "a: {}\n  x\n",
	"a: 1\n", "a: 1", "---\na: 1\n", "---\na: 1\n---\nb:\n- c\n- d: 1\n  e: x\n", "a:\n  b:\n    c: d\ne: f\n", "a:\n- b\n- c\nd: e\n", "a:\n  - b: 1\n    c:\n    - x\n  - d: 2\n",
	"# c\n\na: x\n  # d\nb: y\n", "a: x\n y\n", "a:\n  x\n", "a:\nb: 1\n", "a: \"x\"\nb: 'y z'\nc: \"\"\n", "a: {}\nb: []\n", "a: 0\nb: 10\nc: -1\nd: 0.5\ne: -0.25\nf: 007\ng: 0x1F\nh: 1e3\ni: 1_000\nj: -0\n",
	"a: yes\nb: no\nc: on\nd: y\ne: True\nf: null\ng: NULL\nh: ~\ni: true\n", "a: 2014-12-15T19:18:36Z\n", "a: 2014-12-15\nb: 12:30:45\n", "a: 10.0.0.1\nb: 1.2.3\nc: 1..2\nd: 1.\ne: .5\nf: .inf\n", "a: 250m\nb: 64Mi\nc: 1Ei\nd: 1E3\ne: 0b1\nf: 0o7\n",
	"- a\n- b\n", "- a: 1\n- b\n", "a:\n- --x\n- -c\n- -1\n- -e3\n- -.inf\n- /bin/sh\n- ./x\n- $(A)\n", "a:\n   b: 1\n  c: 2\n", "a:\n  b: 1\n c: 2\n", "a: b: c\n", "a: b #c\n", "a: b#c\n", "a: http://x:80/y\n", "a: x:\n", "true: 1\n", "null: 1\n", "y: 1\n", "1: a\n",
	"a: 1\na: 2\n", "a: &x b\nc: *x\n", "<<: {a: 1}\n", "a: |\n  x\n", "a:\n  - - b\n", "a:\n  -\n", "a:\n  -   b: 1\n      c: 2\n", "a:   b\n", "...\n", "a: 1\n...\nb: 2\n", "a: 1\n---\n", "--- a\n", "---\n---\na: 1\n", "a: 1 \n", "a :1\n", "a: 'it''s'\n", "a: \"x\" # c\n", "a: [b]\n",
	"a:\n- b\n  - c\n", "a:\n- b: 1\n  - c\n", "a:\n  b: 1\n- c\n", " a: 1\n", "  a: 1\n  b: 2\n", "a: 123456789012345678\nb: 1234567890123456789\n", "a.b/c-d_e: x\n", "a-: 1\nb.: 2\n_: 3\nc/: 4\n", "a: -\n", "a: - b\n", "a: ?\n", "a: =\n", "a: 0.0000001\nb: 1.50\n",
	"a:\n# c\n- b\n# d\n\n- e\n#f\n", "a: x\n#b\n c\n", "a: \"x\n  y\"\n", "a: 1\n--- \nb: 2\n", "%YAML 1.1\n---\na: 1\n", "a: 1e\nb: 0x\nc: 1t\nd: 1:2\ne: 1 2\nf: 1-1-1\ng: 2001-1-1 x\nh: 1a\ni: 0xg\n", "\n\n", "#\n", "---\n", "a: infinity\nb: nan\nc: Inf\nd: NaN\n",
	"a: 1\n\n---\n# x\nb: 2\n\n\n---\nc: 3", "a:\n" + strings.Repeat(" ", 3) + "b: 1\n", nestedYAML(40), nestedYAML(120), "a: x%\nb: 10%\nc: 50%x\n", "- a: 1\n  b: 2\n- a: 3\n", "a: {b: 1}\n", "a: x y  z\n", "a: [], []\n", "k: v\nlong" + strings.Repeat("x", 1100) + ": v\n",
}

func nestedYAML(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String() + strings.Repeat(" ", n) + "b: 1\n"
}

// TestYAMLAsCUEReadsIt: nodes that are made of plain YAML are those of CUE's reader, with the same places, and there is no
// error in it; also after lines were changed at random.
func TestYAMLAsCUEReadsIt(t *testing.T) {
	compared := map[string]int{}
	try := func(kind, name, s string) {
		if sameYAML(t, name, s) {
			compared[kind]++
		}
	}
	var all []string
	for name, s := range texts(t) {
		try("texts", name, s)
		if _, plain := plainYAML([]byte(s)); plain {
			all = append(all, s)
		}
	}
	for _, s := range hardYAML {
		try("hard texts", s, s)
	}
	all = append(all, hardYAML...)
	slices.Sort(all)
	r := rand.New(rand.NewPCG(*mutantSeed, 0))
	for range *mutants {
		s := changedLines(r, all[r.IntN(len(all))])
		try("mutants", s, s)
	}
	t.Logf("compared %v", compared)
	fewest := 10
	if _, err := os.Stat(recordedCases); err != nil {
		fewest = 1 // most are of the recorded cases
	}
	if compared["texts"] < fewest || compared["hard texts"] < 25 || compared["mutants"] < *mutants/10 {
		t.Error("few texts were plain")
	}
}

func changedLines(r *rand.Rand, s string) string {
	lines := strings.Split(s, "\n")
	for range 1 + r.IntN(3) {
		i := r.IntN(len(lines))
		l := lines[i]
		j := 0
		if l != "" {
			j = r.IntN(len(l))
		}
		pieces := []string{" ", "  ", "-", "- ", ":", ": ", "#", " #", "\"", "'", "{}", "[", "|", ">", "&a ", "*a", "!", "%", "~", "?", "? ", ",", "0", "0x", ".", "e3", "_", "<<", "---", "\t", "\r", "true", "null", "\\", "@", "=", "1"}
		switch r.IntN(8) {
		case 0:
			lines[i] = l[:j] + pieces[r.IntN(len(pieces))] + l[j:]
		case 1:
			lines[i] = l[:j]
		case 2:
			lines[i] = " " + l
		case 3:
			lines[i] = strings.TrimPrefix(l, " ")
		case 4:
			lines = slices.Delete(lines, i, min(i+1, len(lines)-1))
		case 5:
			lines = slices.Insert(lines, i, l)
		case 6:
			key, _, _ := strings.Cut(l, ":")
			lines[i] = key + ": " + pieces[r.IntN(len(pieces))] + pieces[r.IntN(len(pieces))]
		default:
			k := r.IntN(len(lines))
			lines[i], lines[k] = lines[k], lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// FuzzYAMLAsCUEReadsIt is the same for arbitrary text.
func FuzzYAMLAsCUEReadsIt(f *testing.F) {
	for _, s := range texts(f) {
		f.Add(s)
	}
	for _, s := range hardYAML {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { sameYAML(t, s, s) })
}

// sameYAML compares the two ways to read a text and tells whether there are two.
func sameYAML(t *testing.T, name, s string) bool {
	b := []byte(s)
	docs, ok := plainYAML(b)
	if !ok {
		return false
	}
	own, cues := &readings{docs: docs}, &readings{}
	f, err := yaml.Extract("a.yaml", b)
	if err != nil {
		t.Errorf("%s: CUE does not read it: %v", name, err)
		return true
	}
	cues.docs = fromYAML(f, cues.report)
	own.same(t, name, cues)
	return true
}

// readings is what was read.
type readings struct {
	docs   []*node
	errors []string
}

func (r *readings) report(p place, path []string, message, hint string) {
	r.errors = append(r.errors, fmt.Sprintf("%v %q %s %s", p, path, message, hint))
}

func (r *readings) same(t *testing.T, name string, want *readings) {
	if !reflect.DeepEqual(r.errors, want.errors) {
		t.Errorf("%s: got errors\n%s\nCUE has\n%s", name, strings.Join(r.errors, "\n"), strings.Join(want.errors, "\n"))
		return
	}
	if !reflect.DeepEqual(r.docs, want.docs) {
		for i := range min(len(r.docs), len(want.docs)) {
			if at := differs(r.docs[i], want.docs[i], nil); at != "" {
				t.Errorf("%s: document %d: %s", name, i, at)
				return
			}
		}
		t.Errorf("%s: got %d documents, CUE has %d", name, len(r.docs), len(want.docs))
	}
}

func differs(a, b *node, path []string) string {
	if a.kind != b.kind || a.text != b.text || a.pos != b.pos || len(a.fields) != len(b.fields) || len(a.items) != len(b.items) {
		return fmt.Sprintf("%s is %v %q at %v with %d and %d; CUE has %v %q at %v with %d and %d", dotted(path), a.kind, a.text, a.pos, len(a.fields), len(a.items), b.kind, b.text, b.pos, len(b.fields), len(b.items))
	}
	for i, f := range a.fields {
		g := b.fields[i]
		if f.name != g.name || f.pos != g.pos {
			return fmt.Sprintf("%s has %q at %v; CUE %q at %v", dotted(path), f.name, f.pos, g.name, g.pos)
		}
		if s := differs(f.value, g.value, join(path, f.name)); s != "" {
			return s
		}
	}
	for i := range a.items {
		if s := differs(a.items[i], b.items[i], join(path, fmt.Sprint(i))); s != "" {
			return s
		}
	}
	return ""
}
