package print

import (
	"fmt"
	"io"
	"strings"

	"reconciler/reconcile"
)

// pullsShown is how many pulls are named before the rest is counted.
const pullsShown = 8

// Pulls prints what minions are going to fetch: one line, of which the end is folded where there are many; nothing if there is
// none.
func Pulls(w io.Writer, all []reconcile.Pull) error {
	if len(all) == 0 {
		return nil
	}
	var parts []string
	var total int64
	unknown, minions := 0, map[string]bool{}
	for i, p := range all {
		total += p.Size
		size := "size not known"
		if p.Size > 0 {
			size = megabytes(p.Size)
		} else {
			unknown++
		}
		if minions[p.Minion] = true; i < pullsShown {
			parts = append(parts, fmt.Sprintf("%s %s %s", p.Minion, p.Image, size))
		}
	}
	text := "pulls: " + strings.Join(parts, ", ")
	if n := len(all) - pullsShown; n > 0 {
		text += fmt.Sprintf(" and %d more; together %s", n, megabytes(total))
		if unknown > 0 {
			text += fmt.Sprintf(" and %d of a size not known", unknown)
		}
		text += fmt.Sprintf(" on %d %s", len(minions), plural(len(minions), "minion"))
	}
	_, err := fmt.Fprintf(w, "%s\n\n", text)
	return err
}

// megabytes is a size as registries state it, 1 MB being 1,000,000 bytes.
func megabytes(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%d MB", (n+500_000)/1_000_000)
}
