"""Links and holdings that differ, across 8 hosts at 200 Mbit/s (root).

`slow`: one receiver's link has a tenth of the rate; what counts is the last of the others, beside
the same job with equal links. `holding`: half of the receivers already have half of the file, at
another half each; nothing of it may be sent to them again.
"""

from __future__ import annotations

import network
from context import Contender, Context
from files import MIB
from linked import METRICS, SHOAL_NAME, Delivery
from measure import Failed
from network import MEGABIT, Network
from table import Metric, Table, Target

NAME = "uneven"
VARIANTS = ("slow", "holding")
HOSTS = 8
BITS = 200 * MEGABIT
LENGTH = 128 * MIB
OTHERS = Metric("others_over_link", "last of the others", 3)
SENT_AGAIN = Metric("again", "sent again, MiB", 2)
SLOW = "shoal, one slow receiver"
HOLDING = "shoal, half hold half"


def run(context: Context, variant: str) -> Table:
    """The table; an empty one, which says why, where there can be no networks."""
    why = network.missing()
    title = f"{LENGTH // MIB} MiB, {HOSTS} hosts, links of {BITS // MEGABIT} Mbit/s: {variant}"
    if why is not None:
        return Table(title, METRICS, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    return slow(context, title) if variant == "slow" else holding(context, title)


def slow(context: Context, title: str) -> Table:
    """One receiver at a tenth; beside it the same number of equal links."""
    target = Target(SLOW, OTHERS.key, 1.05, (SHOAL_NAME,), "equal links")
    table = Table(title, (OTHERS,), SHOAL_NAME, [target])
    rows = {SHOAL_NAME: [BITS] * HOSTS, SLOW: [BITS] * (HOSTS - 1) + [BITS // 10]}
    contenders = [Contender(name, True, lambda rates=rates: others(context, rates))
                  for name, rates in rows.items()]
    return context.compare(table, contenders)


def others(context: Context, rates: list[int]) -> dict[str, float]:
    """When the last but the last host was complete. Networks of one run are made one at a time."""
    with Network([rates]) as made:
        job = Delivery(context, made, LENGTH, BITS)
        job.contender(SHOAL_NAME, True, job.shoal).run()
        last = len(rates) - 1
        peers = job.report()["peers"]
        seconds = [peer["seconds"] for peer in peers if peer["rank"] not in (0, last)]
        return {OTHERS.key: max(seconds) / (LENGTH * 8 / BITS)}


def holding(context: Context, title: str) -> Table:
    """What stands at half of the destinations before the run is half of the file, and zeros."""
    with Network.switch(HOSTS, BITS) as made:
        job = Delivery(context, made, LENGTH, BITS)

        def run_holding() -> dict[str, float]:
            half = LENGTH // 2
            content = job.source.read_bytes()
            for number, directory in enumerate(job.destinations[::2]):
                first = half * (number % 2)
                held = bytes(first) + content[first:first + half] + bytes(LENGTH - first - half)
                (directory / job.source.name).write_bytes(held)
            sample = job.shoal()
            peers = job.report()["peers"]
            reused = sum(peer["bytes_reused"] for peer in peers)
            expected = half * len(job.destinations[::2])
            if reused != expected:
                raise Failed(f"{reused} bytes were reused, not {expected}")
            received = sum(peer["bytes_received"] for peer in peers)
            missing = LENGTH * len(job.destinations) - expected
            return {**sample, SENT_AGAIN.key: (received - missing) / MIB}

        metrics = (*METRICS, SENT_AGAIN)
        table = Table(title, metrics, SHOAL_NAME, [Target(HOLDING, SENT_AGAIN.key, 0.0)])
        return context.compare(table, [job.contender(SHOAL_NAME, True, job.shoal),
                                       job.contender(HOLDING, True, run_holding)])
