// Package client is the CLI's side of the server's HTTP API on a unix socket.
//
// It decides nothing: it fetches the status, the snapshot that a diff is computed against, and logs, and carries the few
// decisions of people that Git cannot express.
package client
