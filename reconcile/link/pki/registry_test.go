package pki_test

import (
	"testing"

	"reconciler/reconcile/link/pki"
	"reconciler/reconcile/link/pki/registrytest"
)

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(*testing.T) pki.Registry { return &registrytest.Memory{} })
}
