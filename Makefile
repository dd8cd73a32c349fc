# umnet: build, try and test. Bare `make` prints this list.
#
#   make run          build everything, boot a guest, take its card over, measure, print a table
#                     (ICOUNT=1: in deterministic time; ROUNDS=n: how many rounds)
#   make test         formatting, lints, docs, all tests, all QEMU scenarios; one summary
#   make test-host    the part of the tests that needs no guest
#   make test-vm      the QEMU scenarios alone (ACCEL=tcg|kvm forces the acceleration)
#   make build        the workspace, and the static binaries that guests run
#   make check        formatting, lints, docs
#   make clients      the example client drivers in C and C++
#   make images       the guests' kernels and file systems (Linux 6.1, 6.12 for what needs newer, and
#                     one with systemd)
#   make fuzz         all fuzz targets, MINUTES=n in all (default 9), one line each at the end; nightly
#   make models       the races of queues and contexts in every order of steps
#   make asan         the tests under AddressSanitizer; make tsan: ThreadSanitizer; both nightly
#   make inject       the supervisor's and the hosts' system calls failed one at a time; needs strace
#   make inject-vm    the supervisor's calls to a card, in a guest (CALL=name for some of them only)
#   make hostile      another driver against every lie of virtio/hostile, as a table
#   make crash-demo   a transfer for a minute while the driver is killed sixty times; no guest, root
#   make kills        the driver host killed KILLS=n times (1000), it and its supervisor replaced
#                     UPDATES=n times (50), hung HANGS=n times (100) in each of two ways, all under
#                     load, then a crash loop; tables in target/report; root
#   make soak         a kill every ten seconds for MINUTES=n (60) beside whatever else runs; root
#   make kills-vm     the driver host killed KILLS=n times (100) in a guest, and an idle minute
#   make bench        the driver against memcpy and another driver, no guest (ROUNDS=n)
#   make bench-dpdk   the driver against DPDK's virtio-user on the same vhost-user back end (ROUNDS=n);
#                     packed and split rings; installs Debian's DPDK, two processors, best as root, quiet
#   make bench-vm     the guest's five tables: with offloads and without, in deterministic time, what QEMU
#                     saw of each frame, and which instructions it took (ROUNDS=n); about a quarter of an
#                     hour, best on a quiet machine
#   make bench-dpdk-vm  the driver against DPDK's and the kernel's in one guest, without a TAP (ROUNDS=n);
#                     as it is on one processor, and looking on as DPDK always does
#   make bench-dpdk-tap-vm  the same job in one guest: the driver, the kernel's, and DPDK's with testpmd
#                     between the card and a TAP; with offloads, without, on two processors (ROUNDS=n)
#   make instructions counts the instructions of a frame and writes them down for make test
#   make doc          the API documentation
#   make clean        removes what was built (not what was downloaded)
#
# run and test install what they lack, after saying what and why; UMNET_NO_INSTALL=1 forbids it.

SHELL := /bin/sh
CARGO ?= cargo
# rustup's programs count from the moment they are installed, and /usr/sbin for users who lack it.
RUSTUP := $(HOME)/.cargo/bin
export PATH := $(if $(findstring $(RUSTUP),$(PATH)),,$(RUSTUP):)$(PATH):/usr/sbin:/sbin
TARGET := x86_64-unknown-linux-gnu
STATIC := RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --release --locked --target $(TARGET)
ROUNDS ?= 5
MINUTES ?= 9
KILLS ?= 1000
HANGS ?= 100
UPDATES ?= 50
# Namespaces and interfaces are root's to make.
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo)
ifdef ACCEL
export ACCEL
endif

.PHONY: help run test test-host test-vm kills-vm build static clients check images fuzz models asan tsan hostile kills soak crash-demo inject inject-vm bench bench-dpdk bench-dpdk-vm bench-dpdk-tap-vm bench-vm instructions doc clean prepare ci

help:
	@sed -n '3,/^$$/s/^#\( \{0,3\}\)//p' Makefile

prepare:
	@vm-test/prepare

build: prepare static
	$(CARGO) build --release --locked --workspace
	@$(MAKE) --no-print-directory clients

static:
	$(STATIC) -p umnet -p guest-runner

# Every source of the examples is one client, but for the folder faulty; the compiler's flags are those that umnet prints.
EXAMPLES := netadapter-shim/examples
CLIENTS := $(patsubst $(EXAMPLES)/%.c,target/clients/%.so,$(wildcard $(EXAMPLES)/*.c)) \
           $(patsubst $(EXAMPLES)/%.cpp,target/clients/%.so,$(wildcard $(EXAMPLES)/*.cpp)) \
           target/clients/faulty.so
HEADERS := $(shell find netadapter-shim/include -name '*.h')

clients: target/release/umnet
	@$(MAKE) --no-print-directory $(CLIENTS)

target/release/umnet:
	$(CARGO) build --release --locked -p umnet

target/clients/%.so: $(EXAMPLES)/%.c $(HEADERS)
	@mkdir -p $(@D)
	clang -O2 -Wall $$(target/release/umnet client-flags) -o $@ $<

# One client of several sources.
target/clients/faulty.so: $(wildcard $(EXAMPLES)/faulty/*) $(HEADERS)
	@mkdir -p $(@D)
	clang -O2 -Wall $$(target/release/umnet client-flags) -o $@ $(filter %.c,$^)

target/clients/%.so: $(EXAMPLES)/%.cpp $(HEADERS)
	@mkdir -p $(@D)
	clang++ -O2 -Wall $$(target/release/umnet client-flags --cxx) -o $@ $<

images: prepare
	images/build
	KERNEL=6.12 images/build
	KERNEL=systemd images/build

run: prepare
	@echo "== building umnet and the guest's programs"
	@$(STATIC) -p umnet -p guest-runner
	@$(CARGO) build --release --locked -p vm-test --bin bench
	@echo "== building the guest image"
	@images/build
	@echo "== booting a guest and measuring"
	@setpriv --pdeathsig KILL target/release/bench --rounds $(ROUNDS) $(if $(ICOUNT),--icount)

test: prepare
	@vm-test/run-tests all

test-host: prepare
	@vm-test/run-tests host

test-vm: prepare
	@vm-test/run-tests vm

# What `make test` has in short.
kills-vm: KILLS = 100
kills-vm: prepare static
	@images/build
	KILLS=$(KILLS) $(CARGO) test --locked --release -p vm-test --test survival -- --ignored --nocapture --test-threads=1

check:
	@vm-test/run-tests check

fuzz:
	fuzz/run $(MINUTES)

# The checker's atomics take the place of the real ones throughout, so this has a folder of its own.
models:
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --target-dir target/loom -p virtio --test models
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --target-dir target/loom -p netadapter-shim --lib models

# Everything but what loads client drivers from C, which are not built with the sanitizer.
SANITIZED = $(CARGO) +nightly test --locked --target $(TARGET) --target-dir target/$(1) $(2) --no-fail-fast

# There are tests of allocations that must fail.
ASAN = ASAN_OPTIONS=allocator_may_return_null=1 RUSTFLAGS=-Zsanitizer=address

asan:
	$(ASAN) $(call SANITIZED,asan,-p virtio -p virtio-hostile -p netadapter-shim -p fuzz-bodies)
	$(ASAN) $(call SANITIZED,asan,-p umnet --lib --test lies --test examination)

# The standard library is built too: it would otherwise not be seen to synchronise.
tsan:
	RUSTFLAGS="-Zsanitizer=thread" $(call SANITIZED,tsan,-Zbuild-std -p virtio --lib --test in_process)
	RUSTFLAGS="-Zsanitizer=thread" $(call SANITIZED,tsan,-Zbuild-std -p virtio-hostile --lib --tests)

# One at a time: each waits for deadlines that another one's load would spoil.
inject: CALL = all
inject: prepare
	@rm -f target/tmp/injections-*
	UMNET_INJECT="$(CALL)" $(CARGO) test --locked -p umnet --test injection -- --test-threads=1 no_call_of; \
	code=$$?; cat target/tmp/injections-*; exit $$code

inject-vm: CALL = all
inject-vm: prepare static
	@images/build
	UMNET_INJECT="$(CALL)" $(CARGO) test --locked --release -p vm-test --test injection -- --ignored --nocapture

hostile:
	$(CARGO) run --locked -p virtio-hostile --example virtio_drivers

.PHONY: kills-programs
kills-programs:
	@$(CARGO) build --release --locked -p umnet -p vhost-user-net-device -p kills

kills: kills-programs
	$(AS_ROOT) target/release/kills all --kills $(KILLS) --hangs $(HANGS) --updates $(UPDATES)

soak: MINUTES = 60
soak: kills-programs
	$(AS_ROOT) target/release/kills soak --minutes $(MINUTES) --report target/report/soak

crash-demo: kills-programs
	@$(AS_ROOT) target/release/kills demo

bench:
	$(CARGO) bench --locked -p umnet --bench native -- $(ROUNDS)

bench-dpdk bench-dpdk-vm: ROUNDS = 11
bench-dpdk:
	@vm-test/prepare dpdk
	@$(CARGO) build --release --locked -p umnet -p bench-dpdk
	@$(CC) -O3 -Wall -Wextra tests/dpdk/copying.c -o target/release/dpdk-copying \
		$$(pkg-config --cflags --libs libdpdk) -march=native
	target/release/bench-dpdk --rounds $(ROUNDS)
	target/release/bench-dpdk --rounds $(ROUNDS) --split

bench-vm: prepare
	@$(STATIC) -p umnet -p guest-runner
	@$(CARGO) build --release --locked -p vm-test --bin bench
	@images/build
	target/release/bench --rounds $(ROUNDS)
	target/release/bench --rounds $(ROUNDS) --without-offloads --json target/report/run-without-offloads.json
	target/release/bench --rounds 2 --icount --json target/report/run-icount.json
	target/release/bench --events
	target/release/bench --icount --instructions

bench-dpdk-vm:
	@vm-test/prepare dpdk
	@$(STATIC) -p umnet -p guest-runner
	@$(CARGO) build --release --locked -p vm-test --bin bench-dpdk-vm
	@images/build
	setpriv --pdeathsig KILL target/release/bench-dpdk-vm --rounds $(ROUNDS)
	setpriv --pdeathsig KILL target/release/bench-dpdk-vm --rounds $(ROUNDS) --busy-poll-us 50 --json target/report/dpdk-vm-awake.json

bench-dpdk-tap-vm:
	@vm-test/prepare dpdk
	@$(STATIC) -p umnet -p guest-runner
	@$(CARGO) build --release --locked -p vm-test --bin bench
	@images/build
	target/release/bench --dpdk --rounds $(ROUNDS)
	target/release/bench --dpdk --rounds $(ROUNDS) --without-offloads --json target/report/dpdk-tap-without-offloads.json
	target/release/bench --dpdk --rounds $(ROUNDS) --processors 2 --json target/report/dpdk-tap-2.json

instructions: prepare
	UMNET_WRITE_INSTRUCTIONS=1 $(CARGO) test --release --locked -p umnet --test instructions -- --nocapture

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

ci:
	.ci/run

clean:
	$(CARGO) clean --release
	$(CARGO) clean --target $(TARGET)
	rm -rf target/debug target/vm
