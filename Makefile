# Everything that one does with this repository, by name. `make help` lists it.

.DEFAULT_GOAL := help
.PHONY: help demo test faults lint bench bench-replicas build clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 14

demo: build ## run Tenure with a simulated provider and sign-in; Ctrl-C ends it
	@exec ./bin/tenure demo

test: ## run everything that a change must pass; the first run installs what it needs
	@scripts/test

faults: ## break everything that Tenure stands on, in full (as root, for networks and small disks)
	@TENURE_FAULTS=full scripts/test tools build faults

lint: ## run the linters only
	@scripts/test tools lint vet deadcode

bench: build ## measure Tenure beside a bare reverse proxy (bench/README.md)
	go run ./bench run

bench-replicas: build ## measure revocations over three replicas on PostgreSQL: by its bell, and by polls behind PgBouncer
	go build -o bin/bench ./bench
	scripts/with-postgres bin/bench replicas
	scripts/with-postgres -p bin/bench replicas

build: ## compile bin/tenure: one static binary, no cgo
	CGO_ENABLED=0 go build -trimpath -o bin/tenure ./cmd/tenure

clean: ## remove what the other targets made
	rm -rf bin .tools .demo coverage test/*/node_modules test/*/*/node_modules
