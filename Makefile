# The commands of this project; each is one line that you could type yourself.
.DEFAULT_GOAL := help
.PHONY: help run test outside prove bench deploy fmt lint clean

help: ## what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

run: ## a node for this machine, with the demo page; prints its URL
	cargo run --release -- serve --dev

test: ## all that a change must pass; installs what the tests need
	scripts/setup-tests
	scripts/test

outside: ## only the tests from outside, against a debug build
	scripts/setup-tests
	CARGO_TARGET_DIR=target cargo build --workspace --features kafka --all-targets
	scripts/with-node target/debug/tidings scripts/test-outside
	TIDINGS_WEBSOCKET__DEFLATE=true scripts/with-node target/debug/tidings scripts/test-compressed
	scripts/test-secure target/debug/tidings

prove: ## the long proofs; results go to proofs/
	scripts/setup-tests
	scripts/prove

bench: ## fan-out beside a bare epoll loop
	cargo run --release -- bench fanout --pairs 5

deploy: ## lint deploy/ by its own tools, against a debug build
	CARGO_TARGET_DIR=target cargo build --package tidings --features kafka
	scripts/lint-deploy target/debug/tidings

fmt: ## format the Rust code
	cargo fmt --all

lint: ## clippy; a warning is an error
	cargo clippy --workspace --features kafka --all-targets -- -D warnings

clean: ## remove builds and what the tests installed
	cargo clean
	rm -rf .tests tests/js/node_modules
