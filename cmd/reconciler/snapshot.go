package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"reconciler/reconcile"
	"reconciler/schema"
)

// readSnapshot reads a saved input. What a file may hold and no server writes is an error.
func readSnapshot(b []byte) (in reconcile.Input, err error) {
	if err := json.Unmarshal(b, &in); err != nil {
		return in, err
	}
	if in.State.Fleet == "" || !in.Settings.PortalNet.Addr().Is4() || !in.Settings.PodNet.Addr().Is4() {
		return in, errors.New("it is no snapshot: it names no fleet or no networks")
	}
	for _, s := range []*schema.Set{in.Set, in.State.Accepted} {
		if err := whole(s); err != nil {
			return in, err
		}
	}
	return in, nil
}

// whole is an error if an object of a set is null.
func whole(s *schema.Set) (err error) {
	defer func() {
		if recover() != nil { // by a key that is asked of no object
			err = errors.New("it is no snapshot: one of its objects is null")
		}
	}()
	for o := range s.Objects() {
		_ = o.Key()
	}
	return nil
}

// compute computes a plan of an input that came from outside: what contradicts itself there is an error and not the end of
// the program.
func compute(in reconcile.Input) (p reconcile.Plan, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("compute plan: the input contradicts itself: %v", x)
		}
	}()
	return reconcile.Compute(in), nil
}
