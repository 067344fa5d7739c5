package link

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// frame is an encoded linkpb.ToAgent. One frame is sent on many streams at a time and never changed.
type frame []byte

// codec is protobuf's, except that a frame is sent as it is. It is given to one server and not registered: that would be
// global to the process.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal does not copy a frame. SliceBuffer's reference counting does nothing, so one slice serves all streams.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if f, ok := v.(frame); ok {
		return mem.BufferSlice{mem.SliceBuffer(f)}, nil
	}
	return c.CodecV2.Marshal(v)
}
