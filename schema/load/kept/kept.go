package kept

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// Cache keeps entries in files. Its methods may be called concurrently.
type Cache struct {
	dir string // of the engine
	log *slog.Logger
}

// Open opens or makes the cache in dir, which is its own. engine identifies whoever makes the entries: the program and everything that
// its judgement depends on. An error means that there can be no cache, and nothing else.
func Open(dir, engine string, log *slog.Logger) (*Cache, error) {
	h := sha256.Sum256([]byte(engine))
	name := hex.EncodeToString(h[:8])
	if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
		return nil, fmt.Errorf("open cache of manifests: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open cache of manifests: %w", err)
	}
	for _, e := range entries {
		if e.Name() == name {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("remove cache of another release: %w", err)
		}
	}
	return &Cache{filepath.Join(dir, name), log}, nil
}

func (c *Cache) file(key string) string {
	name := hex.EncodeToString([]byte(key))
	return filepath.Join(c.dir, name[:min(2, len(name))], name)
}

// Get is what was put under key, nil if it is not there as it was put.
func (c *Cache) Get(key []byte) []byte {
	b, err := os.ReadFile(c.file(string(key)))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("cache of manifests was not read", "err", err)
		}
		return nil
	}
	if len(b) < sha256.Size {
		return nil
	}
	if h := sha256.Sum256(b[sha256.Size:]); !bytes.Equal(h[:], b[:sha256.Size]) {
		return nil
	}
	return b[sha256.Size:]
}

// Put adds entries.
func (c *Cache) Put(entries map[string][]byte) {
	for k, v := range entries {
		if err := c.put(k, v); err != nil {
			c.log.Warn("cache of manifests was not written", "err", err)
			return
		}
	}
}

func (c *Cache) put(key string, v []byte) error {
	file := c.file(key)
	h := sha256.Sum256(v)
	b := append(h[:], v...)
	err := os.WriteFile(file, b, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		err = os.WriteFile(file, b, 0o600)
	}
	return err
}

// Sweep drops every entry whose key is not to be kept.
func (c *Cache) Sweep(keep func(key []byte) bool) {
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if key, err := hex.DecodeString(d.Name()); err == nil && keep(key) {
			return nil
		}
		return os.Remove(path)
	})
	if err != nil {
		c.log.Warn("cache of manifests was not swept", "err", err)
	}
}
