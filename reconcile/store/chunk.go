package store

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"reconciler/reconcile"
	"reconciler/schema"
)

const (
	// chunkItems is how many items a chunk has on average. Where it is cut depends on the items' keys alone, so an item
	// that comes or goes changes one chunk, and moves no other.
	chunkItems = 64
	// chunkSize is after how many bytes of JSON a chunk is cut in any case.
	chunkSize = 512 << 10
	// partSize is the most of a chunk, compressed, that is kept under one key. etcd's own limit is 1.5 MiB by default.
	partSize = 1 << 20
	// maxChunk is the most that a chunk may be when unpacked: one item has at most some megabytes.
	maxChunk = 256 << 20
)

// section names a part of the state that is cut on its own.
type section string

const (
	sectionRest        section = "rest" // all that has no section of its own, and is small
	sectionPods        section = "accepted.pods"
	sectionServices    section = "accepted.services"
	sectionControllers section = "accepted.replicationControllers"
	sectionEndpoints   section = "accepted.endpoints"
	sectionConfigMaps  section = "accepted.configMaps"
	sectionSecrets     section = "accepted.secrets"
	sectionNamespaces  section = "accepted.namespaces"
	sectionNodes       section = "accepted.nodes"
	sectionClusters    section = "accepted.clusters"
	sectionPolicies    section = "accepted.policies"
	sectionPositions   section = "accepted.positions"
	sectionBindings    section = "bindings"
	sectionObjects     section = "objects"
	sectionMinions     section = "minions"
	sectionResting     section = "resting"
)

// chunk is some consecutive items of one section, as the head lists it.
type chunk struct {
	Section section `json:"section"`
	Hash    []byte  `json:"hash"`            // sha256 of the section's name, a zero byte and the JSON
	Parts   int     `json:"parts,omitempty"` // keys it is kept under; 0 is 1
}

func (c chunk) id() string { return hex.EncodeToString(c.Hash) }

func (c chunk) parts() int { return max(c.Parts, 1) }

// plain is a chunk with its contents: a JSON array of items.
type plain struct {
	section section
	json    []byte
	hash    [sha256.Size]byte
}

func hashChunk(s section, b []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write([]byte(s))
	h.Write([]byte{0})
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}

// item is one value with the key it has in the state.
type item[T any] struct {
	Key   string `json:"k"`
	Value T      `json:"v"`
}

// kept remembers how the items of a section were cut for the last save, by the key of each chunk's first item: a chunk of the same
// items, which nobody changes, is not encoded again. The zero value remembers nothing.
type kept[T comparable] map[string]keptChunk[T]

type keptChunk[T comparable] struct {
	items []item[T]
	last  bool // it was cut because there were no more
	hash  [sha256.Size]byte
}

// find is what the first of some items were cut to, as far as that is remembered.
func (k kept[T]) find(items []item[T]) (c keptChunk[T], ok bool) {
	c, ok = k[items[0].Key]
	n := len(c.items)
	return c, ok && n <= len(items) && (!c.last || n == len(items)) && slices.Equal(c.items, items[:n])
}

// cuts remembers all sections but the smaller ones.
type cuts struct {
	pods        kept[*schema.Pod]
	services    kept[*schema.Service]
	controllers kept[*schema.ReplicationController]
	endpoints   kept[*schema.Endpoints]
	configMaps  kept[*schema.ConfigMap]
	secrets     kept[*schema.Secret]
	positions   kept[schema.Position]
	bindings    kept[*reconcile.Binding]
	objects     kept[reconcile.Record]
}

// cut encodes a state. A chunk that was remembered has a hash alone. The second value is to be remembered.
func cut(s reconcile.State, was cuts) ([]plain, cuts, error) {
	rest := s
	rest.Bindings, rest.Objects, rest.Minions, rest.Resting, rest.Accepted = reconcile.Bindings{}, nil, nil, nil, nil
	set := s.Accepted
	if set == nil {
		set = &schema.Set{}
	} else {
		rest.Accepted = &schema.Set{} // there was one, even if it is empty
	}
	resting := make(map[string]time.Time, len(s.Resting))
	for a, t := range s.Resting {
		resting[a.String()] = t
	}
	var is cuts
	jobs := []func() ([]plain, error){
		func() ([]plain, error) { return cutItems(sectionRest, []item[reconcile.State]{{Value: rest}}) },
		func() ([]plain, error) { return recut(sectionPods, objects(set.Pods), was.pods, &is.pods) },
		func() ([]plain, error) {
			return recut(sectionServices, objects(set.Services), was.services, &is.services)
		},
		func() ([]plain, error) {
			return recut(sectionControllers, objects(set.ReplicationControllers), was.controllers, &is.controllers)
		},
		func() ([]plain, error) {
			return recut(sectionEndpoints, objects(set.Endpoints), was.endpoints, &is.endpoints)
		},
		func() ([]plain, error) {
			return recut(sectionConfigMaps, objects(set.ConfigMaps), was.configMaps, &is.configMaps)
		},
		func() ([]plain, error) {
			return recut(sectionSecrets, objects(set.Secrets), was.secrets, &is.secrets)
		},
		func() ([]plain, error) { return cutItems(sectionNamespaces, objects(set.Namespaces)) },
		func() ([]plain, error) { return cutItems(sectionNodes, objects(set.Nodes)) },
		func() ([]plain, error) { return cutItems(sectionClusters, objects(set.Clusters)) },
		func() ([]plain, error) { return cutItems(sectionPolicies, objects(set.Policies)) },
		func() ([]plain, error) {
			return recut(sectionPositions, sorted(set.Positions), was.positions, &is.positions)
		},
		func() ([]plain, error) {
			items := make([]item[*reconcile.Binding], 0, s.Bindings.Len())
			for b := range s.Bindings.All() { // by minion, then id
				items = append(items, item[*reconcile.Binding]{b.ID, b})
			}
			return recut(sectionBindings, items, was.bindings, &is.bindings)
		},
		func() ([]plain, error) { return recut(sectionObjects, sorted(s.Objects), was.objects, &is.objects) },
		func() ([]plain, error) { return cutItems(sectionMinions, sorted(s.Minions)) },
		func() ([]plain, error) { return cutItems(sectionResting, sorted(resting)) },
	}
	results, errs := make([][]plain, len(jobs)), make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, job := range jobs {
		wg.Go(func() { results[i], errs[i] = job() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, cuts{}, err
		}
	}
	return slices.Concat(results...), is, nil
}

func objects[T interface{ Key() schema.Key }](list []T) []item[T] {
	out := make([]item[T], len(list))
	for i, o := range list {
		out[i] = item[T]{o.Key().String(), o}
	}
	return out
}

// sorted lists a map by key.
func sorted[T any](m map[string]T) []item[T] {
	out := make([]item[T], 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, item[T]{k, m[k]})
	}
	return out
}

// cutItems encodes items in chunks.
func cutItems[T any](s section, items []item[T]) ([]plain, error) {
	var out []plain
	for len(items) > 0 {
		p, n, err := cutChunk(s, items)
		if err != nil {
			return nil, err
		}
		out, items = append(out, p), items[n:]
	}
	return out, nil
}

// recut is cutItems where something may be remembered, and tells what is to be.
func recut[T comparable](s section, items []item[T], was kept[T], is *kept[T]) ([]plain, error) {
	*is = make(kept[T], len(was))
	var out []plain
	for len(items) > 0 {
		c, ok := was.find(items)
		p, n := plain{section: s, hash: c.hash}, len(c.items)
		if !ok {
			var err error
			if p, n, err = cutChunk(s, items); err != nil {
				return nil, err
			}
		}
		(*is)[items[0].Key] = keptChunk[T]{items[:n:n], n == len(items), p.hash}
		out, items = append(out, p), items[n:]
	}
	return out, nil
}

// cutChunk encodes as many items as belong in one chunk, and tells how many that are.
func cutChunk[T any](s section, items []item[T]) (p plain, n int, err error) {
	b := []byte{'['}
	for i, it := range items {
		enc, err := json.Marshal(it)
		if err != nil {
			return plain{}, 0, fmt.Errorf("encode %s %q: %w", s, it.Key, err)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, enc...)
		h := fnv.New32a()
		h.Write([]byte(it.Key))
		if i == len(items)-1 || len(b) > chunkSize || h.Sum32()%chunkItems == 0 {
			n = i + 1
			break
		}
	}
	b = append(b, ']')
	return plain{s, b, hashChunk(s, b)}, n, nil
}

// join decodes a state. Its maps are never nil.
func join(chunks []plain) (reconcile.State, error) {
	s := reconcile.State{
		Objects: map[string]reconcile.Record{}, Minions: map[string]reconcile.Node{}, Resting: map[netip.Addr]time.Time{},
	}
	if len(chunks) == 0 || chunks[0].section != sectionRest {
		return s, fmt.Errorf("decode state: its first chunk is not %q", sectionRest)
	}
	resting, bindings := map[string]time.Time{}, []reconcile.Binding{}
	for i, c := range chunks {
		var err error
		set := s.Accepted
		if set == nil {
			set = &schema.Set{} // thrown away: a state without a set has no such chunks
		}
		switch c.section {
		case sectionRest:
			var rest []item[reconcile.State]
			if rest, err = decode[reconcile.State](c); err == nil && (i != 0 || len(rest) != 1) {
				err = fmt.Errorf("it stands there more than once")
			}
			if err == nil {
				maps := s
				s = rest[0].Value
				s.Objects, s.Minions, s.Resting = maps.Objects, maps.Minions, maps.Resting
			}
		case sectionPods:
			err = joinList(c, &set.Pods)
		case sectionServices:
			err = joinList(c, &set.Services)
		case sectionControllers:
			err = joinList(c, &set.ReplicationControllers)
		case sectionEndpoints:
			err = joinList(c, &set.Endpoints)
		case sectionConfigMaps:
			err = joinList(c, &set.ConfigMaps)
		case sectionSecrets:
			err = joinList(c, &set.Secrets)
		case sectionNamespaces:
			err = joinList(c, &set.Namespaces)
		case sectionNodes:
			err = joinList(c, &set.Nodes)
		case sectionClusters:
			err = joinList(c, &set.Clusters)
		case sectionPolicies:
			err = joinList(c, &set.Policies)
		case sectionPositions:
			if set.Positions == nil {
				set.Positions = map[string]schema.Position{}
			}
			err = joinMap(c, set.Positions)
		case sectionBindings:
			err = joinList(c, &bindings)
		case sectionObjects:
			err = joinMap(c, s.Objects)
		case sectionMinions:
			err = joinMap(c, s.Minions)
		case sectionResting:
			err = joinMap(c, resting)
		default:
			err = fmt.Errorf("this version does not know it")
		}
		if err != nil {
			return s, fmt.Errorf("decode section %q: %w", c.section, err)
		}
	}
	s.Bindings = reconcile.BindingsOf(bindings...)
	for a, t := range resting {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return s, fmt.Errorf("decode section %q: %w", sectionResting, err)
		}
		s.Resting[addr] = t
	}
	return s, nil
}

func joinList[T any](c plain, to *[]T) error {
	items, err := decode[T](c)
	for _, it := range items {
		*to = append(*to, it.Value)
	}
	return err
}

func joinMap[T any](c plain, to map[string]T) error {
	items, err := decode[T](c)
	for _, it := range items {
		to[it.Key] = it.Value
	}
	return err
}

// decode is strict: a field that this version does not know would be lost at the next save.
func decode[T any](c plain) ([]item[T], error) {
	dec := json.NewDecoder(bytes.NewReader(c.json))
	dec.DisallowUnknownFields()
	var items []item[T]
	if err := dec.Decode(&items); err != nil {
		return nil, err
	}
	return items, nil
}

// The first byte of what is kept says how the rest is encoded.
const (
	encodingPlain byte = 0
	encodingGzip  byte = 1
)

// pack compresses a chunk if that makes it smaller, and cuts it in parts.
func pack(b []byte) ([][]byte, error) {
	var buf bytes.Buffer
	buf.WriteByte(encodingGzip)
	z, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	packed := buf.Bytes()
	if len(packed) > len(b) {
		packed = append([]byte{encodingPlain}, b...)
	}
	return slices.Collect(slices.Chunk(packed, partSize)), nil
}

// unpack is the opposite of pack, on the joined parts.
func unpack(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	switch b[0] {
	case encodingPlain:
		return b[1:], nil
	case encodingGzip:
		z, err := gzip.NewReader(bytes.NewReader(b[1:]))
		if err != nil {
			return nil, err
		}
		out, err := io.ReadAll(io.LimitReader(z, maxChunk+1))
		if err == nil && len(out) > maxChunk {
			err = fmt.Errorf("it is larger than %d bytes", maxChunk)
		}
		return out, err
	}
	return nil, fmt.Errorf("encoding %d is not known", b[0])
}
