"""One file from host 0 to all other hosts of a network: what each contender does, and its figures.

The figures are those of `METRICS`; what was sent is what the hosts' interfaces have counted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Callable, Mapping

import files
from context import BEFORE, PROGRAMS, REPOSITORY, SHOAL, Contender, Context
from measure import CORES, Group
from network import MEGABIT, Network
from rivals import aria2, broadcast, chain, hosts, multicast, shoal, torrent
from rivals.broadcast import Method
from table import Metric

METRICS = (
    Metric("over_link", "time / (size / link)", 3),
    Metric("wall_over_link", "with launch", 3),
    Metric("seeder_copies", "seeder sent, copies", 3),
    Metric("cores", "cores a host", 2),
)
#: The pieces of a torrent: those of Shoal for a file of this length.
PIECE_BYTES = 256 * files.KIB
TRACKER_PORT = 6969
SHOAL_NAME = "shoal"
TCP_CHAIN = "TCP chain, 256 KiB writes"
OPEN_MPI_CHAIN = "Open MPI chain, 128 KiB x 32"
HASHED_CHAIN = "Open MPI chain + SHA-256"
CHAINS = (TCP_CHAIN, OPEN_MPI_CHAIN, HASHED_CHAIN)
TORRENTS = (torrent.NAME, aria2.NAME)
MPI_CHAIN = Method("chain", 128 * files.KIB, 32)
MPI_BCAST = Method("bcast", 4 * files.MIB, 1)
RIVALS = {
    OPEN_MPI_CHAIN: lambda job: job.broadcast(MPI_CHAIN),
    HASHED_CHAIN: lambda job: job.broadcast(MPI_CHAIN, verify=True),
    "MPI_Bcast": lambda job: job.broadcast(MPI_BCAST),
    torrent.NAME: lambda job: job.libtorrent(),
    aria2.NAME: lambda job: job.aria2(),
    "udpcast": lambda job: job.multicast(multicast.udpcast),
    "uftp": lambda job: job.multicast(multicast.uftp),
}
VERIFYING = (HASHED_CHAIN, *TORRENTS)
#: With so many cores what hosts send each other is bound by their links, not by the processor that
#: has to be the network, too.
CORES_FOR_FULL_RATE = 4


def bits_a_second(megabits: int) -> int:
    """A link's rate: this many megabits a second, or half of them where there are few cores."""
    return megabits * MEGABIT // (1 if CORES >= CORES_FOR_FULL_RATE else 2)


class Delivery:
    """A file, a network, and a directory for each host that receives."""

    def __init__(self, context: Context, network: Network, length: int, bits: int):
        self.context = context
        self.network = network
        self.length = length
        self.bits = bits
        self.directory = context.scratch
        files.touch_pages(self.directory, network.hosts * length)
        self.source = files.random_file(self.directory / "source" / "data.bin", length)
        self.sha256 = files.sha256(self.source)
        self.destinations = [self.directory / f"host{host}" for host in range(1, network.hosts)]

    def contenders(self) -> list[Contender]:
        """Shoal and all rivals."""
        made = [self.contender(SHOAL_NAME, True, self.shoal),
                self.contender(TCP_CHAIN, False, self.chain)]
        if before := self.context.before:
            made.append(self.contender(BEFORE, True, lambda: self.shoal(before)))
        for name, method in RIVALS.items():
            made.append(self.contender(name, name in VERIFYING, lambda m=method: m(self)))
        return made

    def contender(
        self, name: str, verifies: bool, method: Callable[[], dict[str, float]],
    ) -> Contender:
        """A contender of which the hosts' interfaces and the uplinks count what it sends."""
        def run_once() -> dict[str, float]:
            before = self.network.sent(), self.network.uplinks()
            sample = method()
            sent, uplinks = self.network.sent(), self.network.uplinks()
            copies = [(now - then) / self.length for now, then in zip(sent, before[0])]
            sample["seeder_copies"] = copies[0]
            sample["most_copies"] = max(copies)
            crossed = [(out - then) / self.length
                       for (out, _), (then, _) in zip(uplinks, before[1])]
            if crossed:
                sample["uplink_copies"] = max(crossed)
            return sample
        return Contender.delivering(name, verifies, run_once, self.source, self.destinations)

    def sample(self, group: Group, seconds: float | None = None) -> dict[str, float]:
        """A run's times, as multiples of what the file takes on one link, and its CPU time."""
        ideal_s = self.length * 8 / self.bits
        took_s = group.wall_s if seconds is None else seconds
        return {
            "over_link": took_s / ideal_s,
            "wall_over_link": group.wall_s / ideal_s,
            "cores": group.cpu_s / group.wall_s / self.network.hosts,
            "seconds": took_s,
        }

    def shoal(self, program: Path = SHOAL) -> dict[str, float]:
        launch = hosts.mpirun(self.network, program, self.directory)
        # The digest cache is warm after the first run, which nothing here depends on: the clock
        # begins with START.
        job = shoal.deliver(self.source, self.destinations, self.directory,
                            self.directory / "cache", launch, hosts.ENV, self.racks(), program)
        return self.sample(job.group, job.seconds)

    def racks(self) -> list[int]:
        """The rack of each host, where there are several."""
        all_hosts = range(self.network.hosts if len(self.network.racks) > 1 else 0)
        return [self.network.rack_of(host) for host in all_hosts]

    def report(self) -> Mapping:
        """What Shoal said of its last run."""
        return json.loads((self.directory / "report.json").read_text(encoding="utf-8"))

    def chain(self) -> dict[str, float]:
        return self.sample(*chain.deliver(self.network, self.source, self.destinations))

    def broadcast(self, method: Method, verify: bool = False) -> dict[str, float]:
        launch = hosts.mpirun(self.network, PROGRAMS / "broadcast", self.directory)
        job = broadcast.deliver(method, self.source, self.destinations,
                                self.sha256 if verify else None, launch, hosts.ENV)
        return self.sample(job.group, job.seconds)

    def libtorrent(self) -> dict[str, float]:
        made = self.directory / "v2.torrent"
        if not made.exists():
            torrent.create(self.source, made, "v2", PIECE_BYTES)
        network = self.network
        return self.sample(torrent.deliver(
            made, self.source, self.destinations, network.address, network.command))

    def aria2(self) -> dict[str, float]:
        network, made = self.network, self.directory / "v1.torrent"
        url = f"http://{network.address(0)}:{TRACKER_PORT}/announce"
        torrent.create(self.source, made, "v1", PIECE_BYTES, url)
        with Group() as trackers:
            tracker = trackers.start(network.command(0, [
                sys.executable, REPOSITORY / "bench" / "tracker.py", network.address(0),
                str(TRACKER_PORT)]))
            trackers.wait_for("serving", [tracker])
            group = aria2.deliver(made, None, self.source, self.destinations, self.directory,
                                  network.address, network.command)
        return self.sample(group)

    def multicast(self, method: Callable[..., Group]) -> dict[str, float]:
        return self.sample(method(self.network, self.bits, self.source, self.destinations))
