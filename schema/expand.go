package schema

import "strings"

// Expand replaces $(NAME) in s by the value of a variable, and $$ by $. A reference to a variable that lookup does not have
// stays as it is, and so does everything else, as a shell's "$HOME". The rule is that of v1: Kubernetes, "Define Dependent
// Environment Variables".
func Expand(s string, lookup func(name string) (string, bool)) string {
	if !strings.Contains(s, "$") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			b.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i+2:], ')')
			if end < 0 {
				b.WriteString("$(")
				i++
				continue
			}
			whole := s[i : i+3+end]
			if v, ok := lookup(whole[2 : len(whole)-1]); ok {
				whole = v
			}
			b.WriteString(whole)
			i += 2 + end
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}

// Escape is what Expand makes s of, whatever lookup has: text of 2014, when there were no references.
func Escape(s string) string {
	if !strings.Contains(s, "$(") && !strings.Contains(s, "$$") {
		return s
	}
	return strings.ReplaceAll(s, "$", "$$")
}

// Unescape is the text that v1beta1 would write for s: [Escape] undone. References of v1 stay as they are.
func Unescape(s string) string {
	return Expand(s, func(string) (string, bool) { return "", false })
}
