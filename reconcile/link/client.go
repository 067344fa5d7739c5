package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
)

const (
	dialTimeout = 5 * time.Second
	callTimeout = 15 * time.Second // of a join, and until the server's welcome
	heartbeat   = 10 * time.Second // between two heartbeats, give or take a fifth
	settled     = 5 * time.Second  // a stream of this age was no failed attempt
)

// ClientConfig is what a client needs. Server, Minion, Dir and Log are required.
type ClientConfig struct {
	Server  string // HOST:PORT
	Minion  string // the minion's name
	Dir     string // keeps the identity; made if missing
	Token   string // lets the minion join; not needed once it has
	Version string // of the agent
	Log     *slog.Logger
	// Boottime is the time since the minion's boot, CLOCK_BOOTTIME; nil: no lease is ever held, see assignment.Contact.
	Boottime func() time.Duration
	// Logs opens a container's log; nil: there are none. It must obey ctx, and its error is shown to the reader.
	Logs func(ctx context.Context, r assignment.LogRequest) (io.ReadCloser, error)
	// Kept is what the agent goes on with while the server is away, for a server that lost it; nil: nothing is handed over. The
	// values are not changed afterwards.
	Kept func() (*assignment.Assignment, *assignment.Table)
}

// Client is the agent's end of the link. Its methods may be called concurrently, before, while and after it runs.
type Client struct {
	config ClientConfig
	token  pki.Token // zero if there is none
	log    *slog.Logger

	changed chan struct{}
	wake    chan struct{} // the sender is to look again; room for one

	mu       sync.Mutex    // guards what follows
	identity *pki.Identity // replaced by join and renewal
	renewAt  time.Time     // when to ask for the next certificate
	received received
	said     said
}

// NewClient reads or makes the identity and starts nothing. Without a certificate and without a token it is an error.
func NewClient(c ClientConfig) (*Client, error) {
	if c.Log == nil {
		return nil, errors.New("new link client: log is missing")
	}
	if _, _, err := net.SplitHostPort(c.Server); err != nil {
		return nil, fmt.Errorf("new link client: address of the server: %w", err)
	}
	cl := &Client{config: c, log: c.Log, changed: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
	var err error
	if cl.identity, err = pki.OpenIdentity(c.Dir, c.Minion); err != nil {
		return nil, fmt.Errorf("new link client: %w", err)
	}
	if c.Token != "" {
		if cl.token, err = pki.ParseToken(c.Token); err != nil && !cl.identity.Joined() {
			return nil, fmt.Errorf("new link client: %w", err)
		}
	} else if !cl.identity.Joined() {
		return nil, fmt.Errorf("new link client: minion %q has not joined and there is no join token", c.Minion)
	}
	cl.setIdentity(cl.identity)
	return cl, nil
}

func (c *Client) setIdentity(id *pki.Identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.identity = id
	if id.Joined() {
		from, spread := id.RenewFrom()
		c.renewAt = from.Add(rand.N(spread + 1))
	}
}

func (c *Client) currentIdentity() *pki.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// Fleet is the id of the fleet that the minion joined, "" before.
func (c *Client) Fleet() string { return c.currentIdentity().Fleet() }

// Run joins if need be and keeps the stream open until ctx ends; then it is nil. The only other end is a join that the
// server refuses, or a server that is not the token's: it wraps [pki.ErrRefused].
func (c *Client) Run(ctx context.Context) error {
	var failed int
	var last string
	for {
		began := time.Now()
		up, err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, pki.ErrRefused) {
			return err
		}
		if up {
			last = ""
			if time.Since(began) > settled { // a stream that always ends at once is not dialled ten times a second
				failed = 0
			}
		}
		failed++
		if err == nil {
			failed = 0 // joined: dial at once
			continue
		}
		level := slog.LevelDebug
		if what := status.Convert(err).Message(); what != last {
			level, last = slog.LevelWarn, what
		}
		c.log.Log(ctx, level, "link to the server was lost", "minion", c.config.Minion, "err", err)
		select {
		case <-time.After(pause(failed, rand.Float64())):
		case <-ctx.Done():
			return nil
		}
	}
}

// once joins, which is nil when done, or keeps one stream until it ends; up tells that the server answered on it.
func (c *Client) once(ctx context.Context) (up bool, err error) {
	id := c.currentIdentity()
	if id.Expired(time.Now()) && c.token != (pki.Token{}) {
		if id, err = pki.NewIdentity(); err != nil {
			return false, err
		}
		if err = id.Save(c.config.Dir); err != nil {
			return false, err
		}
		c.setIdentity(id)
	}
	if !id.Joined() {
		return false, c.join(ctx, id)
	}
	conn, err := c.dial(id.TLS())
	if err != nil {
		return false, err
	}
	defer conn.Close()
	s := &stream{Client: c, link: linkpb.NewLinkClient(conn)}
	return s.run(ctx)
}

func (c *Client) join(ctx context.Context, id *pki.Identity) error {
	public, err := id.PublicKey()
	if err != nil {
		return err
	}
	config := pki.JoinTLS(c.token.Pin)
	refusals := make(chan error, 1)
	verify := config.VerifyConnection
	config.VerifyConnection = func(s tls.ConnectionState) error {
		err := verify(s)
		if err != nil {
			select {
			case refusals <- err: // gRPC keeps only its text
			default:
			}
		}
		return err
	}
	conn, err := c.dial(config)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := linkpb.NewLinkClient(conn).Join(ctx, &linkpb.JoinRequest{
		Minion: c.config.Minion, TokenId: c.token.ID, TokenSecret: c.token.Secret, PublicKey: public,
	})
	if err != nil {
		select {
		case refused := <-refusals:
			return fmt.Errorf("join: %w", refused)
		default:
		}
		if st := status.Convert(err); st.Code() == codes.PermissionDenied {
			return fmt.Errorf("join: %w by the server: %s", pki.ErrRefused, st.Message())
		}
		return fmt.Errorf("join: %w", err)
	}
	if id, err = id.With(r.Certificate, r.Authority); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if err := id.Save(c.config.Dir); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	c.setIdentity(id)
	c.log.Info("minion joined", "minion", c.config.Minion)
	return nil
}

// dial prepares a connection for one attempt; waiting between attempts is Run's.
func (c *Client) dial(config *tls.Config) (*grpc.ClientConn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := grpc.NewClient("passthrough:///"+c.config.Server,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { // no proxies
			return dialer.DialContext(ctx, "tcp", addr)
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.5, MaxDelay: dialTimeout}, MinConnectTimeout: 2 * dialTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(256<<10),
		grpc.WithUserAgent("reconciler/"+c.config.Version),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", c.config.Server, err)
	}
	return conn, nil
}
