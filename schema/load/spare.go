package load

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// childProcess is a child that was started and has no request yet.
type childProcess struct {
	cmd    *exec.Cmd
	stdin  *later
	stdout io.ReadCloser
	words  *head
	kill   context.CancelCauseFunc
	why    func() error // it was killed; nil if it was not
}

// start starts a child.
func (l *Loader) start() (*childProcess, error) {
	p := &childProcess{stdin: &later{text: make(chan []byte, 1)}, words: &head{most: maxWords}}
	ctx, kill := context.WithCancelCause(context.Background())
	p.kill, p.why = kill, func() error { return context.Cause(ctx) }
	p.cmd = l.evaluate(ctx)
	p.cmd.Env = []string{}
	p.cmd.Dir = "/"
	p.cmd.Stdin = p.stdin
	p.cmd.Stderr = p.words
	p.cmd.WaitDelay = time.Second
	var err error
	if p.stdout, err = p.cmd.StdoutPipe(); err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.kill(nil)
		return nil, fmt.Errorf("start evaluation of CUE packages: %w", err)
	}
	return p, nil
}

// take is the child that is ready, or a new one. The caller holds oneChild.
func (l *Loader) take() (p *childProcess, ready bool, err error) {
	if p = l.ready; p != nil {
		l.ready = nil
		return p, true, nil
	}
	p, err = l.start()
	return p, false, err
}

// prepare starts the next child, if there is to be one: it takes longer to start than a small package to be evaluated. That it
// cannot be started is an error only when one is needed. The caller holds oneChild.
func (l *Loader) prepare() {
	if l.spare && l.ready == nil {
		l.ready, _ = l.start()
	}
}

// Close ends the child that is kept ready, if there is one. The loader can be used afterwards.
func (l *Loader) Close() {
	l.oneChild.Lock()
	defer l.oneChild.Unlock()
	if p := l.ready; p != nil {
		l.ready = nil
		p.end()
	}
}

// end ends a child that got no request.
func (p *childProcess) end() {
	p.kill(nil)
	close(p.stdin.text)
	_ = p.cmd.Wait() // it was killed
}

// later is a reader of text that comes later.
type later struct {
	text chan []byte // gets it, once
	left []byte
	has  bool
}

func (r *later) Read(b []byte) (int, error) {
	if !r.has {
		r.left, r.has = <-r.text, true
	}
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}
