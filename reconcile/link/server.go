package link

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"reconciler/reconcile"
	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
	"reconciler/reconcile/link/pki"
)

// protocol is the version of the protocol that both sides here speak.
const protocol = 1

const (
	registryTimeout = 10 * time.Second // of one join, renewal or load
	stopTimeout     = 5 * time.Second
	joinsAtOnce     = 16
)

// limits are the durations of a server; tests shorten them.
type limits struct {
	gap     time.Duration // between two tables
	blocked time.Duration // of one write
	behind  time.Duration // without progress in acknowledging
	silent  time.Duration // without any message
	hello   time.Duration // until the first message, and until an agent opens a log
	sweep   time.Duration // between two looks at all streams
}

var defaultLimits = limits{
	gap: 50 * time.Millisecond, blocked: 30 * time.Second, behind: 60 * time.Second, silent: 35 * time.Second,
	hello: 10 * time.Second, sweep: time.Second,
}

// ServerConfig is what a server needs. All but Version is required.
type ServerConfig struct {
	Fleet     string // id of the fleet, the authority's
	Epoch     uint64 // of this server; the assignments' generations begin with it
	Authority *pki.Authority
	Registry  pki.Registry
	Version   string
	Log       *slog.Logger
	// Recover has every agent asked for what it keeps, see Kept, and takes a certificate of the authority for that of its minion
	// also where the registry does not know its key, because it is an old copy, too.
	Recover bool
}

// Server is the fleet as the control loop sees it. Its methods may be called concurrently, before, while and after it serves.
type Server struct {
	config  ServerConfig
	roster  *pki.Roster
	limits  limits
	log     *slog.Logger
	changed chan struct{}
	closing chan struct{} // closed when Serve ends
	joins   chan struct{} // one entry for each join under way

	tables pace
	table  atomic.Pointer[whole] // what all agents are to have; nil until there is one

	assigning sync.Mutex // one SetAssignments at a time

	mu       sync.Mutex            // guards what follows; never held over I/O
	next     *tableContent         // what tables publishes; nil if table is up to date
	given    assignment.Table      // the newest given to SetTable
	latest   [32]byte              // hash of its content
	minions  map[string]*minion    // every one that ever joined
	work     map[string]*work      // by minion, joined or not
	logs     map[uint64]*logReader // asked for, not yet opened by the agent
	lastLog  uint64                // last key of logs
	sessions map[*session]struct{} // all that have said hello
}

// minion is what the server knows of a minion.
type minion struct {
	said    reconcile.Minion
	images  []assignment.Image // of the session's agent; nil: it did not say. Never changed.
	kept    *reconcile.Kept    // handed over; nil: not yet
	session *session           // nil while not connected
}

// NewServer reads the identities from the registry and starts nothing.
func NewServer(c ServerConfig) (*Server, error) {
	switch {
	case c.Authority == nil || c.Registry == nil || c.Log == nil:
		return nil, errors.New("new link server: authority, registry or log is missing")
	case c.Fleet != c.Authority.Fleet():
		return nil, fmt.Errorf("new link server: the authority is of fleet %q, not %q", c.Authority.Fleet(), c.Fleet)
	case c.Epoch == 0:
		return nil, errors.New("new link server: epoch 0 is before everything")
	}
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	roster, err := pki.LoadRoster(ctx, c.Authority, c.Registry)
	if err != nil {
		return nil, fmt.Errorf("new link server: %w", err)
	}
	if c.Recover {
		roster.Readmit()
	}
	if _, err := c.Authority.ServerCertificate(); err != nil {
		return nil, fmt.Errorf("new link server: %w", err)
	}
	s := &Server{
		config: c, roster: roster, limits: defaultLimits, log: c.Log,
		changed: make(chan struct{}, 1), closing: make(chan struct{}), joins: make(chan struct{}, joinsAtOnce),
		minions: map[string]*minion{}, work: map[string]*work{}, logs: map[uint64]*logReader{}, sessions: map[*session]struct{}{},
	}
	s.tables = pace{gap: s.limits.gap, do: s.publish}
	for _, name := range roster.Names() {
		s.minions[name] = &minion{}
	}
	return s, nil
}

// Serve answers agents on l until ctx ends; then it ends all streams and closes l. It may be called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(pki.ServerTLS(s.config.Authority, s.roster))),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.MaxConcurrentStreams(64),
		grpc.ReadBufferSize(1<<10), // TLS buffers its records itself; this halves the memory of an agent
		grpc.StaticStreamWindowSize(64<<10),
		grpc.StaticConnWindowSize(256<<10),
		grpc.ConnectionTimeout(s.limits.hello),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
	)
	linkpb.RegisterLinkServer(g, &service{Server: s})
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	all.Go(func() { s.sweep(ctx) })
	all.Go(func() {
		<-ctx.Done()
		s.tables.end()
		close(s.closing)
		hard := time.AfterFunc(stopTimeout, g.Stop)
		defer hard.Stop()
		g.GracefulStop()
	})
	if err := g.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve link: %w", err)
	}
	return nil
}

// sweep ends the streams of agents that do not keep up.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(s.limits.sweep)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			for ss := range s.sessions {
				if err := ss.late(now, s.limits); err != nil {
					ss.end(err)
				}
			}
			s.mu.Unlock()
		}
	}
}

// who is the minion whose certificate the connection was made with.
func (s *Server) who(ctx context.Context) (string, *x509.Certificate, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", nil, status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", nil, status.Error(codes.Unauthenticated, "this call takes a minion's certificate")
	}
	cert := info.State.VerifiedChains[0][0]
	name, err := s.roster.Check(cert, time.Now())
	if err != nil {
		return "", nil, status.Error(codes.PermissionDenied, err.Error())
	}
	return name, cert, nil
}

// service has the methods of the protocol, apart from the server's own.
type service struct {
	linkpb.UnimplementedLinkServer
	*Server
}

// Join is the protocol's.
func (s *service) Join(ctx context.Context, q *linkpb.JoinRequest) (*linkpb.JoinReply, error) {
	select {
	case s.joins <- struct{}{}:
		defer func() { <-s.joins }()
	default:
		return nil, status.Error(codes.ResourceExhausted, "too many joins at once")
	}
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	cert, err := s.roster.Join(ctx, pki.JoinRequest{Minion: q.Minion, TokenID: q.TokenId, TokenSecret: q.TokenSecret, PublicKey: q.PublicKey})
	if err != nil {
		s.log.Warn("join was refused", "minion", q.Minion, "err", err)
		if errors.Is(err, pki.ErrRefused) {
			return nil, status.Error(codes.PermissionDenied, err.Error())
		}
		return nil, status.Error(codes.Unavailable, "the registry does not answer")
	}
	s.mu.Lock()
	if s.minions[q.Minion] == nil {
		s.minions[q.Minion] = &minion{}
	}
	s.mu.Unlock()
	s.dismiss(q.Minion)
	poke(s.changed)
	s.log.Info("minion joined", "minion", q.Minion)
	return &linkpb.JoinReply{Certificate: cert, Authority: s.config.Authority.Certificate()}, nil
}

// dismiss ends the minion's stream if its certificate is no longer good.
func (s *Server) dismiss(minion string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		if ss.minion != minion {
			continue
		}
		if _, err := s.roster.Check(ss.cert, time.Now()); err != nil {
			ss.end(status.Error(codes.PermissionDenied, err.Error()))
		}
	}
}
