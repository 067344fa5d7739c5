// Package linkpb holds the generated messages of the link; package link alone uses it. It is a package of its own so that
// generated names do not mix with link's.
package linkpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative link.proto
