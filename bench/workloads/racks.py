"""Racks of four hosts, joined by uplinks that carry a quarter of what their hosts do (root).

The ideal is that a file enters each rack once. Shoal is told the racks by its plan; the chain goes
from rack to rack as its hosts are numbered, the best that it can do.
"""

from __future__ import annotations

import network
from context import Context
from files import MIB
from linked import METRICS, SHOAL_NAME, Delivery
from network import MEGABIT, Network
from table import Metric, Table, Target

NAME = "racks"
VARIANTS = ("2", "3")
HOSTS = 4
BITS = 200 * MEGABIT
UPLINK_BITS = HOSTS * BITS // 4
LENGTH = 128 * MIB
#: Each rack but the first has to take one copy in, and may pass it on: random peers send three.
UPLINK_COPIES_MAX = 1.2


def run(context: Context, variant: str) -> Table:
    """The table for so many racks; an empty one, which says why, where there can be none."""
    racks = int(variant)
    title = f"{LENGTH // MIB} MiB, {racks} racks of {HOSTS} hosts, uplinks four times thinner"
    metrics = (*METRICS, Metric("uplink_copies", "most out of a rack, copies"))
    why = network.missing()
    if why is not None:
        return Table(title, metrics, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    targets = [Target(SHOAL_NAME, "uplink_copies", UPLINK_COPIES_MAX)]
    with Network([[BITS] * HOSTS] * racks, UPLINK_BITS) as made:
        job = Delivery(context, made, LENGTH, BITS)
        return context.compare(Table(title, metrics, SHOAL_NAME, targets), job.contenders())
