"""Shoal for Spack: built from a checkout, with man pages and completions."""

import os

# Where build systems are: in a repository of their own from Spack 1.0 on, in Spack itself before.
try:
    from spack_repo.builtin.build_systems.generic import Package
except ImportError:
    pass

from spack.package import *


class Shoal(Package):
    """BitTorrent for clusters: puts files on every node of an MPI job, verified, at the speed of the
    network. One binary runs under every MPI, whose library it loads when it starts: nothing of MPI is
    needed to build it, and it depends on none."""

    # The checkout that this file lies in. Spack builds what is committed there.
    git = "file://" + os.path.realpath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))

    license("MIT OR Apache-2.0")

    version("main", branch="main")

    depends_on("c", type="build")
    depends_on("rust@1.89:", type="build")

    def install(self, spec, prefix):
        """The binary; then man pages and completions, from the definition that --help has."""
        cargo = which("cargo", required=True)
        cargo.add_default_env("CARGO_HOME", join_path(self.stage.path, "cargo"))
        cargo("install", "--locked", "--no-track", "--root", prefix, "--path", "crates/cli")
        cargo("run", "--locked", "--package", "shoal-cli", "--example", "man", "--", prefix.share)
