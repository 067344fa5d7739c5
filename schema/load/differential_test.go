package load

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/literal"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
	"github.com/rogpeppe/go-internal/txtar"

	"reconciler/schema"
)

var (
	mutants    = flag.Int("mutants", 3000, "how many changed documents to compare with CUE")
	mutantSeed = flag.Uint64("mutant-seed", 1, "begin of their random numbers")
)

const recordedCases = "../../../shared/cases"

// TestCheckerAgreesWithCUE changes documents at random and compares what the shapes say of each with the verdict of CUE
// itself. The documents are those of the golden files, the examples and, if they are there, the recorded cases; what a
// definition has beyond them is put into them. Mutants of the checker that this test has killed: a bound off by one, 1.0 for
// an int, a disjunction of one alternative less, a pattern that is not tried, an unknown or a missing field that is taken.
func TestCheckerAgreesWithCUE(t *testing.T) {
	c := newComparison(t)
	docs := c.documents(t)
	r := rand.New(rand.NewPCG(*mutantSeed, 0))
	for i := range *mutants {
		d := docs[r.IntN(len(docs))]
		m := &mutator{Rand: r, comparison: c}
		n := d.node.clone()
		for range 1 + r.IntN(2)*r.IntN(2) {
			m.mutate(n, c.own.defs[d.key].shape)
		}
		if err := c.compare(d.key, n); err != nil {
			t.Fatalf("mutant %d of %s: %v", i, d.from, err)
		}
	}
	t.Logf("%d documents, %d changed: CUE takes %d and refuses %d; %d were left to it", len(docs), *mutants, c.taken, c.refused, c.left)
	if least := *mutants / 8; c.taken < least || c.refused < least || c.left > *mutants/4 {
		t.Error("the mutants say too little")
	}
}

// TestRulesAgreeWithCUE compares every constraint with every value.
func TestRulesAgreeWithCUE(t *testing.T) {
	constraints := []string{
		"_", "string", "int", "float", "number", "bool", "null | string", "0", "1", "-1", "1.0", "0.0", "0.5", "true", `""`, `"a"`, `"true"`, `"a" | true | 1`, `int | string`, "int | bool",
		">=0", ">0", "<=65535", "<65535", "!=0", "!=0.0", ">=-0.5", ">-1", "< -1", "<=1.5", ">1.000001", `>="a"`, `<"b"`, `>"a"`, `<="a"`, `!="a"`, `!=""`,
		"int & >=1 & <=65535", "float & >0", "0 | (int & >=1 & <=65535)", "number & !=1", "(number & >=0) | =~\"^[0-9]+$\"", "int & >=-9 & <999999999999999999",
		"=~\"^a\"", "!~\"a\"", "=~\"^a$\"", "=~\"^.$\"", "=~\"(?i)^A\"", "=~\"^[^\\\\s]+$\"", "=~\"^.{1,253}$\" & !~\"--\"", `string & !=""`, "=~\"\"", "{}", "[...]", "[...string]", "[...int]", "{[string]: int}", "{a!: 1}", "{a?: int, b?: _}",
	}
	var values []*node
	for _, s := range append(numberPool(), "007", "1E3", "0x10", "1_000", "1K", "0.000001", "1.0000010", "-1.5", "-0.4", "65534.5", "0.4", "1.4", "1.6") {
		values = append(values, &node{kind: isNumber, text: s})
	}
	for _, s := range append(textPool(), "b", "aa", "A1", "a b", "--", "a--b", "12", "\x01", "\x7f", "\u0085") {
		values = append(values, &node{kind: isString, text: s}, &node{kind: isMap, fields: []field{{name: s, value: &node{kind: isNumber, text: "1"}}}})
	}
	values = append(values, &node{kind: isMap}, &node{kind: isList}, &node{kind: isBool, text: "true"}, &node{kind: isBool, text: "false"})
	for _, v := range values[:len(values):len(values)] {
		values = append(values, &node{kind: isList, items: []*node{v}})
	}
	k := definitionKey{"x", "X"}
	for _, x := range constraints {
		source := "#X: {a?: " + x + "}"
		f, err := parser.ParseFile("x.cue", source)
		if err != nil {
			t.Fatal(err)
		}
		e := &evaluator{context: cuecontext.New()}
		v := e.context.BuildFile(f)
		if err := checkConstructs(f, v); err != nil {
			t.Fatal(err)
		}
		s, err := shapeOf(v.LookupPath(cue.ParsePath("#X")), 0)
		if err != nil {
			t.Fatal(err)
		}
		e.defs, e.values = map[definitionKey]definition{k: {"#X", s}}, map[string]cue.Value{"x": v}
		c := &comparison{own: e, cue: e}
		for _, v := range values {
			if err := c.compare(k, &node{kind: isMap, fields: []field{{name: "a", value: v}}}); err != nil {
				t.Errorf("%s: %v", x, err)
			}
		}
		if c.taken == 0 {
			t.Errorf("%s: CUE takes nothing", x)
		}
	}
}

// FuzzCheckerAgreesWithCUE is the same for arbitrary text.
func FuzzCheckerAgreesWithCUE(f *testing.F) {
	c := newComparison(f)
	for _, d := range c.documents(f) {
		f.Add(d.node.appendJSON(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bad := false
		docs := parse("a.yaml", b, func(place, []string, string, string) { bad = true })
		for _, n := range docs {
			k := definitionKey{n.str("apiVersion"), schema.Kind(n.str("kind"))}
			if _, ok := c.own.defs[k]; ok && !bad {
				if err := c.compare(k, n); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// comparison holds the two that are compared.
type comparison struct {
	own      *evaluator
	cue      *evaluator
	literals []string // text in the definitions

	taken, refused, left int
}

func newComparison(t testing.TB) *comparison {
	e, err := newEvaluator()
	if err != nil {
		t.Fatal(err)
	}
	c := &comparison{own: e, cue: e.another()}
	c.cue.ctx()
	for _, v := range apiVersions {
		f, err := parser.ParseFile("", v.cue)
		if err != nil {
			t.Fatal(err)
		}
		ast.Walk(f, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := literal.Unquote(l.Value); err == nil && !slices.Contains(c.literals, s) {
					c.literals = append(c.literals, s)
				}
			}
			return true
		}, nil)
	}
	slices.Sort(c.literals)
	return c
}

// compare is an error if the verdicts on a document differ, or what is made of it.
func (c *comparison) compare(k definitionKey, n *node) error {
	d := c.own.defs[k]
	b, bad, _ := c.own.evaluate(k, n)
	w := &walker{}
	clean, _ := w.walk(n, d.shape)
	if w.unsure {
		c.left++
	}
	v := c.cue.context.BuildExpr(seen(n, d.shape).expr())
	err := v.Err()
	if err == nil {
		err = c.cue.values[k.version].LookupPath(cue.ParsePath(d.name)).Unify(v).Validate(cue.Concrete(true), cue.All())
	}
	text := func() string { return string(n.appendJSON(nil)) }
	if err != nil {
		c.refused++
		if len(bad) == 0 {
			return fmt.Errorf("taken, but CUE says: %w\n%s", err, text())
		}
		return nil
	}
	c.taken++
	for _, f := range bad {
		if !strings.HasSuffix(f.message, schema.NotYet) && f.message != "is empty" { // the definitions say so by attributes
			return fmt.Errorf("CUE takes it, but %s: %s\n%s", dotted(f.path), f.message, text())
		}
	}
	if len(bad) > 0 {
		return nil
	}
	want, err := c.cue.context.BuildExpr(clean.expr()).MarshalJSON()
	if err != nil {
		return fmt.Errorf("CUE cannot write it: %w\n%s", err, text())
	}
	if x, y := decoded(b), decoded(want); x == nil || !reflect.DeepEqual(x, y) {
		return fmt.Errorf("written as\n%s\nbut by CUE as\n%s", b, want)
	}
	return nil
}

func decoded(b []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil
	}
	return v
}

// seen is what CUE is to see of a value: not what is ignored or nothing.
func seen(n *node, s *shape) *node {
	c := *n
	switch {
	case s == nil || s.any:
	case n.kind == isMap:
		c.fields = nil
		for _, f := range n.fields {
			t := s.fields[f.name]
			if t == nil {
				t = s.each
			}
			if t != nil && (t.ignored || f.value.kind == isNull) {
				continue
			}
			c.fields = append(c.fields, field{f.name, f.pos, seen(f.value, t)})
		}
	case n.kind == isList && s.item != nil:
		c.items = nil
		for _, x := range n.items {
			if x.kind == isNull && s.item.text {
				x = &node{kind: isString}
			}
			c.items = append(c.items, seen(x, s.item))
		}
	}
	return &c
}

type testDocument struct {
	from string
	key  definitionKey
	node *node
}

// documents is every object of a known kind, and one made up of each definition.
func (c *comparison) documents(t testing.TB) []testDocument {
	var out []testDocument
	var add func(from string, n *node, version, kind string)
	add = func(from string, n *node, version, kind string) {
		if v := n.str("apiVersion"); v != "" {
			version = v
		}
		if k := n.str("kind"); k != "" {
			kind = k
		}
		if item, list := listItem(version, kind); list && n.get("items") != nil {
			for _, x := range n.get("items").items {
				add(from, x, version, item)
			}
			return
		}
		k := definitionKey{version, schema.Kind(kind)}
		if _, known := c.own.defs[k]; known && n.kind == isMap {
			out = append(out, testDocument{from, k, withType(n, version, kind)})
		}
	}
	read := func(name string, b []byte) {
		wrong := false
		for _, n := range parse(name, b, func(place, []string, string, string) { wrong = true }) {
			if n.kind == isMap && !wrong {
				add(name, n, "", "")
			}
		}
	}
	for _, pattern := range []string{"testdata/*/*.txtar", "../../examples/*/*", recordedCases + "/v*/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Logf("nothing at %s", pattern)
		}
		for _, f := range files {
			if path.Ext(f) == ".txtar" {
				a, err := txtar.ParseFile(f)
				if err != nil {
					t.Fatal(err)
				}
				for _, x := range a.Files {
					if e := path.Ext(x.Name); e != ".cue" && e != "" {
						read(x.Name, x.Data)
					}
				}
				continue
			}
			if e := path.Ext(f); e == ".json" || e == ".yaml" || e == ".yml" {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				read(f, b)
			}
		}
	}
	m := &mutator{Rand: rand.New(rand.NewPCG(1, 1)), comparison: c}
	for k, d := range c.own.defs {
		n := m.made(d.shape, 0)
		n.fields = slices.DeleteFunc(n.fields, func(f field) bool { return f.name == "apiVersion" || f.name == "kind" })
		out = append(out, testDocument{"the definition of " + k.version + " " + string(k.kind), k, withType(n, k.version, string(k.kind))})
	}
	slices.SortStableFunc(out, func(a, b testDocument) int { return strings.Compare(a.from, b.from) })
	if len(out) < 30 {
		t.Fatalf("only %d documents", len(out))
	}
	return out
}

// mutator changes documents.
type mutator struct {
	*rand.Rand
	*comparison
}

// mutate changes one value of n, which is of the shape s as far as that is known.
func (m *mutator) mutate(n *node, s *shape) {
	type spot struct {
		n *node
		s *shape
	}
	var spots []spot
	var walk func(*node, *shape)
	walk = func(n *node, s *shape) {
		spots = append(spots, spot{n, s})
		for _, f := range n.fields {
			var t *shape
			if s != nil {
				if t = s.fields[f.name]; t == nil {
					t = s.each
				}
			}
			walk(f.value, t)
		}
		for _, x := range n.items {
			var t *shape
			if s != nil {
				t = s.item
			}
			walk(x, t)
		}
	}
	walk(n, s)
	for range 20 {
		at := spots[m.IntN(len(spots))]
		if at.n == n && m.IntN(4) > 0 {
			continue
		}
		switch {
		case at.n.kind == isMap && m.fields(at.n, at.s), at.n.kind == isList && m.items(at.n, at.s):
			return
		case at.n.kind != isMap && at.n.kind != isList || at.n != n && m.IntN(4) == 0:
			*at.n = *m.value(at.n)
			return
		}
	}
}

func (m *mutator) fields(n *node, s *shape) bool {
	switch i := 0; m.IntN(7) {
	case 0, 1: // what the definition has and the document not
		if s == nil || s.fields == nil {
			return false
		}
		var names []string
		for name := range s.fields {
			if n.get(name) == nil {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return false
		}
		slices.Sort(names)
		name := names[m.IntN(len(names))]
		n.fields = append(n.fields, field{name: name, value: m.made(s.fields[name], 0)})
	case 2:
		n.fields = append(n.fields, field{name: "unknown", value: m.value(&node{})})
	case 3: // a near miss of a name
		if i = m.some(len(n.fields)); i < 0 {
			return false
		}
		name := m.text(n.fields[i].name)
		if n.get(name) != nil {
			return false
		}
		n.fields[i].name = name
	case 4:
		if i = m.some(len(n.fields)); i < 0 {
			return false
		}
		n.fields = slices.Delete(n.fields, i, i+1)
	case 5: // two values change places
		i, j := m.some(len(n.fields)), m.some(len(n.fields))
		if i < 0 || i == j {
			return false
		}
		n.fields[i].value, n.fields[j].value = n.fields[j].value, n.fields[i].value
	default:
		if i = m.some(len(n.fields)); i < 0 {
			return false
		}
		n.fields[i].value = m.value(n.fields[i].value)
	}
	return true
}

func (m *mutator) items(n *node, s *shape) bool {
	i := m.some(len(n.items))
	switch {
	case i < 0:
		var item *shape
		if s != nil {
			item = s.item
		}
		n.items = append(n.items, m.made(item, 0))
	case m.IntN(3) == 0:
		n.items = slices.Delete(n.items, i, i+1)
	case m.IntN(2) == 0:
		n.items = append(n.items, n.items[i].clone())
	default:
		n.items[i] = m.value(n.items[i])
	}
	return true
}

func (m *mutator) some(n int) int {
	if n == 0 {
		return -1
	}
	return m.IntN(n)
}

// value is one in the place of n: of another kind, or near it.
func (m *mutator) value(n *node) *node {
	if n.kind == isNumber && m.IntN(2) == 0 {
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
			return &node{kind: isNumber, text: []string{fmt.Sprint(i + 1), fmt.Sprint(i - 1), fmt.Sprint(-i), n.text + ".0", n.text + "e0", strconv.Quote(n.text)}[m.IntN(5)]}
		}
	}
	if n.kind == isString && m.IntN(2) == 0 {
		return &node{kind: isString, text: m.text(n.text)}
	}
	switch m.IntN(10) {
	case 0:
		return &node{kind: isNull}
	case 1:
		return &node{kind: isBool, text: fmt.Sprint(m.IntN(2) == 0)}
	case 2, 3:
		numbers := numberPool()
		return &node{kind: isNumber, text: numbers[m.IntN(len(numbers))]}
	case 4:
		n = &node{kind: isMap}
		if m.IntN(2) == 0 {
			n.fields = append(n.fields, field{name: m.text("a"), value: m.value(&node{})})
		}
		return n
	case 5:
		n = &node{kind: isList}
		if m.IntN(2) == 0 {
			n.items = append(n.items, m.value(&node{}))
		}
		return n
	}
	return &node{kind: isString, text: m.text("")}
}

// text is another text, sometimes near s.
func (m *mutator) text(s string) string {
	pool := textPool()
	switch k := m.IntN(8); {
	case k == 0:
		return strings.ToUpper(s)
	case k == 1:
		return strings.ToLower(s)
	case k == 2:
		return s + pool[m.IntN(len(pool))]
	case k == 3 && len(s) > 0:
		return s[:len(s)-1-len(s)%2*(len(s)-1)/2]
	case k < 6:
		return m.literals[m.IntN(len(m.literals))]
	}
	return pool[m.IntN(len(pool))]
}

// made is a value of a shape, often a right one.
func (m *mutator) made(s *shape, depth int) *node {
	switch {
	case s == nil || s.any || depth > maxDepth:
		return m.value(&node{})
	case s.fields != nil:
		n := &node{kind: isMap}
		for _, name := range s.required {
			n.fields = append(n.fields, field{name: name, value: m.made(s.fields[name], depth+1)})
		}
		if s.each != nil {
			n.fields = append(n.fields, field{name: m.text("a"), value: m.made(s.each, depth+1)})
		}
		return n
	case s.item != nil:
		n := &node{kind: isList}
		for range m.IntN(3) {
			n.items = append(n.items, m.made(s.item, depth+1))
		}
		return n
	}
	for range 30 {
		n := m.value(&node{})
		v := scalar{kind: n.kind, text: n.text}
		plain := true
		if n.kind == isNumber {
			v.number, plain = plainNumber(n.text)
		}
		if plain && n.kind != isMap && n.kind != isList && s.rule(v) {
			return n
		}
	}
	return &node{kind: isString, text: "a"}
}

func numberPool() []string {
	return strings.Fields("0 -0 1 -1 2 0.0 -0.0 1.0 80.0 1e3 0.5 -0.5 -0.000001 65535 65536 65535.5 100000 100001 31536000 31536001 2147483648 4294967296 " +
		"9223372036854775807 9223372036854775808 1000000000000000000000000000 0.0000001 1E-400 1.50 999999999999999999 -999999999999999999.5")
}

func textPool() []string {
	return []string{"", "a", "A", "a-b", "-a", "a-", "a.b", "a..b", "a_b", "a b", "a/b", "1", "80", "0x50", "é", "日本", "a\nb", "a\n", "\n", " ", "\ufeff", "\u2028", "\"", "\\", "\\(a)", "/", "/a", "/a/..", "/..a", "a:b",
		"64Mi", "250m", "0.5", ".5", "1e3", "1e300", "+1", "-1", "1KiB", "nginx:1", "true", "null", "Tcp", "tcp", "pullalways", "10.0.0.1", "~", "<&>", "a\u0301", "\U0001F600",
		strings.Repeat("a", 15), strings.Repeat("a", 16), strings.Repeat("a", 24), strings.Repeat("a", 25), strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("a", 253), strings.Repeat("a", 254)}
}
