"""A chain of plain TCP sockets from host to host: programs/chain.c. It verifies nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Sequence

from context import PROGRAMS
from measure import Failed, Group
from network import Network

PROGRAM = PROGRAMS / "chain"
PORT = 7100


def deliver(network: Network, source: Path, destinations: Sequence[Path]) -> tuple[Group, float]:
    """From host 0 into these directories, of hosts 1 and on; also the program's own seconds."""
    length = source.stat().st_size
    last = len(destinations)
    with Group() as group:
        # The last first, so that everyone has somebody to connect to.
        for host in range(last, -1, -1):
            role = "head" if host == 0 else "tail" if host == last else "link"
            file = destinations[host - 1] / source.name if host else source
            after = network.address(host + 1) if host < last else "-"
            process = group.start(network.command(host, [
                PROGRAM, str(length), role, file, after, str(PORT)]))
        group.wait()
        said = re.search(r"^seconds ([0-9.]+)$", group.output(process), re.MULTILINE)
    if said is None:
        raise Failed("the program told no seconds")
    return group, float(said.group(1))
