package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	keyTokens     = "reconciler/token/"
	keyIdentities = "reconciler/identity/"
)

// NewEpoch returns a number that is higher than every one it returned before, in this process or an earlier one. The first
// is 1. After an error the number may be used up.
func (s *Store) NewEpoch(ctx context.Context) (uint64, error) { return s.NewEpochAbove(ctx, 0) }

// NewEpochAbove is NewEpoch with a number that is above another one, too.
func (s *Store) NewEpochAbove(ctx context.Context, least uint64) (uint64, error) {
	var epoch uint64
	err := s.swap(ctx, keyEpoch, func(old []byte) ([]byte, error) {
		epoch = 0
		if old != nil {
			var err error
			if epoch, err = strconv.ParseUint(string(old), 10, 64); err != nil {
				return nil, err
			}
		}
		epoch = max(epoch, least) + 1
		return strconv.AppendUint(nil, epoch, 10), nil
	})
	if err != nil {
		return 0, fmt.Errorf("make epoch: %w", err)
	}
	return epoch, nil
}

// PutToken keeps a join token in place of what has this id.
func (s *Store) PutToken(ctx context.Context, id string, token []byte) error {
	if err := s.swap(ctx, keyTokens+id, func([]byte) ([]byte, error) { return nonNil(token), nil }); err != nil {
		return fmt.Errorf("put token %q: %w", id, err)
	}
	return nil
}

// UseToken replaces a token by what update makes of it, or deletes it if that is nil; nobody else's update comes between,
// and update may be called several times. An error of update is returned and changes nothing. The error wraps
// [fs.ErrNotExist] if there is no such token.
func (s *Store) UseToken(ctx context.Context, id string, update func(old []byte) ([]byte, error)) error {
	if err := s.swap(ctx, keyTokens+id, func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, fs.ErrNotExist
		}
		return update(old)
	}); err != nil {
		return fmt.Errorf("use token %q: %w", id, err)
	}
	return nil
}

// Identity is what is kept of a minion; nil if there is nothing.
func (s *Store) Identity(ctx context.Context, minion string) ([]byte, error) {
	value, _, err := s.get(ctx, keyIdentities+minion)
	if err != nil {
		return nil, fmt.Errorf("read identity of minion %q: %w", minion, err)
	}
	return value, nil
}

// PutIdentity keeps what replaces expectedOld (nil: there must be nothing; replacement nil: it is deleted). The error wraps
// [fs.ErrExist] if something else is kept.
func (s *Store) PutIdentity(ctx context.Context, minion string, expectedOld, replacement []byte) error {
	if err := s.swap(ctx, keyIdentities+minion, func(old []byte) ([]byte, error) {
		if (old == nil) != (expectedOld == nil) || string(old) != string(expectedOld) {
			return nil, fs.ErrExist
		}
		return replacement, nil
	}); err != nil {
		return fmt.Errorf("put identity of minion %q: %w", minion, err)
	}
	return nil
}

// Identities is what is kept of every minion, by name.
func (s *Store) Identities(ctx context.Context) (map[string][]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Get(ctx, keyIdentities, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	m := make(map[string][]byte, len(r.Kvs))
	for _, kv := range r.Kvs {
		m[strings.TrimPrefix(string(kv.Key), keyIdentities)] = nonNil(kv.Value)
	}
	return m, nil
}

// errContended ends a swap that others always came before.
var errContended = errors.New("too many others write it at the same time")

// swap replaces the value of key by what update makes of it (nil in: there is none; nil out: delete), by compare-and-swap.
func (s *Store) swap(ctx context.Context, key string, update func(old []byte) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for range 1000 {
		old, rev, err := s.get(ctx, key)
		if err != nil {
			return err
		}
		value, err := update(old)
		if err != nil {
			return err
		}
		op := clientv3.OpPut(key, string(value))
		if value == nil {
			op = clientv3.OpDelete(key)
		}
		r, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", rev)).Then(op).Commit()
		if err != nil {
			return err
		}
		if r.Succeeded {
			return nil
		}
	}
	return errContended
}

// get returns the value of key and its mod revision: nil and 0 if there is none.
func (s *Store) get(ctx context.Context, key string) ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Get(ctx, key)
	if err != nil || len(r.Kvs) == 0 {
		return nil, 0, err
	}
	return nonNil(r.Kvs[0].Value), r.Kvs[0].ModRevision, nil
}

// nonNil keeps an empty value apart from none.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
