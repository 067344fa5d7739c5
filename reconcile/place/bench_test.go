package place_test

import (
	"fmt"
	"testing"

	"reconciler/reconcile/place"
	"reconciler/schema"
)

// BenchmarkPlain puts 150,000 pods that ask for nothing but room on 5,000 minions.
func BenchmarkPlain(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		f := place.New(many(5000, 1<<20))
		for i := range 150000 {
			d := place.Demand{MilliCPU: 10, Memory: 128 << 20, Group: groups[i/30]}
			m, why := f.Choose(d)
			if m == "" {
				b.Fatal(why)
			}
			f.Take(m, d)
		}
	}
}

// BenchmarkRuled puts 15,000 pods of 500 kinds on 5,000 minions in 3 zones: each kind must be apart by minion and even by zone,
// and prefers one zone.
func BenchmarkRuled(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		minions := many(5000, 1<<20)
		for i := range minions {
			minions[i].Labels["zone"] = string(rune('a' + i%3))
		}
		f := place.New(minions)
		f.Track()
		for i := range 15000 {
			g := groups[i/30]
			mine := &schema.LabelSelector{Labels: map[string]string{"app": g}}
			d := place.Demand{MilliCPU: 10, Memory: 128 << 20, Group: g, Hash: "1", Labels: map[string]string{"app": g},
				Affinity: &schema.Affinity{
					Node: &schema.NodeAffinity{Preferred: []schema.PreferredNode{{Weight: 10, Preference: schema.NodeTerm{
						Expressions: []schema.Requirement{{Key: "zone", Operator: schema.OpIn, Values: []string{"b"}}}}}}},
					PodAnti: &schema.PodAffinity{Required: []schema.PodTerm{{Selector: mine, TopologyKey: "kubernetes.io/hostname"}}}},
				Spread: []schema.TopologySpread{{MaxSkew: 1, TopologyKey: "zone", WhenUnsatisfiable: "DoNotSchedule", Selector: mine}}}
			m, why := f.Choose(d)
			if m == "" {
				b.Fatal(why)
			}
			f.Take(m, d)
		}
	}
}

var groups = func() (out []string) {
	for i := range 5000 {
		out = append(out, fmt.Sprintf("g%04d", i))
	}
	return out
}()
