"""A file by MPI collectives or a chain, with and without SHA-256: programs/broadcast.c.

The settings are the best of those tried, one host and links alike; README.md has the figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from context import PROGRAMS
from files import KIB, MIB
from measure import Failed, Group
from rivals import mpi

PROGRAM = PROGRAMS / "broadcast"


@dataclass(frozen=True)
class Method:
    """How the bytes travel: the program's first three arguments."""

    name: str
    block_bytes: int
    depth: int


CHAIN = Method("chain", 256 * KIB, 16)
IBCAST = Method("ibcast", 4 * MIB, 2)
BCAST = Method("bcast", 4 * MIB, 1)


@dataclass(frozen=True)
class Job:
    """One run: what was measured from outside, and the program's own clock."""

    group: Group
    #: From a barrier after MPI_Init to one after the last byte.
    seconds: float


def deliver(
    method: Method, source: Path, destinations: Sequence[Path], sha256: str | None = None,
    launch: Sequence[str] | None = None, env: Mapping[str, str] | None = None,
) -> Job:
    """From rank 0 into each of these directories; verified where the file's SHA-256 is given."""
    copies = [directory / source.name for directory in destinations]
    command = [
        *(launch or mpi.mpirun(PROGRAM, 1 + len(copies))), PROGRAM, method.name,
        str(method.block_bytes), str(method.depth), sha256 or "-", source, *copies,
    ]
    with Group() as group:
        process = group.start(command, {**mpi.ENV, **(env or {})})
        group.wait()
        said = re.search(r"^seconds ([0-9.]+)$", group.output(process), re.MULTILINE)
    if said is None:
        raise Failed("the program told no seconds")
    return Job(group, float(said.group(1)))
