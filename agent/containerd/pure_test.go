package containerd

import (
	"io"
	"slices"
	"strings"
	"testing"

	imagespec "github.com/opencontainers/image-spec/specs-go/v1"

	"reconciler/agent"
	"reconciler/schema"
)

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestArguments(t *testing.T) {
	image := imagespec.ImageConfig{Entrypoint: []string{"E"}, Cmd: []string{"C"}}
	for _, c := range []struct {
		name          string
		command, args []string
		want          string
	}{
		{"image alone", nil, nil, "E C"},
		{"args replace the image's command", nil, []string{"a"}, "E a"},
		{"command drops the image's command", []string{"c"}, nil, "c"},
		{"both", []string{"c"}, []string{"a"}, "c a"},
	} {
		got, err := arguments(agent.Pod{}, &schema.Container{Command: c.command, Args: c.args}, image)
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	if _, err := arguments(agent.Pod{}, &schema.Container{}, imagespec.ImageConfig{}); err == nil {
		t.Errorf("nothing to run is no error")
	}
}

func TestTail(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb\n", 5, "a\nb\n"}, {"", 3, ""}, {"a\n", 0, ""}, {"a", 0, ""}, {"a\nb", 0, ""}, {"\n\n", 1, "\n"},
	} {
		r, err := tail(strings.NewReader(c.text), c.n)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, r); got != c.want {
			t.Errorf("last %d lines of %q: %q", c.n, c.text, got)
		}
	}
}

func TestChooseShim(t *testing.T) {
	taken := map[string]seat{}
	var got []int
	for i, w := range []string{"", "a", "a", "b", "", "a"} {
		s := choose(taken, 2, w)
		taken[string(rune('0'+i))] = s
		got = append(got, s.slot)
	}
	// Two of workload a never share; no slot has more than two.
	if want := []int{0, 0, 1, 1, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("slots are %v, want %v", got, want)
	}
}

func TestContainerIDIsValidAndUnique(t *testing.T) {
	seen := map[string]bool{}
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ instance, container string }{{"a", "b"}, {long, "b"}, {long, "c"}, {"a--b", "c"}, {"a_", "b"}, {"a", "_b"}} {
		id := containerID(c.instance, c.container, 3)
		if len(id) > 76 || seen[id] || !strings.HasSuffix(id, ".3") {
			t.Errorf("id of %v is %q", c, id)
		}
		seen[id] = true
	}
}

func TestNormalImageNames(t *testing.T) {
	for ref, want := range map[string]string{
		"busybox": "docker.io/library/busybox:latest", "a/b:1": "docker.io/a/b:1", "h:5000/n:t": "h:5000/n:t", "localhost/x": "localhost/x:latest",
	} {
		if got, err := normal(ref); err != nil || got != want {
			t.Errorf("%q is %q, %v", ref, got, err)
		}
	}
}

// References to variables are replaced in what the pod says, with the variables that are there before them; what the image
// says stays as it is. Mutants: references are left; the image's are replaced; a later variable counts.
func TestReferences(t *testing.T) {
	p := agent.Pod{Name: "web", Env: []schema.EnvVar{{Name: "DB_SERVICE_HOST", Value: "10.0.0.1"}, {Name: "OWN", Value: "service's"}}}
	c := &schema.Container{
		Command: []string{"run", "$(DB_SERVICE_HOST)"}, Args: []string{"--url=$(URL)", "$$(URL)", "$(NONE)", "$(PATH)"},
		Env: []schema.EnvVar{{Name: "EARLY", Value: "$(LATE)"}, {Name: "URL", Value: "tcp://$(DB_SERVICE_HOST):$(PORT)"}, {Name: "PORT", Value: "1"}, {Name: "LATE", Value: "x"}, {Name: "OWN", Value: "own, not $(OWN)"}},
	}
	image := imagespec.ImageConfig{Entrypoint: []string{"$(URL)"}, Cmd: []string{"$(URL)"}, Env: []string{"PATH=/bin", "IMAGE=$(URL)"}}
	args, err := arguments(p, c, image)
	if want := []string{"run", "10.0.0.1", "--url=tcp://10.0.0.1:$(PORT)", "$(URL)", "$(NONE)", "$(PATH)"}; err != nil || !slices.Equal(args, want) {
		t.Errorf("got %q, %v", args, err)
	}
	env := environment(p, c, image)
	for _, want := range []string{"EARLY=$(LATE)", "URL=tcp://10.0.0.1:$(PORT)", "IMAGE=$(URL)", "OWN=own, not service's", "PATH=/bin"} {
		if !slices.Contains(env, want) {
			t.Errorf("%q lacks %s", env, want)
		}
	}
	if args, err := arguments(p, &schema.Container{}, image); err != nil || !slices.Equal(args, []string{"$(URL)", "$(URL)"}) {
		t.Errorf("of the image: %q, %v", args, err)
	}
}
