package pki

import "context"

// Registry keeps what the roster decided. Its methods may be called concurrently, also by several servers. Values are not
// interpreted. The package registrytest holds its contract.
type Registry interface {
	// PutToken stores a token, replacing what has this id.
	PutToken(ctx context.Context, id string, t []byte) error
	// UseToken replaces a token by what update makes of it, with nil deletes it, and nobody changes it in between. update may
	// be called again when somebody else was faster; its error ends the call, unchanged in errors.Is and As. A wrapped
	// fs.ErrNotExist if there is no such token.
	UseToken(ctx context.Context, id string, update func(old []byte) ([]byte, error)) error
	// Identity is nil if the minion has none.
	Identity(ctx context.Context, minion string) ([]byte, error)
	// PutIdentity stores new if the present value is expectedOld, nil for none, and is an error otherwise.
	PutIdentity(ctx context.Context, minion string, expectedOld, new []byte) error
	// Identities is every identity by the minion's name.
	Identities(ctx context.Context) (map[string][]byte, error)
}
