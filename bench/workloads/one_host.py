"""1 GiB of random bytes, from one holder to 4 and to 8 receivers on this host, all in tmpfs.

Wall time from the first start to the last copy that is complete (and verified, where the
contender does that), launch included; the same without the launch where the program can tell; CPU
seconds of all processes for each GiB delivered; the most anonymous memory of one process. Each
receiver has its own directory, and all copies are compared byte for byte after each run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import files
from context import BEFORE, SHOAL, Contender, Context
from measure import Group
from rivals import aria2, broadcast, cp, shoal, torrent
from rivals.broadcast import Method
from table import Metric, Table, Target
from tracker import Tracker

NAME = "one-host"
VARIANTS = ("4", "8")

LENGTH = files.GIB
METRICS = (
    Metric("wall_s", "wall s"),
    Metric("transfer_s", "without launch s"),
    Metric("cpu_s_per_gib", "CPU s/GiB"),
    Metric("anonymous_mb", "memory MB", 0),
)
WARM = "shoal, warm digest cache"
COLD = "shoal, cold digest cache"
CHAIN = "MPI chain"
#: Which block is best for hashing in line changes with the machine's caches and its load.
HASHED = {
    f"MPI_Ibcast {size} + SHA-256": Method("ibcast", block_bytes, depth)
    for size, block_bytes, depth in [
        ("4 MiB", 4 * files.MIB, 2), ("1 MiB", files.MIB, 2), ("256 KiB", 256 * files.KIB, 4)]
}
TORRENTS = (torrent.NAME, aria2.NAME)
MEMORY_MAX_MB = 100 * files.MIB / 1e6


def run(context: Context, variant: str) -> Table:
    """The table for `variant` receivers."""
    job = Job(context, int(variant))
    with Tracker() as tracker:
        job.make_torrents(tracker)
        contenders = [
            job.contender(f"cp, {variant} at once", False, job.cp),
            job.contender(CHAIN, False, lambda: job.broadcast(broadcast.CHAIN)),
            job.contender("MPI_Ibcast 4 MiB", False, lambda: job.broadcast(broadcast.IBCAST)),
            *[job.contender(name, True, lambda method=method: job.broadcast(method, job.sha256))
              for name, method in HASHED.items()],
            job.contender(torrent.NAME, True, job.libtorrent),
            job.contender(aria2.NAME, True, lambda: job.aria2(tracker)),
            job.contender(WARM, True, job.shoal_warm),
            job.contender(COLD, True, job.shoal_cold),
        ]
        if context.before:
            contenders.append(job.contender(BEFORE, True, job.shoal_before))
        for directory in job.destinations:
            directory.mkdir()
        job.shoal_warm()  # What warms the cache is not measured.
        title = f"1 GiB in tmpfs, one holder, {variant} receivers on one host"
        return context.compare(Table(title, METRICS, WARM, targets(variant)), contenders)


def targets(receivers: str) -> list[Target]:
    """What Shoal is to reach here."""
    best_hashed = "the best MPI_Ibcast + SHA-256"
    most = [
        Target(WARM, "wall_s", 0.45, TORRENTS, "the best BitTorrent client"),
        Target(WARM, "wall_s", {"4": 0.65, "8": 0.85}[receivers], tuple(HASHED), best_hashed),
        Target(WARM, "anonymous_mb", MEMORY_MAX_MB),
    ]
    if receivers != "4":
        return most
    return [
        *most,
        Target(WARM, "cpu_s_per_gib", 0.65, (*TORRENTS, *HASHED), "the best that verifies"),
        Target(WARM, "transfer_s", 1.1, (CHAIN,)),
        Target(COLD, "wall_s", 1.15, (WARM,)),
    ]


class Job:
    """The file, the receivers' directories, and one method for each contender."""

    def __init__(self, context: Context, receivers: int):
        self.directory = context.scratch
        self.before = context.before
        self.receivers = receivers
        files.must_fit(self.directory, (receivers + 2) * LENGTH)
        self.source = files.random_file(self.directory / "source" / "data.bin", LENGTH)
        self.sha256 = files.sha256(self.source)
        self.destinations = [self.directory / f"receiver{number}" for number in range(receivers)]
        self.torrent_v1 = self.directory / "v1.torrent"
        self.torrent_v2 = self.directory / "v2.torrent"

    def make_torrents(self, tracker: Tracker) -> None:
        """One for each client: aria2 knows version 1 only."""
        torrent.create(self.source, self.torrent_v1, "v1", tracker=tracker.url)
        torrent.create(self.source, self.torrent_v2, "v2")

    def contender(
        self, name: str, verifies: bool, method: Callable[[], dict[str, float]],
    ) -> Contender:
        """One line of the table."""
        return Contender.delivering(name, verifies, method, self.source, self.destinations)

    def sample(self, group: Group, transfer_s: float | None = None) -> dict[str, float]:
        """A run's figures, by the keys of METRICS."""
        delivered_gib = self.receivers * LENGTH / files.GIB
        sample = {
            "wall_s": group.wall_s,
            "cpu_s_per_gib": group.cpu_s / delivered_gib,
            "anonymous_mb": group.anonymous_peak_bytes / 1e6,
        }
        return sample if transfer_s is None else {**sample, "transfer_s": transfer_s}

    def cp(self) -> dict[str, float]:
        return self.sample(cp.copy(self.source, self.destinations))

    def broadcast(self, method: Method, sha256: str | None = None) -> dict[str, float]:
        job = broadcast.deliver(method, self.source, self.destinations, sha256)
        return self.sample(job.group, job.seconds)

    def libtorrent(self) -> dict[str, float]:
        return self.sample(torrent.deliver(self.torrent_v2, self.source, self.destinations))

    def aria2(self, tracker: Tracker) -> dict[str, float]:
        return self.sample(aria2.deliver(
            self.torrent_v1, tracker, self.source, self.destinations, self.directory))

    def shoal_warm(self) -> dict[str, float]:
        return self.shoal(self.directory / "warm")

    def shoal_cold(self) -> dict[str, float]:
        return self.shoal(files.fresh(self.directory / "cold"))

    def shoal_before(self) -> dict[str, float]:
        return self.shoal(self.directory / "warm", self.before)

    def shoal(self, cache: Path, program: Path = SHOAL) -> dict[str, float]:
        job = shoal.deliver(
            self.source, self.destinations, self.directory, cache, program=program)
        return self.sample(job.group, job.seconds)
