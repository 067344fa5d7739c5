package load

import (
	"crypto/sha256"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"

	"reconciler/schema"
)

// policy is one policy that is in force for a tree.
type policy struct {
	*schema.Policy
	server bool // the server's own
	files  []gitignore.Pattern
}

// policies is all that are in force for a tree, and what they are known by.
type policies struct {
	all []*policy
	key cacheKey
}

// policiesOf is the policies that are declared among objects and the server's own. Where a policy is declared does not matter. One that is wrong is
// not obeyed: what it would say may be no more than a consequence.
func (l *Loader) policiesOf(declared []*schema.Policy, objects []*object) policies {
	var ps policies
	h := sha256.New()
	add := func(p *schema.Policy, server bool) {
		x := &policy{Policy: p, server: server}
		for _, f := range p.Spec.Match.Files {
			x.files = append(x.files, gitignore.ParsePattern(f, nil))
		}
		ps.all = append(ps.all, x)
		h.Write([]byte(p.Hash()))
		if server {
			h.Write([]byte("server"))
		}
	}
	for _, p := range l.own {
		add(p, true)
	}
	for _, p := range declared {
		if !find(objects, p.Key()).wrong {
			add(p, false)
		}
	}
	h.Sum(ps.key[:0])
	return ps
}

// meant tells whether a policy is about an object.
func (p *policy) meant(o *object) bool {
	if !p.Matches(o.Object) || p.unsure(o) {
		return false
	}
	if len(p.files) == 0 {
		return true
	}
	// What a CUE package declares is in all of its files, wherever CUE says that a value is from: the place of an object is
	// for its author to choose.
	names := append(slices.Clone(o.files), o.position.File)
	return slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(p.files, func(f gitignore.Pattern) bool {
			return f.Match(strings.Split(path.Clean(name), "/"), false) == gitignore.Exclude
		})
	})
}

// unsure tells whether it is not known if a policy is about an object.
func (p *policy) unsure(o *object) bool {
	m, namespace := &p.Spec.Match, []string{"metadata", "namespace"}
	if o.Key().Kind == schema.KindNamespace {
		namespace = []string{"metadata", "name"}
	}
	return len(m.Namespaces)+len(m.ExceptNamespaces)+len(p.Spec.Namespaces) > 0 && o.touch(nil, namespace)
}

// violation is what is wrong with an object, by a policy.
type violation struct {
	policy *policy
	schema.Problem
}

// verdict is what the policies of a tree said of an object.
type verdict struct {
	key        cacheKey // of the policies
	violations []violation
	tree       int
}

// judge holds objects to policies. An object that was judged by the same policies before is not looked at again. The error
// is that rules in CUE could not be evaluated at all.
func (l *Loader) judge(a *assembly) (Errors, error) {
	ps := l.policiesOf(a.set.Policies, a.sorted)
	if len(ps.all) == 0 || l.unjudging {
		return nil, nil
	}
	objects := a.sorted
	if a.was != nil && a.was.judged == ps.key && !l.sweeping() {
		objects = a.come // all others are as they have to be
	}
	verdicts, todo, compiled := l.unjudged(ps, objects)
	fresh := make(map[*object]*verdict, len(todo))
	for _, o := range todo {
		v := &verdict{key: ps.key}
		for _, p := range ps.all {
			if !p.meant(o) {
				continue
			}
			for _, x := range p.Violations(o.Object) {
				if !o.unsure(&x) {
					v.violations = append(v.violations, violation{p, x})
				}
			}
		}
		fresh[o] = v
	}
	errs, err := l.byRules(ps, todo, fresh, compiled, a.sorted)
	if err != nil {
		return nil, err
	}
	l.keepVerdicts(ps, fresh, len(errs) == 0)
	for i, o := range objects {
		v := verdicts[i] // and not what is kept now: another tree's policies may have come between
		if v == nil {
			v = fresh[o]
		}
		for _, x := range v.violations {
			errs = append(errs, x.error(o))
		}
	}
	if len(errs) == 0 {
		a.judged = ps.key
	}
	return errs, nil
}

// sweeping tells whether this is a tree after which what recent trees did not have is dropped.
func (l *Loader) sweeping() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trees%keepTrees == 0
}

// keepVerdicts keeps what was said of objects, unless rules were wrong, and drops what is of objects that recent trees did not have.
func (l *Loader) keepVerdicts(ps policies, fresh map[*object]*verdict, right bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if right {
		l.compiled = ps.key
		for o, v := range fresh {
			v.tree = l.trees
			l.verdicts[o] = v
		}
	}
	if l.trees%keepTrees != 0 {
		return
	}
	for o, v := range l.verdicts {
		if v.tree <= l.trees-keepTrees {
			delete(l.verdicts, o)
		}
	}
}

// unjudged is what these policies said of objects before, the objects that they have not judged, sorted, and whether their
// rules are known to be right. The verdict of an object that is in todo is nil.
func (l *Loader) unjudged(ps policies, objects []*object) (verdicts []*verdict, todo []*object, compiled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	verdicts = make([]*verdict, len(objects))
	for i, o := range objects {
		v := l.verdicts[o]
		if v == nil || v.key != ps.key {
			todo = append(todo, o)
			continue
		}
		v.tree = l.trees
		verdicts[i] = v
	}
	slices.SortFunc(todo, func(a, b *object) int { return a.Key().Compare(b.Key()) })
	return verdicts, todo, l.compiled == ps.key
}

// error tells a violation of o.
func (v *violation) error(o *object) *Error {
	whose := "policy"
	if v.policy.server {
		whose = "server's policy"
	}
	return &Error{
		Position: o.place(v.Path), Object: o.label(), Field: dotted(o.written(v.Path)),
		Message: whose + " " + `"` + v.policy.Name + `": ` + v.Message, Hint: strings.TrimSpace(v.policy.Spec.Message),
	}
}
