package reconcile_test

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// plot draws times over sizes, both by their logarithms, as SVG.
func plot(sizes []int, kinds []string, times map[string]map[int]time.Duration) string {
	const width, height, margin = 640, 420, 60
	low, high := math.Inf(1), 0.0
	for _, of := range times {
		for _, d := range of {
			low, high = min(low, ms(d)), max(high, ms(d))
		}
	}
	bottom, top := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	x := func(n int) float64 {
		first, last := math.Log10(float64(sizes[0])), math.Log10(float64(sizes[len(sizes)-1]))
		return margin + (math.Log10(float64(n))-first)/(last-first)*(width-2*margin)
	}
	y := func(v float64) float64 {
		return height - margin - (math.Log10(v)-bottom)/(top-bottom)*(height-2*margin)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	for e := bottom; e <= top; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g ms</text>`+"\n", margin, y(v), width-margin, y(v), margin-6, y(v)+4, v)
	}
	for _, n := range sizes {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(n), height-margin+18, n)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">minions, 30 pods each</text>`+"\n", width/2, height-14)
	colours := []string{"#c0392b", "#2471a3", "#1e8449", "#7f8c8d", "#b7950b"}
	for i, k := range kinds {
		var points []string
		for _, n := range sizes {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(n), y(ms(times[k][n]))))
		}
		last := sizes[len(sizes)-1]
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.1f" y="%.1f" fill="%s" text-anchor="end">%s</text>`+"\n",
			strings.Join(points, " "), colours[i%len(colours)], x(last)-4, y(ms(times[k][last]))-8, colours[i%len(colours)], k)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
