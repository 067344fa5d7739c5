package schema

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// ParseMilliCPU reads cores as Kubernetes writes them ("250m", "0.5", "2") as thousandths of a core, rounded up.
func ParseMilliCPU(s string) (int64, error) {
	r, err := parseQuantity(s)
	if err != nil {
		return 0, err
	}
	return ceil(s, r.Mul(r, big.NewRat(1000, 1)))
}

// ParseBytes reads an amount of memory as Kubernetes writes it ("64Mi", "1.5G", "67108864") as bytes, rounded up.
func ParseBytes(s string) (int64, error) {
	r, err := parseQuantity(s)
	if err != nil {
		return 0, err
	}
	return ceil(s, r)
}

var suffixes = []struct {
	suffix string
	num    int64
	denom  int64
}{
	{"Ki", 1 << 10, 1}, {"Mi", 1 << 20, 1}, {"Gi", 1 << 30, 1}, {"Ti", 1 << 40, 1}, {"Pi", 1 << 50, 1}, {"Ei", 1 << 60, 1},
	{"m", 1, 1000}, {"k", 1e3, 1}, {"M", 1e6, 1}, {"G", 1e9, 1}, {"T", 1e12, 1}, {"P", 1e15, 1}, {"E", 1e18, 1},
}

func parseQuantity(s string) (*big.Rat, error) {
	number, factor := s, big.NewRat(1, 1)
	for _, x := range suffixes {
		if t, ok := strings.CutSuffix(s, x.suffix); ok {
			number, factor = t, big.NewRat(x.num, x.denom)
			break
		}
	}
	if len(number) == 0 || len(number) > 32 || strings.Trim(number, "0123456789.eE+-") != "" {
		return nil, fmt.Errorf("%q is not a quantity", s)
	}
	if i := strings.IndexAny(number, "eE"); i >= 0 && len(number)-i > 4 {
		return nil, fmt.Errorf("%q is not a quantity", s) // an exponent of more than two digits would cost a lot of memory
	}
	r, ok := new(big.Rat).SetString(number)
	if !ok || r.Sign() < 0 {
		return nil, fmt.Errorf("%q is not a quantity", s)
	}
	return r.Mul(r, factor), nil
}

func ceil(s string, r *big.Rat) (int64, error) {
	q, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	if !q.IsInt64() {
		return 0, fmt.Errorf("%q is too large", s)
	}
	return q.Int64(), nil
}

// Bytes is an amount of memory or disk. In JSON a number; what people write ("64Mi") is read too.
type Bytes int64

// UnmarshalJSON reads a number or text as [ParseBytes] does.
func (n *Bytes) UnmarshalJSON(b []byte) error {
	v, err := ParseBytes(strings.Trim(string(b), `"`))
	*n = Bytes(v)
	return err
}

// Quantity is an amount as people write it: text, or a number, which is kept as its text.
type Quantity string

// UnmarshalJSON reads a number or a string.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(q))
	}
	*q = Quantity(b)
	return nil
}

// ResourceList is amounts as people write them; "" is none.
type ResourceList struct {
	CPU     Quantity `json:"cpu"`
	Memory  Quantity `json:"memory"`
	Storage Quantity `json:"ephemeral-storage"`
}

// With is r with the limits and requests that are given. Problems are at path, which is that of the two lists.
func (r Resources) With(limits, requests ResourceList, path ...string) (Resources, []Problem) {
	r.Requests = &Requests{}
	var problems []Problem
	fail := func(list, name, format string, args ...any) {
		problems = append(problems, Problem{Path: at(path, list, name), Message: fmt.Sprintf(format, args...), Because: [][]string{at(path, "requests", name), at(path, "limits", name)}})
	}
	for _, x := range []struct {
		name           string
		limit, request Quantity
		parse          func(string) (int64, error)
		toLimit        *int64
		toRequest      **int64
	}{
		{"cpu", limits.CPU, requests.CPU, ParseMilliCPU, &r.MilliCPU, &r.Requests.MilliCPU},
		{"memory", limits.Memory, requests.Memory, ParseBytes, &r.Memory, &r.Requests.Memory},
		{"ephemeral-storage", limits.Storage, requests.Storage, ParseBytes, &r.Storage, &r.Requests.Storage},
	} {
		if x.limit != "" {
			n, err := x.parse(string(x.limit))
			if err != nil {
				fail("limits", x.name, "%v", err)
				continue
			}
			*x.toLimit = n
		}
		if x.request == "" {
			continue
		}
		n, err := x.parse(string(x.request))
		switch {
		case err != nil:
			fail("requests", x.name, "%v", err)
		case *x.toLimit != 0 && n > *x.toLimit && x.limit != "":
			fail("requests", x.name, "%s is more than the limit of %s", x.request, x.limit)
		case *x.toLimit != 0 && n > *x.toLimit:
			fail("requests", x.name, "%s is more than the limit", x.request)
		default:
			*x.toRequest = &n
		}
	}
	return r, problems
}
