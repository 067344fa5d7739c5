package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/schema"
)

// ErrNoServer is wrapped when nobody answers on the socket.
var ErrNoServer = errors.New("no server answers")

// Refused is why the server does not do what it is asked for as things are.
type Refused string

func (r Refused) Error() string { return string(r) }

// Client talks to one server. Its methods may be called concurrently.
type Client struct {
	socket string
	http   *http.Client
}

// New makes a client of the server that listens on the unix socket. It connects to nothing yet.
func New(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Status is what is true. With fresh the server looks at its repository first, so that what was pushed is seen.
func (c *Client) Status(ctx context.Context, fresh bool) (s reconcile.Status, err error) {
	return s, c.fetch(ctx, "/v1/status", url.Values{"fresh": {strconv.FormatBool(fresh)}}, &s)
}

// Snapshot is the input of the server's last step.
func (c *Client) Snapshot(ctx context.Context) (in reconcile.Input, err error) {
	return in, c.fetch(ctx, "/v1/snapshot", nil, &in)
}

// Outcomes are what became of revisions, newest first.
func (c *Client) Outcomes(ctx context.Context) (all []reconcile.Outcome, err error) {
	return all, c.fetch(ctx, "/v1/plans", nil, &all)
}

// KeptPlan is the document of the plan of the outcome with a number.
func (c *Client) KeptPlan(ctx context.Context, number uint64) ([]byte, error) {
	text, err := c.text(ctx, http.MethodGet, "/v1/plans/"+strconv.FormatUint(number, 10), nil)
	return []byte(text), err
}

// Version is the server's.
func (c *Client) Version(ctx context.Context) (string, error) {
	return c.text(ctx, http.MethodGet, "/v1/version", nil)
}

// Token makes a join token for uses joins (0: any number), valid for d; with a minion for that name alone, which may have
// joined before.
func (c *Client) Token(ctx context.Context, minion string, uses int, d time.Duration) (string, error) {
	return c.text(ctx, http.MethodPost, "/v1/tokens", url.Values{"minion": {minion}, "uses": {strconv.Itoa(uses)}, "valid": {d.String()}})
}

// Suspend has nothing done for an object, for a duration (0: until it is resumed) or until a time, if that is not zero. as is who
// says so; "" leaves it to the server to find out.
func (c *Client) Suspend(ctx context.Context, k schema.Key, reason string, d time.Duration, until time.Time, as string) (s reconcile.Suspension, err error) {
	q := object(k, as)
	q.Set("reason", reason)
	if d != 0 {
		q.Set("for", d.String())
	}
	if !until.IsZero() {
		q.Set("until", until.Format(time.RFC3339))
	}
	return s, c.ask(ctx, http.MethodPost, "/v1/suspensions", q, &s)
}

// Resume ends what Suspend began.
func (c *Client) Resume(ctx context.Context, k schema.Key, as string) error {
	_, err := c.text(ctx, http.MethodDelete, "/v1/suspensions", object(k, as))
	return err
}

// Apply takes the revision that waits into force, if the plan of that hash is what would be done. The answer is for people, and
// so is an error that is a [Refused].
func (c *Client) Apply(ctx context.Context, plan, as string) (string, error) {
	return c.text(ctx, http.MethodPost, "/v1/apply", url.Values{"plan": {plan}, "as": {as}})
}

func object(k schema.Key, as string) url.Values {
	return url.Values{"kind": {string(k.Kind)}, "namespace": {k.Namespace}, "name": {k.Name}, "as": {as}}
}

// Logs streams a container's log. The caller closes it.
func (c *Client) Logs(ctx context.Context, minion string, r assignment.LogRequest) (io.ReadCloser, error) {
	q := url.Values{"minion": {minion}, "instance": {r.Instance}, "container": {r.Container}, "tail": {strconv.Itoa(r.Tail)},
		"follow": {strconv.FormatBool(r.Follow)}, "previous": {strconv.FormatBool(r.Previous)}}
	res, err := c.do(ctx, http.MethodGet, "/v1/logs", q)
	if err != nil {
		return nil, err
	}
	return &logBody{res}, nil
}

// logBody is a log whose end tells whether it was cut off.
type logBody struct{ res *http.Response }

func (l *logBody) Read(b []byte) (int, error) {
	n, err := l.res.Body.Read(b)
	if errors.Is(err, io.EOF) {
		if why := l.res.Trailer.Get("Log-Error"); why != "" {
			err = errors.New("log ended early: " + why)
		}
	}
	return n, err
}

func (l *logBody) Close() error { return l.res.Body.Close() }

func (c *Client) fetch(ctx context.Context, path string, q url.Values, v any) error {
	return c.ask(ctx, http.MethodGet, path, q, v)
}

// ask decodes the answer into v.
func (c *Client) ask(ctx context.Context, method, path string, q url.Values, v any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	res, err := c.do(ctx, method, path, q)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func (c *Client) text(ctx context.Context, method, path string, q url.Values) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := c.do(ctx, method, path, q)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(b), nil
}

// do sends a request; an answer that is not a success is an error with its text.
func (c *Client) do(ctx context.Context, method, path string, q url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://server"+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	res, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w on %s", ErrNoServer, c.socket)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("open socket %s: permission denied: it is for root alone", c.socket)
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	if res.StatusCode >= 400 {
		b, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		_ = res.Body.Close()
		text := strings.TrimSpace(string(b))
		if res.StatusCode == http.StatusConflict {
			return nil, Refused(text)
		}
		return nil, errors.New(text)
	}
	return res, nil
}
