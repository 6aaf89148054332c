"""1 GiB of random bytes, from one holder to 4 and to 8 receivers on this host, all in tmpfs.

Wall time from the first start to the last copy that is complete (and verified, where the contender
does that), launch included; the same without the launch where the program can tell; CPU seconds of all
processes for each GiB delivered; the most anonymous memory of one process. Each receiver has its own
directory, and all copies are compared byte for byte after each run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import files
from context import Contender, Context
from measure import Group
from rivals import cp, shoal
from table import Metric, Table

NAME = "one-host"
VARIANTS = ("4", "8")

LENGTH = files.GIB
METRICS = (
    Metric("wall_s", "wall s"),
    Metric("transfer_s", "without launch s"),
    Metric("cpu_s_per_gib", "CPU s/GiB"),
    Metric("anonymous_mb", "memory MB", 0),
)


def run(context: Context, variant: str) -> Table:
    """The table for `variant` receivers."""
    job = Job(context, int(variant))
    contenders = [
        job.contender(f"cp, {variant} at once", False, job.cp),
        job.contender("shoal, warm digest cache", True, job.shoal_warm),
        job.contender("shoal, cold digest cache", True, job.shoal_cold),
    ]
    job.shoal_warm()  # What warms the cache is not measured.
    table = Table(
        f"1 GiB in tmpfs, one holder, {variant} receivers on one host",
        METRICS, "shoal, warm digest cache",
    )
    return context.compare(table, contenders)


class Job:
    """The file, the receivers' directories, and one method for each contender."""

    def __init__(self, context: Context, receivers: int):
        self.directory = context.scratch
        files.touch_pages(self.directory, (receivers + 2) * LENGTH)
        self.source = files.random_file(self.directory / "source" / "data.bin", LENGTH)
        self.receivers = receivers

    def contender(self, name: str, verifies: bool, method: Callable) -> Contender:
        """A contender whose run begins with empty directories and ends with a comparison."""
        def run() -> dict[str, float]:
            sample = method()
            files.must_equal(self.source, [d / self.source.name for d in self.destinations()])
            return sample
        return Contender(name, verifies, run)

    def destinations(self) -> list[Path]:
        return [self.directory / f"receiver{number}" for number in range(self.receivers)]

    def fresh_destinations(self) -> list[Path]:
        return [files.fresh(directory) for directory in self.destinations()]

    def sample(self, group: Group, transfer_s: float | None = None) -> dict[str, float]:
        delivered_gib = self.receivers * LENGTH / files.GIB
        sample = {
            "wall_s": group.wall_s,
            "cpu_s_per_gib": group.cpu_s / delivered_gib,
            "anonymous_mb": group.anonymous_peak_bytes / 1e6,
        }
        return sample if transfer_s is None else {**sample, "transfer_s": transfer_s}

    def cp(self) -> dict[str, float]:
        return self.sample(cp.copy(self.source, self.fresh_destinations()))

    def shoal_warm(self) -> dict[str, float]:
        return self.shoal(self.directory / "warm")

    def shoal_cold(self) -> dict[str, float]:
        return self.shoal(files.fresh(self.directory / "cold"))

    def shoal(self, cache: Path) -> dict[str, float]:
        destinations = self.fresh_destinations()
        job = shoal.deliver(self.source, destinations, self.directory, cache)
        return self.sample(job.group, job.seconds)
