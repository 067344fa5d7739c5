package reconcile

import "slices"

// carried is a list that is taken over from the step before, and copied once something in it changes.
type carried[T any] struct {
	list []T
	own  bool
}

// carry takes a list over that is to have n values: the further ones are zero.
func carry[T any](was []T, n int) carried[T] {
	if len(was) == n {
		return carried[T]{list: was}
	}
	list := make([]T, n)
	copy(list, was)
	return carried[T]{list, true}
}

// edit is the list, to be changed.
func (c *carried[T]) edit() []T {
	if !c.own {
		c.list, c.own = slices.Clone(c.list), true
	}
	return c.list
}
