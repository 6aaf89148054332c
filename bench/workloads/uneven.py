"""Links, disks and holdings that differ, across 8 hosts at 200 Mbit/s (root).

`slow`: one receiver's link has a tenth of the rate; what counts is the last of the others, beside
the same job with equal links. `disk`: one receiver's disk waits for every write, on an ext4 in a
loop device; the same. `holding`: half of the receivers already have half of the file, at another
half each; nothing of it may be sent to them again. `quarters`: four receivers already have a
quarter each, and all of them together the file.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

import files
import network
from context import Contender, Context
from files import MIB
from linked import METRICS, SHOAL_NAME, Delivery
from measure import Failed
from network import MEGABIT, Network
from table import Metric, Table, Target

NAME = "uneven"
VARIANTS = ("slow", "disk", "holding", "quarters")
HOSTS = 8
BITS = 200 * MEGABIT
LENGTH = 128 * MIB
OTHERS = Metric("others_over_link", "last of the others", 3)
SENT_AGAIN = Metric("again", "sent again, MiB", 2)
#: One slow receiver costs the others at most so much.
OTHERS_MAX = 1.05
MOUNT_MAX_S = 60
#: The part of the file that each receiver has, the first one's first: which, and of how many.
HELD = {
    "holding": [(number % 2, 2) for number in range(HOSTS // 2)],
    "quarters": [(number, 4) for number in range(4)],
}


def run(context: Context, variant: str) -> Table:
    """The table; an empty one, which says why, where there can be no networks."""
    why = network.missing()
    title = f"{LENGTH // MIB} MiB, {HOSTS} hosts, links of {BITS // MEGABIT} Mbit/s: {variant}"
    if why is not None:
        return Table(title, METRICS, SHOAL_NAME, notes=[f"SKIPPED: {why}"])
    if variant in HELD:
        return holding(context, title, variant)
    slow = f"shoal, one slow {'disk' if variant == 'disk' else 'receiver'}"
    target = Target(slow, OTHERS.key, OTHERS_MAX, (SHOAL_NAME,), "all alike")
    table = Table(title, (OTHERS,), SHOAL_NAME, [target])
    method = slow_disk if variant == "disk" else slow_link
    return context.compare(table, [
        Contender(SHOAL_NAME, True, lambda: others(context, [BITS] * HOSTS)),
        Contender(slow, True, lambda: method(context))])


def slow_link(context: Context) -> dict[str, float]:
    """The last receiver's link has a tenth of the rate."""
    return others(context, [BITS] * (HOSTS - 1) + [BITS // 10])


def slow_disk(context: Context) -> dict[str, float]:
    """The last receiver's disk waits for every write."""
    with synchronous_disk(context.disk) as directory:
        return others(context, [BITS] * HOSTS, directory)


def others(
    context: Context, rates: Sequence[int], last: Path | None = None,
) -> dict[str, float]:
    """When the last but the last host was complete; `last` is where that one's copy goes.

    Networks of one run are made one at a time.
    """
    with Network([rates]) as made:
        job = Delivery(context, made, LENGTH, BITS)
        if last is not None:
            job.destinations[-1] = last
        job.contender(SHOAL_NAME, True, job.shoal).run()
        peers = job.report()["peers"]
        seconds = [peer["seconds"] for peer in peers if peer["rank"] not in (0, len(rates) - 1)]
        return {OTHERS.key: max(seconds) / (LENGTH * 8 / BITS)}


@contextmanager
def synchronous_disk(scratch: Path) -> Iterator[Path]:
    """A directory on a file system of its own, every write to which waits for the disk."""
    image, mount = scratch / "image", files.fresh(scratch / "mount")
    with image.open("wb") as file:
        file.truncate(2 * LENGTH)
    command(["mkfs.ext4", "-q", "-F", image])
    command(["mount", "-o", "loop,sync", image, mount])
    try:
        yield mount / "receiver"
    finally:
        command(["umount", mount])
        image.unlink()


def command(argv: Sequence[str | Path]) -> None:
    """Runs a command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=MOUNT_MAX_S, check=False)
    if done.returncode != 0:
        raise Failed(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")


def holding(context: Context, title: str, variant: str) -> Table:
    """What stands at some destinations before the run is a part of the file, and zeros."""
    name = f"shoal, {variant}"
    with Network.switch(HOSTS, BITS) as made:
        job = Delivery(context, made, LENGTH, BITS)

        def run_holding() -> dict[str, float]:
            content = job.source.read_bytes()
            expected = 0
            for (number, count), directory in zip(HELD[variant], job.destinations):
                part = LENGTH // count
                first = part * number
                held = bytes(first) + content[first:first + part]
                (directory / job.source.name).write_bytes(held + bytes(LENGTH - len(held)))
                expected += part
            sample = job.shoal()
            peers = job.report()["peers"]
            reused = sum(peer["bytes_reused"] for peer in peers)
            if reused != expected:
                raise Failed(f"{reused} bytes were reused, not {expected}")
            received = sum(peer["bytes_received"] for peer in peers)
            missing = LENGTH * len(job.destinations) - expected
            return {**sample, SENT_AGAIN.key: (received - missing) / MIB}

        metrics = (*METRICS, SENT_AGAIN)
        table = Table(title, metrics, SHOAL_NAME, [Target(name, SENT_AGAIN.key, 0.0)])
        return context.compare(table, [job.contender(SHOAL_NAME, True, job.shoal),
                                       job.contender(name, True, run_holding)])
