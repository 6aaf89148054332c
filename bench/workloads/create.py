"""Hashing 1 GiB in tmpfs on all cores: what a holder does before it can offer a file.

Shoal says in its report when all ranks were ready, counted from its own start. A job of one rank
that shares the file and wants nothing is run twice, with a cold digest cache and with a warm one;
the difference is what hashing took, and filling the cache. The others say how long they hashed,
or take no time to start. The bound is the slower of reading the file and hashing as many bytes in
cache, both on all cores, measured in the same round.
"""

from __future__ import annotations

import time

import files
from context import Contender, Context
from measure import CORES
from rivals import hashing, shoal, torrent
from table import Metric, Table, Target

NAME = "create"
VARIANTS = ("1gib",)

LENGTH = files.GIB
METRICS = (Metric("hash_s", "hashing s", 3), Metric("cpu_s", "CPU s"))
BOUND = "bound: max(reading, SHA-256), all cores"
SHOAL = "shoal, cold digest cache"
#: A digest is only trusted where the file was older than this when it was hashed.
SETTLE_S = 3.5


def run(context: Context, variant: str) -> Table:
    """The table; there is one variant."""
    job = Job(context)
    contenders = [
        Contender(BOUND, False, job.bound),
        Contender("openssl speed sha256, 1 core", False, job.one_core),
        Contender("mktorrent v1 (SHA-1), all cores", False, job.mktorrent),
        Contender("libtorrent v2 (SHA-256)", False, job.libtorrent),
        Contender(SHOAL, False, job.shoal),
    ]
    targets = [Target(SHOAL, "hash_s", 1.3, (BOUND,))]
    table = Table("Hashing 1 GiB in tmpfs, to offer it", METRICS, BOUND, targets)
    return context.compare(table, contenders)


class Job:
    """The file, and one method for each contender."""

    def __init__(self, context: Context):
        self.directory = context.scratch
        self.source = files.random_file(self.directory / "source" / "data.bin", LENGTH)
        time.sleep(SETTLE_S)

    def bound(self) -> dict[str, float]:
        reading = hashing.read(self.source)
        sha256_s = LENGTH / hashing.sha256_bytes_per_s(CORES)
        return {
            "hash_s": max(reading.wall_s, sha256_s), "read_s": reading.wall_s, "sha256_s": sha256_s,
        }

    def one_core(self) -> dict[str, float]:
        return {"hash_s": LENGTH / hashing.sha256_bytes_per_s(1)}

    def mktorrent(self) -> dict[str, float]:
        group = hashing.mktorrent(self.source, self.directory / "mktorrent.torrent")
        return {"hash_s": group.wall_s, "cpu_s": group.cpu_s}

    def libtorrent(self) -> dict[str, float]:
        group, seconds = torrent.create(self.source, self.directory / "v2.torrent", "v2")
        return {"hash_s": seconds, "cpu_s": group.cpu_s}

    def shoal(self) -> dict[str, float]:
        cache = files.fresh(self.directory / "cache")
        cold = shoal.deliver(self.source, [], self.directory, cache)
        warm = shoal.deliver(self.source, [], self.directory, cache)
        return {
            "hash_s": cold.seconds_startup - warm.seconds_startup,
            "startup_s": cold.seconds_startup,
            "cpu_s": cold.group.cpu_s - warm.group.cpu_s,
        }
