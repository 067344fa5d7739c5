package containerd

import (
	"strings"
	"testing"
)

// Mutants: the name is containerd's; the size is that of the manifest alone.
func TestImagesAreListed(t *testing.T) {
	m := newMinion(t, nil)
	if got, err := m.Images(t.Context()); err != nil || got == nil || len(got) != 0 {
		t.Errorf("at first %v, %v", got, err)
	}
	m.pull(t, shared.image)
	full := strings.Replace(shared.image, ":1", ":full", 1)
	m.pull(t, full)
	got, err := m.Images(t.Context())
	if err != nil || len(got) != 2 || got[0].Name != shared.image || got[1].Name != full {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, i := range got {
		if !strings.HasPrefix(i.Digest, "sha256:") || i.Size < 100<<10 {
			t.Errorf("%+v", i)
		}
	}
}
