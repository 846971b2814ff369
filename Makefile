# The commands that a newcomer types. Every one builds with the same flags, so RocksDB is compiled once.

FLAGS := --release --workspace --locked
DIR ?= .testnet
NODES ?= 4

.PHONY: help testnet test build lint fuzz-check prerequisites bench

help:
	@echo "make testnet   start a ledger of $(NODES) nodes on this machine (DIR=$(DIR) NODES=$(NODES)); Ctrl-C ends it"
	@echo "make test      run every test"
	@echo "make lint      check formatting and lints, as CI does"
	@echo "make bench     run the benchmarks; each prints the machine's reference cost beside its figures"

testnet: build
	@target/release/quorate-testnet up --dir $(DIR) --nodes $(NODES)

test: build
	@tools/prerequisites tests
	cargo test $(FLAGS)

build: prerequisites
	cargo build $(FLAGS) --all-targets

lint: prerequisites fuzz-check
	cargo fmt --all --check
	cargo clippy $(FLAGS) --all-targets -- -D warnings

# A check links nothing, so RocksDB need not be compiled for it: a folder that is said to hold its library is enough.
fuzz-check: prerequisites
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	ROCKSDB_LIB_DIR=fuzz cargo check --locked --manifest-path fuzz/Cargo.toml --all-features --target-dir target/fuzz-check

bench: build
	cargo bench --workspace --locked

prerequisites:
	@tools/prerequisites
