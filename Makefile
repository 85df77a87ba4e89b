# `make run` shows Spool at work, `make test` checks everything. Both install what they need (scripts/setup) and build in
# the one profile `release`: see CONTRIBUTING.md.

# rustup may have been installed without its line in the shell's profile having been read yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# How long `make fuzz` gives each target.
SECONDS ?= 60

.PHONY: help run build test interop bench fuzz setup

help:
	@echo 'make run     build a release and watch a writer, a follower and a reader'
	@echo 'make test    everything that CI checks'
	@echo 'make interop the published JavaScript client, and an app that uses it, against a build'
	@echo 'make build   a release, into $(TARGET_DIR)/release/spool'
	@echo 'make bench   the benchmarks'
	@echo 'make fuzz    every decoder and the database for 60 seconds each, or SECONDS=n'

run: build
	@SPOOL_BIN='$(TARGET_DIR)/release/spool' scripts/tour

build:
	@scripts/setup
	cargo build --release --locked -p spool-node

test:
	@scripts/test

interop: build
	@SPOOL_BIN='$(TARGET_DIR)/release/spool' scripts/test-javascript

bench:
	@scripts/setup
	cargo bench --locked --workspace

fuzz:
	@scripts/fuzz $(SECONDS)

setup:
	@scripts/setup --tests
