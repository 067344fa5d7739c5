package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"reconciler/reconcile"
)

const (
	keyOutcomes = "reconciler/outcome/"
	keyPlans    = "reconciler/plan/"
)

// maxPlan is the most bytes that one plan is kept in: one of 150,000 pods has about 3 MiB.
const maxPlan = 32 << 20

func outcomeKey(number uint64) string { return keyOutcomes + fmt.Sprintf("%020d", number) }

func planPrefix(number uint64) string { return keyPlans + fmt.Sprintf("%020d/", number) }

// Outcomes are what became of revisions, oldest first.
func (s *Store) Outcomes(ctx context.Context) ([]reconcile.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := s.client.Get(ctx, keyOutcomes, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read outcomes: %w", err)
	}
	var all []reconcile.Outcome
	for _, kv := range r.Kvs {
		var o reconcile.Outcome
		if err := json.Unmarshal(kv.Value, &o); err != nil {
			return nil, fmt.Errorf("read outcome %s: %w", strings.TrimPrefix(string(kv.Key), keyOutcomes), err)
		}
		all = append(all, o)
	}
	return all, nil
}

// PutOutcome keeps what became of a revision in place of what was kept under its number.
func (s *Store) PutOutcome(ctx context.Context, o reconcile.Outcome) error {
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("keep outcome of %s: %w", o.Revision.Hash, err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := s.client.Put(ctx, outcomeKey(o.Number), string(b)); err != nil {
		return fmt.Errorf("keep outcome of %s: %w", o.Revision.Hash, err)
	}
	return nil
}

// PutPlan keeps the document of a plan under the number of its outcome, and says in how many bytes. It is not durable as a
// whole before it returns nil.
func (s *Store) PutPlan(ctx context.Context, number uint64, document []byte) (size int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep plan %d: %w", number, err)
		}
	}()
	parts, err := pack(document)
	if err != nil {
		return 0, err
	}
	for _, p := range parts {
		size += len(p)
	}
	if size > maxPlan {
		return 0, fmt.Errorf("it has %d bytes, more than %d", size, maxPlan)
	}
	if err := s.dropPlan(ctx, number); err != nil {
		return 0, err
	}
	for i, p := range parts {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		_, err := s.client.Put(ctx, planPrefix(number)+fmt.Sprintf("%04d", i), string(p))
		cancel()
		if err != nil {
			return 0, err
		}
	}
	return size, nil
}

// Plan is the document that was kept under a number; nil if there is none.
func (s *Store) Plan(ctx context.Context, number uint64) ([]byte, error) {
	var packed [][]byte
	for i := range maxPlan/partSize + 1 {
		part, _, err := s.get(ctx, planPrefix(number)+fmt.Sprintf("%04d", i))
		if err != nil {
			return nil, fmt.Errorf("read plan %d: %w", number, err)
		}
		if part == nil {
			break
		}
		packed = append(packed, part)
	}
	if packed == nil {
		return nil, nil
	}
	b, err := unpack(slices.Concat(packed...))
	if err != nil {
		return nil, fmt.Errorf("read plan %d: %w", number, err)
	}
	return b, nil
}

// DropOutcomes forgets outcomes with their plans.
func (s *Store) DropOutcomes(ctx context.Context, numbers []uint64) error {
	for _, n := range numbers {
		if err := s.dropPlan(ctx, n); err != nil {
			return fmt.Errorf("forget outcome %s: %w", strconv.FormatUint(n, 10), err)
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		_, err := s.client.Delete(ctx, outcomeKey(n))
		cancel()
		if err != nil {
			return fmt.Errorf("forget outcome %s: %w", strconv.FormatUint(n, 10), err)
		}
	}
	return nil
}

func (s *Store) dropPlan(ctx context.Context, number uint64) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.client.Delete(ctx, planPrefix(number), clientv3.WithPrefix())
	return err
}
