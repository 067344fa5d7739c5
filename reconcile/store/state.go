package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"reconciler/reconcile"
)

// Keys. A chunk is kept under its hash and the number of its part.
const (
	keyHead   = "reconciler/head"
	keyChunks = "reconciler/chunk/"
	keyEpoch  = "reconciler/epoch"
)

// format is the version of the layout; a store refuses others.
const format = 1

// opsPerTxn is how many operations one transaction has at most; etcd's default limit is 128.
const opsPerTxn = 100

var (
	// ErrMoved is wrapped when the saved state is not the one that this store loaded or saved last.
	ErrMoved = errors.New("store: state was saved by another server")
	// ErrNotLoaded is wrapped by Save before the first Load, and after an error until Load was called.
	ErrNotLoaded = errors.New("store: state must be loaded before it is saved")
)

// head is the one key that makes a state: whatever it lists is the state.
type head struct {
	Format int       `json:"format"`
	Saves  uint64    `json:"saves"` // counts, for people
	Time   time.Time `json:"time"`  // of the save, for people
	Chunks []chunk   `json:"chunks"`
}

func (h head) has() map[string]chunk {
	m := make(map[string]chunk, len(h.Chunks))
	for _, c := range h.Chunks {
		m[c.id()] = c
	}
	return m
}

func partKey(id string, part int) string { return keyChunks + id + "/" + strconv.Itoa(part) }

// Load returns what was saved last; ok is false if nothing ever was. The maps of the state are never nil. It is read as of
// one moment, and every chunk is checked against its hash.
func (s *Store) Load(ctx context.Context) (state reconcile.State, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.cuts = false, cuts{}
	for attempt := 1; ; attempt++ {
		state, ok, err = s.load(ctx)
		// The moment that was read may be compacted away meanwhile; then there is a newer one.
		if !errors.Is(err, rpctypes.ErrCompacted) || attempt == 3 {
			break
		}
	}
	if err != nil {
		return reconcile.State{}, false, fmt.Errorf("load state: %w", err)
	}
	return state, ok, nil
}

func (s *Store) load(ctx context.Context) (reconcile.State, bool, error) {
	h, rev, at, err := s.readHead(ctx)
	if err != nil {
		return reconcile.State{}, false, err
	}
	if rev == 0 {
		s.head, s.rev, s.known = head{}, 0, true
		return reconcile.State{}, false, nil
	}
	chunks := make([]plain, len(h.Chunks))
	for i, c := range h.Chunks {
		if chunks[i], err = s.readChunk(ctx, c, at); err != nil {
			return reconcile.State{}, false, fmt.Errorf("read chunk %s of section %q: %w", c.id(), c.Section, err)
		}
	}
	state, err := join(chunks)
	if err != nil {
		return reconcile.State{}, false, err
	}
	s.head, s.rev, s.known = h, rev, true
	return state, true, nil
}

// readHead returns the head, its mod revision (0: there is none) and the revision at which it was read.
func (s *Store) readHead(ctx context.Context) (h head, rev, at int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Get(ctx, keyHead)
	if err != nil {
		return head{}, 0, 0, fmt.Errorf("read head: %w", err)
	}
	if len(r.Kvs) == 0 {
		return head{}, 0, r.Header.Revision, nil
	}
	if err := json.Unmarshal(r.Kvs[0].Value, &h); err != nil {
		return head{}, 0, 0, fmt.Errorf("decode head: %w", err)
	}
	if h.Format != format {
		return head{}, 0, 0, fmt.Errorf("decode head: format %d is not %d, which this version reads", h.Format, format)
	}
	return h, r.Kvs[0].ModRevision, r.Header.Revision, nil
}

func (s *Store) readChunk(ctx context.Context, c chunk, at int64) (plain, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var packed []byte
	for part := range c.parts() {
		r, err := s.client.Get(ctx, partKey(c.id(), part), clientv3.WithRev(at))
		if err != nil {
			return plain{}, err
		}
		if len(r.Kvs) == 0 {
			return plain{}, fmt.Errorf("part %d is missing", part)
		}
		packed = append(packed, r.Kvs[0].Value...)
	}
	b, err := unpack(packed)
	if err != nil {
		return plain{}, err
	}
	p := plain{c.Section, b, hashChunk(c.Section, b)}
	if !bytes.Equal(p.hash[:], c.Hash) {
		return plain{}, errors.New("its contents do not have its hash")
	}
	return p, nil
}

// Save keeps state as a whole or not at all: all of it is durable when it returns nil. After an error the outcome is
// unknown, and every further Save is refused (it wraps [ErrNotLoaded]) until Load was called. If the saved state is not the
// one this store loaded or saved last, it is left alone and the error wraps [ErrMoved].
func (s *Store) Save(ctx context.Context, state reconcile.State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return fmt.Errorf("save state: %w", ErrNotLoaded)
	}
	s.known = false
	if err := s.save(ctx, state); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	s.known = true
	// What is left over is only in the way of the disk. It is looked for again after the next save.
	_ = s.sweep(ctx)
	return nil
}

func (s *Store) save(ctx context.Context, state reconcile.State) error {
	chunks, cuts, err := cut(state, s.cuts)
	if err != nil {
		return err
	}
	has := s.head.has()
	next := head{Format: format, Saves: s.head.Saves + 1, Time: time.Now().UTC()}
	b := batch{store: s}
	for _, p := range chunks {
		c := chunk{Section: p.section, Hash: p.hash[:]}
		if old, ok := has[c.id()]; ok {
			next.Chunks = append(next.Chunks, old)
			continue
		}
		if p.json == nil {
			return fmt.Errorf("section %q: a chunk that was kept is not listed any more", p.section)
		}
		parts, err := pack(p.json)
		if err != nil {
			return fmt.Errorf("compress section %q: %w", p.section, err)
		}
		if len(parts) > 1 {
			c.Parts = len(parts)
		}
		for i, part := range parts {
			if err := b.put(ctx, partKey(c.id(), i), part); err != nil {
				return err
			}
		}
		next.Chunks = append(next.Chunks, c)
		has[c.id()] = c // equal chunks are kept once
	}
	if err := b.flush(ctx); err != nil {
		return err
	}
	value, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode head: %w", err)
	}
	rev, err := s.write(ctx, "head", clientv3.OpPut(keyHead, string(value)))
	if err != nil {
		return err
	}
	s.head, s.rev, s.cuts = next, rev, cuts
	return nil
}

// write does ops in one transaction if the head is still the one last seen, and returns the transaction's revision.
func (s *Store) write(ctx context.Context, step string, ops ...clientv3.Op) (int64, error) {
	if s.fault != nil {
		if err := s.fault(step); err != nil {
			return 0, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(keyHead), "=", s.rev)).Then(ops...).Commit()
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", step, err)
	}
	if !r.Succeeded {
		return 0, ErrMoved
	}
	return r.Header.Revision, nil
}

// batch gathers puts of chunks into transactions of bounded size.
type batch struct {
	store *Store
	ops   []clientv3.Op
	size  int
}

func (b *batch) put(ctx context.Context, key string, value []byte) error {
	if len(b.ops) == opsPerTxn || b.size+len(value) > partSize {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.ops = append(b.ops, clientv3.OpPut(key, string(value)))
	b.size += len(value)
	return nil
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.ops) == 0 {
		return nil
	}
	_, err := b.store.write(ctx, "chunks", b.ops...)
	b.ops, b.size = nil, 0
	return err
}

// sweep removes the chunks that the head does not list: those of the state before and those of interrupted saves. A chunk
// that was written after the head is another writer's, whose own head may list it, and stays.
func (s *Store) sweep(ctx context.Context) error {
	has := s.head.has()
	var conds []clientv3.Cmp
	var ops []clientv3.Op
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		if s.fault != nil {
			if err := s.fault("sweep"); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(keyHead), "=", s.rev))
		_, err := s.client.Txn(ctx).If(conds...).Then(ops...).Commit()
		conds, ops = nil, nil
		return err
	}
	end := clientv3.GetPrefixRangeEnd(keyChunks)
	for from := keyChunks; ; {
		keys, more, err := s.listKeys(ctx, from, end)
		if err != nil {
			return err
		}
		for _, key := range keys {
			from = key + "\x00"
			id, _, _ := strings.Cut(strings.TrimPrefix(key, keyChunks), "/")
			if _, ok := has[id]; ok {
				continue
			}
			conds = append(conds, clientv3.Compare(clientv3.ModRevision(key), "<", s.rev))
			ops = append(ops, clientv3.OpDelete(key))
			if len(ops) == opsPerTxn {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if !more {
			return flush()
		}
	}
}

// listKeys lists at most 10,000 keys of chunks as of the last head.
func (s *Store) listKeys(ctx context.Context, from, end string) (keys []string, more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(10_000), clientv3.WithRev(s.rev))
	if err != nil {
		return nil, false, err
	}
	for _, kv := range r.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys, r.More, nil
}
