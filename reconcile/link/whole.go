package link

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/proto"

	"reconciler/reconcile/assignment"
	"reconciler/reconcile/link/linkpb"
)

const (
	maxMessage   = 1 << 20   // of one protobuf message, both ways
	maxPart      = 256 << 10 // of a part's payload
	maxWhole     = 64 << 20  // of a whole, encoded or not
	compressFrom = 4 << 10   // smaller payloads travel as they are
)

// The encodings of a payload.
const (
	plain  = 0
	packed = 1 // zstd
)

var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxWhole))
		if err != nil {
			panic(err)
		}
		return d
	})
)

func pack(b []byte) (encoding uint32, payload []byte) {
	if len(b) < compressFrom {
		return plain, b
	}
	return packed, encoder().EncodeAll(b, nil)
}

func unpack(encoding uint32, payload []byte) ([]byte, error) {
	switch encoding {
	case plain:
		return payload, nil
	case packed:
		b, err := decoder().DecodeAll(payload, nil)
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		return b, nil
	}
	return nil, fmt.Errorf("unpack: encoding %d is not known", encoding)
}

// whole is a table or an assignment, ready to be sent. It is never changed.
type whole struct {
	generation assignment.Generation
	hash       [sha256.Size]byte
	frames     []frame // its parts, in order
}

// newWhole encodes content, JSON. wrap puts a part into the right field of a message.
func newWhole(g assignment.Generation, content []byte, wrap func(*linkpb.Update) *linkpb.ToAgent) (*whole, error) {
	if len(content) > maxWhole {
		return nil, fmt.Errorf("encode: %d bytes, of at most %d", len(content), maxWhole)
	}
	w := &whole{generation: g, hash: sha256.Sum256(content)}
	encoding, payload := pack(content)
	parts := max(1, (len(payload)+maxPart-1)/maxPart)
	for i := range parts {
		b, err := proto.Marshal(wrap(&linkpb.Update{
			Generation: toGeneration(g), Hash: w.hash[:], Part: uint32(i), Parts: uint32(parts), Encoding: encoding,
			Payload: payload[i*maxPart : min(len(payload), (i+1)*maxPart)],
		}))
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		w.frames = append(w.frames, b)
	}
	return w, nil
}

// assembly puts the parts of a whole together again. A part 0 begins anew.
type assembly struct {
	hash        [sha256.Size]byte
	parts, next uint32
	payload     []byte
}

// add gives the content when u was its last part, nil before. After an error it waits for a part 0.
func (a *assembly) add(u *linkpb.Update) (content []byte, err error) {
	defer func() {
		if err != nil || content != nil {
			*a = assembly{}
		}
	}()
	if u.Part == 0 {
		if len(u.Hash) != sha256.Size || u.Parts == 0 {
			return nil, errors.New("assemble: damaged part")
		}
		*a = assembly{hash: [sha256.Size]byte(u.Hash), parts: u.Parts}
	}
	if u.Part != a.next || u.Parts != a.parts || string(u.Hash) != string(a.hash[:]) {
		return nil, fmt.Errorf("assemble: part %d of %d came when part %d of %d was due", u.Part, u.Parts, a.next, a.parts)
	}
	if len(a.payload)+len(u.Payload) > maxWhole {
		return nil, fmt.Errorf("assemble: more than %d bytes", maxWhole)
	}
	a.payload = append(a.payload, u.Payload...)
	if a.next++; a.next < a.parts {
		return nil, nil
	}
	content, err = unpack(u.Encoding, a.payload)
	if err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	if sha256.Sum256(content) != a.hash {
		return nil, errors.New("assemble: the content has not the hash that was announced")
	}
	return content, nil
}

func toGeneration(g assignment.Generation) *linkpb.Generation {
	return &linkpb.Generation{Epoch: g.Epoch, Counter: g.Counter}
}

func fromGeneration(g *linkpb.Generation) assignment.Generation {
	return assignment.Generation{Epoch: g.GetEpoch(), Counter: g.GetCounter()}
}
