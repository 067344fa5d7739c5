package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"reconciler/reconcile"
	"reconciler/reconcile/server"
)

// DefaultPoll is how often a branch is resolved without a hint.
const DefaultPoll = 30 * time.Second

// Config is what a [Source] needs.
type Config struct {
	Repository string        // path of a local repository, bare or not; URLs of other hosts are refused
	Branch     string        // as "main"
	Poll       time.Duration // safety net for hints that were missed; 0: DefaultPoll
	NoWatch    bool          // use no file system notifications, only the poll
	Log        *slog.Logger  // nil: discard
}

// Source is one branch of one repository; it implements [server.Source]. Its methods may be called concurrently.
type Source struct {
	path    string // of the repository, absolute
	gitDir  string // where refs and packed-refs are
	branch  string
	poll    time.Duration
	watch   bool
	log     *slog.Logger
	changed chan struct{} // room for one; written by Run alone
}

var _ server.Source = (*Source)(nil)

// New checks c and that the repository can be opened. The branch need not exist yet.
func New(c Config) (*Source, error) {
	path, err := localPath(c.Repository)
	if err != nil {
		return nil, err
	}
	if ref := plumbing.NewBranchReferenceName(c.Branch); c.Branch == "" || ref.Validate() != nil {
		return nil, fmt.Errorf("branch %q is not a valid name", c.Branch)
	}
	if c.Poll < 0 {
		return nil, fmt.Errorf("poll interval %s is negative", c.Poll)
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{path: path, branch: c.Branch, poll: c.Poll, watch: !c.NoWatch, log: c.Log, changed: make(chan struct{}, 1)}
	if s.gitDir, err = commonDir(path); err != nil {
		return nil, fmt.Errorf("open repository %q: %w", path, err)
	}
	if err := s.readable(); err != nil {
		return nil, err
	}
	return s, nil
}

// localPath is the absolute path that a repository setting names.
func localPath(repository string) (string, error) {
	if repository == "" {
		return "", errors.New("no repository is given")
	}
	if i := strings.Index(repository, "://"); i >= 0 {
		u, err := url.Parse(repository)
		if err != nil || u.Scheme != "file" || u.Host != "" {
			return "", fmt.Errorf("repository %q: ssh and https sources are not supported yet", repository)
		}
		repository = u.Path
	} else if i := strings.IndexByte(repository, ':'); i > 0 && !strings.Contains(repository[:i], "/") {
		// "host:path" is ssh, as git reads it, unless a slash stands before the colon.
		return "", fmt.Errorf("repository %q: ssh and https sources are not supported yet", repository)
	}
	path, err := filepath.Abs(repository)
	if err != nil {
		return "", fmt.Errorf("find repository %q: %w", repository, err)
	}
	return path, nil
}

// commonDir is the directory that holds the refs of the repository at path (gitrepository-layout(5): a .git file and
// "commondir").
func commonDir(path string) (string, error) {
	dir := filepath.Join(path, ".git")
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir = path
	case err != nil:
		return "", err
	case !fi.IsDir():
		b, err := os.ReadFile(dir)
		if err != nil {
			return "", err
		}
		to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir: ")
		if !ok {
			return "", fmt.Errorf("%q names no directory", dir)
		}
		dir = from(path, to)
	}
	b, err := os.ReadFile(filepath.Join(dir, "commondir"))
	if errors.Is(err, fs.ErrNotExist) {
		return dir, nil
	}
	if err != nil {
		return "", err
	}
	return from(dir, strings.TrimSpace(string(b))), nil
}

// from is path as seen from dir.
func from(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// readable tells whether there is a repository at all: the library takes a repository that vanished for one without refs.
func (s *Source) readable() error {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		f, err := os.Open(filepath.Join(s.gitDir, name))
		if err != nil {
			return fmt.Errorf("open repository %q: %w", s.path, err)
		}
		f.Close() // only opened to see that it can be
	}
	if _, err := open(s.path); err != nil {
		return fmt.Errorf("open repository %q: %w", s.path, err)
	}
	return nil
}

// resolve returns the commit that the branch points to. The error wraps [server.ErrNoRevision] if the repository can be
// read and has no such branch.
func (s *Source) resolve(st storer.ReferenceStorer) (plumbing.Hash, error) {
	name := plumbing.NewBranchReferenceName(s.branch)
	ref, err := storer.ResolveReference(st, name)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		if err := s.readable(); err != nil {
			return plumbing.ZeroHash, err
		}
		return plumbing.ZeroHash, fmt.Errorf("resolve branch %q of %q: %w", s.branch, s.path, server.ErrNoRevision)
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("resolve branch %q of %q: %w", s.branch, s.path, err)
	}
	return ref.Hash(), nil
}

// tip opens the repository and resolves the branch.
func (s *Source) tip() (plumbing.Hash, error) {
	r, err := open(s.path)
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("open repository %q: %w", s.path, err)
	}
	return s.resolve(r.Storer)
}

// Head resolves the branch. Trailers are those of the commits that are ancestors of the head, or the head itself, and
// neither since nor an ancestor of since: "git log since..head", newest first, at most 10,000 commits. If since is empty
// or not in the repository they are the head's alone. Commits are the same, at most 500: the oldest stands for all before it, and none
// if since is not known. The error wraps [server.ErrNoRevision] if the repository was read
// and has no such branch.
func (s *Source) Head(ctx context.Context, since reconcile.Revision) (reconcile.Revision, error) {
	o := &objects{path: s.path} // fresh for each call: no index is older than the call
	var rev reconcile.Revision
	err := o.do(func(r *gogit.Repository) error {
		h, err := s.resolve(r.Storer)
		if err != nil {
			return err
		}
		c, err := object.GetCommit(r.Storer, h)
		if err != nil {
			return fmt.Errorf("read commit %s: %w", h, err)
		}
		rev = revision(c, s.branch)
		if rev.Trailers, rev.Commits, err = history(ctx, r.Storer, c, since.Hash); err != nil {
			return fmt.Errorf("read commits of %s since %q: %w", h, since.Hash, err)
		}
		return nil
	})
	if err != nil {
		return reconcile.Revision{}, err
	}
	return rev, nil
}

// Tree is the file tree of a commit, given by its full hash. It stays readable as long as the repository keeps the
// objects. It may be used concurrently, by itself and with all else.
func (s *Source) Tree(ctx context.Context, hash string) (fs.FS, error) {
	if !plumbing.IsHash(hash) {
		return nil, fmt.Errorf("read tree: %q is not the hash of a commit", hash)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return commitTree(s.path, plumbing.NewHash(hash))
}

// commitTree reads a commit and the root of its tree, so that a commit without one is an error here and not an empty tree.
func commitTree(path string, h plumbing.Hash) (*tree, error) {
	o := &objects{path: path}
	c, err := o.commit(h)
	if err != nil {
		return nil, err
	}
	t := newTree(path, c.TreeHash, c.Committer.When)
	if _, err := t.list(t.root, "."); err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	return t, nil
}

// Changed receives when the branch may have moved; it has room for one. It needs Run.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// revision is what is said of a commit, without trailers.
func revision(c *object.Commit, ref string) reconcile.Revision {
	subject, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return reconcile.Revision{
		Hash:    c.Hash.String(),
		Ref:     ref,
		Author:  fmt.Sprintf("%s <%s>", c.Author.Name, c.Author.Email),
		Subject: strings.TrimSpace(subject),
		Time:    c.Committer.When.UTC(),
	}
}
