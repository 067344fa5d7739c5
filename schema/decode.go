package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// DecodePodSpec reads the canonical JSON of a pod spec, strictly: a field that this release does not know, and anything
// after the value, are errors: a minion must not run a pod without what it did not understand.
func DecodePodSpec(b []byte) (PodSpec, error) {
	var s PodSpec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return PodSpec{}, fmt.Errorf("decode pod spec: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return PodSpec{}, errors.New("decode pod spec: something follows its end")
	}
	return s, nil
}
