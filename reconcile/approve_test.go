package reconcile_test

import (
	"strings"
	"testing"

	"reconciler/reconcile"
	"reconciler/schema"
)

func web(c reconcile.Change) reconcile.Change {
	c.Object = schema.Key{Kind: schema.KindReplicationController, Namespace: "default", Name: "web"}
	return c
}

// TestPlanHash: a hash stays while what is done does, and no longer. Mutants: the revision, the minion, the details are not in it;
// words, names of instances, the order or what goes on anyway are.
func TestPlanHash(t *testing.T) {
	r := reconcile.Revision{Hash: "c1"}
	image := []reconcile.Detail{{Path: "spec.image", From: "a", To: "b"}}
	first := []reconcile.Change{
		web(reconcile.Change{Verb: reconcile.Replace, Minion: "m1", Instance: "web-0-1", Old: "web-0-0", How: "start-first", Details: image}),
		web(reconcile.Change{Verb: reconcile.Replace, Old: "web-1-0", How: "start-first", Details: image, Waiting: "another"}),
	}
	want := reconcile.PlanHash(r, first)
	if !strings.HasPrefix(want, "sha256:") || len(want) != 71 {
		t.Fatal(want)
	}
	for _, c := range []struct {
		name string
		same bool
		r    reconcile.Revision
		edit func([]reconcile.Change) []reconcile.Change
	}{
		{"words", true, r, func(l []reconcile.Change) []reconcile.Change {
			l[1].Waiting, l[1].Reason = "another one, until 12:00", "image"
			return l
		}},
		{"instances", true, r, func(l []reconcile.Change) []reconcile.Change {
			l[0].Instance, l[0].Old = "web-0-2", "web-0-9"
			return l
		}},
		{"order", true, r, func(l []reconcile.Change) []reconcile.Change { return []reconcile.Change{l[1], l[0]} }},
		{"an author", true, reconcile.Revision{Hash: "c1", Author: "Ada", Trailers: []reconcile.Trailer{{Key: "a", Value: "b"}}}, nil},
		{"a restart", true, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Restart, Instance: "web-2-1", Minion: "m2"}))
		}},
		{"one that is to be ready", true, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Create, Instance: "web-2-1", Minion: "m2", Waiting: "it to be ready"}))
		}},
		{"drift", true, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Delete, Instance: "web-2-1", Minion: "m2", Drift: true}))
		}},
		{"ready endpoints", true, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Route, Code: reconcile.CodeEndpoints}))
		}},
		{"another revision", false, reconcile.Revision{Hash: "c2"}, nil},
		{"another folder", false, reconcile.Revision{Hash: "c1", Path: "prod"}, nil},
		{"a tag", false, reconcile.Revision{Hash: "c1", Tags: []string{"env=prod"}}, nil},
		{"another minion", false, r, func(l []reconcile.Change) []reconcile.Change { l[0].Minion = "m2"; return l }},
		{"another way", false, r, func(l []reconcile.Change) []reconcile.Change { l[0].How = "stop-first"; return l }},
		{"another value", false, r, func(l []reconcile.Change) []reconcile.Change {
			l[0].Details = []reconcile.Detail{{Path: "spec.image", From: "a", To: "c"}}
			return l
		}},
		{"blocked", false, r, func(l []reconcile.Change) []reconcile.Change { l[1].Blocked = true; return l }},
		{"one less", false, r, func(l []reconcile.Change) []reconcile.Change { return l[:1] }},
		{"one twice", false, r, func(l []reconcile.Change) []reconcile.Change { return append(l, l[1]) }},
		{"a new pod", false, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Create, Instance: "web-2-1", Minion: "m2"}))
		}},
		{"a route", false, r, func(l []reconcile.Change) []reconcile.Change {
			return append(l, web(reconcile.Change{Verb: reconcile.Route, Code: reconcile.CodeRouted}))
		}},
	} {
		list := append([]reconcile.Change(nil), first...)
		if c.edit != nil {
			list = c.edit(list)
		}
		if got := reconcile.PlanHash(c.r, list); (got == want) != c.same {
			t.Errorf("%s: the same hash is %t, want %t", c.name, got == want, c.same)
		}
	}
}

func TestComparePlans(t *testing.T) {
	image := []reconcile.Detail{{Path: "spec.image", From: "a", To: "b"}}
	before := []reconcile.Change{
		web(reconcile.Change{Verb: reconcile.Replace, Minion: "m1", How: "start-first", Details: image}),
		web(reconcile.Change{Verb: reconcile.Replace, How: "start-first", Details: image}),
		web(reconcile.Change{Verb: reconcile.Delete, Minion: "m1"}),
	}
	after := []reconcile.Change{
		web(reconcile.Change{Verb: reconcile.Replace, Minion: "m2", How: "stop-first", Details: image}),
		web(reconcile.Change{Verb: reconcile.Replace, How: "start-first", Details: image}),
		web(reconcile.Change{Verb: reconcile.Create, Blocked: true}),
	}
	got := strings.Join(reconcile.ComparePlans(before, after), "\n")
	want := `gone:      delete ReplicationController/web on m1
different: replace ReplicationController/web on m1 (start-first); spec.image: a -> b, now on m2 (stop-first); spec.image: a -> b
new:       create ReplicationController/web on no minion yet, blocked`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if same := reconcile.ComparePlans(before, before); len(same) > 0 {
		t.Errorf("a plan differs from itself: %q", same)
	}
}
