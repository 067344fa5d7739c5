package load

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"reconciler/schema"
	v1 "reconciler/schema/v1"
)

const (
	mostJudged = 200             // objects of one judgment: it has the time of a package
	rulesTime  = 5 * time.Minute // for all judgments of a tree
)

// judgment is a [requestJudgment] and what it is of.
type judgment struct {
	requestJudgment
	policy  *policy
	objects []*object
}

// byRules adds to verdicts what the rules in CUE say of the objects in todo. The errors are of the policies themselves.
func (l *Loader) byRules(ps policies, todo []*object, verdicts map[*object]*verdict, compiled bool, all []*object) (errs Errors, err error) {
	q, judgments := l.judgments(ps, todo, compiled)
	if len(judgments) == 0 {
		return nil, nil
	}
	l.oneChild.Lock()
	defer l.oneChild.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), rulesTime)
	defer cancel()
	wrongRule := func(p *policy, message, hint string) {
		errs = append(errs, p.wrong(find(all, p.Key()), wireError{Message: message, Hint: hint}))
		for len(judgments) > 0 && judgments[0].policy == p { // once is enough
			judgments = judgments[1:]
		}
	}
	for len(judgments) > 0 {
		if l.evaluate == nil {
			wrongRule(judgments[0].policy, "rules in CUE are not evaluated here", "")
			continue
		}
		q.Judgments = nil
		for _, j := range judgments {
			q.Judgments = append(q.Judgments, j.requestJudgment)
		}
		replies, reason, slow, err := l.child(ctx, q)
		if err != nil {
			return nil, err
		}
		var done []judgment
		done, judgments = judgments[:len(replies)], judgments[len(replies):]
		for i, r := range replies {
			j := done[i]
			if len(r.Errors) > 0 {
				if !told(errs, j.policy) {
					errs = append(errs, j.policy.wrong(find(all, j.policy.Key()), r.Errors[0]))
				}
				continue
			}
			for _, v := range r.Violations {
				if v.Object < 0 || v.Object >= len(j.objects) {
					return nil, fmt.Errorf("evaluate policy %q: the child's reply is damaged", j.policy.Name)
				}
				o := j.objects[v.Object]
				if !o.touch([][]string{join(v.Path, "")}, nil) {
					verdicts[o].violations = append(verdicts[o].violations, violation{j.policy, schema.Problem{Path: v.Path, Message: v.Message}})
				}
			}
		}
		switch {
		case len(judgments) == 0:
		case ctx.Err() != nil:
			wrongRule(judgments[0].policy, fmt.Sprintf("was not evaluated: all rules together took more than %v", rulesTime), "")
			return errs, nil
		case len(replies) == 0 || slow:
			wrongRule(judgments[0].policy, "was not evaluated: "+reason, "look for a comprehension or a list that is too long")
		}
	}
	return errs, nil
}

// judgments is what a child is to be asked: every rule of which it is not known whether it is one, and the objects that it is about.
func (l *Loader) judgments(ps policies, todo []*object, compiled bool) (q request, out []judgment) {
	sent := map[*object]int{}
	for _, p := range ps.all {
		if strings.TrimSpace(p.Spec.CUE) == "" {
			continue
		}
		rule := len(q.Rules)
		q.Rules = append(q.Rules, p.Spec.CUE)
		now := judgment{requestJudgment{Rule: rule}, p, nil}
		if !compiled {
			out = append(out, now)
		}
		for _, o := range todo {
			if !p.meant(o) || o.doubts != nil && strings.Contains(p.Spec.CUE, "_|_") { // which asks whether there is something
				continue
			}
			i, ok := sent[o]
			if !ok {
				i = len(q.Objects)
				sent[o] = i
				b := inV1(o.Object)
				q.Objects = append(q.Objects, requestObject{b, o.open(b)})
			}
			now.Objects, now.objects = append(now.Objects, i), append(now.objects, o)
			if len(now.objects) == mostJudged {
				out = append(out, now)
				now = judgment{requestJudgment{Rule: rule}, p, nil}
			}
		}
		if len(now.objects) > 0 {
			out = append(out, now)
		}
	}
	return q, out
}

// inV1 is an object as rules see it: with its namespace, and without the values of secrets, which errors would tell.
func inV1(o schema.Object) json.RawMessage {
	if s, ok := o.(*schema.Secret); ok {
		c := s.Canonical()
		for k := range c.Data {
			c.Data[k] = []byte{}
		}
		o = c
	}
	v, _ := v1.Write(o)
	b, err := json.Marshal(v)
	if err != nil {
		panic("load: marshal object: " + err.Error())
	}
	if namespace := o.Key().Namespace; namespace == schema.DefaultNamespace {
		var fields map[string]json.RawMessage
		var meta map[string]json.RawMessage
		if json.Unmarshal(b, &fields) != nil || json.Unmarshal(fields["metadata"], &meta) != nil {
			panic("load: an object in v1 has no metadata")
		}
		meta["namespace"] = json.RawMessage(`"` + namespace + `"`)
		fields["metadata"], _ = json.Marshal(meta)
		b, _ = json.Marshal(fields)
	}
	return b
}

// wrong is an error of a policy itself. declared is it as an object, nil if it is the server's.
func (p *policy) wrong(declared *object, e wireError) *Error {
	message := e.Message
	if e.At[1] > 0 {
		message = fmt.Sprintf("line %d: %s", e.At[1], message)
	}
	if len(e.Field) > 0 {
		message += fmt.Sprintf(" (of %s)", dotted(e.Field))
	}
	if p.server || declared == nil {
		return &Error{Object: p.Key().String(), Field: "spec.cue", Message: "server's policy: " + message, Hint: e.Hint}
	}
	path := []string{"spec", "cue"}
	return &Error{Position: declared.place(path), Object: p.Key().String(), Field: dotted(path), Message: message, Hint: e.Hint}
}

func told(errs Errors, p *policy) bool {
	for _, e := range errs {
		if e.Object == p.Key().String() {
			return true
		}
	}
	return false
}
