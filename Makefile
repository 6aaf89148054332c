# Shoal: build, see it work, test it. `make help` lists the targets.
#
# CI runs `make test` and nothing else, so what passes here passes there.

# Two builds live side by side, one for each MPI; crate ferrompi's build script takes the compiler from MPICC.
OPENMPI := MPICC=mpicc.openmpi CARGO_TARGET_DIR=target/openmpi
MPICH   := MPICC=mpicc.mpich CARGO_TARGET_DIR=target/mpich

# The crates whose behaviour depends on the MPI; all others are tested once.
MPI_CRATES := --package shoal-mpi --package shoal-cli --package shoal-e2e

.PHONY: help build demo test test-openmpi test-mpich lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

build:  ## install what is missing, then build target/release/shoal for the MPI that is there
	@scripts/install-deps build
	MPICC=$${MPICC:-mpicc} cargo build --release --package shoal-cli

demo:  ## one tracker and four peers under mpirun, with real files, checked with sha256sum
	@scripts/install-deps demo
	@scripts/demo

test:  ## install what is missing, then everything, under Open MPI and under MPICH
	@scripts/install-deps test
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test-openmpi
	@$(MAKE) --no-print-directory test-mpich

test-openmpi:  ## all crates, under Debian's Open MPI
	$(OPENMPI) cargo test --workspace --no-fail-fast

test-mpich:  ## the crates that depend on the MPI, under Debian's MPICH
	$(MPICH) cargo test $(MPI_CRATES) --no-fail-fast

# A toolchain without these components still runs the tests.
lint:  ## rustfmt and clippy, where the toolchain has them
	@if cargo fmt --version >/dev/null 2>&1; then set -x; cargo fmt --all --check; \
	else echo "lint: no rustfmt here, skipped (rustup component add rustfmt)"; fi
	@if cargo clippy --version >/dev/null 2>&1; then set -x; \
	$(OPENMPI) cargo clippy --workspace --all-targets -- -D warnings; \
	else echo "lint: no clippy here, skipped (rustup component add clippy)"; fi

clean:  ## remove what was built, and the demo's files
	cargo clean
	rm -rf demo
