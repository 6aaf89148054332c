# Shoal: build, see it work, test it. `make help` lists the targets.
#
# CI runs `make test` and nothing else, so what passes here passes there.

# There is one build for all MPIs; the tests of crate mpi and the black-box tests take the launcher from here.
MPI_openmpi := SHOAL_MPIRUN=mpirun.openmpi
MPI_mpich := SHOAL_MPIRUN=mpirun.mpich
# The one Open MPI that goes on when a rank dies, where scripts/install-deps puts it.
ULFM_HOME := $(CURDIR)/target/openmpi-5.0.11
MPI_ulfm := SHOAL_MPIRUN="$(ULFM_HOME)/bin/mpirun --with-ft ulfm"

# The tests beside the black-box ones that start a job. With --workspace nothing is built anew for them.
IN_MPI := --workspace --test conformance --test ending
# The black-box tests in which ranks die, hang, or find their disks and shares in trouble.
FAILURES := --test deaths --test trackers --test hangs --test disks --test shares --test waiting --test destination

.PHONY: help build man dist demo bench test test-openmpi test-mpich test-ulfm test-dist test-more-mpis plans agreement \
        test-fuzz fuzz lint clean \
        failures-openmpi failures-mpich failures-ulfm

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build:  ## install what is missing, then build target/release/shoal, for all MPIs
	@scripts/install-deps build
	cargo build --release --package shoal-cli

man:  ## man pages and shell completions into target/share, from the same definition as --help
	@scripts/install-deps build
	cargo run --release --quiet --package shoal-cli --example man -- target/share

dist:  ## wheels and Debian packages for x86-64 and aarch64 into target/dist; nothing is uploaded
	@scripts/dist

demo:  ## one tracker and four peers under mpirun, with real files, checked with sha256sum
	@scripts/install-deps demo
	@scripts/demo

bench:  ## shoal beside its rivals, ratios from the same run (WORKLOADS="one-host:4 create", REPEATS=)
	@$(MAKE) --no-print-directory build
	@bench/install
	@scripts/install-deps test-ulfm || echo "bench: no Open MPI with ULFM here, nobody will be killed"
	@python3 bench --repeats $(or $(REPEATS),5) $(WORKLOADS)

test:  ## install what is missing, then everything: one build, under Open MPI, under MPICH, and under ULFM
	@scripts/install-deps test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-fuzz
	@$(MAKE) --no-print-directory test-openmpi
	@$(MAKE) --no-print-directory test-mpich
	@$(MAKE) --no-print-directory test-ulfm

test-openmpi:  ## all crates, under Debian's Open MPI
	$(MPI_openmpi) cargo test --workspace --no-fail-fast

test-mpich:  ## the tests that start jobs, with the same binary, under Debian's MPICH
	$(MPI_mpich) cargo test $(IN_MPI) --no-fail-fast
	$(MPI_mpich) cargo test --package shoal-e2e --no-fail-fast

test-ulfm:  ## those of failures, with the same binary, under PyPI's Open MPI 5 with ULFM
	@if scripts/install-deps test-ulfm; then set -x; \
	$(MPI_ulfm) cargo test $(IN_MPI) --no-fail-fast && \
	$(MPI_ulfm) cargo test --package shoal-e2e $(FAILURES) --no-fail-fast; \
	elif [ "$$CI" = true ]; then echo "test-ulfm: no Open MPI with ULFM here, and CI must have it" >&2; exit 1; \
	else echo "test-ulfm: no Open MPI with ULFM here, SKIPPED"; fi

test-dist: dist  ## make dist, then its wheel in a fresh environment of Python, under every MPI at hand
	@scripts/install-deps test
	@scripts/test-dist

test-more-mpis:  ## the same binary under six more MPIs of PyPI, Intel's among them (1 GB below target/)
	@scripts/install-deps test-more-mpis
	@scripts/test-more-mpis

# One round of them, for scripts/repeat; FILTER is a part of a test's name.
failures-openmpi failures-mpich failures-ulfm: failures-%:
	$(MPI_$*) cargo test --package shoal-e2e $(FAILURES) --test signals --no-fail-fast -- --show-output $(FILTER)

# Each plan is a small simulated job in which a lot goes wrong; `make test` runs two thousand. SEED is the first.
plans:  ## ten thousand random fault plans in the simulator, on all cores (PLANS=, SEED=)
	@$(MAKE) --no-print-directory build
	target/release/shoal simulate --plans $(or $(PLANS),10000) --seed $(or $(SEED),1)

# Each case is two or three jobs under mpirun; `make test` runs 300. SEED is the first.
agreement:  ## five thousand random trees and options: run, --check and --dry-run agree (CASES=, SEED=)
	$(MPI_openmpi) SHOAL_AGREEMENT_CASES=$(or $(CASES),5000) SHOAL_AGREEMENT_SEED=$(or $(SEED),1) \
	    cargo test --package shoal-e2e --test agreement -- --nocapture

# The corpus and mutations of it as tests, then what decodes and what decides guided by coverage, where
# a C++ compiler lets libFuzzer be built. FUZZ_SECONDS is for each target; they run side by side.
test-fuzz:  ## hostile bytes and hostile messages, for some seconds
	@CARGO_TARGET_DIR=../target/fuzz FUZZ_PROFILE=dev scripts/fuzz $${FUZZ_SECONDS:-5} \
	    message hashes sidecar peer tracker
	CARGO_TARGET_DIR=target cargo test --manifest-path fuzz/Cargo.toml --no-default-features --features text

fuzz:  ## the same for long: FUZZ_SECONDS (600) each, all or TARGETS; findings in fuzz/artifacts
	@CARGO_TARGET_DIR=../target/fuzz scripts/fuzz $${FUZZ_SECONDS:-600} $(TARGETS)

# A toolchain without these components still runs the tests.
lint:  ## rustfmt and clippy, where the toolchain has them; the tests of bench/
	@if python3 -c "" 2>/dev/null; then set -ex; python3 -m compileall -q bench; \
	python3 -m unittest discover --quiet --start-directory bench/tests; \
	else echo "lint: no python3 here, skipped"; fi
	@if cargo fmt --version >/dev/null 2>&1; then set -ex; cargo fmt --all --check; \
	cargo fmt --manifest-path fuzz/Cargo.toml --check; \
	else echo "lint: no rustfmt here, skipped (rustup component add rustfmt)"; fi
	@if cargo clippy --version >/dev/null 2>&1; then set -x; \
	cargo clippy --workspace --all-targets -- -D warnings; \
	else echo "lint: no clippy here, skipped (rustup component add clippy)"; fi

clean:  ## remove what was built, and the demo's files
	cargo clean
	rm -rf demo
