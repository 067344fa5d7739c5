package explain

import (
	"fmt"
	"slices"
	"strings"

	"reconciler/schema/load"
)

// Unknown is an error for a path, with what it may have meant.
type Unknown struct {
	What string // that is not known
	Hint string // "" if there is no idea
}

func (u *Unknown) Error() string { return u.What }

// Find is the place that a path leads to: a kind of a version and names of fields below it, "*" and numbers for the items
// of lists left out or not. The error is an [Unknown] for a path that leads nowhere.
func Find(kind Field, path []string) (Field, error) {
	at, said := kind, kind.Name
	for _, name := range path {
		name, _, _ = strings.Cut(name, "[")
		if name == "" || strings.Trim(name, "0123456789") == "" || name == "*" {
			continue
		}
		fields, err := at.Fields()
		if err != nil {
			return Field{}, err
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			i = slices.IndexFunc(fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
		}
		if i < 0 {
			u := &Unknown{What: fmt.Sprintf("%s has no field %q in %s", said, name, kind.Version)}
			var names []string
			for _, f := range fields {
				names = append(names, f.Name)
			}
			u.Hint = DidYouMean(name, names)
			if len(names) == 0 {
				u.Hint = said + " is " + at.Type + ": it has no fields"
			}
			return Field{}, u
		}
		at, said = fields[i], said+"."+fields[i].Name
	}
	at.Version, at.Path = kind.Version, strings.TrimPrefix(said[len(kind.Name):], ".")
	return at, nil
}

// DidYouMean is a hint with the name that is nearest, else with all of them.
func DidYouMean(name string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		d := load.Distance(strings.ToLower(name), strings.ToLower(n))
		if strings.HasPrefix(strings.ToLower(n), strings.ToLower(name)) {
			d = 0
		}
		if d < least {
			best, least = n, d
		}
	}
	if best != "" && least < len(name) {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "one of " + strings.Join(names, ", ")
}
