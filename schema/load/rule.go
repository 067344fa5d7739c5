package load

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"cuelang.org/go/cue"
)

// rule tells whether a scalar fits a constraint exactly as CUE would. It is given no number that is not plain; maps and
// lists fit none.
type rule func(scalar) bool

// scalar is a value of a document as rules see it.
type scalar struct {
	kind   nodeKind
	text   string
	number number
}

// number is a decimal number with at most 18 digits on each side of the point: any other is left to CUE.
type number struct {
	integer         bool // written without a point: 1.0 is none
	negative        bool // never of zero
	whole, fraction uint64
}

const mostDigits = 18

// mostFraction is how many digits a fraction may have: CUE writes smaller numbers with an exponent.
const mostFraction = 6

// plainNumber reads a number that means in JSON, YAML and CUE the same; ok is false for others.
func plainNumber(s string) (n number, ok bool) {
	digits, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || len(whole) > mostDigits || len(whole) > 1 && whole[0] == '0' || point && fraction == "" || len(fraction) > mostFraction {
		return number{}, false
	}
	n.integer = !point
	for _, c := range []byte(whole) {
		if c < '0' || c > '9' {
			return number{}, false
		}
		n.whole = n.whole*10 + uint64(c-'0')
	}
	for i := range mostDigits {
		n.fraction *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return number{}, false
			}
			n.fraction += uint64(fraction[i] - '0')
		}
	}
	n.negative = negative
	return n, n != number{integer: n.integer, negative: true} // CUE has one zero
}

func (n number) compare(m number) int {
	if n.negative != m.negative {
		if n.negative {
			return -1
		}
		return 1
	}
	c := 0
	switch {
	case n.whole < m.whole, n.whole == m.whole && n.fraction < m.fraction:
		c = -1
	case n.whole != m.whole || n.fraction != m.fraction:
		c = 1
	}
	if n.negative {
		return -c
	}
	return c
}

// ruleOf reads a constraint on scalars.
func ruleOf(v cue.Value, depth int) (rule, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%v: refers to itself", v.Pos())
	}
	op, args := v.Expr()
	switch op {
	case cue.SelectorOp:
		return ruleOf(cue.Dereference(v), depth+1)
	case cue.AndOp, cue.OrOp:
		var rules []rule
		for _, a := range args {
			r, err := ruleOf(a, depth+1)
			if err != nil {
				return nil, err
			}
			rules = append(rules, r)
		}
		return func(s scalar) bool {
			for _, r := range rules {
				if r(s) == (op == cue.OrOp) {
					return op == cue.OrOp
				}
			}
			return op == cue.AndOp
		}, nil
	case cue.RegexMatchOp, cue.NotRegexMatchOp:
		text, err := args[0].String()
		if err != nil {
			return nil, fmt.Errorf("%v: read pattern: %w", v.Pos(), err)
		}
		x, err := regexp.Compile(text)
		if err != nil {
			return nil, fmt.Errorf("%v: read pattern: %w", v.Pos(), err)
		}
		return func(s scalar) bool { return s.kind == isString && x.MatchString(s.text) == (op == cue.RegexMatchOp) }, nil
	case cue.GreaterThanEqualOp, cue.GreaterThanOp, cue.LessThanEqualOp, cue.LessThanOp, cue.NotEqualOp:
		b, err := scalarOf(args[0])
		if err != nil {
			return nil, err
		}
		return b.bound(op)
	case cue.NoOp, cue.SubtractOp, cue.AddOp:
		if v.IsConcrete() {
			b, err := scalarOf(v)
			if err != nil {
				return nil, err
			}
			return b.equal, nil
		}
		if op == cue.NoOp {
			return kindRule(v)
		}
	}
	return nil, fmt.Errorf("%v: the constraint %v cannot be checked without CUE", v.Pos(), v)
}

// kindRule is for the name of a kind.
func kindRule(v cue.Value) (rule, error) {
	switch fmt.Sprint(v) {
	case "string":
		return func(s scalar) bool { return s.kind == isString }, nil
	case "bool":
		return func(s scalar) bool { return s.kind == isBool }, nil
	case "number":
		return func(s scalar) bool { return s.kind == isNumber }, nil
	case "int":
		return func(s scalar) bool { return s.kind == isNumber && s.number.integer }, nil
	case "float":
		return func(s scalar) bool { return s.kind == isNumber && !s.number.integer }, nil
	}
	return nil, fmt.Errorf("%v: the constraint %v cannot be checked without CUE", v.Pos(), v)
}

// scalarOf is a literal of a definition.
func scalarOf(v cue.Value) (scalar, error) {
	switch v.Kind() {
	case cue.StringKind:
		text, err := v.String()
		return scalar{kind: isString, text: text}, err
	case cue.BoolKind:
		b, err := v.Bool()
		return scalar{kind: isBool, text: strconv.FormatBool(b)}, err
	case cue.NullKind:
		return scalar{kind: isNull}, nil
	case cue.IntKind, cue.FloatKind:
		b, err := v.MarshalJSON()
		if err != nil {
			return scalar{}, err
		}
		if n, ok := plainNumber(string(b)); ok && n.integer == (v.Kind() == cue.IntKind) {
			return scalar{kind: isNumber, text: string(b), number: n}, nil
		}
	}
	return scalar{}, fmt.Errorf("%v: the literal %v cannot be checked without CUE", v.Pos(), v)
}

// equal tells whether s is the literal b: 1 and 1.0 are of two kinds.
func (b scalar) equal(s scalar) bool {
	switch {
	case b.kind != s.kind:
		return false
	case b.kind == isNumber:
		return b.number.integer == s.number.integer && b.number.compare(s.number) == 0
	case b.kind == isNull:
		return true
	}
	return b.text == s.text
}

// bound is the rule for op and b. It takes values of b's kind alone, but numbers with and without a point.
func (b scalar) bound(op cue.Op) (rule, error) {
	var compare func(scalar) int
	switch b.kind {
	case isString:
		compare = func(s scalar) int { return strings.Compare(s.text, b.text) }
	case isNumber:
		compare = func(s scalar) int { return s.number.compare(b.number) }
	default:
		return nil, fmt.Errorf("the bound %v on %q cannot be checked without CUE", op, b.text)
	}
	return func(s scalar) bool {
		if s.kind != b.kind {
			return false
		}
		c := compare(s)
		switch op {
		case cue.GreaterThanEqualOp:
			return c >= 0
		case cue.GreaterThanOp:
			return c > 0
		case cue.LessThanEqualOp:
			return c <= 0
		case cue.LessThanOp:
			return c < 0
		}
		return c != 0
	}, nil
}
