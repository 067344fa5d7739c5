package git

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// objects is the object database of one repository. It may be used concurrently: calls queue.
type objects struct {
	path string

	mu   sync.Mutex        // protects repo and every read through it: the library's storage is not safe to share
	repo *gogit.Repository // nil until the first use; replaced when git moved objects
}

// open opens the repository at path, which is a bare one, a directory with a .git in it, or a linked working tree.
func open(path string) (*gogit.Repository, error) {
	return gogit.PlainOpenWithOptions(path, &gogit.PlainOpenOptions{EnableDotGitCommonDir: true})
}

// do calls f, and up to twice more with a freshly opened repository if an object was not found: the indexes of packs are
// read once, so a repack or gc by git hides objects from an open repository. f must be repeatable.
func (o *objects) do(f func(*gogit.Repository) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for attempt := 1; ; attempt++ {
		if o.repo == nil {
			r, err := open(o.path)
			if err != nil {
				return fmt.Errorf("open repository %q: %w", o.path, unknown(err))
			}
			o.repo = r
		}
		err := f(o.repo)
		if err == nil {
			return nil
		}
		// Nothing of a repository that failed is used again, so the next call starts with fresh indexes too.
		o.repo = nil
		// The third attempt is for a repack between the reading of a fresh index and of its pack.
		if attempt == 3 || !moved(err) {
			return unknown(err)
		}
	}
}

// moved tells whether err is what a repack under an open repository causes.
func moved(err error) bool {
	return errors.Is(err, plumbing.ErrObjectNotFound) || errors.Is(err, dotgit.ErrPackfileNotFound) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF)
}

// unknown makes sure that an unreadable object database is not taken for an absent file.
func unknown(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New(err.Error())
	}
	return err
}

// commit reads one commit.
func (o *objects) commit(h plumbing.Hash) (c *object.Commit, err error) {
	err = o.do(func(r *gogit.Repository) error {
		c, err = object.GetCommit(r.Storer, h)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", h, err)
	}
	return c, nil
}

// entry is one entry of a tree object.
type entry struct {
	name string
	mode filemode.FileMode
	hash plumbing.Hash
}

// tree reads one tree object.
func (o *objects) tree(h plumbing.Hash) ([]entry, error) {
	var entries []entry
	err := o.do(func(r *gogit.Repository) error {
		t, err := object.GetTree(r.Storer, h)
		if err != nil {
			return err
		}
		entries = make([]entry, len(t.Entries))
		for i, e := range t.Entries {
			entries[i] = entry{e.Name, e.Mode, e.Hash}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read tree %s: %w", h, err)
	}
	return entries, nil
}

// size is the size of a blob in bytes, found without reading all of it.
func (o *objects) size(h plumbing.Hash) (n int64, err error) {
	err = o.do(func(r *gogit.Repository) error {
		n, err = r.Storer.EncodedObjectSize(h)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read size of blob %s: %w", h, err)
	}
	return n, nil
}

// blob reads a whole blob.
func (o *objects) blob(h plumbing.Hash) (b []byte, err error) {
	err = o.do(func(r *gogit.Repository) (err error) {
		e, err := r.Storer.EncodedObject(plumbing.BlobObject, h)
		if err != nil {
			return err
		}
		rd, err := e.Reader()
		if err != nil {
			return err
		}
		defer rd.Close() // read to its end or failed; nothing is lost
		b, err = io.ReadAll(rd)
		if err == nil && int64(len(b)) != e.Size() {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", h, err)
	}
	return b, nil
}
