"""A receiver is killed half-way (SIGKILL): 128 MiB to 8 receivers on this host, 40 MB/s each.

Only an MPI that can tell of a death goes on without the dead rank: Open MPI 5 with ULFM, which
`make bench` puts below `target/`. Every rank's upload is capped, so that the job is bound by the
rate and not by the cores; what counts is the last of those that live, beside the same job in which
nobody dies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import files
from context import REPOSITORY, SHOAL, Contender, Context
from files import MIB
from measure import Failed, Group, descendants
from rivals import mpi, shoal
from table import Metric, Table, Target

NAME = "killed"
VARIANTS = ("ulfm",)
RECEIVERS = 8
VICTIM = RECEIVERS // 2
LENGTH = 128 * MIB
RATE = 40_000_000
WAIT_MAX_S = 60
ULFM = REPOSITORY / "target" / "openmpi-5.0.11"
ENV = {
    **mpi.ENV,
    "PRTE_ALLOW_RUN_AS_ROOT": "1", "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
}
LIVING = Metric("others_over_rate", "last that lives, time / (size / rate)", 3)
NOBODY, ONE = "shoal, nobody dies", "shoal, one is killed"
#: What a tenth of the ranks may cost the others.
OTHERS_MAX = 1.05


def run(context: Context, variant: str) -> Table:
    """The table; an empty one, which says why, without this MPI."""
    title = f"{LENGTH // MIB} MiB to {RECEIVERS} receivers, one killed half-way, {variant}"
    target = Target(ONE, LIVING.key, OTHERS_MAX, (NOBODY,))
    if not ULFM.exists():
        note = f"SKIPPED: no {ULFM.relative_to(REPOSITORY)}, which `make bench` installs"
        return Table(title, (LIVING,), NOBODY, notes=[note])
    files.touch_pages(context.scratch, (RECEIVERS + 1) * LENGTH)
    source = files.random_file(context.scratch / "source" / "data.bin", LENGTH)
    contenders = [Contender(name, True, lambda kill=kill: once(context.scratch, source, kill))
                  for name, kill in ((NOBODY, False), (ONE, True))]
    return context.compare(Table(title, (LIVING,), NOBODY, [target]), contenders)


def once(directory: Path, source: Path, kill: bool) -> dict[str, float]:
    """One job; everybody's copy is compared, but for the dead one's."""
    destinations = [files.fresh(directory / f"receiver{n}") for n in range(1, RECEIVERS + 1)]
    plan, report = directory / "plan.toml", directory / "report.json"
    report.unlink(missing_ok=True)
    plan.write_text(shoal.plan_of(source, destinations), encoding="utf-8")
    command = [ULFM / "bin" / "mpirun", "--with-ft", "ulfm", "--oversubscribe", "--bind-to", "none",
               "-n", str(1 + RECEIVERS), SHOAL, "run", "--tracker", "colocated",
               "--plan", plan, "--json", report, "--progress", "none",
               "--limit-upload", str(RATE)]
    with Group() as group:
        job = group.start(command, {**ENV, "XDG_CACHE_HOME": str(directory / "cache")})
        if kill:
            os.kill(rank_at_half(destinations[VICTIM - 1]), signal.SIGKILL)
        try:
            job.wait(WAIT_MAX_S)
        except subprocess.TimeoutExpired:
            raise Failed("the job did not end") from None
    peers = json.loads(report.read_text(encoding="utf-8"))["peers"]
    lost = [peer["rank"] for peer in peers if peer["state"] != "complete"]
    if lost != ([VICTIM] if kill else []):
        raise Failed(f"ranks {lost} are not complete")
    living = [copy for rank, copy in enumerate(destinations, start=1) if rank not in lost]
    files.must_equal(source, [copy / source.name for copy in living])
    seconds = [peer["seconds"] for peer in peers if peer["rank"] not in (0, VICTIM)]
    return {LIVING.key: max(seconds) / (LENGTH / RATE)}


def rank_at_half(destination: Path) -> int:
    """Waits until the victim's partial file is half full, and finds the process."""
    deadline = time.monotonic() + WAIT_MAX_S
    while time.monotonic() < deadline:
        parts = list(destination.glob(".shoal/*.part"))
        if parts and parts[0].stat().st_blocks * 512 >= LENGTH // 2:
            for process_id in descendants(os.getpid()):
                environment = Path(f"/proc/{process_id}/environ").read_bytes().split(b"\0")
                if f"PMIX_RANK={VICTIM}".encode() in environment:
                    return process_id
        time.sleep(0.01)
    raise Failed("the victim never had half of the file")
