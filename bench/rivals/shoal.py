"""Shoal itself, as it comes: one process a receiver, and what it says of itself in its report.

Rank 0 tracks and has the files (`--tracker colocated`, which `shoal cast` does by default), all
others want them: as many processes as an MPI program needs, and no rank that only waits. A
dedicated tracker was as fast or 3 % slower. No other flag but where files are: a user gives none
either. The digest cache (`XDG_CACHE_HOME`) is the caller's, warm or cold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from context import SHOAL
from measure import Failed, Group
from rivals import mpi


@dataclass(frozen=True)
class Job:
    """One run: what was measured from outside, and the report."""

    group: Group
    #: From START, when all know the catalogue, to the last STOP.
    seconds: float
    #: From the start of the process to START: hashing, or finding that it is not needed.
    seconds_startup: float


def deliver(
    source: Path, destinations: Sequence[Path], directory: Path, cache: Path,
    launch: Sequence[str] | None = None, env: Mapping[str, str] | None = None,
    racks: Sequence[int] = (), program: Path = SHOAL,
) -> Job:
    """From one holder into each of these directories; plan and report are written to `directory`.

    `launch`, `env` and `racks` are for hosts on links: a launcher and its flags, without the
    program, and the rack of each rank where there are several. `program` is another build of Shoal.
    """
    plan = directory / "plan.toml"
    report = directory / "report.json"
    report.unlink(missing_ok=True)
    plan.write_text(plan_of(source, destinations, racks), encoding="utf-8")
    command = [*(launch or mpi.mpirun(program, 1 + len(destinations))), program, "run",
               "--tracker", "colocated", "--plan", plan, "--json", report, "--progress", "none"]
    with Group() as group:
        group.start(command, {**mpi.ENV, "XDG_CACHE_HOME": str(cache), **(env or {})})
        group.wait()
    said = json.loads(report.read_text(encoding="utf-8"))
    if said["outcome"] != "complete":
        raise Failed(f"outcome {said['outcome']}")
    return Job(group, said["seconds"], said["seconds_startup"])


def plan_of(source: Path, destinations: Sequence[Path], racks: Sequence[int] = ()) -> str:
    """The plan: rank 0 shares, rank 1 and those above it receive; `racks` has one for each rank."""
    roles = [f'share = ["{source}"]\nwant = []\n']
    roles += [f'into = "{destination}"\n' for destination in destinations]
    entries = []
    for rank, role in enumerate(roles):
        rack = f'rack = "r{racks[rank]}"\n' if racks else ""
        entries.append(f'[[peer]]\nranks = "{rank}"\n{role}{rack}')
    return "\n".join(entries)
