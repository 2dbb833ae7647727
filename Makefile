# Everything that people and CI do here. `make` alone lists it. Build outputs go to .build/ and nowhere else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory --no-builtin-rules

BUILD := $(CURDIR)/.build
BIN   := $(BUILD)/bin
TOOLS := $(BUILD)/tools

# Tools are pinned here and built once into .build/tools, so that go.mod lists only what the product uses. Each stamp
# names the version: a new version makes a new stamp, and so a new build.
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BUF           := github.com/bufbuild/buf/cmd/buf@v1.75.0
GEN_GO        := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
GEN_GO_GRPC   := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
stamp = $(TOOLS)/.$(notdir $(1))
STAMPS := $(foreach t,$(GOLANGCI_LINT) $(BUF) $(GEN_GO) $(GEN_GO_GRPC),$(call stamp,$(t)))
LINTER := $(TOOLS)/golangci-lint
BUFGEN := PATH="$(TOOLS):$$PATH" $(TOOLS)/buf

PROGRAMS := $(patsubst cmd/%/main.go,%,$(wildcard cmd/*/main.go))
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT   := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
VERSION_PACKAGE := github.com/mss-federation/mss/cmd/internal/version
LDFLAGS  := -s -w -X $(VERSION_PACKAGE).version=$(VERSION) -X $(VERSION_PACKAGE).commit=$(COMMIT)

# Go must not fetch another toolchain by itself: the version in go.mod is the one that is tested.
export GOTOOLCHAIN := local

.PHONY: help
help: ## list the targets
	@echo "make demo    builds the programs and shows a call between two offices"
	@echo "make test    proves everything (installs what it needs first)"
	@echo
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1|\2/' | column -t -s '|'

##@ set-up

.PHONY: setup
setup: setup-packages setup-modules setup-tools ## install system packages, Go modules and tools (idempotent)

.PHONY: setup-packages
setup-packages:
	@.ci/packages

.PHONY: setup-modules
setup-modules:
	@echo "setup: Go modules (downloads what the module cache does not have)"
	@go mod download
	@go mod tidy -diff >/dev/null 2>&1 || true # fetches what verify-tidy will look at, and judges nothing

.PHONY: setup-tools
setup-tools: $(STAMPS)
	@echo "setup: tools are in .build/tools"

define tool
$(call stamp,$(1)):
	@mkdir -p $(TOOLS)
	@echo "setup: building $(notdir $(1)) (once; golangci-lint and buf take some minutes)"
	@cd $(TOOLS) && GOBIN=$(TOOLS) go install $(1)
	@rm -f $(TOOLS)/.$(firstword $(subst @, ,$(notdir $(1))))@*
	@touch $$@
endef
$(foreach t,$(GOLANGCI_LINT) $(BUF) $(GEN_GO) $(GEN_GO_GRPC),$(eval $(call tool,$(t))))

##@ build

.PHONY: build
build: ## build the programs into .build/bin
	@mkdir -p $(BIN)
	@echo "build: $(PROGRAMS) $(VERSION) into .build/bin (the first time downloads modules and compiles SQLite: a minute or two)"
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: generate
generate: $(STAMPS) ## write the Go code of proto/ again
	@cd proto && $(BUFGEN) generate

##@ proof

.PHONY: verify
verify: verify-generated verify-tidy verify-format verify-samples ## check what is generated, tidied, formatted or sampled

.PHONY: verify-generated
verify-generated: $(STAMPS) ## check that generated code is current (fix-generated)
	@rm -rf $(BUILD)/verify/proto && mkdir -p $(BUILD)/verify/proto
	@cd proto && $(BUFGEN) generate -o $(BUILD)/verify/proto
	@diff -r --exclude='*.proto' --exclude='*.yaml' --exclude='*_test.go' proto $(BUILD)/verify/proto >$(BUILD)/verify/generated.diff \
		|| { head -n 20 $(BUILD)/verify/generated.diff; echo "verify-generated: code under proto/ is not what its .proto files give: run make fix-generated"; exit 1; }
	@echo "verify-generated: ok"

.PHONY: fix-generated
fix-generated: generate ## write generated code again

.PHONY: verify-tidy
verify-tidy: ## check go.mod and go.sum (fix-tidy)
	@go mod tidy -diff >/dev/null || { echo "verify-tidy: go.mod or go.sum is not tidy: run make fix-tidy"; exit 1; }
	@echo "verify-tidy: ok"

.PHONY: fix-tidy
fix-tidy: ## tidy go.mod and go.sum
	@go mod tidy

.PHONY: verify-format
verify-format: $(STAMPS) ## check gofumpt and import order (fix-format)
	@$(LINTER) fmt --diff >/dev/null || { $(LINTER) fmt --diff | grep '^+++' || true; echo "verify-format: not formatted: run make fix-format"; exit 1; }
	@echo "verify-format: ok"

.PHONY: fix-format
fix-format: $(STAMPS) ## format all Go code
	@$(LINTER) fmt

.PHONY: verify-samples
verify-samples: build ## check the sample configurations with the programs that read them
	@for program in lmss tmss; do for f in deploy/config/$$program*.yaml; do \
		$(BIN)/$$program check --config "$$f" >/dev/null || { echo "verify-samples: $$f is refused: run .build/bin/$$program check --config $$f"; exit 1; }; \
	done; done
	@echo "verify-samples: ok"

.PHONY: lint
lint: $(STAMPS) ## lint Go, protocols
	@$(LINTER) run
	@cd proto && $(BUFGEN) lint
	@echo "lint: ok"

.PHONY: fix-lint
fix-lint: $(STAMPS) ## mend what the linters can mend by themselves
	@$(LINTER) run --fix

.PHONY: unit
unit: build ## run the Go tests without the race detector, but for those of wires
	@MSS_BIN=$(BIN) go test $$($(UNTIMED))

.PHONY: race
race: build ## run the Go tests with the race detector, but for those of wires
	@MSS_BIN=$(BIN) CGO_ENABLED=1 go test -race -timeout 8m $$($(UNTIMED))

# What measures clocks runs while nothing else does. Most of it waits, so much of it runs at once.
WIRES   := ./cmd/e2e/wires/...
UNTIMED := go list ./... | grep -v /cmd/e2e/wires
# What was measured is shown, and not which test began when.
MEASURED := grep -vE '^=== (RUN|PAUSE|CONT|NAME) '

.PHONY: wires
wires: build ## cut wires and kill hubs in network namespaces, and hold the clocks to their budgets (needs root)
	@MSS_BIN=$(BIN) CGO_ENABLED=1 go test -race -count=1 -parallel 8 -timeout 8m -v $(WIRES) | $(MEASURED)

.PHONY: test
test: ## set up, then verify, lint, tests with the race detector, wires, demo
	@start=$$SECONDS; \
	for step in setup verify lint race wires demo; do \
		began=$$SECONDS; \
		$(MAKE) $$step || { echo "test: make $$step failed"; exit 1; }; \
		echo "test: $$step took $$((SECONDS - began)) s"; \
	done; \
	echo "test: all green in $$((SECONDS - start)) s"

.PHONY: test-long
test-long: setup ## the tests that take long, such as many kills (by hand)
	@MSS_LONG=1 CGO_ENABLED=1 go test -race -count=1 -timeout 60m ./cmd/e2e
	@MSS_LONG=1 CGO_ENABLED=1 go test -race -count=1 -parallel 8 -timeout 60m -v $(WIRES) | $(MEASURED)

##@ run

.PHONY: demo
demo: build ## two offices and two hubs: a call between them that outlives a hub, and the signalling of an office
	@$(BIN)/mssdemo

.PHONY: demo-up
demo-up: build ## start hubs and offices and leave them running for your own softphones; Ctrl-C ends them
	@$(BIN)/mssdemo --up

.PHONY: bench
bench: setup-packages build ## CPU per call beside Kamailio, per voice packet beside rtpengine (by hand; see deploy/bench/README.md; BENCH='-h' lists its flags)
	@go build -o $(BIN)/bench ./cmd/internal/bench
	@$(BIN)/bench $(BENCH)

.PHONY: e2e-chain
e2e-chain: setup-packages build ## calls and voice from office to office over two hubs, counted (by hand; CHAIN='-h' lists its flags)
	@go build -o $(BIN)/bench ./cmd/internal/bench
	@$(BIN)/bench -parts chain $(CHAIN)

.PHONY: clean
clean: ## remove .build/
	@rm -rf $(BUILD)
