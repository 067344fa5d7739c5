package load

import (
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"cuelang.org/go/cue/parser"
)

// TestUnknownConstructs: what shapes cannot say exactly is an error and never a looser check.
func TestUnknownConstructs(t *testing.T) {
	for source, want := range map[string]string{
		"#X: {a?: string, b!: #B}, #B: {[string]: int & >=1 | \"x\"}":    "",
		"#X: {#B, a?: [...#B], b!: string & =~\"^a\"}, #B: {b?: string}": "",
		"#X: {a?: -1 | >-0.5 | !=\"a\" | bool | null | (float & <1)}":    "",
		"#X: {a?: _ @yet(), \"b-c\"?: 1}":                                "",
		"import \"strings\"\n#X: {a?: strings.MinRunes(1)}":              "ImportDecl",
		"#X: {a?: int8}":                                "the name int8",
		"#X: {a: 1}":                                    "a field without ? or !",
		"#X: {_a?: 1}":                                  "a field without ? or !",
		"#X: {#a?: 1}":                                  "a field without ? or !",
		"#X: {a?: 1, ...}":                              "Ellipsis",
		"#X: {[=~\"a\"]: 1}":                            "a pattern that is not alone",
		"#X: {[string]: 1, a?: 1}":                      "a pattern that is not alone",
		"#X: {a?: [int, int]}":                          "a list of a fixed length",
		"#X: {a?: [int, ...int]}":                       "a list of a fixed length",
		"#X: {a?: [...int] | int}":                      "ListLit",
		"#X: {a?: {b?: 1} | {c?: 1}}":                   "StructLit",
		"#X: {a?: #B & #C}, #B: {x?: 1}, #C: {x?: int}": "#B in an expression",
		"#X: {a?: _ | 1}":                               "_ in an expression",
		"#X: {a?: \"\\(b)\", b?: \"x\"}":                "Interpolation",
		"#X: {a?: b, b?: \"x\"}":                        "the name b",
		"#X: {a?: 1 + 1}":                               "the operator +",
		"#X: {a?: >=(1)}":                               "the operator >=",
		"#X: {a?: close({b?: 1})}":                      "CallExpr",
		"#X: {if true {a?: 1}}":                         "Comprehension",
		"#X: {let y = 1, a?: y}":                        "LetClause",
		"#X: {#B}, #B: int":                             "an embedded value that is no struct",
		"a: 1, #X: {b?: 1}":                             "a field outside of definitions",
		"#X: {a?: #X}":                                  "structural cycle",
		"#X: {a?: {b?: 1}, a?: {c?: 1}}":                "declared twice",
		"#X: {#B, a?: {c?: 1}}, #B: {a?: {b?: 1}}":      "declared twice",
		"#X: {a?: 123456789012345678901}":               "the literal",
		"#X: {a?: >1e3}":                                "the literal",
		"#X: {a?: >=\"a\" & <=true}":                    "nothing can have this value",
		"#X: {a?: 'bytes'}":                             "maps and lists cannot be checked",
		"#X: {a?: 1 & 2}":                               "nothing can have this value",
		"#X: {a?: =~\"\\\\C\"}":                         "read pattern",
		"#X: {a?: _ @other(x)}":                         "attribute @other",
	} {
		f, err := parser.ParseFile("x.cue", source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		v := cuecontext.New().BuildFile(f)
		err = checkConstructs(f, v)
		if err == nil {
			_, err = shapeOf(v.LookupPath(cue.ParsePath("#X")), 0)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", source, err, want)
		}
	}
}
