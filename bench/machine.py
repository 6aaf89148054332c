"""Says what was measured where: the processor, the kernel, and the versions of all that ran."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from context import PYTHON, REPOSITORY, SHOAL
from measure import CORES
from rivals import mpi

#: Each prints its version on the first line.
VERSIONS = (
    ("shoal", [SHOAL, "--version"]),
    ("commit", ["git", "-C", REPOSITORY, "describe", "--always", "--dirty"]),
    ("libtorrent", [PYTHON, "-c", "import libtorrent; print(libtorrent.__version__)"]),
    ("aria2", ["aria2c", "--version"]),
    ("mktorrent", ["mktorrent", "-h"]),
    ("openssl", ["openssl", "version"]),
    ("rsync", ["rsync", "--version"]),
    ("cp", ["cp", "--version"]),
)


def describe() -> dict[str, str | int]:
    """The machine and the versions, for the JSON."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    versions = {name: first_line(command) for name, command in VERSIONS}
    return {
        "processor": processor.group(1) if processor else platform.machine(),
        "cores": CORES,
        "memory_gib": round(pages / 2**30),
        "kernel": platform.release(),
        "mpi": first_line([mpi.launcher(SHOAL), "--version"]),
        **versions,
    }


def first_line(command: list[str | Path]) -> str:
    """What a program says first; nothing where it is not there."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
    return said.strip().partition("\n")[0]
