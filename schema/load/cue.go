package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"reconciler/schema"
)

const (
	packageTime = 10 * time.Second // for one package, and for the child to start
	treeTime    = time.Minute      // for all packages of a tree
	maxReply    = 64 << 20         // bytes that a child may write
	maxWords    = 64 << 10         // bytes of what a dying child says
)

// packages loads the CUE packages that the given files are of, sorted by directory. They see what is below top.
func (l *Loader) packages(fsys fs.FS, top string, files []manifestFile, tree pass) ([]*fileResult, error) {
	roots := map[string][]string{}
	var dirs []string
	for _, f := range files {
		if !isRoot(f.name) {
			continue
		}
		d := path.Dir(f.name)
		if roots[d] == nil {
			dirs = append(dirs, d)
		}
		roots[d] = append(roots[d], f.name)
	}
	if len(dirs) == 0 {
		return nil, nil
	}
	if l.evaluate == nil {
		return []*fileResult{failed(files[0].name, "CUE packages are not evaluated here", "")}, nil
	}
	results := make([]*fileResult, len(dirs))
	found := &packages{fsys: fsys, top: top, tags: l.tags, dirs: map[string][]*cueFile{}}
	var missing []*cuePackage
	at := map[*cuePackage]int{}
	for i, d := range dirs {
		p, err := found.find(d, roots[d])
		var bad wrong
		if errors.As(err, &bad) {
			results[i] = unreadable(bad.what)
			continue
		}
		if err != nil {
			return nil, err
		}
		if c := l.cached(p.key, tree); c != nil {
			results[i] = c.result
		} else {
			missing = append(missing, p)
			at[p] = i
		}
	}
	for p, r := range l.children(missing) {
		if r.err != nil {
			return nil, r.err
		}
		results[at[p]] = r.result
		if !r.cut {
			l.keep(p.key, &cached{result: r.result, tree: tree.number})
		}
	}
	return results, nil
}

// outcome is what a package's evaluation gave. A result is cut if it is not the package's alone: another time, it may be different.
type outcome struct {
	result *fileResult
	cut    bool
	err    error // the child could not be run
}

// children evaluates packages in as few children as it takes. A package during which a child died is the first of the next,
// and blamed only if it dies again: the memory may have been that of others. So is every package, if a child died before the
// first was evaluated: they are loaded together. Time is measured for each.
func (l *Loader) children(todo []*cuePackage) map[*cuePackage]outcome {
	out := map[*cuePackage]outcome{}
	if len(todo) == 0 {
		return out
	}
	l.oneChild.Lock()
	defer l.oneChild.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), treeTime)
	defer cancel()
	alone := false
	for len(todo) > 0 {
		q := newRequest(todo, l.tags)
		q.Alone = alone
		replies, reason, slow, err := l.child(ctx, q)
		if err != nil {
			out[todo[0]] = outcome{err: err}
			return out
		}
		for i, r := range replies {
			e := <-l.evaluators
			out[todo[i]] = outcome{result: e.cuePackage(todo[i], r)}
			l.evaluators <- e
		}
		todo = todo[len(replies):]
		switch {
		case len(todo) == 0:
		case ctx.Err() != nil:
			for _, p := range todo {
				out[p] = outcome{result: failed(p.first, fmt.Sprintf("package %s was not evaluated: all packages together took more than %v", p.name, treeTime), ""), cut: true}
			}
			return out
		case len(replies) == 0 && !alone && len(todo) > 1:
			alone = true
		case len(replies) == 0 || slow:
			out[todo[0]] = outcome{result: failed(todo[0].first, fmt.Sprintf("package %s was not evaluated: %s", todo[0].name, reason), "look for a comprehension or a list that is too long"), cut: true}
			todo = todo[1:]
		}
	}
	return out
}

// child runs one child. It returns the replies that came, in order, and why there are not more; slow
// tells that the next took too long.
func (l *Loader) child(ctx context.Context, q request) (replies []*reply, reason string, slow bool, err error) {
	in, err := json.Marshal(q)
	if err != nil {
		return nil, "", false, fmt.Errorf("write request to evaluate CUE packages: %w", err)
	}
	defer l.prepare()
	p, ready, err := l.take()
	if err != nil {
		return nil, "", false, err
	}
	todo := len(q.Packages) + len(q.Judgments)
	if replies, reason, slow = p.ask(ctx, in, todo); ready && len(replies) == 0 && !slow && ctx.Err() == nil {
		// It may have been the wait that it did not survive.
		if p, err = l.start(); err != nil {
			return nil, "", false, err
		}
		replies, reason, slow = p.ask(ctx, in, todo)
	}
	return replies, reason, slow, nil
}

// ask gives a child its request and waits for its end. It is as [Loader.child].
func (p *childProcess) ask(ctx context.Context, in []byte, todo int) (replies []*reply, reason string, slow bool) {
	defer p.kill(nil)
	cancel := p.kill
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	tooSlow := fmt.Errorf("it took more than %v", packageTime)
	timer := time.AfterFunc(packageTime, func() { cancel(tooSlow) })
	defer timer.Stop()
	p.stdin.text <- in
	limited := &io.LimitedReader{R: p.stdout, N: maxReply}
	d := json.NewDecoder(limited)
	var err error
	for len(replies) < todo {
		r := &reply{}
		if err = d.Decode(r); err != nil {
			break
		}
		replies = append(replies, r)
		timer.Reset(packageTime)
	}
	switch {
	case len(replies) == todo:
		cancel(nil) // it has nothing more to do
	case limited.N <= 0:
		cancel(fmt.Errorf("its objects have more than %d bytes", maxReply))
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		cancel(fmt.Errorf("the child wrote no reply: %w", err))
	}
	ended := p.cmd.Wait()
	switch cause := p.why(); {
	case len(replies) == todo:
	case cause != nil:
		reason = cause.Error()
	case p.words.says("out of memory", "cannot allocate memory", "failed to reserve"):
		reason = fmt.Sprintf("it needs more than %d MiB of memory", childMemory>>20)
	case p.words.says("stack exceeds", "stack overflow"):
		reason = "it is nested without end"
	default:
		reason = fmt.Sprintf("the evaluation ended: %v: %s", ended, p.words.line())
	}
	return replies, reason, errors.Is(p.why(), tooSlow)
}

func newRequest(todo []*cuePackage, tags []string) request {
	q := request{Tags: tags}
	indexes := map[string]int{} // by name: one tree has one content for it
	for _, p := range todo {
		x := requestPackage{Dir: p.dir, Root: p.root, Files: map[string]int{}}
		for name, b := range p.files {
			i, ok := indexes[name]
			if !ok {
				i = len(q.Files)
				indexes[name] = i
				q.Files = append(q.Files, b)
			}
			x.Files[name] = i
		}
		q.Packages = append(q.Packages, x)
	}
	return q
}

// cuePackage checks what a package declares, as if it had been written in a data file.
func (e *evaluator) cuePackage(p *cuePackage, r *reply) *fileResult {
	f := &fileReader{evaluator: e, name: p.first, result: &fileResult{pkg: p.dir, files: p.own, tags: r.Tags}}
	if r.Unread {
		f.result.unread = append(f.result.unread, unread{})
	}
	told := map[int]map[string]bool{} // fields that definitions say something of, by object
	shapes := map[int]*shape{}
	for i, o := range r.Objects {
		n := r.node(o, nil, func(at place, path []string, message string) { f.fail(at, "", path, message, "") })
		before := len(f.result.errors)
		f.document(n, "", "", nil)
		told[i+1], shapes[i+1] = map[string]bool{}, f.defs[definitionKey{n.str("apiVersion"), schema.Kind(n.str("kind"))}].shape
		for _, e := range f.result.errors[before:] {
			told[i+1][e.Field] = true
		}
	}
	for _, x := range r.Errors {
		if told[x.Of][dotted(x.Field)] {
			continue // definitions say more than CUE does
		}
		message, hint := x.Message, x.Hint
		if s := shapes[x.Of].at(x.Field); s != nil && s.want != "" {
			if strings.HasPrefix(message, "incomplete value ") {
				message = "incomplete value, want " + s.want
			} else if hint == "" {
				hint = "want " + s.want
			}
		}
		f.fail(r.place(x.At), x.Object, x.Field, message, hint)
	}
	f.untold()
	f.result.errors.sort()
	f.result.errors = f.result.errors.few(fileErrors)
	return f.result
}

// head keeps the beginning of what is written to it.
type head struct {
	most int
	text []byte
}

func (h *head) Write(b []byte) (int, error) {
	h.text = append(h.text, b[:min(len(b), h.most-len(h.text))]...)
	return len(b), nil
}

func (h *head) says(words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(h.text, []byte(w)) })
}

func (h *head) line() string {
	first, _, _ := strings.Cut(string(h.text), "\n")
	return first
}
