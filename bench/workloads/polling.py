"""What hosts that wait for their links burn: 8 hosts, 50 Mbit/s, Shoal beside MPI programs (root).

A job of Shoal runs beside the job that it brings the files for. MPI programs poll: a core a rank,
whatever the network does.
"""

from __future__ import annotations

import network
from context import Context
from files import MIB
from linked import METRICS, OPEN_MPI_CHAIN, SHOAL_NAME, TCP_CHAIN, Delivery
from network import MEGABIT, Network
from rivals import torrent
from table import Table, Target

NAME = "polling"
VARIANTS = ("50mbit",)
HOSTS = 8
BITS = 50 * MEGABIT
LENGTH = 64 * MIB
CORES_MAX = 0.2


def run(context: Context, variant: str) -> Table:
    """The table; an empty one, which says why, where there can be no networks."""
    title = f"{LENGTH // MIB} MiB, {HOSTS} hosts, links of {variant}/s"
    why = network.missing()
    if why is not None:
        return Table(title, METRICS, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    names = (SHOAL_NAME, TCP_CHAIN, OPEN_MPI_CHAIN, torrent.NAME)
    with Network.switch(HOSTS, BITS) as made:
        job = Delivery(context, made, LENGTH, BITS)
        contenders = [each for each in job.contenders() if each.name in names]
        targets = [Target(SHOAL_NAME, "cores", CORES_MAX)]
        return context.compare(Table(title, METRICS, SHOAL_NAME, targets), contenders)
