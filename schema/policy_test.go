package schema_test

import (
	"strings"
	"testing"

	"reconciler/schema"
)

// TestRegistries: a registry's name ends where the next begins. Killed: a host that ends at a colon or at any character.
func TestRegistries(t *testing.T) {
	for _, c := range []struct {
		registry, image string
		of              bool
	}{
		{"registry.example.com", "registry.example.com/a/b:1", true},
		{"registry.example.com", "registry.example.com:5000/a", false},
		{"registry.example.com", "registry.example.com.evil.org/a", false},
		{"registry.example.com", "evil.org/registry.example.com/a", false},
		{"registry.example.com:5000", "registry.example.com:5000/a", true},
		{"registry.example.com:500", "registry.example.com:5000/a", false},
		{"registry.example.com/web", "registry.example.com/web/a", true},
		{"registry.example.com/web", "registry.example.com/web:1", true},
		{"registry.example.com/web", "registry.example.com/web@sha256:0", true},
		{"registry.example.com/web", "registry.example.com/webshop", false},
		{"registry.example.com/web/", "registry.example.com/web/a", true},
		{"docker.io", "nginx", true},
		{"docker.io", "someone/nginx", true},
		{"docker.io/library", "nginx:1", true},
		{"docker.io/library", "docker.io/nginx", true},
		{"docker.io/library", "index.docker.io/library/nginx", true},
		{"docker.io/library", "someone/nginx", false},
		{"docker.io", "localhost/nginx", false},
		{"docker.io", "example.com/nginx", false},
	} {
		p := &schema.Policy{Spec: schema.PolicySpec{Registries: []string{c.registry}}}
		if bad := p.Check(); len(bad) > 0 {
			t.Errorf("%s: %v", c.registry, bad)
		}
		pod := &schema.Pod{Spec: schema.PodSpec{Containers: []schema.Container{{Image: c.image}}}}
		bad := p.Violations(pod)
		if of := len(bad) == 0; of != c.of || !of && !strings.Contains(bad[0].Message, c.registry) {
			t.Errorf("%s of %s: %v", c.image, c.registry, bad)
		}
	}
}
