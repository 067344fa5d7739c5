package reconcile_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
)

// TestInputIsWholeInJSON: no field of what a plan depends on is left out of its JSON, and what is read is written again to the
// byte. Mutant: Binding.Routed has the tag "-".
func TestInputIsWholeInJSON(t *testing.T) {
	seen := map[reflect.Type]bool{
		reflect.TypeFor[time.Time](): true, reflect.TypeFor[netip.Addr](): true, reflect.TypeFor[netip.Prefix](): true, reflect.TypeFor[netip.AddrPort](): true,
	}
	var walk func(path string, x reflect.Type)
	walk = func(path string, x reflect.Type) {
		switch x.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			walk(path, x.Elem())
		case reflect.Map:
			walk(path+"[key]", x.Key())
			walk(path+"[]", x.Elem())
		case reflect.Struct:
			if x == reflect.TypeFor[reconcile.Bindings]() { // writes its bindings
				x = reflect.TypeFor[reconcile.Binding]()
			}
			if seen[x] {
				return
			}
			seen[x] = true
			own := x.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(x).Implements(reflect.TypeFor[json.Marshaler]())
			for i := range x.NumField() {
				f := x.Field(i)
				if x == reflect.TypeFor[reconcile.State]() && f.Name == "memo" {
					continue // the plans below are the same without it
				}
				if !own && (!f.IsExported() || strings.HasPrefix(f.Tag.Get("json"), "-")) {
					t.Errorf("%s.%s of %s is not in the JSON", path, f.Name, x)
				}
				walk(path+"."+f.Name, f.Type)
			}
		case reflect.Interface, reflect.Func, reflect.Chan:
			t.Errorf("%s is a %s, which does not come back from JSON", path, x)
		}
	}
	walk("Input", reflect.TypeFor[reconcile.Input]())
	if len(seen) < 30 {
		t.Errorf("only %d types were looked at", len(seen))
	}
	rapid.Check(t, func(t *rapid.T) {
		f := newFleet()
		f.missing["none:1"] = true
		for _, name := range []string{"m1", "m2"} {
			f.act(f.join(name, assignment.Capacity{MilliCPU: 4000, Memory: 600 << 20, Pods: 20}, map[string]string{"a": "b"}))
		}
		for n := range rapid.IntRange(1, 30).Draw(t, "steps") {
			if n%10 == 0 {
				f.set = servedSet(t, true)
				f.revision = reconcile.Revision{Hash: string(rune('a' + n/10)), Time: f.now, Trailers: []reconcile.Trailer{{Key: "Allow-Delete", Value: "all"}}}
			}
			f.random(t)
			f.step()
		}
		in := f.input()
		text := mustJSON(in)
		var again reconcile.Input
		if err := json.Unmarshal([]byte(text), &again); err != nil {
			t.Fatal(err)
		}
		if mustJSON(again) != text {
			t.Fatalf("read and written again it is\n%s\nand was\n%s", mustJSON(again), text)
		}
		if a, b := reconcile.Compute(in), reconcile.Compute(again); mustJSON(a) != mustJSON(b) || mustJSON(reconcile.Forecast(in, a)) != mustJSON(reconcile.Forecast(again, b)) {
			t.Fatal("what was read gives another plan")
		}
	})
}
