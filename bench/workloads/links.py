"""A file from one host to all others over shaped links: 8 hosts at 200 Mbit/s, 16 at 100 (root).

With few cores the rates are half of that. One rank, or one process, a host; host 0 has the file.
Times are multiples of what the file takes on one link at its rate; no TCP comes below 1.045 of it
(headers). `time` is from START to the last STOP for Shoal, from barrier to barrier for MPI
programs, from the first byte to the last word for the chain, and from the start of the processes
for all others. What the seeder sent its interface has counted.
"""

from __future__ import annotations

import network
from context import Context
from files import GIB, MIB
from linked import METRICS, RIVALS, SHOAL_NAME, TCP_CHAIN, Delivery, bits_a_second
from network import MEGABIT, Network
from table import Table, Target

NAME = "links"
VARIANTS = ("8", "16", "8-1gib")
#: Hosts, megabits a second, bytes; and the most that Shoal may take, over size / rate.
JOBS = {
    "8": (8, 200, 128 * MIB, 1.12),
    "16": (16, 100, 128 * MIB, 1.15),
    "8-1gib": (8, 200, GIB, 1.08),
}
COPIES_MAX = 1.10
CORES_MAX = 0.2


def run(context: Context, variant: str) -> Table:
    """The table for one network; an empty one, which says why, where there can be none."""
    hosts, megabits, length, at_most = JOBS[variant]
    bits = bits_a_second(megabits)
    title = f"{length // MIB} MiB, {hosts} hosts, links of {bits // MEGABIT} Mbit/s both ways"
    why = network.missing()
    if why is not None:
        return Table(title, METRICS, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    targets = [
        Target(SHOAL_NAME, "over_link", at_most),
        Target(SHOAL_NAME, "seeder_copies", COPIES_MAX),
        Target(SHOAL_NAME, "cores", CORES_MAX),
        Target(SHOAL_NAME, "over_link", 1.0, (TCP_CHAIN, *RIVALS), "the best rival"),
    ]
    with Network.switch(hosts, bits) as made:
        job = Delivery(context, made, length, bits)
        return context.compare(Table(title, METRICS, SHOAL_NAME, targets), job.contenders())
