# Shoal: build, see it work, test it. `make help` lists the targets.
#
# CI runs `make test` and nothing else, so what passes here passes there.

# Builds live side by side, one for each MPI; crate ferrompi's build script takes the compiler from MPICC.
MPI_openmpi := MPICC=mpicc.openmpi CARGO_TARGET_DIR=target/openmpi
MPI_mpich := MPICC=mpicc.mpich CARGO_TARGET_DIR=target/mpich
# The one Open MPI that goes on when a rank dies, where scripts/install-deps puts it.
ULFM_HOME := $(CURDIR)/target/openmpi-5.0.11
MPI_ulfm := MPICC=$(ULFM_HOME)/bin/mpicc CARGO_TARGET_DIR=target/openmpi5 LD_LIBRARY_PATH=$(ULFM_HOME)/lib \
           SHOAL_MPIRUN="$(ULFM_HOME)/bin/mpirun --with-ft ulfm"

# The crates whose behaviour depends on the MPI; all others are tested once.
MPI_CRATES := --package shoal-mpi --package shoal-cli --package shoal-e2e

# The tests of crate mpi that start a job.
IN_MPI := --test conformance --test ending
# The black-box tests in which ranks die, hang, or find their disks and shares in trouble.
FAILURES := --test deaths --test trackers --test hangs --test disks --test shares --test waiting --test destination

.PHONY: help build man demo bench test test-openmpi test-mpich test-ulfm plans test-fuzz fuzz lint clean \
        failures-openmpi failures-mpich failures-ulfm

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build:  ## install what is missing, then build target/release/shoal for the MPI that is there
	@scripts/install-deps build
	MPICC=$${MPICC:-mpicc} cargo build --release --package shoal-cli

man:  ## man pages and shell completions into target/share, from the same definition as --help
	@scripts/install-deps build
	MPICC=$${MPICC:-mpicc} cargo run --release --quiet --package shoal-cli --example man -- target/share

demo:  ## one tracker and four peers under mpirun, with real files, checked with sha256sum
	@scripts/install-deps demo
	@scripts/demo

bench:  ## shoal beside its rivals, ratios from the same run (WORKLOADS="one-host:4 create", REPEATS=)
	@$(MAKE) --no-print-directory build
	@bench/install
	@if scripts/install-deps test-ulfm; then set -x; $(MPI_ulfm) cargo build --release --package shoal-cli; \
	else echo "bench: no Open MPI with ULFM here, nobody will be killed"; fi
	@python3 bench --repeats $(or $(REPEATS),5) $(WORKLOADS)

test:  ## install what is missing, then everything, under Open MPI, under MPICH, and under ULFM
	@scripts/install-deps test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-fuzz
	@$(MAKE) --no-print-directory test-openmpi
	@$(MAKE) --no-print-directory test-mpich
	@$(MAKE) --no-print-directory test-ulfm

test-openmpi:  ## all crates, under Debian's Open MPI
	$(MPI_openmpi) cargo test --workspace --no-fail-fast

test-mpich:  ## the crates that depend on the MPI, under Debian's MPICH
	$(MPI_mpich) cargo test $(MPI_CRATES) --no-fail-fast

test-ulfm:  ## crate mpi and the tests of failures, under PyPI's Open MPI 5 with ULFM
	@if scripts/install-deps test-ulfm; then set -x; \
	$(MPI_ulfm) cargo test --package shoal-mpi --package shoal-e2e $(IN_MPI) $(FAILURES) --no-fail-fast; \
	elif [ "$$CI" = true ]; then echo "test-ulfm: no Open MPI with ULFM here, and CI must have it" >&2; exit 1; \
	else echo "test-ulfm: no Open MPI with ULFM here, SKIPPED"; fi

# One round of them, for scripts/repeat; FILTER is a part of a test's name.
failures-openmpi failures-mpich failures-ulfm: failures-%:
	$(MPI_$*) cargo test --package shoal-e2e $(FAILURES) --test signals --no-fail-fast -- --show-output $(FILTER)

# Each plan is a small simulated job in which a lot goes wrong; `make test` runs two thousand. SEED is the first.
plans:  ## ten thousand random fault plans in the simulator, on all cores (PLANS=, SEED=)
	@$(MAKE) --no-print-directory build
	target/release/shoal simulate --plans $(or $(PLANS),10000) --seed $(or $(SEED),1)

# The corpus and mutations of it as tests, then what decodes and what decides guided by coverage, where
# a C++ compiler lets libFuzzer be built. FUZZ_SECONDS is for each target; they run side by side.
test-fuzz:  ## hostile bytes and hostile messages, for some seconds
	@CARGO_TARGET_DIR=../target/fuzz FUZZ_PROFILE=dev scripts/fuzz $${FUZZ_SECONDS:-5} \
	    message hashes sidecar peer tracker
	$(MPI_openmpi) cargo test --manifest-path fuzz/Cargo.toml --no-default-features --features text

fuzz:  ## the same for long: FUZZ_SECONDS (600) each, all or TARGETS; findings in fuzz/artifacts
	@$(MPI_openmpi) CARGO_TARGET_DIR=../target/fuzz scripts/fuzz $${FUZZ_SECONDS:-600} $(TARGETS)

# A toolchain without these components still runs the tests.
lint:  ## rustfmt and clippy, where the toolchain has them; the tests of bench/
	@if python3 -c "" 2>/dev/null; then set -ex; python3 -m compileall -q bench; \
	python3 -m unittest discover --quiet --start-directory bench/tests; \
	else echo "lint: no python3 here, skipped"; fi
	@if cargo fmt --version >/dev/null 2>&1; then set -ex; cargo fmt --all --check; \
	cargo fmt --manifest-path fuzz/Cargo.toml --check; \
	else echo "lint: no rustfmt here, skipped (rustup component add rustfmt)"; fi
	@if cargo clippy --version >/dev/null 2>&1; then set -x; \
	$(MPI_openmpi) cargo clippy --workspace --all-targets -- -D warnings; \
	else echo "lint: no clippy here, skipped (rustup component add clippy)"; fi

clean:  ## remove what was built, and the demo's files
	cargo clean
	rm -rf demo
