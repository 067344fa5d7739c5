package link

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"reconciler/reconcile/link/linkpb"
)

var update = flag.Bool("update", false, "add new fields to testdata")

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var calls []time.Duration
		p := pace{gap: 50 * time.Millisecond, do: func() { calls = append(calls, time.Since(start)) }}
		ask := func(after time.Duration) {
			time.Sleep(after)
			p.ask()
			synctest.Wait()
		}
		ask(0)                      // at once
		ask(10 * time.Millisecond)  // waits until 50
		ask(10 * time.Millisecond)  // is the same call
		ask(20 * time.Millisecond)  // too
		ask(20 * time.Millisecond)  // at 60: waits until 100
		ask(140 * time.Millisecond) // at 200: at once
		p.ask()
		p.end()
		time.Sleep(time.Second)
		synctest.Wait()
		ms := time.Millisecond
		if want := []time.Duration{0, 50 * ms, 100 * ms, 200 * ms}; !slices.Equal(calls, want) {
			t.Errorf("calls at %v, want %v", calls, want)
		}
	})
}

func TestPause(t *testing.T) {
	for failed, want := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 6: 3200 * time.Millisecond, 7: 5 * time.Second, 1000: 5 * time.Second} {
		if got := pause(failed, 1); got != want {
			t.Errorf("pause(%d, 1) is %v, want %v", failed, got, want)
		}
		if got := pause(failed, 0); got != 0 {
			t.Errorf("pause(%d, 0) is %v", failed, got)
		}
	}
}

func TestAssembly(t *testing.T) {
	random := make([]byte, 3*maxPart)
	rand.NewChaCha8([32]byte{}).Read(random)
	parts := func(content []byte) (all []*linkpb.Update) {
		w, err := newWhole(gen(1, 2), content, func(u *linkpb.Update) *linkpb.ToAgent {
			return &linkpb.ToAgent{Body: &linkpb.ToAgent_Table{Table: u}}
		})
		check(t, err)
		for _, f := range w.frames {
			m := new(linkpb.ToAgent)
			check(t, proto.Unmarshal(f, m))
			all = append(all, m.GetTable())
		}
		return all
	}
	var a assembly
	add := func(all []*linkpb.Update) (content []byte, err error) {
		for _, u := range all {
			if content, err = a.add(u); err != nil {
				return nil, err
			}
		}
		return content, nil
	}
	for _, n := range []int{2, compressFrom - 1, compressFrom, maxPart, len(random)} {
		if got, err := add(parts(random[:n])); err != nil || string(got) != string(random[:n]) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	big := parts(random)
	if len(big) < 3 {
		t.Fatalf("%d parts", len(big))
	}
	damaged := proto.CloneOf(big[1])
	damaged.Payload[17] ^= 1
	wrong := parts([]byte("{}"))
	wrong[0].Hash = make([]byte, sha256.Size)
	bomb := parts([]byte("{}"))
	zeros := make([]byte, maxWhole+1)
	sum := sha256.Sum256(zeros)
	bomb[0].Hash, bomb[0].Encoding, bomb[0].Payload = sum[:], packed, encoder().EncodeAll(zeros, nil)
	for name, all := range map[string][]*linkpb.Update{
		"a part is missing":           {big[0], big[2]},
		"parts come twice":            {big[0], big[1], big[1]},
		"the beginning is missing":    big[1:],
		"another whole's part":        {big[0], parts(random[1:])[1]},
		"a damaged part":              slices.Concat([]*linkpb.Update{big[0], damaged}, big[2:]),
		"another hash":                wrong,
		"more than is allowed within": bomb,
	} {
		if got, err := add(all); err == nil {
			t.Errorf("%s: got %d bytes", name, len(got))
		}
	}
	if _, err := add(big[:2]); err != nil {
		t.Error(err)
	}
	if got, err := add(parts([]byte("{}"))); err != nil || string(got) != "{}" {
		t.Errorf("a new whole in the middle of another: got %q, %v", got, err)
	}
}

// TestFieldNumbers keeps every field number that ever was: a field may go, its number is never another's.
func TestFieldNumbers(t *testing.T) {
	const file = "linkpb/testdata/fields.golden"
	golden := map[string]string{}
	old, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(old)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		golden[key] = value
	}
	var missing bool
	messages := linkpb.File_link_proto.Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			key, value := describe(fields.Get(j))
			switch was, ok := golden[key]; {
			case ok && was != value:
				t.Errorf("%s was %q and is %q now: a field number must not be used again", key, was, value)
			case !ok && !*update:
				missing = true
				t.Errorf("%s: %s is new; run the test with -update", key, value)
			case !ok:
				golden[key] = value
			}
		}
	}
	if *update && !missing && !t.Failed() {
		var lines []string
		for key, value := range golden {
			lines = append(lines, key+": "+value+"\n")
		}
		slices.Sort(lines)
		check(t, os.MkdirAll("linkpb/testdata", 0o755))
		check(t, os.WriteFile(file, []byte(strings.Join(lines, "")), 0o644))
	}
}

func describe(f protoreflect.FieldDescriptor) (key, value string) {
	kind := f.Kind().String()
	if m := f.Message(); m != nil {
		kind = string(m.Name())
	}
	return fmt.Sprintf("%s %03d", f.ContainingMessage().Name(), f.Number()), fmt.Sprintf("%s %s %s", f.Cardinality(), kind, f.Name())
}
