package containerd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	ctr "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/distribution/reference"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"

	"reconciler/agent"
	"reconciler/reconcile/assignment"
)

const (
	progressEvery = 200 * time.Millisecond
	pullTimeout   = 30 * time.Minute // of a whole image; a registry that hangs must not hold a worker for ever
)

// quiet is what containerd's client logs to: what it has to say is in the errors that it returns.
var quiet = logrus.NewEntry(&logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}, Level: logrus.PanicLevel, Hooks: logrus.LevelHooks{}})

// normal is the full name of an image, as docker completes it: docker.io/library/ before a bare name, :latest after one
// without tag and digest.
func normal(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("read image name %q: %w: %w", ref, agent.ErrImage, err)
	}
	return named.String(), nil
}

// HasImage tells whether the image can be started from.
func (r *Runtime) HasImage(ctx context.Context, ref string) (bool, error) {
	name, err := normal(ref)
	if err != nil {
		return false, err
	}
	image, err := r.client.GetImage(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find image: %w", err)
	}
	unpacked, err := image.IsUnpacked(ctx, "")
	if errdefs.IsNotFound(err) { // its content is not complete
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into image: %w", err)
	}
	return unpacked, nil
}

// Images lists what was pulled, by the names that people write. Sizes are what the manifests for this machine say, so that it
// needs no look at the disk.
func (r *Runtime) Images(ctx context.Context) ([]assignment.Image, error) {
	list, err := r.client.ImageService().List(namespaces.WithNamespace(ctx, namespace))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	containers, err := r.client.ContainerService().List(namespaces.WithNamespace(ctx, namespace), ours)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range containers {
		if name, err := normal(c.Image); err == nil {
			used[name] = true
		}
	}
	slices.SortFunc(list, func(a, b images.Image) int {
		if used[a.Name] != used[b.Name] {
			return map[bool]int{true: -1, false: 1}[used[a.Name]]
		}
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), cmp.Compare(a.Name, b.Name))
	})
	out := []assignment.Image{}
	for _, i := range list[:min(len(list), assignment.MaxImages)] {
		one := assignment.Image{Name: i.Name, Digest: i.Target.Digest.String()}
		if named, err := reference.ParseDockerRef(i.Name); err == nil {
			one.Name = reference.FamiliarString(named)
		}
		if n, err := ctr.NewImage(r.client, i).Size(namespaces.WithNamespace(ctx, namespace)); err == nil {
			one.Size = n // else not known: not all of its content is here
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b assignment.Image) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// Pull fetches what is missing of the image and unpacks it.
func (r *Runtime) Pull(ctx context.Context, ref string, progress func(agent.PullProgress)) error {
	name, err := normal(ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	ctx = log.WithLogger(ctx, quiet)
	var seen layers
	done := make(chan struct{})
	var watching sync.WaitGroup
	if progress != nil {
		watching.Go(func() { r.watchPull(ctx, &seen, progress, done) })
	}
	_, err = r.client.Pull(ctx, name,
		ctr.WithResolver(r.resolver()),
		ctr.WithPullUnpack,
		ctr.WithImageHandler(images.HandlerFunc(seen.add)),
	)
	close(done)
	watching.Wait()
	if err != nil {
		return pullError(ref, err)
	}
	return nil
}

func (r *Runtime) resolver() remotes.Resolver {
	plain := func(host string) (bool, error) {
		if slices.Contains(r.cfg.InsecureRegistries, host) {
			return true, nil
		}
		return docker.MatchLocalhost(host)
	}
	return docker.NewResolver(docker.ResolverOptions{Hosts: docker.ConfigureDefaultRegistries(docker.WithPlainHTTP(plain))})
}

// pullError wraps agent.ErrImage if the registry answered that it cannot be had.
func pullError(ref string, err error) error {
	var status remoteerrors.ErrUnexpectedStatus
	switch {
	case errdefs.IsNotFound(err):
		return fmt.Errorf("%w: the registry has no %q", agent.ErrImage, ref)
	case errdefs.IsUnauthorized(err) || errdefs.IsPermissionDenied(err) || errors.Is(err, docker.ErrInvalidAuthorization):
		return fmt.Errorf("%w: the registry denies access to %q", agent.ErrImage, ref)
	case errors.As(err, &status):
		switch status.StatusCode {
		case http.StatusNotFound:
			return fmt.Errorf("%w: the registry has no %q", agent.ErrImage, ref)
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("%w: the registry denies access to %q", agent.ErrImage, ref)
		}
	}
	return fmt.Errorf("pull %q: %w", ref, err)
}

// layers collects what a pull will fetch.
type layers struct {
	mu  sync.Mutex
	all map[string]imagespec.Descriptor // by the ref that containerd gives the download
}

func (l *layers) add(ctx context.Context, d imagespec.Descriptor) ([]imagespec.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]imagespec.Descriptor{}
	}
	if images.IsLayerType(d.MediaType) {
		l.all[remotes.MakeRefKey(ctx, d)] = d
	}
	return nil, nil
}

// watchPull tells progress until done, and once more at the end.
func (r *Runtime) watchPull(ctx context.Context, seen *layers, progress func(agent.PullProgress), done <-chan struct{}) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-done:
			last = true
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		statuses, err := r.client.ContentStore().ListStatuses(ctx)
		if err != nil {
			continue
		}
		underway := map[string]int64{}
		for _, s := range statuses {
			underway[s.Ref] = s.Offset
		}
		var p agent.PullProgress
		seen.mu.Lock()
		all := make(map[string]imagespec.Descriptor, len(seen.all))
		for k, d := range seen.all {
			all[k] = d
		}
		seen.mu.Unlock()
		for ref, d := range all {
			p.Total += d.Size
			if n, ok := underway[ref]; ok {
				p.Done += n
			} else if _, err := r.client.ContentStore().Info(ctx, d.Digest); err == nil {
				p.Done += d.Size
			}
		}
		progress(p)
	}
}
