package load

import (
	"fmt"
	"slices"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/build"

	"reconciler/schema"
)

// checkTags sorts the values of tags.
func checkTags(tags []string) ([]string, error) {
	out := slices.Sorted(slices.Values(tags))
	for i, t := range out {
		name, _, ok := strings.Cut(t, "=")
		if !ok || !ast.IsValidIdent(name) {
			return nil, fmt.Errorf("tag %q is not name=value", t)
		}
		if i > 0 && strings.HasPrefix(out[i-1], name+"=") {
			return nil, fmt.Errorf("tag %q has two values", name)
		}
	}
	return out, nil
}

// unknownTags are the tags that no package has. CUE would refuse them for each package alone.
func (l *Loader) unknownTags(results []*fileResult) Errors {
	if l.anyTag {
		return nil
	}
	var errs Errors
	for _, t := range l.tags {
		name, _, _ := strings.Cut(t, "=")
		if slices.ContainsFunc(results, func(r *fileResult) bool { return slices.Contains(r.tags, name) }) {
			continue
		}
		errs = append(errs, &Error{
			Position: schema.Position{File: l.roots[0].path}, Message: fmt.Sprintf("tag %q has a value, and no CUE package has the tag", name),
			Hint: fmt.Sprintf("mark a field with @tag(%s), or give no value", name),
		})
	}
	return errs
}

// tagsOf are the names of the tags in a package, sorted; those in packages that it imports are not its own.
func tagsOf(i *build.Instance) []string {
	var names []string
	for _, f := range i.Files {
		ast.Walk(f, func(n ast.Node) bool {
			if x, ok := n.(*ast.Field); ok {
				for _, a := range x.Attrs {
					if key, body := a.Split(); key == "tag" {
						name, _, _ := strings.Cut(body, ",")
						names = append(names, strings.TrimSpace(name))
					}
				}
			}
			return true
		}, nil)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// among are those tags that a package has.
func among(tags, names []string) []string {
	var out []string
	for _, t := range tags {
		if name, _, _ := strings.Cut(t, "="); slices.Contains(names, name) {
			out = append(out, t)
		}
	}
	return out
}
