package kept

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"sync"
)

// Cache keeps entries in a file. Its methods may be called concurrently. One process at a time may use a file.
type Cache struct {
	path   string
	engine [sha256.Size]byte
	log    *slog.Logger

	mu    sync.RWMutex // protects the fields below; held while the file is written
	file  *os.File
	size  int64
	index map[string]entry
}

// entry is where a value is.
type entry struct {
	offset int64
	length uint32
	sum    uint32
}

const (
	// maxSize is the size of the file, in bytes, from which on nothing is added: a thousand times what a large fleet needs.
	maxSize = 16 << 30
	// maxKey and maxValue bound what a length that is garbage can make us read.
	maxKey   = 1 << 10
	maxValue = 256 << 20
	headSize = 12 // lengths of key and value, checksum of both
)

var checksums = crc32.MakeTable(crc32.Castagnoli)

// Open opens or makes the file. engine identifies whoever makes the entries: the program and everything that its judgement depends
// on. An error means that there can be no cache, and nothing else.
func Open(path, engine string, log *slog.Logger) (*Cache, error) {
	c := &Cache{path: path, engine: sha256.Sum256([]byte(engine)), log: log, index: map[string]entry{}}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open cache of manifests: %w", err)
	}
	c.file = f
	if err := c.scan(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read cache of manifests: %w", err)
	}
	return c, nil
}

// scan finds the entries, up to the first that is not as it was written, and cuts the rest off.
func (c *Cache) scan() error {
	r := bufio.NewReaderSize(c.file, 1<<20)
	head := make([]byte, len(c.engine))
	if _, err := io.ReadFull(r, head); err != nil || !bytes.Equal(head, c.engine[:]) {
		return c.begin()
	}
	c.size = int64(len(head))
	for {
		key, e, err := next(r, c.size)
		if err != nil {
			break
		}
		c.index[key] = e
		c.size = e.offset + int64(e.length)
	}
	return c.file.Truncate(c.size)
}

// next reads one entry, which begins at offset.
func next(r io.Reader, offset int64) (string, entry, error) {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return "", entry{}, err
	}
	keys, values, sum := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	if keys > maxKey || values > maxValue {
		return "", entry{}, errors.New("not an entry")
	}
	b := make([]byte, keys+values)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", entry{}, err
	}
	if crc32.Checksum(b, checksums) != sum {
		return "", entry{}, errors.New("not as it was written")
	}
	return string(b[:keys]), entry{offset + headSize + int64(keys), values, crc32.Checksum(b[keys:], checksums)}, nil
}

// begin empties the file.
func (c *Cache) begin() error {
	if err := c.file.Truncate(0); err != nil {
		return err
	}
	if _, err := c.file.WriteAt(c.engine[:], 0); err != nil {
		return err
	}
	c.size = int64(len(c.engine))
	return nil
}

// Get is what was put under key, nil if it is not there as it was put.
func (c *Cache) Get(key []byte) []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	e, ok := c.index[string(key)]
	if !ok {
		return nil
	}
	b := make([]byte, e.length)
	if _, err := c.file.ReadAt(b, e.offset); err != nil {
		c.log.Warn("cache of manifests was not read", "err", err)
		return nil
	}
	if crc32.Checksum(b, checksums) != e.sum {
		return nil
	}
	return b
}

// Put adds entries.
func (c *Cache) Put(entries map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	added := make(map[string]entry, len(entries))
	for k, v := range entries {
		if len(k) <= maxKey && len(v) <= maxValue {
			added[k] = put(&b, c.size, k, v)
		}
	}
	if c.size+int64(b.Len()) > maxSize {
		return
	}
	if _, err := c.file.WriteAt(b.Bytes(), c.size); err != nil {
		c.log.Warn("cache of manifests was not written", "err", err)
		return // the next Put writes over it
	}
	c.size += int64(b.Len())
	for k, e := range added {
		c.index[k] = e
	}
}

// put appends an entry to b, which will be written at offset.
func put(b *bytes.Buffer, offset int64, key string, value []byte) entry {
	head := make([]byte, headSize)
	binary.LittleEndian.PutUint32(head, uint32(len(key)))
	binary.LittleEndian.PutUint32(head[4:], uint32(len(value)))
	sum := crc32.Update(crc32.Checksum([]byte(key), checksums), checksums, value)
	binary.LittleEndian.PutUint32(head[8:], sum)
	e := entry{offset + int64(b.Len()) + headSize + int64(len(key)), uint32(len(value)), crc32.Checksum(value, checksums)}
	b.Write(head)
	b.WriteString(key)
	b.Write(value)
	return e
}

// Sweep drops every entry whose key is not to be kept.
func (c *Cache) Sweep(keep func(key []byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone := 0
	for k := range c.index {
		if !keep([]byte(k)) {
			gone++
		}
	}
	if gone == 0 {
		return
	}
	if err := c.rewrite(keep); err != nil {
		c.log.Warn("cache of manifests was not swept", "err", err)
	}
}

// rewrite makes the file anew of the entries that are to be kept.
func (c *Cache) rewrite(keep func(key []byte) bool) error {
	temporary := c.path + ".new"
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	fresh := &Cache{path: c.path, engine: c.engine, log: c.log, file: f, index: map[string]entry{}}
	err = fresh.begin()
	w := bufio.NewWriterSize(io.NewOffsetWriter(f, fresh.size), 1<<20)
	for k, e := range c.index {
		if err != nil || !keep([]byte(k)) {
			continue
		}
		v := make([]byte, e.length)
		if _, err = c.file.ReadAt(v, e.offset); err != nil {
			break
		}
		var b bytes.Buffer
		fresh.index[k] = put(&b, fresh.size, k, v)
		fresh.size += int64(b.Len())
		_, err = w.Write(b.Bytes())
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = os.Rename(temporary, c.path)
	}
	if err != nil {
		f.Close()
		return errors.Join(err, os.Remove(temporary))
	}
	c.file.Close()
	c.file, c.size, c.index = fresh.file, fresh.size, fresh.index
	return nil
}

// Close closes the file.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Close()
}
