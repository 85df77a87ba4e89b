# `make run` shows Spool at work, `make test` checks everything. Both install what they need (scripts/setup) and build in
# the one profile `release`: see CONTRIBUTING.md.

# rustup may have been installed without its line in the shell's profile having been read yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The program that `make install` installs.
SPOOL_BIN ?= $(TARGET_DIR)/release/spool
PREFIX ?= /usr/local
# Where the systemd unit goes.
UNITDIR ?= $(PREFIX)/lib/systemd/system
# How long `make fuzz` gives each target.
SECONDS ?= 60

.PHONY: help run build install uninstall test testnet interop bench fuzz setup

help:
	@echo 'make run     build a release and watch a writer, a follower and a reader'
	@echo 'make test    everything that CI checks'
	@echo 'make testnet six nodes in containers, one cut off and one killed (needs a Docker engine)'
	@echo 'make interop the published JavaScript client, and an app that uses it, against a build'
	@echo 'make build   a release, into $(TARGET_DIR)/release/spool'
	@echo 'make install the release with manual pages, completions and a systemd unit, into PREFIX (/usr/local) under DESTDIR'
	@echo 'make bench   the benchmarks'
	@echo 'make fuzz    every decoder and the database for 60 seconds each, or SECONDS=n'

run: build
	@SPOOL_BIN='$(TARGET_DIR)/release/spool' scripts/tour

build:
	@scripts/setup
	cargo build --release --locked -p spool-node

# Builds nothing: `make build && sudo make install` leaves no file of root in the target directory.
install:
	@test -x '$(SPOOL_BIN)' || { echo '$(SPOOL_BIN) is not there: run `make build` first' >&2; exit 1; }
	install -D -m 755 '$(SPOOL_BIN)' '$(DESTDIR)$(PREFIX)/bin/spool'
	install -d '$(DESTDIR)$(PREFIX)/share/man/man1'
	'$(SPOOL_BIN)' man '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -d '$(DESTDIR)$(PREFIX)/share/bash-completion/completions' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions' '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d'
	'$(SPOOL_BIN)' completions bash > '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/spool'
	'$(SPOOL_BIN)' completions zsh > '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_spool'
	'$(SPOOL_BIN)' completions fish > '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/spool.fish'
	install -d '$(DESTDIR)$(UNITDIR)'
	sed 's|@PREFIX@|$(PREFIX)|g' packaging/spool.service > '$(DESTDIR)$(UNITDIR)/spool.service'
	chmod 644 '$(DESTDIR)$(UNITDIR)/spool.service'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/spool' '$(DESTDIR)$(PREFIX)/share/man/man1/spool.1' '$(DESTDIR)$(PREFIX)'/share/man/man1/spool-*.1
	rm -f '$(DESTDIR)$(PREFIX)/share/bash-completion/completions/spool' '$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_spool'
	rm -f '$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/spool.fish' '$(DESTDIR)$(UNITDIR)/spool.service'

test:
	@scripts/test

testnet:
	@scripts/testnet

interop: build
	@SPOOL_BIN='$(TARGET_DIR)/release/spool' scripts/test-javascript

bench:
	@scripts/setup
	cargo bench --locked --workspace

fuzz:
	@scripts/fuzz $(SECONDS)

setup:
	@scripts/setup --tests
