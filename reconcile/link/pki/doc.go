// Package pki is the fleet's own certificate authority: it lets minions join with a token and tells their certificates apart.
//
// An [Authority] is one P-256 CA whose key is a file of mode 0600 in the server's directory. It issues two sorts of leaf: a
// minion's, with the URI spiffe://FLEET/minion/NAME and good for clients only, and the server's own, with the DNS name
// [ServerName], which it issues to itself. Of a request it takes the public key and nothing else.
//
// A [Roster] decides who is who. Names, hashes of keys, revocations and join tokens are decisions and live in a [Registry];
// a token is stored as the SHA-256 of its secret. A name belongs to the key that joined with it first: another key gets it
// only with a token that is bound to that name. Since every verifier is the server itself, a look-up in the roster at each
// handshake and heartbeat is the revocation.
//
// An [Identity] is the minion's side: one file of mode 0600 that holds its key, its certificate and the CA's certificate. It is
// replaced by rename, so a crash leaves the old one or the new one. The key is on disk before it is used to join, so a join
// whose answer got lost is simply repeated.
//
// BUG: a token that nobody presents again after its end stays in the registry; it is a few hundred bytes and opens nothing.
package pki
