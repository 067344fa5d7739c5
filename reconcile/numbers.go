package reconcile

import (
	"hash/maphash"
	"slices"

	"reconciler/schema"
)

// numbers finds the numbers of things by their keys, which stand elsewhere: key tells that of a number. A map of the keys would be
// larger and slower to copy: here what is changed is copied in small parts, each as it is in memory.
type numbers struct {
	parts [partsOfNumbers]numbersPart
	own   *[partsOfNumbers]bool // nil: none
}

const partsOfNumbers = 256

// numbersPart is a hash table with linear probing, at most three quarters full. A slot is a hash in the upper half and a number and
// 1 in the lower; 0 is free.
type numbersPart struct {
	slots []uint64
	used  int
}

// seed makes the hashes of a process its own. Nothing depends on them but the order of slots.
var seed = maphash.MakeSeed()

func hashString(s string) uint64 { return maphash.String(seed, s) }

func hashKey(k schema.Key) uint64 {
	const odd = 0x9e3779b97f4a7c15
	return maphash.String(seed, k.Name)*odd ^ maphash.String(seed, k.Namespace)
}

func slotOf(hash uint64, n int32) uint64 { return hash<<32 | uint64(uint32(n+1)) }

// numberIn is the number in a slot.
func numberIn(slot uint64) int32 { return int32(uint32(slot)) - 1 }

func (n *numbers) edit() numbers {
	out := *n
	out.own = nil
	return out
}

// mine is the part of a hash, to be changed.
func (n *numbers) mine(hash uint64) *numbersPart {
	if n.own == nil {
		n.own = new([partsOfNumbers]bool)
	}
	i := hash >> 56
	if p := &n.parts[i]; !n.own[i] {
		p.slots, n.own[i] = slices.Clone(p.slots), true
	}
	return &n.parts[i]
}

// find is the number of what has a hash and is it, and the place of its slot.
func (p *numbersPart) find(hash uint64, is func(n int32) bool) (number int32, at int, ok bool) {
	if p.used == 0 {
		return 0, 0, false
	}
	last := uint32(len(p.slots) - 1)
	for i := uint32(hash) & last; p.slots[i] != 0; i = (i + 1) & last {
		if s := p.slots[i]; uint32(s>>32) == uint32(hash) && is(numberIn(s)) {
			return numberIn(s), int(i), true
		}
	}
	return 0, 0, false
}

// find is the number of what has a hash and is it.
func (n *numbers) find(hash uint64, is func(n int32) bool) (number int32, ok bool) {
	number, _, ok = n.parts[hash>>56].find(hash, is)
	return number, ok
}

// add adds a number of what is not there.
func (n *numbers) add(hash uint64, number int32) {
	p := n.mine(hash)
	if p.used++; 4*p.used > 3*len(p.slots) {
		old := p.slots
		p.slots = make([]uint64, max(2*len(old), 8))
		for _, s := range old {
			if s != 0 {
				p.place(s)
			}
		}
	}
	p.place(slotOf(hash, number))
}

// place puts what a slot has in the first that is free.
func (p *numbersPart) place(slot uint64) {
	last := uint32(len(p.slots) - 1)
	i := uint32(slot>>32) & last
	for p.slots[i] != 0 {
		i = (i + 1) & last
	}
	p.slots[i] = slot
}

// remove removes what has a hash and is it, if it is there.
func (n *numbers) remove(hash uint64, is func(n int32) bool) {
	p := n.mine(hash)
	_, free, ok := p.find(hash, is)
	if !ok {
		return
	}
	p.used--
	last := len(p.slots) - 1
	for i := (free + 1) & last; p.slots[i] != 0; i = (i + 1) & last { // what follows must be found without a gap
		if first := int(p.slots[i]>>32) & last; (i-first)&last >= (i-free)&last {
			p.slots[free], free = p.slots[i], i
		}
	}
	p.slots[free] = 0
}
