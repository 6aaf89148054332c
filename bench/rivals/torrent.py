"""libtorrent 2.x: the fastest BitTorrent client, tuned, by programs/torrent.py.

Every client is a process with an address of its own (127.0.0.x here, or its host's), knows all
others from the start, and goes on seeding until the last one is complete. The seeder does not
hash first.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Callable, Sequence

from context import PYTHON, REPOSITORY
from files import MIB
from measure import Group

NAME = "libtorrent"
PROGRAM = REPOSITORY / "bench" / "programs" / "torrent.py"
PIECE_BYTES = MIB

#: Gives the start of a command that runs on a host, by the client's number; 0 is the seeder.
OnHost = Callable[[int], list[str]]


def create(source: Path, torrent: Path, version: str = "v2", piece_bytes: int = PIECE_BYTES,
           tracker: str = "") -> tuple[Group, float]:
    """Makes a torrent; also gives the seconds that hashing took in the program."""
    with Group() as group:
        process = group.start([
            PYTHON, PROGRAM, "create", version, str(piece_bytes), source, torrent, tracker])
        group.wait()
        said = re.search(r"seconds ([0-9.]+)", group.output(process))
    return group, float(said.group(1))


def loopback(number: int) -> str:
    """The address of a client, where all are on this host."""
    return f"127.0.1.{number + 1}"


def deliver(
    torrent: Path, source: Path, destinations: Sequence[Path],
    address: Callable[[int], str] = loopback, on_host: OnHost = lambda number: [],
) -> Group:
    """From one seeder into each of these directories, until all are complete."""
    directories = [source.parent, *destinations]
    addresses = [address(number) for number in range(len(directories))]
    with Group() as group:
        clients = []
        for number, directory in enumerate(directories):
            others = [each for each in addresses if each != addresses[number]]
            role = "leech" if number else "seed"
            clients.append(group.start([*on_host(number), PYTHON, PROGRAM, "client", role, torrent,
                                        directory, addresses[number], *others]))
        group.wait_for("complete", clients[1:])
    return group
