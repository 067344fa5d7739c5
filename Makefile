# The words: build, images, demo, demo-down, test, check, bench, sim, mutants. Nothing else is meant to be called.
SHELL := /bin/bash -euo pipefail
.DEFAULT_GOAL := build
.PHONY: build images demo demo-down test check bench sim mutants setup setup-check setup-test

# The plug-in is a module of its own; the generated file names its version.
PROTOC_GEN_GO_GRPC = google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0
GENERATED = git ls-files -z '*.pb.go' | xargs -0 sha256sum
GOFILES = git ls-files -co --exclude-standard '*.go'

build: ## bin/reconciler, its shim and the example's client
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/ ./cmd/...
	cd examples/mongodb && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o ../../bin/ ./mongo

setup:
	@examples/setup.sh git runc mmdebstrap

setup-check:
	@examples/setup.sh git protoc

setup-test:
	@examples/setup.sh git runc mmdebstrap ip nft logger setpriv gcc

images: setup ## the images of the example and of the tests, each once, in dist/images
	cd examples/images && go run . --out ../../dist/images

demo: setup build images ## a local cluster with the example, proven to work
	@examples/pulp/demo.sh

demo-down: build ## every trace of it removed
	bin/reconciler local down

dist/images/testpod: setup
	cd examples/images && go run . --out ../../dist/images testpod

test: setup-test build images ## all tests, the end-to-end ones on real parts included
	go test -race -timeout 20m ./...
	cd examples/images && go test ./...
	cd examples/mongodb && go test ./...

check: setup-check ## format, vet, staticcheck, tidy, generated files, imports
	@files=$$(gofmt -l $$($(GOFILES))); if [ -n "$$files" ]; then echo "not formatted: $$files"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	for m in examples/images examples/mongodb; do (cd $$m && go vet ./... && go mod tidy -diff); done
	@mkdir -p bin/tools
	GOBIN=$(CURDIR)/bin/tools go install google.golang.org/protobuf/cmd/protoc-gen-go
	GOBIN=$(CURDIR)/bin/tools go install $(PROTOC_GEN_GO_GRPC)
	@before=$$($(GENERATED)); PATH="$(CURDIR)/bin/tools:$$PATH" go generate ./...; after=$$($(GENERATED)); \
	if [ "$$before" != "$$after" ]; then echo "generated files were not up to date; they are now: git diff"; exit 1; fi
	go test -run 'Imports' ./cmd/reconciler

SEEDS = 10000
sim: ## fleets that live through seeded faults: 10,000 of them, or SEEDS=n
	go test ./reconcile/reconciletest -count 1 -v -timeout 60m -run TestSim -seeds $(SEEDS)

mutants: ## the simulation notices each listed way to break the code, within 1,000 seeds
	go test ./reconcile/reconciletest -count 1 -v -timeout 60m -run TestMutants -mutants

bin/tools/cue: go.mod # the peer of a benchmark
	@mkdir -p bin/tools
	GOBIN=$(CURDIR)/bin/tools go install cuelang.org/go/cmd/cue@$$(go list -m -f '{{.Version}}' cuelang.org/go)
	touch bin/tools/cue

bench: setup-test build dist/images/testpod bin/tools/cue ## figures, each beside its limit or its peer of the same run
	go test -run '^$$' -bench . -benchtime 1x -timeout 20m ./cmd/reconciler
	go test -run '^$$' -bench . -benchtime 20x -timeout 20m ./agent/containerd
	go test -run '^$$' -bench . -benchtime 3x -timeout 20m ./netproxy/... ./reconcile/... ./schema/...
