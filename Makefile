.DEFAULT_GOAL := help
.PHONY: help run test check fmt e2e bench bench-relay bench-latency bench-network soak fuzz deny up down clean hooks setup

# Options for what a target starts: make run ARGS="--bind 127.0.0.1:9000"
ARGS ?=

help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 13

run: ## Build and start everything as one process, with the web page
	@scripts/run.sh $(ARGS)

test: ## Run everything that continuous integration runs
	@scripts/test.sh $(ARGS)

check: ## Check formatting and lints, natively and for WebAssembly
	@scripts/test.sh fmt clippy wasm

fmt: ## Format the Rust code
	@scripts/with-env.sh cargo fmt --all

e2e: ## Run the end-to-end tests in browsers
	@scripts/setup.sh test && scripts/e2e.sh $(ARGS)

bench: ## Run the benchmarks
	@scripts/setup.sh test && scripts/bench.sh $(ARGS)

bench-relay: ## Run the relays' benchmark, or some of it: ARGS="stage-50 websocket"
	@scripts/setup.sh test && scripts/bench.sh relay -- $(ARGS)

bench-latency: ## Compare delays and receiver's cost with WebRTC's: ARGS="call", hd, cost, stages, codecs
	@scripts/setup.sh test && scripts/bench.sh latency -- $(ARGS)

bench-network: ## Compare calls over bad networks with WebRTC's, as root: ARGS="loss-5 webtransport seconds=20"
	@scripts/setup.sh test && scripts/bench.sh network -- $(ARGS)

soak: ## Let people come and go for ten minutes and watch the memory; ARGS=60 for a minute
	@scripts/setup.sh test && scripts/soak.sh $(or $(ARGS),600)

fuzz: ## Fuzz every target for a minute
	@scripts/setup-tools.sh test && scripts/fuzz.sh $(or $(ARGS),60)

deny: ## Check licences, advisories and sources of dependencies
	@scripts/deny.sh

up: ## Start with docker compose
	@scripts/compose.sh up --build --detach $(ARGS)

down: ## Stop docker compose
	@scripts/compose.sh down $(ARGS)

clean: ## Remove this checkout's build output
	@scripts/clean.sh

hooks: ## Use the project's git hooks in this checkout
	@git config core.hooksPath githooks

setup: ## Install everything that building and testing need
	@scripts/setup.sh test
