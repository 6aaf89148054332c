"""Racks of four hosts, joined by uplinks that carry a quarter of what their hosts do (root).

The ideal is that a file enters each rack once. Shoal is told the racks by its plan; the chain goes
from rack to rack as its hosts are numbered, the best that it can do.
"""

from __future__ import annotations

import network
from context import Context
from files import MIB
from linked import CHAINS, METRICS, SHOAL_NAME, TORRENTS, Delivery, bits_a_second
from network import Network
from table import Metric, Table, Target

NAME = "racks"
VARIANTS = ("2", "3")
HOSTS = 4
BITS = bits_a_second(200)
UPLINK_BITS = HOSTS * BITS // 4
LENGTH = 128 * MIB
#: Each rack but the first has to take one copy in, and may pass it on: random peers send three.
UPLINK_COPIES_MAX = 1.2
#: A file takes so many times its size over the link's rate, for there are headers: what one TCP
#: connection, alone on a link, is measured to take.
TCP_FLOOR = 1.045
#: The bound of these networks is that of one link: each rack can pass on what the others lack.
OVER_BOUND_MAX = 1.15


def run(context: Context, variant: str) -> Table:
    """The table for so many racks; an empty one, which says why, where there can be none."""
    racks = int(variant)
    title = f"{LENGTH // MIB} MiB, {racks} racks of {HOSTS} hosts, uplinks four times thinner"
    metrics = (*METRICS, Metric("uplink_copies", "most out of a rack, copies"))
    why = network.missing()
    if why is not None:
        return Table(title, metrics, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    targets = [
        Target(SHOAL_NAME, "uplink_copies", UPLINK_COPIES_MAX),
        Target(SHOAL_NAME, "over_link", OVER_BOUND_MAX * TCP_FLOOR),
        Target(SHOAL_NAME, "over_link", 1.0, CHAINS, "the best chain"),
        Target(SHOAL_NAME, "over_link", 1.0, TORRENTS, "the best BitTorrent client"),
    ]
    with Network([[BITS] * HOSTS] * racks, UPLINK_BITS) as made:
        job = Delivery(context, made, LENGTH, BITS)
        return context.compare(Table(title, metrics, SHOAL_NAME, targets), job.contenders())
