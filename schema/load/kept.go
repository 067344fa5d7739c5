package load

import (
	"bytes"
	"encoding/json"
	"fmt"

	"reconciler/schema"
)

// Cache keeps what good files and packages said, so that a restart costs their reading only. Its methods may be called
// concurrently. It is never needed: what it lost is made again, and its errors are its own business.
type Cache interface {
	// Get is what was put under key, nil if it is not there.
	Get(key []byte) []byte
	// Put adds entries; it takes them over.
	Put(entries map[string][]byte)
	// Sweep drops every entry whose key is not to be kept.
	Sweep(keep func(key []byte) bool)
}

// keptResult is a fileResult without errors as it is kept in a [Cache]: this as JSON, and behind it the objects as JSON, one after
// the other. (Objects inside of it would be scanned twice.)
type keptResult struct {
	Size     int64        `json:"size"` // of the file
	Package  string       `json:"package,omitempty"`
	Files    []string     `json:"files,omitempty"`
	Tags     []string     `json:"tags,omitempty"`
	Warnings []string     `json:"warnings,omitempty"`
	Objects  []keptObject `json:"objects"`
}

type keptObject struct {
	Version  string          `json:"version"`
	Form     schema.Kind     `json:"form"` // as it was written
	Kind     schema.Kind     `json:"kind"`
	Position schema.Position `json:"position"`
	Length   int             `json:"length"` // bytes
}

func (c *cached) encode() []byte {
	r := c.result
	k := keptResult{Size: c.size, Package: r.pkg, Files: r.files, Tags: r.tags, Warnings: r.warnings, Objects: []keptObject{}}
	var objects []byte
	for _, o := range r.objects {
		b, err := json.Marshal(o.Object)
		if err != nil {
			panic("load: marshal object: " + err.Error())
		}
		k.Objects = append(k.Objects, keptObject{o.form.version, o.form.kind, o.Key().Kind, o.position, len(b)})
		objects = append(objects, b...)
	}
	b, err := json.Marshal(k)
	if err != nil {
		panic("load: marshal result: " + err.Error())
	}
	return append(append(b, '\n'), objects...)
}

// decodeKept reads what encode wrote. The objects have no places but their own.
func decodeKept(b []byte, tree int) (*cached, error) {
	head, objects, _ := bytes.Cut(b, []byte("\n"))
	var k keptResult
	if err := json.Unmarshal(head, &k); err != nil {
		return nil, fmt.Errorf("decode kept result: %w", err)
	}
	r := &fileResult{pkg: k.Package, files: k.Files, tags: k.Tags, warnings: k.Warnings, kept: true}
	for _, x := range k.Objects {
		o := schema.NewObject(x.Kind)
		if o == nil || x.Length < 0 || x.Length > len(objects) {
			return nil, fmt.Errorf("decode kept result: object of kind %q and %d bytes", x.Kind, x.Length)
		}
		if err := json.Unmarshal(objects[:x.Length], o); err != nil {
			return nil, fmt.Errorf("decode kept result: %w", err)
		}
		objects = objects[x.Length:]
		r.objects = append(r.objects, &object{Object: o, form: definitionKey{x.Version, x.Form}, pkg: k.Package, files: k.Files, position: x.Position})
	}
	return &cached{r, k.Size, tree}, nil
}

// fromCache is what was kept of a file or package, nil if there is nothing that can be read.
func (l *Loader) fromCache(key cacheKey, tree pass) *cached {
	if !tree.kept {
		return nil
	}
	b := l.kept.Get(key[:])
	if b == nil {
		return nil
	}
	c, err := decodeKept(b, tree.number)
	if err != nil {
		return nil
	}
	l.keep(key, c)
	return c
}

// toCache puts what came new. After the first tree that is right, only what this process knows is kept.
func (l *Loader) toCache(right bool) {
	if l.kept == nil {
		return
	}
	l.mu.Lock()
	fresh := l.fresh
	l.fresh = nil
	sweep := right && !l.swept
	l.swept = l.swept || right
	known := map[cacheKey]bool{}
	if sweep {
		for k := range l.cache {
			known[k] = true
		}
	}
	l.mu.Unlock()
	if len(fresh) > 0 {
		entries := make(map[string][]byte, len(fresh))
		for k, c := range fresh {
			entries[string(k[:])] = c.encode()
		}
		l.kept.Put(entries)
	}
	if sweep {
		l.kept.Sweep(func(key []byte) bool {
			return len(key) == len(cacheKey{}) && known[cacheKey(key)]
		})
	}
}

// dropKept forgets what was kept across a restart.
func (l *Loader) dropKept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, c := range l.cache {
		if c.result.kept {
			delete(l.cache, k)
		}
	}
	clear(l.dirs) // they point at it
}
